package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
)

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

// file is the engine on one SQLite file.
type file struct {
	wall    func() time.Time
	patient time.Duration // busyWait, except in tests
	reading *sql.DB
	texts   *prepared
	readers *statements
	writing *sql.DB
	writer  *writer
}

// openFile opens the file at path. What does not exist yet is created for its
// owner alone: directories 0700, files 0600 (SQLite gives its -wal and -shm files
// the mode of the main one).
func openFile(path string, wall func() time.Time, patient time.Duration) (*file, error) {
	if err := create(path); err != nil {
		return nil, err
	}
	f := &file{wall: wall, patient: patient}
	return f, f.connect(path)
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

func (f *file) connect(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	// WAL lets readers read while the writer commits; FULL syncs the log before
	// a commit returns, so that what was acknowledged survives a power loss.
	f.writing, err = f.pool(abs, "immediate", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)",
		writerCache, writerScratch)
	if err != nil {
		return err
	}
	f.writing.SetMaxOpenConns(1)
	f.writing.SetMaxIdleConns(-1) // a connection given back is closed, see writer.drop

	f.reading, err = f.pool(abs, "deferred", "query_only(ON)")
	if err != nil {
		return err
	}
	readers := max(minReaders, runtime.GOMAXPROCS(0))
	f.reading.SetMaxOpenConns(readers)
	f.reading.SetMaxIdleConns(readers)
	f.texts = &prepared{on: f.reading}
	f.readers = &statements{runner: f.texts, stacks: newStacks(readers)}
	f.writer = newWriter(f.writing, f.now)
	return nil
}

func (f *file) pool(path, txLock string, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_txlock": {txLock}, "_dqs": {"0"}, "_defensive": {"1"}}
	q["_pragma"] = append(pragmas, fmt.Sprintf("busy_timeout(%d)", f.patient.Milliseconds()))
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	c, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(c), nil
}

// setUp implements engine. Another process may be doing the same: then one of both
// fails, looks again and finds it done.
func (f *file) setUp(ctx context.Context) (err error) {
	for range openTries {
		if err = f.migrate(ctx); err == nil || ctx.Err() != nil {
			break
		}
	}
	return err
}

func (f *file) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, f.writing, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

func (f *file) reads() *statements { return f.readers }

func (f *file) write(ctx context.Context, _ manner, do func(context.Context, *tx) error) error {
	return f.writer.do(ctx, do)
}

// now is the clock of this machine: everybody who uses the file is on it.
func (f *file) now() time.Time { return f.wall().UTC().Truncate(time.Microsecond) }

func (f *file) clock(context.Context) (time.Time, error) { return f.now(), nil }

func (f *file) broken() bool { return f.writer.failed() }

// close waits for the group of writes under way and answers what is queued behind
// it with errClosed.
func (f *file) close() error {
	f.writer.close()
	f.readers.stacks.close()
	f.texts.close()
	// The last to close folds the log into the file.
	return errors.Join(f.reading.Close(), f.writing.Close())
}
