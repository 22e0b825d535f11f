package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/audit"
)

var _ audit.Trail = (*Store)(nil)

// settledAfter is how old a row of a server must be before none can come in before
// it: serverWithin for a transaction, as much again for what nodes' ideas of the
// server's clock may differ by (less than connectIn) and for a commit that outlives
// who asked for it.
const settledAfter = 2 * serverWithin

// settled implements engine: what is committed later has a later time.
func (e *server) settled(now time.Time) int64 { return now.Add(-settledAfter).UnixMicro() }

// settled implements engine: rows get their numbers one writer after the other.
func (f *file) settled(time.Time) int64 { return math.MaxInt64 - 1 }

// Settled implements audit.Trail.
func (s *Store) Settled(ctx context.Context) (audit.Position, error) {
	now, err := s.Now(ctx)
	return audit.Position{Seq: s.engine.settled(now) + 1}, err // no Op is before the empty one
}

// Head implements audit.Trail.
func (s *Store) Head(ctx context.Context) (audit.Head, error) {
	const query = `SELECT n, hash, mark_seq, mark_op, mac, holder, lease_until FROM audit_head WHERE id = 1`
	h, err := one(ctx, s.reads, scanHead, query)
	if errors.Is(err, sql.ErrNoRows) {
		return audit.Head{}, nil
	}
	return h, fault("read audit head", err)
}

func scanHead(from row) (h audit.Head, err error) {
	var hash []byte
	err = from.Scan(&h.N, &hash, &h.Mark.Seq, &h.Mark.Op, &h.MAC, &h.Holder, instant{&h.LeaseUntil})
	h.Hash = audit.AsHash(hash)
	return h, err
}

// firstHead makes the row of the head, if there is none.
const firstHead = `INSERT INTO audit_head (n, hash, mark_seq, mark_op, mac, holder, lease_until, id)
	VALUES ($1, $2, $3, $4, $5, $6, $7, 1) ON CONFLICT DO NOTHING`

// headColumns are the parameters of firstHead.
func headColumns(h audit.Head) []any {
	return []any{h.N, h.Hash[:], h.Mark.Seq, h.Mark.Op, h.MAC, h.Holder, micros(h.LeaseUntil)}
}

// Restart implements audit.Trail.
func (s *Store) Restart(ctx context.Context, op, detail string, seal func(audit.Row) (audit.Head, audit.Link)) error {
	const (
		written = `SELECT 0, NULL, NULL, e.op, ` + eventColumns + ` FROM events e WHERE e.op = $1`
		behead  = `DELETE FROM audit_head WHERE id = 1`
	)
	return s.write(ctx, "restart audit chain", func(ctx context.Context, t *tx) error {
		claimed, err := t.claim(ctx, approval.Change{Op: op, Event: approval.Event{Name: audit.EventRestarted, Detail: detail}})
		if err != nil || !claimed {
			return err
		}
		e, err := one(ctx, t.statements, scanEntry, written, op)
		if err != nil {
			return err
		}
		to, link := seal(e.Row)
		if _, err := t.exec(ctx, behead); err != nil {
			return err
		}
		if err := t.must(ctx, approval.ErrConflict, firstHead, headColumns(to)...); err != nil {
			return err
		}
		return t.addLinks(ctx, []audit.Link{link})
	})
}

// Extend implements audit.Trail.
func (s *Store) Extend(ctx context.Context, from, to audit.Head, links []audit.Link) error {
	const move = `UPDATE audit_head SET n = $1, hash = $2, mark_seq = $3, mark_op = $4, mac = $5, holder = $6, lease_until = $7
		WHERE id = 1 AND n = $8 AND hash = $9`
	args := headColumns(to)
	return s.write(ctx, "extend audit chain", func(ctx context.Context, t *tx) (err error) {
		if from.N == 0 {
			err = t.must(ctx, approval.ErrConflict, firstHead, args...)
		} else {
			err = t.must(ctx, approval.ErrConflict, move, append(args, from.N, from.Hash[:])...)
		}
		for rest := links; len(rest) > 0 && err == nil; {
			// Powers of two: few texts to prepare, and few round trips to a server.
			n := min(1<<(bits.Len(uint(len(rest)))-1), maxLinks)
			err = t.addLinks(ctx, rest[:n])
			rest = rest[n:]
		}
		return err
	})
}

// maxLinks are added by one statement; it has three parameters for each.
const maxLinks = 128

func (t *tx) addLinks(ctx context.Context, links []audit.Link) error {
	var query strings.Builder
	query.WriteString(`INSERT INTO audit_chain (n, op, hash) VALUES `)
	args := make([]any, 0, 3*len(links))
	for i, l := range links {
		if i > 0 {
			query.WriteString(`, `)
		}
		fmt.Fprintf(&query, `($%d, $%d, $%d)`, 3*i+1, 3*i+2, 3*i+3)
		args = append(args, l.N, l.Op, l.Hash[:])
	}
	query.WriteString(` ON CONFLICT DO NOTHING`)
	n, err := t.exec(ctx, query.String(), args...)
	if err == nil && n != int64(len(links)) {
		err = approval.ErrConflict
	}
	return err
}

const eventColumns = `e.seq, e.at, e.name, e.namespace_id, e.request_id, e.version, e.user_id, e.client_id, e.passkey_id,
	e.address, e.detail`

// Chain implements audit.Trail.
func (s *Store) Chain(ctx context.Context, after int64, limit int) ([]audit.Entry, error) {
	const query = `SELECT c.n, c.op, c.hash, e.op IS NULL, COALESCE(e.seq, 0), COALESCE(e.at, 0), COALESCE(e.name, ''),
			COALESCE(e.namespace_id, ''), COALESCE(e.request_id, ''), COALESCE(e.version, 0), COALESCE(e.user_id, ''),
			COALESCE(e.client_id, ''), COALESCE(e.passkey_id, ''), COALESCE(e.address, ''), COALESCE(e.detail, '')
		FROM audit_chain c LEFT JOIN events e ON e.op = c.op WHERE c.n > $1 ORDER BY c.n`
	es, err := list(ctx, s.reads, scanLink, query+atMost(limit), after)
	return es, fault("read audit chain", err)
}

func scanLink(from row) (e audit.Entry, err error) {
	var hash []byte
	err = from.Scan(append([]any{&e.N, &e.Op, &hash, &e.Gone}, into(&e)...)...)
	e.Hash = audit.AsHash(hash)
	return e, err
}

// into is where eventColumns are read to.
func into(e *audit.Entry) []any {
	return []any{suspect{&e.Seq, e}, instantly{instant{&e.At}, e}, &e.Name, &e.NamespaceID, &e.RequestID, suspect{&e.Version, e},
		&e.UserID, &e.ClientID, &e.PasskeyID, &e.Address, &e.Detail}
}

// suspect reads a number where SQLite lets anything be stored.
type suspect struct {
	to *int64
	of *audit.Entry
}

func (s suspect) Scan(src any) error {
	v, ok := src.(int64)
	*s.to, s.of.Damaged = v, s.of.Damaged || !ok
	return nil
}

// instantly is suspect for a time.
type instantly struct {
	instant
	of *audit.Entry
}

func (s instantly) Scan(src any) error {
	s.of.Damaged = s.instant.Scan(src) != nil || s.of.Damaged
	return nil //nolint:nilerr // what is wrong with it is noted in the row
}

// atMost is a limit that is written out: with a parameter in its place PostgreSQL
// expects a tenth of the table, and reads all of it. There are a handful of limits.
func atMost(rows int) string { return fmt.Sprintf(` LIMIT %d`, rows) }

// Stride implements audit.Trail. It reads the index alone. (SQLite takes a text for a
// sequence number, too, and has it behind all numbers.)
func (s *Store) Stride(ctx context.Context, after audit.Position, limit int) (audit.Position, int, error) {
	const (
		page = `SELECT seq, op FROM events WHERE (seq, op) > ($1, $2) AND seq <= 9223372036854775807 ORDER BY seq, op`
		last = `) page ORDER BY seq DESC, op DESC LIMIT 1`
	)
	query := `SELECT seq, op, COUNT(*) OVER () FROM (` + page + atMost(limit) + last
	type stride struct {
		to     audit.Position
		passed int
	}
	v, err := one(ctx, s.reads, func(from row) (v stride, err error) {
		err = from.Scan(&v.to.Seq, &v.to.Op, &v.passed)
		return v, err
	}, query, after.Seq, after.Op)
	if errors.Is(err, sql.ErrNoRows) {
		return after, 0, nil
	}
	return v.to, v.passed, fault("go over audit rows", err)
}

// Entries implements audit.Trail. The bounds of seq alone, and questions in place of
// joins, keep PostgreSQL from reading all of both tables: it expects too much of a
// comparison of pairs.
func (s *Store) Entries(ctx context.Context, f audit.Filter, after, to audit.Position) ([]audit.Entry, error) {
	const (
		between = ` FROM events e WHERE e.seq >= $1 AND e.seq <= $3 AND (e.seq, e.op) > ($1, $2) AND (e.seq, e.op) <= ($3, $4)`
		loose   = `SELECT 0, NULL, NULL, e.op, ` + eventColumns + between +
			` AND (SELECT c.n FROM audit_chain c WHERE c.op = e.op) IS NULL`
		all = `SELECT COALESCE((SELECT c.n FROM audit_chain c WHERE c.op = e.op), 0),
				(SELECT p.hash FROM audit_chain c JOIN audit_chain p ON p.n = c.n - 1 WHERE c.op = e.op),
				(SELECT c.hash FROM audit_chain c WHERE c.op = e.op), e.op, ` + eventColumns + between
		matching = ` AND e.at >= $5 AND e.at < $6 AND ($7 = '' OR e.user_id = $7)
			AND ($8 = '' OR e.client_id = $8) AND ($9 = '' OR e.request_id = $9)`
		inOrder = ` ORDER BY e.seq, e.op`
	)
	query, args := all, []any{after.Seq, after.Op, to.Seq, to.Op}
	if f.Unsealed {
		query = loose
	}
	if f.Unsealed = false; f != (audit.Filter{}) {
		query += matching
		args = append(args, micros(f.Since), until(f.Until), f.UserID, f.ClientID, f.RequestID)
	}
	es, err := list(ctx, s.reads, scanEntry, query+inOrder, args...)
	return es, fault("read audit rows", err)
}

// until is the end of a time that may have none.
func until(t time.Time) int64 {
	if t.IsZero() {
		return math.MaxInt64
	}
	return t.UnixMicro()
}

func scanEntry(from row) (e audit.Entry, err error) {
	var prev, hash []byte
	err = from.Scan(append([]any{&e.N, &prev, &hash, &e.Op}, into(&e)...)...)
	e.Prev, e.Hash = audit.AsHash(prev), audit.AsHash(hash)
	return e, err
}
