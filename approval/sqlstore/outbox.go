package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/nod-auth/nod/approval"
)

// deliver puts a message into the outbox. id is unique to it and the same on a
// retry.
func (t *tx) deliver(ctx context.Context, id string, e approval.Deliver) error {
	const columns = `INSERT INTO outbox (id, seq, topic, key, body, ends_at, state, next_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, 'queued', $7, `
	created := `$7`
	if e.Topic == approval.TopicWebhook && t.clock != "" {
		// Receivers bring events into order by it: a node's copy of the clock may be off by
		// more than the time between two steps of a request on two nodes.
		created = t.clock
	}
	_, err := t.exec(ctx, columns+created+`)`, id, t.next(t.now), string(e.Topic), e.Key, blob(e.Body), micros(e.Until), micros(t.now))
	return err
}

// Claim implements approval.Outbox. Who claims takes the message's turn away from
// the others by moving its next_at to the end of the lease.
func (s *Store) Claim(ctx context.Context, topic approval.Topic, limit int, lease time.Duration) (claimed []approval.Message, err error) {
	const due = `SELECT id, topic, key, body, created_at, ends_at, attempt + 1 FROM outbox
		WHERE topic = $1 AND next_at > 0 AND next_at <= $2 AND (ends_at = 0 OR ends_at > $2) ORDER BY seq LIMIT $3`
	const claim = `UPDATE outbox SET attempt = $1, next_at = $2 WHERE id = $3 AND attempt = $4`
	err = s.write(ctx, "claim messages", func(ctx context.Context, t *tx) error {
		claimed = nil
		found, err := list(ctx, t.statements, scanMessage, due, string(topic), micros(t.now), limit)
		if err != nil {
			return err
		}
		for _, m := range found {
			n, err := t.exec(ctx, claim, m.Attempt, micros(t.now.Add(lease)), m.ID, m.Attempt-1)
			if err != nil {
				return err
			}
			if n == 1 {
				claimed = append(claimed, m)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

func scanMessage(from row) (m approval.Message, err error) {
	err = from.Scan(&m.ID, &m.Topic, &m.Key, &m.Body, instant{&m.CreatedAt}, instant{&m.Until}, &m.Attempt)
	return m, err
}

// Settle implements approval.Outbox.
func (s *Store) Settle(ctx context.Context, m approval.Message, o approval.Outcome) error {
	const query = `UPDATE outbox SET state = $1, next_at = $2, body = COALESCE($3, body), note = $4, settled_at = $5
		WHERE id = $6 AND attempt = $7`
	return s.write(ctx, "settle message", func(ctx context.Context, t *tx) error {
		return t.must(ctx, approval.ErrConflict, query, string(o.State), micros(o.Next), blob(o.Body), o.Note, micros(t.now), m.ID, m.Attempt)
	})
}

// NextDue implements approval.Outbox.
func (s *Store) NextDue(ctx context.Context, topic approval.Topic) (time.Time, error) {
	const query = `SELECT next_at FROM outbox
		WHERE topic = $1 AND next_at > 0 AND (ends_at = 0 OR ends_at > $2) ORDER BY next_at LIMIT 1`
	next, err := one(ctx, s.reads, scanTime, query, string(topic), micros(s.now()))
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return next, fault("find next message", err)
}

// Delivery implements approval.Outbox.
func (s *Store) Delivery(ctx context.Context, topic approval.Topic, key string) (approval.Delivery, error) {
	const query = `SELECT CASE WHEN state = 'queued' AND ends_at > 0 AND ends_at <= $3 THEN 'failed' ELSE state END
		FROM outbox WHERE topic = $1 AND key = $2 ORDER BY seq DESC LIMIT 1`
	d, err := one(ctx, s.reads, scanText, query, string(topic), key, micros(s.now()))
	if errors.Is(err, sql.ErrNoRows) {
		return approval.DeliveryNone, nil
	}
	return approval.Delivery(d), fault("find delivery", err)
}
