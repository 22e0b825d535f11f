package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const phoneColumns = `id, user_id, kind, name, hash, sealed, created_at, seen_at, reached_at, fault`

func scanPhone(from row) (p account.Phone, err error) {
	err = from.Scan(&p.ID, &p.UserID, &p.Kind, &p.Name, &p.Hash, &p.Sealed,
		instant{&p.CreatedAt}, instant{&p.SeenAt}, instant{&p.ReachedAt}, &p.Fault)
	return p, err
}

// Phone implements account.Phones.
func (s *Store) Phone(ctx context.Context, id string) (account.Phone, error) {
	p, err := one(ctx, s.reads, scanPhone, `SELECT `+phoneColumns+` FROM phones WHERE id = $1`, id)
	return p, fault("find phone", err)
}

// PhoneByHash implements account.Phones.
func (s *Store) PhoneByHash(ctx context.Context, hash []byte) (account.Phone, error) {
	p, err := one(ctx, s.reads, scanPhone, `SELECT `+phoneColumns+` FROM phones WHERE hash = $1`, hash)
	return p, fault("find phone by hash", err)
}

// Phones implements account.Phones.
func (s *Store) Phones(ctx context.Context, userID string) ([]account.Phone, error) {
	const query = `SELECT ` + phoneColumns + ` FROM phones WHERE user_id = $1 ORDER BY created_at, id`
	ps, err := list(ctx, s.reads, scanPhone, query, userID)
	return ps, fault("list phones", err)
}

// phoneEffect is the part of effect that is about phones.
func (t *tx) phoneEffect(ctx context.Context, e approval.Effect) error {
	switch e := e.(type) {
	case approval.AddPhone:
		return t.addPhone(ctx, e.Phone)
	case approval.RefreshPhone:
		const query = `UPDATE phones SET name = $1, sealed = $2, seen_at = $3, fault = '' WHERE id = $4 AND user_id = $5`
		return t.must(ctx, approval.ErrNotFound, query, e.Name, e.Sealed, micros(t.now), e.ID, e.UserID)
	case approval.RemovePhone:
		return t.must(ctx, approval.ErrNotFound, `DELETE FROM phones WHERE id = $1 AND user_id = $2`, e.ID, e.UserID)
	case approval.NotePhone:
		const query = `UPDATE phones SET fault = $1, reached_at = CASE WHEN $1 = '' THEN $2 ELSE reached_at END WHERE id = $3`
		_, err := t.exec(ctx, query, e.Fault, micros(t.now), e.ID)
		return err
	case approval.SetPrompting:
		return t.setPrompting(ctx, e)
	default:
		return t.deviceEffect(ctx, e)
	}
}

func (t *tx) addPhone(ctx context.Context, p account.Phone) error {
	const query = `INSERT INTO phones (` + phoneColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`
	const count = `SELECT COUNT(*) FROM phones WHERE user_id = $1`
	n, err := one(ctx, t.statements, scanNumber, count, p.UserID)
	if err != nil {
		return err
	}
	if n >= account.MaxPhones {
		return approval.ErrTooMany
	}
	return t.must(ctx, approval.ErrExists, query, p.ID, p.UserID, string(p.Kind), p.Name, p.Hash, p.Sealed,
		micros(p.CreatedAt), micros(p.SeenAt), micros(p.ReachedAt), p.Fault)
}

// Prompting implements approval.Store.
func (s *Store) Prompting(ctx context.Context, key string) (approval.Prompting, error) {
	const query = `SELECT data, version FROM promptings WHERE key = $1`
	p, err := one(ctx, s.reads, scanPrompting, query, key)
	if errors.Is(err, sql.ErrNoRows) {
		return approval.Prompting{Key: key}, nil
	}
	p.Key = key
	return p, fault("find prompting", err)
}

func scanPrompting(from row) (p approval.Prompting, err error) {
	err = from.Scan(parsed{&p}, &p.Version)
	return p, err
}

func (t *tx) setPrompting(ctx context.Context, e approval.SetPrompting) error {
	const insert = `INSERT INTO promptings (key, version, data, ends_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
	const update = `UPDATE promptings SET version = $2, data = $3, ends_at = $4 WHERE key = $1 AND version = $5`
	p := e.Is
	args := []any{p.Key, p.Version, document(p), micros(p.KeepUntil())}
	if e.From == 0 {
		return t.must(ctx, approval.ErrConflict, insert, args...)
	}
	return t.must(ctx, approval.ErrConflict, update, append(args, e.From)...)
}
