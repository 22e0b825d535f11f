package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/nod-auth/nod/approval"
)

// fault puts an error into the core's words, with its cause for the log. What
// has no word of its own (a lock that is held, a full disk, a context that
// ended, a row that cannot be read) is ErrUnavailable: nothing was decided.
func fault(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case isWord(err):
		return fmt.Errorf("%s: %w", what, err)
	case errors.Is(err, sql.ErrNoRows), hangsInTheAir(err):
		return fmt.Errorf("%s: %w", what, approval.ErrNotFound)
	default:
		return fmt.Errorf("%s: %w: %w", what, approval.ErrUnavailable, err)
	}
}

// Away says whether an error means that a database server cannot be reached or does
// not answer yet, so that the same may work later.
func Away(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code[:2] == "57" || e.Code[:2] == "08" || e.Code == tooManyConnections
	}
	_, unreached := errors.AsType[*pgconn.ConnectError](err)
	_, cut := errors.AsType[net.Error](err)
	return unreached || cut
}

func isWord(err error) bool {
	if errors.Is(err, approval.ErrConflict) {
		return true
	}
	for _, w := range approval.Words {
		if errors.Is(err, w) {
			return true
		}
	}
	return false
}

// hangsInTheAir says whether a row was refused because what it belongs to does
// not exist.
func hangsInTheAir(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == missingParent
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code() == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
}
