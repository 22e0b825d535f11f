package sqlstore

import (
	"context"
	"sync"
	"time"
)

// engine is a database that runs transactions: a file of SQLite's, or a server of
// PostgreSQL's.
type engine interface {
	// setUp brings the schema up to date; several processes may do so at once.
	setUp(ctx context.Context) error
	// reads is where single statements that only read are run.
	reads() *statements
	// write runs do in one serialisable transaction, which takes effect when do
	// returns nil, and returns once that is durable or undone; errUndo takes its
	// writes back and counts as success. do may run again when another transaction
	// was in its way, under a context that does not end with the caller's; it must
	// not touch what its caller reads unless write returned nil.
	write(ctx context.Context, how manner, do func(context.Context, *tx) error) error
	// now is the time of the one clock, as well as it is known without asking;
	// clock asks, when that was too long ago.
	now() time.Time
	clock(ctx context.Context) (time.Time, error)
	// settled is up to which sequence number rows are final at that time.
	settled(now time.Time) int64
	// broken says that the last write failed, and only another one can tell whether
	// that is over.
	broken() bool
	// watch calls changed whenever another process may have written.
	watch(ctx context.Context, changed func()) error
	close() error
}

// manner is what an engine may do with a transaction.
type manner struct {
	// again: it claims operation ids, so it may be repeated when nobody knows
	// whether it took effect.
	again bool
	// lazy: a crash of the server may take it back. Only for what nobody has
	// decided yet.
	lazy bool
}

// write runs do in a transaction and puts its error into the core's words.
func (s *Store) write(ctx context.Context, what string, do func(context.Context, *tx) error) error {
	return fault(what, s.engine.write(ctx, manner{}, do))
}

// tx is what a transaction works with: its connection and its time.
type tx struct {
	*statements
	now time.Time
	// clock is the SQL of the exact time in microseconds, "" when that is what now is.
	clock string
	next  func(now time.Time) int64 // see sequence
}

// sequence numbers audit and outbox rows: the time in microseconds, moved on by
// one where two rows of this process would share it, so that their order is the
// order of writing.
type sequence struct {
	mu   sync.Mutex
	last int64
}

func (s *sequence) next(now time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last+1, now.UnixMicro())
	return s.last
}
