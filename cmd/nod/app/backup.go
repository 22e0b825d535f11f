package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// ErrServer: the database is on a server, which has tools of its own for this.
var ErrServer = errors.New("the database is on a PostgreSQL server")

// MasterKeyFile is where the master key of a configuration is.
func MasterKeyFile(c config.Config) string {
	if c.MasterKeyFile != "" {
		return c.MasterKeyFile
	}
	return filepath.Join(c.Data, masterKeyName)
}

// databaseFile is the path of a database that is a file.
func databaseFile(c config.Config) (string, error) {
	if sqlstore.IsServer(c.Database()) {
		return "", ErrServer
	}
	return strings.TrimPrefix(c.Database(), "sqlite:"), nil
}

// Backup copies the database to a new file while the server goes on. It neither
// needs the master key nor brings the schema up to date: the server may be of
// another version.
func Backup(ctx context.Context, c config.Config, to string) (sqlstore.Contents, error) {
	from, err := databaseFile(c)
	if err != nil {
		return sqlstore.Contents{}, err
	}
	has, err := sqlstore.Backup(ctx, from, to)
	if errors.Is(err, fs.ErrExist) {
		return has, fmt.Errorf("backup %s: there is a file of that name, and no backup is ever overwritten; choose another name", to)
	}
	return has, err
}

// Restored is what Restore did.
type Restored struct {
	Database string
	Contents sqlstore.Contents
	Aside    []string // where the files of the database before are now
}

// Restore makes the backup at from the database. While a server runs on that, or
// this program or the master key does not fit the backup, nothing is touched. A
// database that is there stays, unless force: then its files are renamed.
func Restore(ctx context.Context, c config.Config, from string, force bool) (Restored, error) {
	path, err := databaseFile(c)
	if err != nil {
		return Restored{}, err
	}
	there, err := replaceable(ctx, path, force)
	if err != nil {
		return Restored{}, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return Restored{}, fmt.Errorf("restore: %w", err)
	}
	// It is made ready beside the old one, which is moved away last.
	fresh := path + ".restored"
	has, err := sqlstore.Restore(ctx, from, fresh, func(has sqlstore.Contents) error { return fits(c, has) })
	if errors.Is(err, sqlstore.ErrUnfolded) {
		return Restored{}, fmt.Errorf("%w: it is no backup but part of a live database; make one with: nod backup", err)
	}
	if err != nil {
		return Restored{}, err
	}
	defer os.Remove(fresh) // gone by then, unless something fails
	aside, err := setAside(there, time.Now())
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return Restored{}, fmt.Errorf("restore: %w", err)
	}
	return Restored{path, has, aside}, nil
}

// replaceable lists the files of the database at path, if they may make way.
func replaceable(ctx context.Context, path string, force bool) ([]string, error) {
	err := sqlstore.Unused(ctx, path)
	if errors.Is(err, sqlstore.ErrInUse) {
		return nil, fmt.Errorf("database %s: a server or another command has it open; stop that first", path)
	}
	if err != nil {
		return nil, err
	}
	there, err := sqlstore.Files(path)
	if err == nil && len(there) > 0 && !force {
		err = fmt.Errorf("database %s: there is one already; restore into another folder with --data, "+
			"or say --force to keep it under another name", path)
	}
	return there, err
}

// fits says whether this program and its master key can use what a backup holds.
func fits(c config.Config, has sqlstore.Contents) error {
	if known := sqlstore.Schema(); has.Schema > known {
		return fmt.Errorf("it is of a newer nod (schema %d, this program knows %d); restore it with that version", has.Schema, known)
	}
	path := MasterKeyFile(c)
	master, err := readMasterKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("master key %s: there is no such file, and the backup cannot be used without the key that belongs to it; "+
			"put it there, or name where it is with --master-key-file", path)
	}
	if err != nil {
		return err
	}
	if err := token.Opens(storedKeys(has.Keys), master.derive(forSigningKeys)); err != nil {
		return fmt.Errorf("master key %s: it does not open this backup: %w", path, err)
	}
	return nil
}

// setAside renames files so that they keep what they are and end with the time.
func setAside(files []string, now time.Time) (moved []string, err error) {
	for _, name := range files {
		to := name + now.UTC().Format(".20060102T150405Z")
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			return moved, errors.Join(err, &fs.PathError{Op: "rename to", Path: to, Err: fs.ErrExist})
		}
		if err := os.Rename(name, to); err != nil {
			return moved, err
		}
		moved = append(moved, to)
	}
	return moved, nil
}
