package sqlstore

import (
	"context"
	"database/sql"
	"time"
)

// runner runs SQL: a pool, a connection, or what prepares each text once on one.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// statements runs SQL on a pool or on one connection.
type statements struct {
	runner
	stacks *stacks       // where one and list run; nil: on the caller's
	within time.Duration // how long a read on those may take; 0: for ever
}

// exec returns how many rows were changed.
func (s *statements) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := s.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// must is exec for a condition: word when it changed nothing.
func (s *statements) must(ctx context.Context, word error, query string, args ...any) error {
	n, err := s.exec(ctx, query, args...)
	if err == nil && n == 0 {
		return word
	}
	return err
}

// row is what a scan function reads: one row of a *sql.Rows.
type row interface{ Scan(dest ...any) error }

// list reads all rows.
func list[T any](ctx context.Context, s *statements, scan func(row) (T, error), query string, args ...any) (found []T, err error) {
	err = s.read(ctx, func(ctx context.Context) error {
		rows, err := s.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			v, err := scan(rows)
			if err != nil {
				return err
			}
			found = append(found, v)
		}
		return rows.Err()
	})
	return found, err
}

// one reads one row; sql.ErrNoRows, which fault turns into approval.ErrNotFound,
// when there is none.
func one[T any](ctx context.Context, s *statements, scan func(row) (T, error), query string, args ...any) (found T, err error) {
	err = s.read(ctx, func(ctx context.Context) (err error) {
		found, err = scan(s.QueryRowContext(ctx, query, args...))
		return err
	})
	return found, err
}

// read runs a read on a stack of the pool, if there is one. What has begun is
// not broken off when ctx ends: reads are short, and watching a context costs
// two goroutines each, one of database/sql and one of the driver, half as much as
// the read itself. Only a server, which can fall silent, is given a limit.
func (s *statements) read(ctx context.Context, do func(context.Context) error) (err error) {
	if s.stacks == nil {
		return do(ctx)
	}
	notRun := s.stacks.do(ctx, func() {
		begun := context.WithoutCancel(ctx)
		if s.within > 0 {
			var cancel context.CancelFunc
			begun, cancel = context.WithTimeout(begun, s.within)
			defer cancel()
		}
		err = do(begun)
	})
	if notRun != nil {
		return notRun
	}
	return err
}

func scanText(r row) (v string, err error) { err = r.Scan(&v); return v, err }

func scanNumber(r row) (v int64, err error) { err = r.Scan(&v); return v, err }
