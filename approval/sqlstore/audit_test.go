package sqlstore_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib" // to spoil a server's tables

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/audit"
	"github.com/nod-auth/nod/approval/sqlstore"
)

var auditKey = audit.Key(bytes.Repeat([]byte{7}, 32))

// trail is a store with audit rows, two sealers as two nodes have them, and a way
// around both into the tables.
type trail struct {
	*testing.T
	a, b *sqlstore.Store
	db   *sql.DB
	now  *atomic.Pointer[time.Time]
	one  *audit.Sealer // on a
	two  *audit.Sealer // on b
}

// onEachTrail runs a test on each engine, with clocks that stand still.
func onEachTrail(t *testing.T, test func(w *trail)) {
	t.Run("SQLite", func(t *testing.T) { test(openTrail(t, "sqlite", newFixture(t).path)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(serverTrail(t)) })
}

func serverTrail(t *testing.T) *trail {
	t.Helper()
	server, migrated := migratedServer(t)
	return openTrail(t, "pgx", server.Copy(migrated))
}

// afresh is the same for a case of its own: without rows, and with sealers that
// remember nothing.
func (w *trail) afresh(t *testing.T) *trail {
	t.Helper()
	own := *w
	own.T, own.one, own.two = t, newSealer(w.a), newSealer(w.b)
	for _, table := range []string{"events", "audit_chain", "audit_head"} {
		own.do(`DELETE FROM ` + table)
	}
	return &own
}

func openTrail(t *testing.T, driver, where string) *trail {
	t.Helper()
	w := &trail{T: t, now: new(atomic.Pointer[time.Time])}
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w.now.Store(&start)
	clock := sqlstore.WithClock(func() time.Time { return *w.now.Load() })
	w.a, w.b = opened(t, where, clock), opened(t, where, clock)
	w.one, w.two = newSealer(w.a), newSealer(w.b)
	var err error
	w.db, err = sql.Open(driver, where)
	must(t, err)
	t.Cleanup(func() { w.db.Close() })
	return w
}

func newSealer(s *sqlstore.Store) *audit.Sealer {
	return audit.NewSealer(s, auditKey, slog.New(slog.DiscardHandler))
}

func (w *trail) advance(d time.Duration) {
	now := w.now.Load().Add(d)
	w.now.Store(&now)
}

// write makes n audit rows, a second apart.
func (w *trail) write(n int) {
	w.Helper()
	for i := range n {
		must(w.T, w.a.Apply(w.Context(), audited(i)))
		w.advance(time.Second)
	}
}

// writeMany makes n audit rows at once.
func (w *trail) writeMany(n int) {
	w.Helper()
	changes := make([]approval.Change, n)
	for i := range changes {
		changes[i] = audited(i)
	}
	must(w.T, w.a.Apply(w.Context(), changes...))
}

// audited is a change that writes an audit row with something in every column.
func audited(i int) approval.Change {
	return approval.Change{Op: approval.NewOp(), Event: approval.Event{
		Name: approval.EventApproved, NamespaceID: "ns", RequestID: fmt.Sprint("r", i), Version: 2,
		UserID: "u", ClientID: "c", PasskeyID: "p", Address: "192.0.2.1", Detail: "Zoë",
	}}
}

// seal lets one node seal everything.
func (w *trail) seal() {
	w.Helper()
	w.advance(time.Minute) // past what may still be written
	must(w.T, w.one.Turn(w.Context()))
}

func (w *trail) verify(witnesses ...audit.Place) audit.Report {
	w.Helper()
	r, err := audit.Verify(w.Context(), w.b, auditKey, witnesses...)
	must(w.T, err)
	return r
}

// whole fails unless everything that was written is sealed, once.
func (w *trail) whole(sealed int64) {
	w.Helper()
	r := w.verify()
	if !r.Whole() || r.Sealed != sealed || r.Unsealed != 0 {
		w.Errorf("verify = %+v, want %d rows sealed, none left and no break", r, sealed)
	}
}

// do spoils the tables.
func (w *trail) do(query string, args ...any) {
	w.Helper()
	_, err := w.db.ExecContext(w.Context(), query, args...)
	must(w.T, err)
}

var auditTests = []struct {
	name string
	run  func(w *trail)
}{
	{"Seal_whatIsSettled", sealsWhatIsSettled},
	{"Seal_whatTurnsUpLate", takesInWhatTurnsUpLate},
	{"Seal_byManyAtOnce", manySealersMakeOneChain},
	{"Seal_underALease", leavesItToWhoHasTheLease},
	{"Purge_keepsRowsAndChain", purgeKeepsRowsAndChain},
	{"Seal_killedBetweenBatches", killedBetweenBatches},
	{"Seal_isOverEveryColumn", hashesEveryColumn},
	{"Verify_namesEveryChangedColumn", namesEveryChangedColumn},
	{"Verify_namesWhatWasDone", namesWhatWasDone},
	{"Verify_byAWitness", provenByAWitness},
	{"Seal_onABrokenHead", refusesABrokenHead},
	{"Restart_letsABrokenChainGoOn", restartsWhatIsBroken},
	{"Restart_isNoExcuseForMore", excusesNothingElse},
}

func TestAudit_onEachEngine(t *testing.T) {
	onEachTrail(t, func(all *trail) {
		for _, c := range auditTests {
			all.Run(c.name, func(t *testing.T) { c.run(all.afresh(t)) })
		}
	})
}

func sealsWhatIsSettled(w *trail) {
	must(w.T, w.one.Turn(w.Context())) // nothing is there
	if r := w.verify(); !r.Whole() || r.Head != "" || r.Sealed != 0 {
		w.Errorf("an empty chain: verify = %+v", r)
	}
	w.writeMany(300) // more than a batch, and more than a power of two
	w.seal()
	w.whole(300)
	w.write(1)
	since := w.now.Load().Add(-time.Second)
	if r := w.verify(); r.Sealed != 300 || r.Unsealed != 1 || !r.Since.Equal(since) || !r.Whole() {
		w.Errorf("with a tail: verify = %+v, want 1 row since %s", r, since)
	}
	w.seal()
	w.whole(301)
	if got := w.one.Unsealed(); got != 0 {
		w.Errorf("unsealed = %d, want 0", got)
	}
	if got := w.one.Sealed(); got != 301 {
		w.Errorf("sealed = %d, want 301", got)
	}
}

// Only a server has rows in flight, which may come in before others that are seen.
func TestAudit_onAServerWaitsForWhatIsInFlight(t *testing.T) {
	w := serverTrail(t)
	w.write(1)
	must(t, w.one.Turn(t.Context()))
	if r := w.verify(); r.Sealed != 0 || r.Unsealed != 1 {
		t.Errorf("a second later: verify = %+v, want the row unsealed", r)
	}
	if got := w.one.Unsealed(); got != 1 {
		t.Errorf("unsealed = %d, want 1", got)
	}
	w.advance(9*time.Second + time.Millisecond)
	must(t, w.one.Turn(t.Context()))
	w.whole(1)
}

func takesInWhatTurnsUpLate(w *trail) {
	w.write(3)
	w.seal()
	for _, late := range []time.Duration{3 * time.Minute, 100 * 24 * time.Hour} {
		at := w.now.Load().Add(-late)
		w.do(`INSERT INTO events (op, seq, at, name, namespace_id, request_id, version, user_id, client_id, passkey_id, address, detail)
			VALUES ($1, $2, $2, 'late', '', '', 0, '', '', '', '', '')`, fmt.Sprint("late ", late), at.UnixMicro())
	}
	w.seal() // a minute later: the sweep that goes back ten
	if r := w.verify(); r.Sealed != 4 || r.Unsealed != 1 || r.Late != 1 || r.FirstLate != 4 || !r.Whole() {
		w.Errorf("verify = %+v, want the late row at place 4 and the ancient one unsealed", r)
	}
	w.advance(24 * time.Hour)
	w.seal()
	if r := w.verify(); r.Sealed != 5 || r.Unsealed != 0 || r.Late != 2 || !r.Whole() {
		w.Errorf("a day later: verify = %+v, want five sealed, two of them late", r)
	}
}

func manySealersMakeOneChain(w *trail) {
	const rows = 1000
	w.writeMany(rows)
	w.advance(time.Minute)
	sealers := []*audit.Sealer{w.one, w.two}
	for range 2 { // each with a lease of its own, and a memory of its own
		sealers = append(sealers, newSealer(w.a), newSealer(w.b))
	}
	var all sync.WaitGroup
	for _, s := range sealers {
		all.Go(func() {
			for range 10 {
				if err := s.Turn(context.Background()); err != nil {
					w.Error(err)
				}
				w.advance(10 * time.Second) // over the lease
			}
		})
	}
	all.Wait()
	w.whole(rows)
	var sum int64
	for _, s := range sealers {
		sum += s.Sealed()
	}
	if sum != rows {
		w.Errorf("the sealers count %d rows, want %d", sum, rows)
	}
}

func leavesItToWhoHasTheLease(w *trail) {
	w.write(1)
	w.seal()
	w.write(1)
	w.advance(7 * time.Second)
	must(w.T, w.two.Turn(w.Context()))
	if got := w.two.Sealed(); got != 0 {
		w.Errorf("sealed by the other while the lease lasts: %d, want 0", got)
	}
	w.advance(10 * time.Second)
	must(w.T, w.two.Turn(w.Context()))
	if got := w.two.Sealed(); got != 1 {
		w.Errorf("sealed by the other after the lease: %d, want 1", got)
	}
	w.whole(2)
}

// Decisions go on while their rows are sealed, and none is lost.
func TestAudit_underLoadLosesNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, a, b *sqlstore.Store) {
		const writers, rows = 8, 40
		ctx, stop := context.WithCancel(t.Context())
		var sealing, writing sync.WaitGroup
		for _, s := range []*sqlstore.Store{a, b} {
			sealer := newSealer(s)
			sealing.Go(func() {
				for ctx.Err() == nil {
					if err := sealer.Turn(ctx); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		}
		for i := range writers {
			s := []*sqlstore.Store{a, b}[i%2]
			writing.Go(func() {
				for range rows {
					c := approval.Change{Op: approval.NewOp(), Event: approval.Event{Name: approval.EventDenied}}
					if err := s.Apply(context.Background(), c); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writing.Wait()
		stop()
		sealing.Wait()
		r, err := audit.Verify(t.Context(), a, auditKey)
		if err != nil || !r.Whole() || r.Sealed+r.Unsealed != writers*rows {
			t.Errorf("verify = %+v, %v; want %d rows in all and no break", r, err, writers*rows)
		}
	})
}

func purgeKeepsRowsAndChain(w *trail) {
	w.write(5)
	w.seal()
	w.advance(10 * 365 * 24 * time.Hour)
	_, err := w.a.Purge(w.Context(), *w.now.Load())
	must(w.T, err)
	w.whole(5)
}

// What dies between two batches leaves a chain that the next goes on with: a batch
// and its head are one transaction.
func killedBetweenBatches(w *trail) {
	w.writeMany(300)
	w.advance(time.Minute)
	ctx, kill := context.WithCancel(w.Context())
	dying := audit.NewSealer(mortal{w.a, kill}, auditKey, slog.New(slog.DiscardHandler))
	if err := dying.Turn(ctx); err == nil {
		w.Fatal("the sealer did not die")
	}
	if r := w.verify(); !r.Whole() || r.Sealed != 128 || r.Unsealed != 172 {
		w.Errorf("after its death: verify = %+v, want one batch", r)
	}
	w.advance(time.Minute) // its lease ends
	must(w.T, w.two.Turn(w.Context()))
	w.whole(300)
}

// mortal dies after its first batch.
type mortal struct {
	*sqlstore.Store
	kill func()
}

func (m mortal) Extend(ctx context.Context, from, to audit.Head, links []audit.Link) error {
	defer m.kill()
	return m.Store.Extend(ctx, from, to, links)
}

func hashesEveryColumn(w *trail) {
	rows, err := w.db.QueryContext(w.Context(), `SELECT * FROM events LIMIT 0`)
	must(w.T, err)
	defer rows.Close()
	got, err := rows.Columns()
	must(w.T, err)
	must(w.T, rows.Err())
	slices.Sort(got)
	want := rowColumns()
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		w.Errorf("columns of events; a new one needs a new version of the hash (-hashed +stored):\n%s", d)
	}
}
