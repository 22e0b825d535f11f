package sqlstore

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nod-auth/nod/approval"
)

// SigningKey is one key of the ring that signs tokens. It signs during
// [UseFrom, UseUntil) of the store's time and is published until KeepUntil.
type SigningKey struct {
	KID       string
	Alg       string
	Public    []byte
	Sealed    []byte // the private half, encrypted by the caller
	UseFrom   time.Time
	UseUntil  time.Time
	KeepUntil time.Time
}

const (
	signingKeyColumns = `kid, alg, public, sealed, use_from, use_until, keep_until`
	allSigningKeys    = `SELECT ` + signingKeyColumns + ` FROM signing_keys ORDER BY use_from, kid`
)

func scanSigningKey(from row) (k SigningKey, err error) {
	err = from.Scan(&k.KID, &k.Alg, &k.Public, &k.Sealed, instant{&k.UseFrom}, instant{&k.UseUntil}, instant{&k.KeepUntil})
	return k, err
}

// SigningKeys lists every key, the first to be used first.
func (s *Store) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	ks, err := list(ctx, s.reads, scanSigningKey, allSigningKeys)
	return ks, fault("list signing keys", err)
}

// ChangeSigningKeys shows change every key at the store's time and makes what it
// returns the keys: new ones are added, missing ones deleted, and of the others
// the times and the private half are changed, each with its audit row. It is one
// serialisable transaction, and change may run more than once. Its error changes
// nothing and comes back as it is.
func (s *Store) ChangeSigningKeys(
	ctx context.Context, change func(now time.Time, keys []SigningKey) ([]SigningKey, error),
) error {
	var refused error
	// Keys that are given again change nothing: so it may be repeated.
	err := s.engine.write(ctx, manner{again: true}, func(ctx context.Context, t *tx) error {
		were, err := list(ctx, t.statements, scanSigningKey, allSigningKeys)
		if err != nil {
			return err
		}
		var are []SigningKey
		if are, refused = change(t.now, slices.Clone(were)); refused != nil {
			return errUndo
		}
		return t.changeSigningKeys(ctx, were, are)
	})
	if err != nil {
		return fault("change signing keys", err)
	}
	return refused
}

func (t *tx) changeSigningKeys(ctx context.Context, were, are []SigningKey) error {
	left := make(map[string]SigningKey, len(were))
	for _, k := range were {
		left[k.KID] = k
	}
	for _, k := range are {
		was, known := left[k.KID]
		delete(left, k.KID)
		if err := t.putSigningKey(ctx, k, was, known); err != nil {
			return fmt.Errorf("signing key %s: %w", k.KID, err)
		}
	}
	for kid := range left {
		if _, err := t.exec(ctx, `DELETE FROM signing_keys WHERE kid = $1`, kid); err != nil {
			return err
		}
		if err := t.noteKey(ctx, approval.EventKeyRemoved, kid); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) putSigningKey(ctx context.Context, k, was SigningKey, known bool) error {
	const add = `INSERT INTO signing_keys (` + signingKeyColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7)`
	const set = `UPDATE signing_keys SET sealed = $1, use_from = $2, use_until = $3, keep_until = $4 WHERE kid = $5`
	if !known {
		if _, err := t.exec(ctx, add, k.KID, k.Alg, k.Public, blob(k.Sealed),
			micros(k.UseFrom), micros(k.UseUntil), micros(k.KeepUntil)); err != nil {
			return err
		}
		return t.noteKey(ctx, approval.EventKeyAdded, k.KID)
	}
	if k.equal(was) {
		return nil
	}
	_, err := t.exec(ctx, set, blob(k.Sealed), micros(k.UseFrom), micros(k.UseUntil), micros(k.KeepUntil), k.KID)
	if err == nil && len(k.Sealed) == 0 && len(was.Sealed) > 0 {
		err = t.noteKey(ctx, approval.EventKeyRetired, k.KID)
	}
	return err
}

// equal compares what may change.
func (k SigningKey) equal(was SigningKey) bool {
	return bytes.Equal(k.Sealed, was.Sealed) && k.UseFrom.Equal(was.UseFrom) &&
		k.UseUntil.Equal(was.UseUntil) && k.KeepUntil.Equal(was.KeepUntil)
}

// noteKey writes the audit row: each of them happens once to a key.
func (t *tx) noteKey(ctx context.Context, name approval.EventName, kid string) error {
	_, err := t.claim(ctx, approval.Change{Op: string(name) + " " + kid, Event: approval.Event{Name: name, Detail: kid}})
	return err
}
