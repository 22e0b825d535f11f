package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// maxGroup bounds how long the writes of one commit keep others waiting; groups
// of 256 reach nine tenths of what an endless group would (performance.md).
const maxGroup = 256

var (
	// errUndo takes a job's writes back and still counts as success.
	errUndo   = errors.New("nothing to keep")
	errClosed = errors.New("store is closed")
	errNotRun = errors.New("not run")
)

// job is one write, between its caller and whoever leads.
type job struct {
	ctx      context.Context
	do       func(context.Context, *tx) error
	done     chan struct{} // closed when err and panicked are final
	err      error
	panicked error
}

// writer is the one connection that writes, and the queue before it.
type writer struct {
	db    *sql.DB
	clock func() time.Time

	// lead is held, by a value in it, by whoever uses the fields below it.
	lead   chan struct{}
	conn   *connection // nil before the first use and after a failure
	seq    sequence
	closed bool
	stack  stack // see stacks

	mu    sync.Mutex
	queue []*job

	broken atomic.Bool // the last group failed
}

// connection is the writer's, with the statements prepared on it.
type connection struct {
	*statements
	texts *prepared
	raw   *sql.Conn
}

func newWriter(db *sql.DB, clock func() time.Time) *writer {
	return &writer{db: db, clock: clock, lead: make(chan struct{}, 1)}
}

func (w *writer) failed() bool { return w.broken.Load() }

// do queues a job and leads when nobody else does. Every queued job that anybody
// still wants has its caller here, ready to lead, so none is left behind.
func (w *writer) do(ctx context.Context, do func(context.Context, *tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{ctx: ctx, do: do, done: make(chan struct{})}
	w.mu.Lock()
	w.queue = append(w.queue, j)
	w.mu.Unlock()
	for !j.answered() {
		select {
		case <-j.done:
		case w.lead <- struct{}{}:
			w.serve()
		case <-ctx.Done():
			if !j.answered() {
				return ctx.Err() // run skips the job when it was not taken yet
			}
		}
	}
	if j.panicked != nil {
		panic(j.panicked)
	}
	return j.err
}

func (j *job) answered() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

func (w *writer) take() []*job {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), maxGroup)
	group := w.queue[:n:n]
	w.queue = w.queue[n:]
	return group
}

// serve serves one group, on the writer's stack, and passes the lead on.
func (w *writer) serve() {
	defer func() { <-w.lead }()
	if w.closed { // and the stack with it
		w.turn()
		return
	}
	w.stack.run(w.turn)
}

func (w *writer) turn() {
	group := w.take()
	if len(group) == 0 {
		return
	}
	err := errNotRun // should commit panic, nobody may hear of a success
	defer func() {
		if err != nil {
			w.drop()
		}
		for _, j := range group {
			if err != nil {
				j.err = err
			}
			close(j.done)
		}
	}()
	err = w.commit(context.Background(), group)
}

// commit runs a group in one transaction. Its error is the group's; a job's own
// goes into the job.
func (w *writer) commit(ctx context.Context, group []*job) (err error) {
	if w.closed {
		return errClosed
	}
	defer func() { w.broken.Store(err != nil) }()
	c, err := w.connected(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if _, err := c.exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for _, j := range group {
		if err := w.run(ctx, c, j); err != nil {
			return err
		}
	}
	if _, err := c.exec(ctx, `COMMIT`); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// run runs one job within its savepoint. An error means that the transaction is
// lost: SQLite ends it by itself when the disk is full or fails, and then the
// savepoint is gone.
func (w *writer) run(ctx context.Context, c *connection, j *job) error {
	if j.err = j.ctx.Err(); j.err != nil {
		return nil //nolint:nilerr // its caller left; the others' transaction goes on
	}
	if _, err := c.exec(ctx, `SAVEPOINT job`); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	j.call(ctx, &tx{statements: c.statements, now: w.clock(), next: w.seq.next})
	if j.err != nil || j.panicked != nil {
		if _, err := c.exec(ctx, `ROLLBACK TO job`); err != nil {
			return fmt.Errorf("roll back: %w", errors.Join(err, j.err))
		}
	}
	if _, err := c.exec(ctx, `RELEASE job`); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	if errors.Is(j.err, errUndo) {
		j.err = nil
	}
	return nil
}

// call keeps a panic for the job's own caller.
func (j *job) call(ctx context.Context, t *tx) {
	defer func() {
		if p := recover(); p != nil {
			j.panicked = fmt.Errorf("write: %v\n%s", p, debug.Stack())
		}
	}()
	j.err = j.do(ctx, t)
}

func (w *writer) connected(ctx context.Context) (*connection, error) {
	if w.conn != nil {
		return w.conn, nil
	}
	raw, err := w.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	texts := &prepared{on: raw}
	w.conn = &connection{statements: &statements{runner: texts}, texts: texts, raw: raw}
	return w.conn, nil
}

// drop closes the connection, which rolls back whatever was under way on it;
// the next group starts on a new one.
func (w *writer) drop() {
	if w.conn != nil {
		w.conn.texts.close()
		_ = w.conn.raw.Close() // it rolls back, or is broken anyhow
		w.conn = nil
	}
}

func (w *writer) close() {
	w.lead <- struct{}{}
	w.closed = true
	w.drop()
	w.stack.end()
	<-w.lead
}
