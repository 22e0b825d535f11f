package sqlstore

import (
	"context"
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

const signingKeyColumns = `kid, alg, public, sealed, use_from, use_until, keep_until`

func scanSigningKey(from row) (k SigningKey, err error) {
	err = from.Scan(&k.KID, &k.Alg, &k.Public, &k.Sealed, instant{&k.UseFrom}, instant{&k.UseUntil}, instant{&k.KeepUntil})
	return k, err
}

// SigningKeys lists every key, the first to be used first.
func (s *Store) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	ks, err := list(ctx, s.reads, scanSigningKey, `SELECT `+signingKeyColumns+` FROM signing_keys ORDER BY use_from, kid`)
	return ks, fault("list signing keys", err)
}

// AddSigningKey stores a key; approval.ErrExists when its KID is taken.
func (s *Store) AddSigningKey(ctx context.Context, k SigningKey) error {
	const query = `INSERT INTO signing_keys (` + signingKeyColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (kid) DO NOTHING`
	return s.write(ctx, "add signing key", func(ctx context.Context, t *tx) error {
		return t.must(ctx, approval.ErrExists, query, k.KID, k.Alg, k.Public, blob(k.Sealed),
			micros(k.UseFrom), micros(k.UseUntil), micros(k.KeepUntil))
	})
}
