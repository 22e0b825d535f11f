package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval/sqlstore"
)

// signingKeys lets the ring keep its keys in the database: neither package knows
// the other.
type signingKeys struct{ store *sqlstore.Store }

func (s signingKeys) SigningKeys(ctx context.Context) ([]token.StoredKey, time.Time, error) {
	rows, err := s.store.SigningKeys(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	now, err := s.store.Now(ctx)
	return storedKeys(rows), now, err
}

func (s signingKeys) ChangeSigningKeys(ctx context.Context, change func(time.Time, []token.StoredKey) ([]token.StoredKey, error)) error {
	return s.store.ChangeSigningKeys(ctx, func(now time.Time, rows []sqlstore.SigningKey) ([]sqlstore.SigningKey, error) {
		keys, err := change(now, storedKeys(rows))
		changed := make([]sqlstore.SigningKey, len(keys))
		for i, k := range keys {
			changed[i] = sqlstore.SigningKey(k)
		}
		return changed, err
	})
}

func storedKeys(rows []sqlstore.SigningKey) []token.StoredKey {
	keys := make([]token.StoredKey, len(rows))
	for i, row := range rows {
		keys[i] = token.StoredKey(row)
	}
	return keys
}

// tendEvery is how often signing keys are looked after: within a token.Lead every
// node has said how long its tokens live.
const tendEvery = token.Lead / 4

// TendKeys deletes signing keys, and private halves of them, that no token needs
// any more, until ctx ends. A store that is away is tried again at the next turn.
func (c *Core) TendKeys(ctx context.Context, log *slog.Logger) error {
	turn := time.NewTicker(tendEvery)
	defer turn.Stop()
	for {
		if err := c.tendKeys(ctx); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "signing keys are looked after later", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-turn.C:
		}
	}
}

func (c *Core) tendKeys(ctx context.Context) error {
	life, err := c.longestLife(ctx)
	if err != nil {
		return err
	}
	return c.Ring.Tend(ctx, life)
}

// RotateKeys makes the next signing keys, see [token.Ring.Rotate].
func (c *Core) RotateKeys(ctx context.Context, in time.Duration) ([]token.Rotation, error) {
	life, err := c.longestLife(ctx)
	if err != nil {
		return nil, err
	}
	return c.Ring.Rotate(ctx, in, life)
}

// longestLife is how long a token may have to be verified: this node's native ones,
// and those of the standard faces as each client is registered.
func (c *Core) longestLife(ctx context.Context) (time.Duration, error) {
	clients, err := c.Store.Clients(ctx, "")
	if err != nil {
		return 0, fmt.Errorf("find the longest life of a token: %w", err)
	}
	life := c.Config.TokenLife
	for _, client := range clients {
		if o := client.OAuth; o != nil {
			life = max(life, o.AccessLife, o.IDTokenLife)
		}
	}
	return life, nil
}
