package sqlstore

import (
	"context"
	"embed"
	"fmt"
	"strings"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// Store is the truth in SQL. Safe for concurrent use.
type Store struct {
	engine
	reads *statements

	wall    func() time.Time // nil: the engine's own clock
	patient time.Duration    // busyWait, except in tests
}

var _ interface {
	approval.Store
	approval.Upkeep
	approval.Journal
	approval.Ceremonies
	approval.Outbox
	account.Namespaces
	account.Users
	account.Passkeys
	account.Phones
	account.Clients
	account.Sessions
	account.Invitations
	approval.Hooks
	approval.HookQueue
} = (*Store)(nil)

// Option changes how a store is opened.
type Option func(*Store)

// WithClock replaces the engine's clock as the one clock, for tests.
func WithClock(now func() time.Time) Option {
	return func(s *Store) { s.wall = now }
}

// IsServer says whether Open would look for a database server there, and not for
// a file.
func IsServer(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

// Open opens the database and brings its schema up to date: that of a PostgreSQL
// server at postgres://…, else the SQLite file at the path given, with or without
// "sqlite:" before it. Files and folders that do not exist yet are made for their
// owner alone. It starts no goroutine of its own; those of database/sql end with
// Close, and so do the coroutines that reads and writes run in.
func Open(ctx context.Context, where string, opts ...Option) (*Store, error) {
	s := &Store{patient: busyWait}
	for _, o := range opts {
		o(s)
	}
	var err error
	name := where
	if IsServer(where) {
		name = "on PostgreSQL" // the URL may hold a password
		s.engine, err = openServer(where, s.wall)
	} else {
		wall := s.wall
		if wall == nil {
			wall = time.Now
		}
		s.engine, err = openFile(strings.TrimPrefix(where, "sqlite:"), wall, s.patient)
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", name, err)
	}
	if err := s.setUp(ctx); err != nil {
		_ = s.engine.close() // err says what is wrong
		return nil, fmt.Errorf("open store %s: %w", name, err)
	}
	s.reads = s.engine.reads()
	return s, nil
}

//go:embed migrations/*.sql
var migrations embed.FS

// Close waits for the writes under way, answers what is queued behind them with
// approval.ErrUnavailable and closes the database.
func (s *Store) Close() error { return s.engine.close() }

// Now is the one clock: this machine's for a file, the server's for a server, in
// UTC, with microseconds.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	now, err := s.clock(ctx)
	return now, fault("read clock", err)
}

// Reads is how often this store has asked its database something, outside of the
// transactions that write.
func (s *Store) Reads() int64 { return s.reads.stacks.runs.Load() }

// WatchForeign calls changed whenever another process may have written to the
// file, until ctx ends; what this store writes itself does not count. A server is
// not watched: nodes that share one tell each other (approval.Signals).
func (s *Store) WatchForeign(ctx context.Context, changed func()) error {
	return fault("watch for other writers", s.watch(ctx, changed))
}

// Ping says whether the store can answer, with an error matching
// approval.ErrUnavailable when not. After a write that failed it tries one, so
// that it recovers together with the disk.
func (s *Store) Ping(ctx context.Context) error {
	if s.broken() {
		if err := s.TryWriting(ctx); err != nil {
			return err
		}
	}
	_, err := one(ctx, s.reads, scanText, `SELECT COUNT(*) FROM settings`)
	return fault("ping", err)
}
