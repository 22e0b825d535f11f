package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	// ErrInUse: another process has the file open.
	ErrInUse = errors.New("the database is in use")
	// ErrDamaged: SQLite finds the file, or what it holds, broken.
	ErrDamaged = errors.New("the file is damaged or no database of nod")
	// ErrUnfolded: the file is part of a live database, whose last changes stand in
	// the log beside it.
	ErrUnfolded = errors.New("the last changes are not in the file but in the log beside it")
)

// Contents is what a database file holds.
type Contents struct {
	Schema   int64 // the number of its last migration
	Bytes    int64
	Users    int64
	Passkeys int64
	Clients  int64
	Requests int64
	Keys     []SigningKey
	Last     time.Time // of its last audit row; zero when it has none
}

// Schema is the number of the last migration that this program knows.
func Schema() (last int64) {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		panic(err) // they are in the program
	}
	for _, f := range files {
		number, _, _ := strings.Cut(f.Name(), "_")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			last = max(last, n)
		}
	}
	return last
}

// Backup copies the SQLite file at from, as it stands at one moment, to a new file
// for its owner alone, and reads the copy back. Others may write meanwhile: they are
// not kept waiting, and what they commit later is not in it. When there is a file of
// that name already, the error matches fs.ErrExist.
func Backup(ctx context.Context, from, to string) (has Contents, err error) {
	if _, err := os.Stat(from); err != nil {
		return has, fmt.Errorf("back up: %w", err)
	}
	err = writeNew(to, func(temporary *os.File) error {
		if err := vacuumInto(ctx, from, temporary.Name()); err != nil {
			return err
		}
		has, err = Inspect(ctx, temporary.Name())
		return err
	})
	if err != nil {
		return Contents{}, fmt.Errorf("back up %s: %w", from, err)
	}
	return has, nil
}

func vacuumInto(ctx context.Context, from, to string) error {
	db, err := openPlain(from, url.Values{"mode": {"rw"}}, busyWait)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, `VACUUM INTO $1`, to)
	return damage(err)
}

// Restore copies the file at from, which Backup made, to a new file, and reads the
// copy back. When check refuses what it holds, there is no new file and the error is
// check's.
func Restore(ctx context.Context, from, to string, check func(Contents) error) (has Contents, err error) {
	backup, err := os.Open(from)
	if err != nil {
		return has, fmt.Errorf("restore: %w", err)
	}
	defer backup.Close()
	if log, err := os.Stat(from + "-wal"); err == nil && log.Size() > 0 {
		return has, fmt.Errorf("restore %s: %w", from, ErrUnfolded)
	}
	err = writeNew(to, func(temporary *os.File) error {
		if _, err := io.Copy(temporary, backup); err != nil {
			return err
		}
		if has, err = Inspect(ctx, temporary.Name()); err == nil {
			err = check(has)
		}
		return err
	})
	if err != nil {
		return Contents{}, fmt.Errorf("restore %s: %w", from, err)
	}
	return has, nil
}

// writeNew makes a file of that name, 0600, which appears with all that write put
// into it, on the disk, or not at all. It never replaces one.
func writeNew(name string, write func(temporary *os.File) error) error {
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist})
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".nod-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	// Renaming replaces, so it may replace only what was made here and now.
	taken, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(taken.Close(), os.Rename(f.Name(), name)); err != nil {
		os.Remove(name)
		return err
	}
	return syncFolder(filepath.Dir(name))
}

// syncFolder makes the names in a folder durable, where a system can do that.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// Inspect reads a file that nobody writes, all of it, and says what it holds. The
// error matches ErrDamaged when it is not sound.
func Inspect(ctx context.Context, path string) (has Contents, err error) {
	db, err := openPlain(path, url.Values{"mode": {"ro"}, "immutable": {"1"}}, 0)
	if err != nil {
		return has, err
	}
	defer db.Close()
	file, err := os.Stat(path)
	if err != nil {
		return has, err
	}
	has.Bytes = file.Size()
	on := &statements{runner: db}
	faults, err := list(ctx, on, scanText, `PRAGMA integrity_check(1)`)
	if err == nil && (len(faults) != 1 || faults[0] != "ok") {
		err = fmt.Errorf("%w: %s", ErrDamaged, strings.Join(faults, "; "))
	}
	if err == nil {
		err = has.count(ctx, on)
	}
	return has, damage(err)
}

func (c *Contents) count(ctx context.Context, on *statements) (err error) {
	last := int64(0)
	for query, to := range map[string]*int64{
		`SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied`: &c.Schema,
		`SELECT COUNT(*) FROM users`:              &c.Users,
		`SELECT COUNT(*) FROM passkeys`:           &c.Passkeys,
		`SELECT COUNT(*) FROM clients`:            &c.Clients,
		`SELECT COUNT(*) FROM requests`:           &c.Requests,
		`SELECT COALESCE(MAX(at), 0) FROM events`: &last,
	} {
		if *to, err = one(ctx, on, scanNumber, query); err != nil {
			return err
		}
	}
	if last > 0 {
		c.Last = time.UnixMicro(last).UTC()
	}
	c.Keys, err = list(ctx, on, scanSigningKey, allSigningKeys)
	return err
}

// damage finds SQLite's words for a file that it cannot make sense of.
func damage(err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff { // the rest says more exactly where
		case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR: // the last: there is no such table
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return err
}

// Files are those that make up the database at path and exist.
func Files(path string) (there []string, err error) {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		switch _, err := os.Lstat(path + suffix); {
		case err == nil:
			there = append(there, path+suffix)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return there, nil
}

// Unused is nil when no process has the database at path open. Its log is then
// folded into the file. A file that is damaged counts as unused. The error matches
// ErrInUse, or says why that cannot be known.
func Unused(ctx context.Context, path string) error {
	const patient = 250 * time.Millisecond // whoever has it open for long is a server
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := openPlain(path, url.Values{"mode": {"rw"}}, patient)
	if err != nil {
		return err
	}
	defer db.Close()
	// To leave the log SQLite needs the file for itself, and every connection in this
	// mode holds a share of it as long as it is open.
	mode, err := one(ctx, &statements{runner: db}, scanText, `PRAGMA journal_mode = DELETE`)
	switch e, _ := errors.AsType[*sqlite.Error](err); {
	case err == nil && mode == "delete", errors.Is(damage(err), ErrDamaged):
		return nil
	case err == nil, e != nil && e.Code()&0xff == sqlite3.SQLITE_BUSY:
		return fmt.Errorf("database %s: %w", path, ErrInUse)
	default:
		return fmt.Errorf("database %s: %w", path, err)
	}
}

// openPlain opens a file that must exist, without touching its schema.
func openPlain(path string, how url.Values, patient time.Duration) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	how.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", patient.Milliseconds()))
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: how.Encode()}
	c, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1)
	return db, nil
}
