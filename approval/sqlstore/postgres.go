package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

const (
	// serverReads and serverWrites bound a node's connections: past them work
	// queues here instead of in PostgreSQL, whose throughput falls with more than
	// a few a core.
	serverReads  = 8
	serverWrites = 16
	// serverIdle keeps a connection, which is a process of the server's, for the
	// next request.
	serverIdle = 5 * time.Minute
	// serverWithin bounds a transaction and a read; a node that was frozen in the
	// middle of one holds its locks for frozenWithin at most.
	serverWithin = 5 * time.Second
	frozenWithin = 3 * time.Second
	connectIn    = 2 * time.Second
	// migrateWithin is how long a node waits for the others' migrations.
	migrateWithin = time.Minute
	// firstPause is before a transaction is begun again, twice as long each time up
	// to longestPause, less a random part.
	firstPause   = time.Millisecond
	longestPause = 100 * time.Millisecond
)

// server is the engine on PostgreSQL. Several nodes share it, so each transaction
// is SERIALIZABLE: PostgreSQL ends those that could not have happened one after the
// other, and they are begun again.
type server struct {
	*serverClock
	db      *sql.DB
	readers *statements
	seq     sequence
}

func openServer(url string, wall func() time.Time) (*server, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil { // which may repeat the password
		return nil, errors.New("the URL cannot be read; write postgres://user:password@host:5432/database")
	}
	ms := func(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }
	for name, value := range map[string]string{
		"application_name": "nod", "timezone": "UTC",
		"statement_timeout": ms(serverWithin), "lock_timeout": ms(serverWithin),
		"idle_in_transaction_session_timeout": ms(frozenWithin),
	} {
		if _, given := cfg.RuntimeParams[name]; !given {
			cfg.RuntimeParams[name] = value
		}
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectIn
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(serverReads + serverWrites)
	db.SetMaxIdleConns(serverReads + serverWrites)
	db.SetConnMaxIdleTime(serverIdle)
	return &server{
		serverClock: &serverClock{db: db, wall: wall}, db: db,
		readers: &statements{runner: db, stacks: newStacks(serverReads), within: serverWithin},
	}, nil
}

// setUp implements engine, one node at a time: an advisory lock orders them.
func (e *server) setUp(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	const every = 1 // second
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(every, uint64(migrateWithin.Seconds())/every))
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, e.db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	if err := e.durable(ctx); err != nil {
		return err
	}
	if pending, err := p.HasPending(ctx); err != nil || pending {
		if _, err := p.Up(ctx); err != nil {
			return err
		}
	}
	_, err = e.sync(ctx)
	return err
}

// durable refuses a server that acknowledges what it may forget.
func (e *server) durable(ctx context.Context) error {
	var mode string
	if err := e.db.QueryRowContext(ctx, `SHOW synchronous_commit`).Scan(&mode); err != nil {
		return err
	}
	if mode == "off" {
		return errors.New("synchronous_commit is off there, so a verdict could be forgotten after it was acknowledged; " +
			"set it with: ALTER DATABASE … SET synchronous_commit = on")
	}
	return nil
}

func (e *server) reads() *statements { return e.readers }

// broken implements engine: every connection is tried anew.
func (e *server) broken() bool { return false }

// watch implements engine. Nodes tell each other over approval.Signals, and the
// hub's sweep finds what nobody told.
func (e *server) watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return nil
}

func (e *server) close() error {
	e.readers.stacks.close()
	return e.db.Close()
}

// write implements engine. What has begun is finished or undone, whoever has left
// meanwhile.
func (e *server) write(ctx context.Context, how manner, do func(context.Context, *tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), serverWithin)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := e.once(ctx, how, do)
		if errors.Is(err, errUndo) {
			return nil
		}
		if err == nil || !repeatable(err, how) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("begun again until the time was over: %w", err)
		case <-time.After(pause/2 + rand.N(pause)/2):
		}
	}
}

// Codes of PostgreSQL's errors (its documentation, appendix A).
const (
	notSerialised = "40001"
	deadlocked    = "40P01"
	missingParent = "23503"

	tooManyConnections = "53300"
)

// repeatable says whether a transaction may be begun again. One that was not
// serialised left nothing. Of one that was cut off nobody knows: what claims
// operation ids is repeated all the same, because a claim that was made counts as
// done, and one that is still being made is waited for.
func repeatable(err error, how manner) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case e.Code == notSerialised, e.Code == deadlocked:
			return true
		case e.Code[:2] == "57", e.Code[:2] == "08", e.Code == "25P03": // shutting down, connection lost, frozen too long
			return how.again
		default:
			return false
		}
	}
	_, stated := errors.AsType[*statedError](err)
	return how.again && !stated && !errors.Is(err, context.DeadlineExceeded)
}

// statedError came out of a transaction on a connection that was sound: it would
// come again.
type statedError struct{ error }

func (e *statedError) Unwrap() error { return e.error }

// once runs one attempt on a connection of its own.
func (e *server) once(ctx context.Context, how manner, do func(context.Context, *tx) error) (err error) {
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	clean := false
	defer func() {
		if !clean { // whatever was under way on it ends with it
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
		_ = conn.Close() // back to the pool
	}()
	begin := `BEGIN ISOLATION LEVEL SERIALIZABLE`
	if how.lazy {
		begin += `; SET LOCAL synchronous_commit = off`
	}
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	t := &tx{statements: &statements{runner: conn}, now: e.now(), next: e.seq.next}
	if e.wall == nil {
		t.clock = serverTime
	}
	if err := do(ctx, t); err != nil {
		_, undone := conn.ExecContext(ctx, `ROLLBACK`)
		if clean = undone == nil; clean {
			err = &statedError{err}
		}
		return err
	}
	if _, err := conn.ExecContext(ctx, `COMMIT`); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	clean = true
	return nil
}
