package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// Store is the truth in one SQLite file. Safe for concurrent use.
type Store struct {
	clock   func() time.Time
	patient time.Duration // busyWait, except in tests
	reading *sql.DB
	reads   *statements
	writing *sql.DB
	writer  *writer
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
} = (*Store)(nil)

// Option changes how a store is opened.
type Option func(*Store)

// WithClock replaces time.Now as the one clock, for tests.
func WithClock(now func() time.Time) Option {
	return func(s *Store) { s.clock = now }
}

const (
	// busyWait is how long a statement waits for another process's lock. The
	// command line's transactions take milliseconds; past this something is
	// stuck and "unavailable" is the honest answer.
	busyWait = 5 * time.Second
	// openTries: processes that start together on a new file collide at most
	// once for each step of the set-up (create, switch to WAL, migrate).
	openTries = 8
	// writerCache is 32 MiB (PRAGMA cache_size in KiB, negative): with SQLite's own
	// 2 MiB one write in six went into reading index pages again (BenchmarkApply).
	writerCache = "cache_size(-32768)"
	// writerScratch keeps the old pages of a savepoint in memory: otherwise every
	// group makes, fills and deletes a file for them (3 % of a flow, nodload).
	writerScratch = "temp_store(MEMORY)"
	// minReaders keeps a slow listing from blocking point reads on small machines.
	minReaders = 4
)

// Open opens the SQLite file at path and brings its schema up to date. What does
// not exist yet is created for its owner alone: directories 0700, files 0600
// (SQLite gives its -wal and -shm files the mode of the main one). It starts no
// goroutine of its own; database/sql's end with Close, and so do the coroutines
// that reads and writes run in.
func Open(ctx context.Context, path string, opts ...Option) (*Store, error) {
	s := &Store{clock: time.Now, patient: busyWait}
	for _, o := range opts {
		o(s)
	}
	if err := create(path); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.connect(path); err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	if err := s.setUp(ctx); err != nil {
		_ = s.Close() // err says what is wrong
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return s, nil
}

func create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *Store) connect(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	// WAL lets readers read while the writer commits; FULL syncs the log before
	// a commit returns, so that what was acknowledged survives a power loss.
	s.writing, err = s.pool(abs, "immediate", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)",
		writerCache, writerScratch)
	if err != nil {
		return err
	}
	s.writing.SetMaxOpenConns(1)
	s.writing.SetMaxIdleConns(-1) // a connection given back is closed, see writer.drop

	s.reading, err = s.pool(abs, "deferred", "query_only(ON)")
	if err != nil {
		return err
	}
	readers := max(minReaders, runtime.GOMAXPROCS(0))
	s.reading.SetMaxOpenConns(readers)
	s.reading.SetMaxIdleConns(readers)
	s.reads = newStatements(s.reading)
	s.reads.stacks = newStacks(readers)
	s.writer = newWriter(s.writing, s.now)
	return nil
}

func (s *Store) pool(path, txLock string, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_txlock": {txLock}, "_dqs": {"0"}, "_defensive": {"1"}}
	q["_pragma"] = append(pragmas, fmt.Sprintf("busy_timeout(%d)", s.patient.Milliseconds()))
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	c, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(c), nil
}

// setUp brings the schema up to date. Another process may be doing the same:
// then one of both fails, looks again and finds it done.
func (s *Store) setUp(ctx context.Context) (err error) {
	for range openTries {
		if err = s.migrate(ctx); err == nil || ctx.Err() != nil {
			break
		}
	}
	return err
}

//go:embed migrations/*.sql
var migrations embed.FS

func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.writing, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// Close waits for the group of writes under way, answers what is queued behind
// it with approval.ErrUnavailable and closes the file.
func (s *Store) Close() error {
	s.writer.close()
	s.reads.stacks.close()
	s.reads.close()
	err := s.reading.Close()
	if e := s.writing.Close(); err == nil {
		err = e // the last to close: it folds the log into the file
	}
	return err
}

// Now is the clock of this machine, in UTC, with microseconds.
func (s *Store) Now(context.Context) (time.Time, error) { return s.now(), nil }

func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// Ping says whether the store can answer, with an error matching
// approval.ErrUnavailable when not. After a write that failed it tries one, so
// that it recovers together with the disk.
func (s *Store) Ping(ctx context.Context) error {
	if s.writer.failed() {
		if err := s.PutSetting(ctx, "probe", s.now().Format(time.RFC3339)); err != nil {
			return err
		}
	}
	_, err := one(ctx, s.reads, scanText, `SELECT COUNT(*) FROM settings`)
	return fault("ping", err)
}
