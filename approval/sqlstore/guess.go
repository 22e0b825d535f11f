package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/nod-auth/nod/approval"
)

// Guess implements approval.Store: the tries are taken, the guess is judged, and
// a right one takes its own writes back. Nobody hears the judgement before the
// commit of the tries.
func (s *Store) Guess(ctx context.Context, k approval.Key, budgets []approval.Budget) (approval.Request, error) {
	var found approval.Request
	err := s.write(ctx, "guess", func(ctx context.Context, t *tx) error {
		found = approval.Request{}
		for _, b := range budgets {
			if err := t.try(ctx, b); err != nil {
				return fmt.Errorf("budget %s: %w", b.Key, err)
			}
		}
		switch r, err := find(ctx, t.statements, k); {
		case err == nil:
			found = *r
			return errUndo
		case errors.Is(err, sql.ErrNoRows):
			return nil
		default:
			return err
		}
	})
	switch {
	case err != nil:
		return approval.Request{}, err
	case found.ID == "":
		return approval.Request{}, fault("guess", approval.ErrNotFound)
	default:
		return found, nil
	}
}

// try takes one try of a budget, in one conditional statement. When none is
// left the LimitError says when the window ends.
func (t *tx) try(ctx context.Context, b approval.Budget) error {
	const query = `INSERT INTO budgets (key, taken, ends_at) VALUES ($1, 1, $2)
		ON CONFLICT (key) DO UPDATE SET
			taken   = CASE WHEN budgets.ends_at <= $3 THEN 1 ELSE budgets.taken + 1 END,
			ends_at = CASE WHEN budgets.ends_at <= $3 THEN excluded.ends_at ELSE budgets.ends_at END
		WHERE budgets.ends_at <= $3 OR budgets.taken < $4`
	const window = `SELECT ends_at FROM budgets WHERE key = $1`
	if b.Limit <= 0 {
		return &approval.LimitError{RetryAfter: b.Window}
	}
	n, err := t.exec(ctx, query, b.Key, micros(t.now.Add(b.Window)), micros(t.now), b.Limit)
	if err != nil || n == 1 {
		return err
	}
	ends, err := one(ctx, t.statements, scanTime, window, b.Key)
	if err != nil {
		return err
	}
	return &approval.LimitError{RetryAfter: ends.Sub(t.now)}
}

func scanTime(from row) (v time.Time, err error) {
	err = from.Scan(instant{&v})
	return v, err
}
