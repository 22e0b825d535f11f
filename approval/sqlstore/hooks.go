package sqlstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// The texts that are asked all the time. They say topic = 'webhook' in so many words,
// without which the partial indexes of migration 0005 are not used.
const (
	// dueHooks hops from one webhook to the next: two looks into the index for each,
	// however much waits for any of them.
	dueHooks = `WITH RECURSIVE hooks (key) AS (
			SELECT MIN(key) FROM outbox WHERE topic = 'webhook' AND next_at > 0
			UNION ALL
			SELECT (SELECT MIN(o.key) FROM outbox o WHERE o.topic = 'webhook' AND o.next_at > 0 AND o.key > hooks.key)
			FROM hooks WHERE hooks.key IS NOT NULL)
		SELECT key, COALESCE((SELECT MIN(o.next_at) FROM outbox o
			WHERE o.topic = 'webhook' AND o.next_at > 0 AND o.key = hooks.key AND (o.ends_at = 0 OR o.ends_at > $1)), 0)
		FROM hooks WHERE key IS NOT NULL`
	// dueOfHook bounds key and next_at as a pair: with one condition for each, SQLite
	// prefers the index over what is due of all webhooks.
	dueOfHook = `SELECT id, topic, key, body, created_at, ends_at, attempt + 1, tries + 1 FROM outbox
		WHERE topic = 'webhook' AND next_at > 0 AND (key, next_at) >= ($1, 1) AND (key, next_at) <= ($1, $2)
			AND (ends_at = 0 OR ends_at > $2)
		ORDER BY key, next_at LIMIT $3`
	endedHooks = `SELECT id FROM outbox WHERE topic = 'webhook' AND ends_at > 0 AND ends_at <= $1 LIMIT $2`
)

const webhookColumns = `id, namespace_id, version, url, events, sealed, sealed_before, before_ends, created_at, disabled_at, disabled`

func scanWebhook(from row) (w account.Webhook, err error) {
	err = from.Scan(&w.ID, &w.NamespaceID, &w.Version, &w.URL, parsed{&w.Events}, &w.Sealed, &w.Before,
		instant{&w.BeforeEnds}, instant{&w.CreatedAt}, instant{&w.DisabledAt}, &w.Disabled)
	return w, err
}

// Webhook implements account.Webhooks.
func (s *Store) Webhook(ctx context.Context, id string) (account.Webhook, error) {
	w, err := one(ctx, s.reads, scanWebhook, `SELECT `+webhookColumns+` FROM webhooks WHERE id = $1`, id)
	return w, fault("find webhook", err)
}

// Webhooks implements account.Webhooks.
func (s *Store) Webhooks(ctx context.Context, namespaceID string) ([]account.Webhook, error) {
	const (
		all = `SELECT ` + webhookColumns + ` FROM webhooks ORDER BY created_at, id`
		of  = `SELECT ` + webhookColumns + ` FROM webhooks WHERE namespace_id = $1 ORDER BY created_at, id`
	)
	query, args := all, []any(nil)
	if namespaceID != "" {
		query, args = of, []any{namespaceID}
	}
	ws, err := list(ctx, s.reads, scanWebhook, query, args...)
	return ws, fault("list webhooks", err)
}

// DueHooks implements approval.HookQueue.
func (s *Store) DueHooks(ctx context.Context) (map[string]time.Time, error) {
	type due struct {
		key  string
		next time.Time
	}
	scan := func(from row) (d due, err error) {
		err = from.Scan(&d.key, instant{&d.next})
		return d, err
	}
	found, err := list(ctx, s.reads, scan, dueHooks, micros(s.now()))
	if err != nil {
		return nil, fault("find due webhooks", err)
	}
	out := make(map[string]time.Time, len(found))
	for _, d := range found {
		if !d.next.IsZero() { // otherwise all of it is too late
			out[d.key] = d.next
		}
	}
	return out, nil
}

// ClaimHook implements approval.HookQueue.
func (s *Store) ClaimHook(ctx context.Context, webhookID string, limit int, lease time.Duration) (claimed []approval.Message, err error) {
	const claim = `UPDATE outbox SET attempt = $1, tries = $2, next_at = $3 WHERE id = $4 AND attempt = $5`
	err = s.write(ctx, "claim messages", func(ctx context.Context, t *tx) error {
		claimed = nil
		found, err := list(ctx, t.statements, scanHookMessage, dueOfHook, webhookID, micros(t.now), limit)
		if err != nil {
			return err
		}
		for _, m := range found {
			n, err := t.exec(ctx, claim, m.Attempt, m.Tries, micros(t.now.Add(lease)), m.ID, m.Attempt-1)
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

func scanHookMessage(from row) (m approval.Message, err error) {
	err = from.Scan(&m.ID, &m.Topic, &m.Key, &m.Body, instant{&m.CreatedAt}, instant{&m.Until}, &m.Attempt, &m.Tries)
	return m, err
}

// HookDeliveries implements approval.Hooks.
func (s *Store) HookDeliveries(ctx context.Context, f approval.HookFilter, limit int) ([]approval.HookDelivery, error) {
	const columns = `SELECT seq, id, body, CASE WHEN state = 'queued' AND ends_at > 0 AND ends_at <= $2 THEN 'failed' ELSE state END,
		tries, CASE WHEN ends_at > 0 AND ends_at <= $2 THEN 0 ELSE next_at END, note, created_at, settled_at
		FROM outbox WHERE topic = 'webhook' AND key = $1`
	args := []any{f.WebhookID, micros(s.now())}
	where := []string{columns}
	and := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, strings.Replace(condition, "?", fmt.Sprintf("$%d", len(args)), 1))
	}
	if f.EventID != "" {
		and(`id LIKE ? || '/%'`, likeSafe(f.EventID))
	}
	if !f.Since.IsZero() {
		and(`created_at >= ?`, micros(f.Since))
	}
	if f.Failed {
		where = append(where, `state <> 'sent' AND (settled_at > 0 OR ends_at > 0 AND ends_at <= $2)`)
	}
	if f.Before > 0 {
		and(`seq < ?`, f.Before)
	}
	args = append(args, limit)
	query := strings.Join(where, ` AND `) + fmt.Sprintf(` ORDER BY seq DESC LIMIT $%d`, len(args))
	ds, err := list(ctx, s.reads, scanHookDelivery, query, args...)
	return ds, fault("list deliveries", err)
}

// likeSafe lets nothing in an event's id be a pattern: ours are UUIDs.
func likeSafe(id string) string {
	return strings.Map(func(r rune) rune {
		if r == '%' || r == '_' || r == '\\' {
			return '/' // matches no id
		}
		return r
	}, id)
}

func scanHookDelivery(from row) (d approval.HookDelivery, err error) {
	var body []byte
	err = from.Scan(&d.Seq, &d.MessageID, &body, &d.State, &d.Tries, instant{&d.Next}, &d.Answer,
		instant{&d.CreatedAt}, instant{&d.SettledAt})
	if err == nil {
		d.Announcement, err = approval.ReadAnnouncement(body, d.CreatedAt)
	}
	return d, err
}

// hookEffect is the part of effect that is about webhooks.
func (t *tx) hookEffect(ctx context.Context, e approval.Effect) error {
	const update = `UPDATE webhooks SET version = $1, url = $2, events = $3, sealed = $4, sealed_before = $5, before_ends = $6,
			disabled_at = $7, disabled = $8
		WHERE id = $9 AND version = $10`
	switch e := e.(type) {
	case approval.AddWebhook:
		return t.addWebhook(ctx, e.Webhook)
	case approval.SetWebhook:
		w := e.Is
		if w.Version != e.From+1 {
			return fmt.Errorf("version %d after %d: %w", w.Version, e.From, approval.ErrInvalid)
		}
		return t.must(ctx, approval.ErrConflict, update, w.Version, w.URL, document(w.Events), w.Sealed, blob(w.Before),
			micros(w.BeforeEnds), micros(w.DisabledAt), w.Disabled, w.ID, e.From)
	case approval.RemoveWebhook:
		return t.must(ctx, approval.ErrNotFound, `DELETE FROM webhooks WHERE id = $1`, e.ID)
	case approval.Replay:
		return t.replay(ctx, e)
	default:
		return t.recoveryEffect(ctx, e)
	}
}

func (t *tx) addWebhook(ctx context.Context, w account.Webhook) error {
	const query = `INSERT INTO webhooks (` + webhookColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`
	const count = `SELECT COUNT(*) FROM webhooks WHERE namespace_id = $1`
	n, err := one(ctx, t.statements, scanNumber, count, w.NamespaceID)
	if err != nil {
		return err
	}
	if n >= account.MaxWebhooks {
		return approval.ErrTooMany
	}
	return t.must(ctx, approval.ErrExists, query, w.ID, w.NamespaceID, w.Version, w.URL, document(w.Events), w.Sealed,
		blob(w.Before), micros(w.BeforeEnds), micros(w.CreatedAt), micros(w.DisabledAt), w.Disabled)
}

// replay counts one attempt more, so that whoever has the message does not settle it
// any more.
func (t *tx) replay(ctx context.Context, e approval.Replay) error {
	const query = `UPDATE outbox SET state = 'queued', next_at = $1, ends_at = $2, attempt = attempt + 1, tries = 0
		WHERE id = $3 AND topic = 'webhook' AND key = $4`
	for _, id := range e.IDs {
		if _, err := t.exec(ctx, query, micros(t.now), micros(e.Until), id, e.WebhookID); err != nil {
			return err
		}
	}
	return nil
}

// keepHookRows is how long a webhook's message stays after its time.
const keepHookRows = approval.KeepDeliveries - approval.AnnounceFor

// giveUpHooks ends what was not told in time, so that nobody looks at it again for as
// long as it is kept. Otherwise a server that was away for a day would come back to a
// queue of what it must not send any more.
func (s *Store) giveUpHooks(ctx context.Context, now time.Time) error {
	const query = `UPDATE outbox SET state = 'failed', next_at = 0 WHERE id IN (SELECT id FROM outbox
		WHERE topic = 'webhook' AND next_at > 0 AND ends_at > 0 AND ends_at <= $1 LIMIT $2)`
	_, err := s.purge(ctx, query, now)
	return err
}
