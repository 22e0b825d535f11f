package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// opLife is how long the Op of a change without an audit row is remembered. A
// retry follows within seconds.
const opLife = time.Hour

// Apply implements approval.Store.
func (s *Store) Apply(ctx context.Context, changes ...approval.Change) error {
	if len(changes) == 0 {
		return nil
	}
	err := s.engine.write(ctx, manner{again: true, lazy: undecided(changes)}, func(ctx context.Context, t *tx) error {
		for _, c := range changes {
			if err := t.apply(ctx, c); err != nil {
				return fmt.Errorf("%s: %w", title(c), err)
			}
		}
		return nil
	})
	return fault("apply", err)
}

// undecided says that the changes only bring questions into the world: losing one
// in a crash of the database loses nothing that anybody has said.
func undecided(changes []approval.Change) bool {
	for _, c := range changes {
		if c.Request == nil || c.From != 0 || c.Request.State != approval.Pending {
			return false
		}
	}
	return true
}

// title names a change in errors.
func title(c approval.Change) string {
	switch {
	case c.Request != nil && c.Event.Name != "":
		return string(c.Event.Name) + " " + c.Request.ID
	case c.Event.Name != "":
		return string(c.Event.Name)
	default:
		return "change " + c.Op
	}
}

func (t *tx) apply(ctx context.Context, c approval.Change) error {
	claimed, err := t.claim(ctx, c)
	if err != nil || !claimed {
		return err
	}
	if c.Request != nil {
		if err := t.swap(ctx, *c.Request, c.From); err != nil {
			return err
		}
	}
	if err := t.inTime(ctx, c); err != nil {
		return err
	}
	if err := t.check(ctx, c.Needs); err != nil {
		return err
	}
	for i, e := range c.Effects {
		if err := t.effect(ctx, e, c.Op, i); err != nil {
			return fmt.Errorf("%T: %w", e, err)
		}
	}
	return nil
}

// inTime judges a change's bounds, after the swap: on a server that may have
// waited for somebody else's.
func (t *tx) inTime(ctx context.Context, c approval.Change) error {
	if c.NotBefore.IsZero() && c.Before.IsZero() {
		return nil
	}
	now := t.now
	if t.exact != nil {
		var err error
		if now, err = t.exact(ctx); err != nil {
			return err
		}
	}
	if now.Before(c.NotBefore) || !c.Before.IsZero() && !now.Before(c.Before) {
		return fmt.Errorf("out of time: %w", approval.ErrConflict)
	}
	return nil
}

// claim takes the operation id, and false means that the change was applied
// before. An audit row is its own claim.
func (t *tx) claim(ctx context.Context, c approval.Change) (bool, error) {
	const event = `INSERT INTO events (op, seq, at, name, namespace_id, request_id, version,
			user_id, client_id, passkey_id, address, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (op) DO NOTHING`
	const silent = `INSERT INTO ops (op, ends_at) VALUES ($1, $2) ON CONFLICT (op) DO NOTHING`
	if c.Op == "" {
		return false, fmt.Errorf("no operation id: %w", approval.ErrInvalid)
	}
	if e := c.Event; e.Name != "" {
		n, err := t.exec(ctx, event, c.Op, t.next(t.now), micros(t.now), string(e.Name), e.NamespaceID, e.RequestID, e.Version,
			e.UserID, e.ClientID, e.PasskeyID, e.Address, e.Detail)
		return n == 1, err
	}
	n, err := t.exec(ctx, silent, c.Op, micros(t.now.Add(opLife)))
	return n == 1, err
}

// check judges Needs at the transaction's time.
func (t *tx) check(ctx context.Context, n approval.Needs) error {
	if n.UserID != "" {
		const query = `SELECT COUNT(*) FROM users WHERE id = $1 AND status = $2`
		if err := t.exists(ctx, approval.ErrInactive, query, n.UserID, string(account.UserActive)); err != nil {
			return fmt.Errorf("user %s: %w", n.UserID, err)
		}
	}
	if n.PasskeyID != "" {
		const query = `SELECT COUNT(*) FROM passkeys WHERE id = $1 AND status = $2`
		if err := t.exists(ctx, approval.ErrRevoked, query, n.PasskeyID, string(account.PasskeyActive)); err != nil {
			return fmt.Errorf("passkey %s: %w", n.PasskeyID, err)
		}
	}
	for _, id := range n.ClientIDs {
		const query = `SELECT COUNT(*) FROM clients WHERE id = $1`
		if err := t.exists(ctx, approval.ErrRevoked, query, id); err != nil {
			return fmt.Errorf("client %s: %w", id, err)
		}
	}
	return nil
}

// exists is word when the query counts none.
func (t *tx) exists(ctx context.Context, word error, query string, args ...any) error {
	n, err := one(ctx, t.statements, scanNumber, query, args...)
	if err == nil && n == 0 {
		return word
	}
	return err
}

// swap writes a request: a new one whole, of an old one only what may change.
// What Begin froze (the context I5, the expiry I8, the codes) is never written
// twice.
func (t *tx) swap(ctx context.Context, r approval.Request, from int64) error {
	if r.Version != from+1 {
		return fmt.Errorf("version %d after %d: %w", r.Version, from, approval.ErrInvalid)
	}
	var grantEnds, grantRevoked int64
	if g := r.Grant; g != nil {
		grantEnds, grantRevoked = micros(g.Expires), micros(g.RevokedAt)
	}
	var decidedPasskey string
	if r.Decision != nil {
		decidedPasskey = r.Decision.PasskeyID
	}
	if from == 0 {
		const query = `INSERT INTO requests (user_id, state, version, tries, opened_at, opened_via, decision, grant_data,
				decided_passkey, grant_expires, grant_revoked_at, ended_by, opened_by, again_at,
				id, face, namespace_id, client_id, purpose, context, audience, token_needed, match_mode,
				code_kind, code_hash, handle_hash, created_at, expires, rotates)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
				$21, $22, $23, $24, $25, $26, $27, $28, $29)
			ON CONFLICT DO NOTHING`
		return t.must(ctx, approval.ErrExists, query,
			r.UserID, string(r.State), r.Version, r.Tries, micros(r.OpenedAt), string(r.OpenedVia), optional(r.Decision), optional(r.Grant),
			decidedPasskey, grantEnds, grantRevoked, string(r.EndedBy), r.OpenedBy, micros(r.AgainAt),
			r.ID, r.Face, r.NamespaceID, r.ClientID, string(r.Purpose), document(r.Context), r.Audience, r.TokenNeeded, string(r.Match),
			string(r.CodeKind), blob(r.CodeHash), blob(r.HandleHash), micros(r.CreatedAt), micros(r.Expires), r.Rotates)
	}
	const query = `UPDATE requests SET user_id = $1, state = $2, version = $3, tries = $4, opened_at = $5, opened_via = $6,
			decision = $7, grant_data = $8, decided_passkey = $9, grant_expires = $10, grant_revoked_at = $11,
			ended_by = $12, opened_by = $13, again_at = $14
		WHERE id = $15 AND version = $16`
	return t.must(ctx, approval.ErrConflict, query,
		r.UserID, string(r.State), r.Version, r.Tries, micros(r.OpenedAt), string(r.OpenedVia),
		optional(r.Decision), optional(r.Grant), decidedPasskey, grantEnds, grantRevoked, string(r.EndedBy),
		r.OpenedBy, micros(r.AgainAt), r.ID, from)
}
