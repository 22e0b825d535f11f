package sqlstore

import (
	"context"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// purgeBatch bounds how long one step of the purge keeps other writes waiting.
const purgeBatch = 500

// Due implements approval.Upkeep.
func (s *Store) Due(ctx context.Context, limit int) ([]approval.Request, error) {
	const query = `SELECT ` + requestColumns + ` FROM requests
		WHERE (state = 'pending' AND expires <= $1) OR (state = 'approved' AND expires <= $2)
		ORDER BY expires LIMIT $3`
	now := s.now()
	rs, err := list(ctx, s.reads, scanRequest, query, micros(now), micros(now.Add(-approval.CollectGrace)), limit)
	return rs, fault("list due requests", err)
}

// Purge implements approval.Upkeep, in transactions of at most purgeBatch rows.
// What has a time of its own goes when the store's clock has passed it; spent
// keys and outbox rows with the zero time never go. Audit rows and receipts stay.
func (s *Store) Purge(ctx context.Context, before time.Time) (int64, error) {
	const requests = `DELETE FROM requests WHERE id IN (SELECT id FROM requests
		WHERE state IN ('denied', 'canceled', 'expired', 'lapsed', 'redeemed') AND expires < $1 AND grant_expires < $1 LIMIT $2)`
	now := s.now()
	total, err := s.purge(ctx, requests, before)
	if err == nil {
		err = s.giveUpHooks(ctx, now)
	}
	for _, p := range []struct {
		query string
		ended time.Time
	}{
		{`DELETE FROM spent WHERE (box, key) IN (SELECT box, key FROM spent WHERE ends_at > 0 AND ends_at <= $1 LIMIT $2)`, now},
		{`DELETE FROM ops WHERE op IN (SELECT op FROM ops WHERE ends_at <= $1 LIMIT $2)`, now},
		{`DELETE FROM budgets WHERE key IN (SELECT key FROM budgets WHERE ends_at <= $1 LIMIT $2)`, now},
		{`DELETE FROM ceremonies WHERE id IN (SELECT id FROM ceremonies WHERE expires <= $1 LIMIT $2)`, now},
		{`DELETE FROM invitations WHERE hash IN (SELECT hash FROM invitations WHERE expires <= $1 LIMIT $2)`, now},
		{`DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE topic <> 'webhook' AND ends_at > 0 AND ends_at <= $1 LIMIT $2)`, before},
		{`DELETE FROM outbox WHERE id IN (` + endedHooks + `)`, now.Add(-keepHookRows)},
		{`DELETE FROM promptings WHERE key IN (SELECT key FROM promptings WHERE ends_at <= $1 LIMIT $2)`, now},
		{`DELETE FROM devices WHERE id IN (SELECT id FROM devices WHERE expires <= $1 LIMIT $2)`, before},
		{`DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE seen_at <= $1 LIMIT $2)`, now.Add(-account.SessionIdle)},
	} {
		if err != nil {
			break
		}
		var n int64
		n, err = s.purge(ctx, p.query, p.ended)
		total += n
	}
	return total, err
}

// purge runs a batched delete until it finds no more.
func (s *Store) purge(ctx context.Context, query string, ended time.Time) (total int64, err error) {
	for {
		var n int64
		err := s.write(ctx, "purge", func(ctx context.Context, t *tx) (err error) {
			n, err = t.exec(ctx, query, micros(ended), purgeBatch)
			return err
		})
		if err != nil {
			return total, err
		}
		if total += n; n < purgeBatch {
			return total, nil
		}
	}
}
