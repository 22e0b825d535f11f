package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/sqlstore"
)

// signingKeys lets the ring keep its keys in the database: neither package knows
// the other.
type signingKeys struct{ store *sqlstore.Store }

func (s signingKeys) SigningKeys(ctx context.Context) ([]token.StoredKey, error) {
	rows, err := s.store.SigningKeys(ctx)
	keys := make([]token.StoredKey, len(rows))
	for i, row := range rows {
		keys[i] = token.StoredKey(row)
	}
	return keys, err
}

func (s signingKeys) AddSigningKey(ctx context.Context, k token.StoredKey) error {
	err := s.store.AddSigningKey(ctx, sqlstore.SigningKey(k))
	if errors.Is(err, approval.ErrExists) {
		return fmt.Errorf("%w: %w", token.ErrKeyExists, err)
	}
	return err
}
