package sqlstore

import (
	"context"
	"database/sql"
	"sync"
)

// statements runs SQL on a pool or on one connection and prepares each text
// once. The number of texts is bounded: constants, and List's combinations.
type statements struct {
	on interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	}
	known  sync.Map // text -> *sql.Stmt
	stacks *stacks  // where one and list run; nil: on the caller's
}

func newStatements(on interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}) *statements {
	return &statements{on: on}
}

func (s *statements) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := s.known.Load(query); ok {
		return st.(*sql.Stmt), nil
	}
	st, err := s.on.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if first, raced := s.known.LoadOrStore(query, st); raced {
		st.Close()
		return first.(*sql.Stmt), nil
	}
	return st, nil
}

// exec returns how many rows were changed.
func (s *statements) exec(ctx context.Context, query string, args ...any) (int64, error) {
	st, err := s.prepared(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
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

func (s *statements) close() {
	s.known.Range(func(_, st any) bool {
		st.(*sql.Stmt).Close()
		return true
	})
}

// row is what a scan function reads: one row of a *sql.Rows.
type row interface{ Scan(dest ...any) error }

// list reads all rows.
func list[T any](ctx context.Context, s *statements, scan func(row) (T, error), query string, args ...any) (found []T, err error) {
	err = s.read(ctx, func(ctx context.Context) error {
		st, err := s.prepared(ctx, query)
		if err != nil {
			return err
		}
		rows, err := st.QueryContext(ctx, args...)
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
	err = s.read(ctx, func(ctx context.Context) error {
		st, err := s.prepared(ctx, query)
		if err == nil {
			found, err = scan(st.QueryRowContext(ctx, args...))
		}
		return err
	})
	return found, err
}

// read runs a read on a stack of the pool, if there is one. What has begun is
// not broken off when ctx ends: reads are short, and watching a context costs
// two goroutines each, one of database/sql and one of the driver, half as much as
// the read itself.
func (s *statements) read(ctx context.Context, do func(context.Context) error) (err error) {
	if s.stacks == nil {
		return do(ctx)
	}
	notRun := s.stacks.do(ctx, func() { err = do(context.WithoutCancel(ctx)) })
	if notRun != nil {
		return notRun
	}
	return err
}

func scanText(r row) (v string, err error) { err = r.Scan(&v); return v, err }

func scanNumber(r row) (v int64, err error) { err = r.Scan(&v); return v, err }
