package sqlstore

import (
	"context"
	"fmt"
	"strings"
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
	if err := t.check(ctx, c); err != nil {
		return err
	}
	for i, e := range c.Effects {
		if err := t.effect(ctx, e, c.Op, i); err != nil {
			return fmt.Errorf("%T: %w", e, err)
		}
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

// check judges a change's bounds and its Needs, after the swap: on a server that may
// have waited for somebody else's. All of it is one question, since each is a round
// trip to a server.
func (t *tx) check(ctx context.Context, c approval.Change) error {
	q := t.question(c)
	answers, err := q.ask(ctx, t.statements)
	if err != nil {
		return err
	}
	now := t.now
	if q.clock {
		now, answers = time.UnixMicro(answers[0]), answers[1:]
	}
	if now.Before(c.NotBefore) || !c.Before.IsZero() && !now.Before(c.Before) {
		return fmt.Errorf("out of time: %w", approval.ErrConflict)
	}
	for i, n := range answers {
		if n == 0 {
			return fmt.Errorf("%s %w", q.needs[i].what, q.needs[i].word)
		}
	}
	return nil
}

// question is what a change needs, as one row of numbers: the time where it must
// be exact, then how many there are of each thing that there must be.
type question struct {
	clock   bool
	columns []string
	args    []any
	needs   []need
}

// need is a thing that there must be, and the word for it when there is not.
type need struct {
	what string
	word error
}

func (t *tx) question(c approval.Change) (q question) {
	if t.clock != "" && !(c.NotBefore.IsZero() && c.Before.IsZero()) {
		q.clock, q.columns = true, append(q.columns, t.clock)
	}
	n := c.Needs
	if n.UserID != "" {
		q.need(approval.ErrInactive, "user:", `FROM users WHERE id = ? AND status = ?`, n.UserID, string(account.UserActive))
	}
	if n.PasskeyID != "" {
		q.need(approval.ErrRevoked, "passkey:", `FROM passkeys WHERE id = ? AND status = ?`, n.PasskeyID, string(account.PasskeyActive))
	}
	for _, id := range n.ClientIDs {
		q.need(approval.ErrRevoked, "client:", `FROM clients WHERE id = ?`, id)
	}
	return q
}

// need adds a count of rows that must not be 0. Only constants get into the text.
func (q *question) need(word error, what, from string, args ...any) {
	for _, a := range args {
		q.args = append(q.args, a)
		from = strings.Replace(from, "?", fmt.Sprintf("$%d", len(q.args)), 1)
	}
	q.columns = append(q.columns, `(SELECT COUNT(*) `+from+`)`)
	q.needs = append(q.needs, need{what, word})
}

func (q question) ask(ctx context.Context, s *statements) ([]int64, error) {
	if len(q.columns) == 0 {
		return nil, nil
	}
	answers := make([]int64, len(q.columns))
	into := make([]any, len(answers))
	for i := range answers {
		into[i] = &answers[i]
	}
	return one(ctx, s, func(from row) ([]int64, error) { return answers, from.Scan(into...) },
		`SELECT `+strings.Join(q.columns, `, `), q.args...)
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
				decided_passkey, grant_expires, grant_revoked_at, ended_by, opened_by, again_at, jkt,
				id, face, namespace_id, client_id, purpose, context, audience, token_needed, match_mode,
				code_kind, code_hash, handle_hash, created_at, expires, rotates, typed_hash, answer_to)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
				$21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)
			ON CONFLICT DO NOTHING`
		return t.must(ctx, approval.ErrExists, query,
			r.UserID, string(r.State), r.Version, r.Tries, micros(r.OpenedAt), string(r.OpenedVia), optional(r.Decision), optional(r.Grant),
			decidedPasskey, grantEnds, grantRevoked, string(r.EndedBy), r.OpenedBy, micros(r.AgainAt), r.JKT,
			r.ID, r.Face, r.NamespaceID, r.ClientID, string(r.Purpose), document(r.Context), r.Audience, r.TokenNeeded, string(r.Match),
			string(r.CodeKind), blob(r.CodeHash), blob(r.HandleHash), micros(r.CreatedAt), micros(r.Expires), r.Rotates,
			blob(r.TypedHash), blob(r.AnswerTo))
	}
	const query = `UPDATE requests SET user_id = $1, state = $2, version = $3, tries = $4, opened_at = $5, opened_via = $6,
			decision = $7, grant_data = $8, decided_passkey = $9, grant_expires = $10, grant_revoked_at = $11,
			ended_by = $12, opened_by = $13, again_at = $14, jkt = $15
		WHERE id = $16 AND version = $17`
	return t.must(ctx, approval.ErrConflict, query,
		r.UserID, string(r.State), r.Version, r.Tries, micros(r.OpenedAt), string(r.OpenedVia),
		optional(r.Decision), optional(r.Grant), decidedPasskey, grantEnds, grantRevoked, string(r.EndedBy),
		r.OpenedBy, micros(r.AgainAt), r.JKT, r.ID, from)
}
