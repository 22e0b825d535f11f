package sqlstore

import (
	"context"
	"database/sql"
	"sync"
	"time"
)

const (
	// clockEvery is how often the server is asked for its time; in between, this
	// machine's monotonic clock counts on, which no step of its wall clock moves.
	clockEvery = time.Second
	// clockKeeps is how long that is good enough when the server does not answer.
	clockKeeps = 10 * time.Second
)

// serverTime is the server's time in microseconds, now and not when the transaction
// began.
const serverTime = `(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint`

// serverClock is a server's clock as seen from here: the one clock of all nodes.
// What must be exact asks within its transaction.
type serverClock struct {
	db   *sql.DB
	wall func() time.Time // in its place, for tests

	asking sync.Mutex // held by the one who asks
	mu     sync.RWMutex
	read   time.Time // what the server said
	at     time.Time // when, by the monotonic clock
}

// now implements engine.
func (c *serverClock) now() time.Time {
	if c.wall != nil {
		return c.wall().UTC().Truncate(time.Microsecond)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.read.Add(time.Since(c.at)).Truncate(time.Microsecond)
}

// clock implements engine.
func (c *serverClock) clock(ctx context.Context) (time.Time, error) {
	age := c.age()
	if c.wall != nil || age < clockEvery || age < clockKeeps && !c.asking.TryLock() {
		return c.now(), nil
	}
	if age >= clockKeeps {
		c.asking.Lock()
	}
	defer c.asking.Unlock()
	if c.age() < clockEvery { // another asked meanwhile
		return c.now(), nil
	}
	now, err := c.sync(ctx)
	if err != nil && c.age() < clockKeeps {
		return c.now(), nil
	}
	return now, err
}

func (c *serverClock) age() time.Duration {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return time.Since(c.at)
}

func (c *serverClock) sync(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, connectIn)
	defer cancel()
	return c.ask(ctx, c.db)
}

// ask reads the server's time, and remembers it as of the middle of the asking.
func (c *serverClock) ask(ctx context.Context, on runner) (time.Time, error) {
	began := time.Now()
	var us int64
	if err := on.QueryRowContext(ctx, `SELECT `+serverTime).Scan(&us); err != nil {
		return time.Time{}, err
	}
	read := time.UnixMicro(us).UTC()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read, c.at = read, began.Add(time.Since(began)/2)
	return read, nil
}
