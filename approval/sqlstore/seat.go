package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// ErrTaken means that another node is there, and one of both cannot be.
var ErrTaken = errors.New("another node is there")

const (
	// seatLock is the number of the advisory lock: "nod" in ASCII, and the database
	// it is in makes it one of its own.
	seatLock = 0x6e6f64
	// seatWithin is how long a node waits for one that is just leaving.
	seatWithin = 3 * time.Second
	seatEvery  = 200 * time.Millisecond
	// seatChecked is how often a node makes sure that its seat is its own still: a
	// server that restarts has forgotten.
	seatChecked = 2 * time.Second
)

// Seat is a node's place at the database. One that sits alone keeps all others
// away, so that two nodes that cannot hear each other never serve at once.
type Seat struct {
	e     *server // nil at a file, which locks itself
	alone bool
	conn  *sql.Conn
}

// Sit takes a seat, alone or beside others; ErrTaken when who is there already
// does not allow it. At a file there is nothing to take. The caller runs Run and
// then closes the seat.
func (s *Store) Sit(ctx context.Context, alone bool) (*Seat, error) {
	e, ok := s.engine.(*server)
	if !ok {
		return &Seat{}, nil
	}
	seat := &Seat{e: e, alone: alone}
	end := time.Now().Add(seatWithin)
	for {
		err := seat.take(ctx)
		if !errors.Is(err, ErrTaken) || time.Now().After(end) {
			return seat, fault("take a seat", err)
		}
		if !sleep(ctx, seatEvery) {
			return seat, ctx.Err()
		}
	}
}

func (s *Seat) take(ctx context.Context) error {
	query := `SELECT pg_try_advisory_lock_shared($1)`
	if s.alone {
		query = `SELECT pg_try_advisory_lock($1)`
	}
	conn, err := s.e.db.Conn(ctx)
	if err != nil {
		return err
	}
	var got bool
	if err = conn.QueryRowContext(ctx, query, seatLock).Scan(&got); err == nil && !got {
		err = ErrTaken
	}
	if err != nil {
		_ = conn.Close()
		return err
	}
	s.conn = conn
	return nil
}

// Run keeps the seat until ctx ends. When the server lost it, Run takes it again;
// ErrTaken when somebody else was faster.
func (s *Seat) Run(ctx context.Context) error {
	if s.e == nil {
		<-ctx.Done()
		return nil
	}
	for sleep(ctx, seatChecked) {
		if s.conn != nil && s.conn.PingContext(ctx) == nil {
			continue
		}
		s.release()
		if err := s.take(ctx); errors.Is(err, ErrTaken) {
			return fmt.Errorf("seat at the database: %w", err)
		}
	}
	return nil
}

// Close gives the seat back.
func (s *Seat) Close() error {
	s.release()
	return nil
}

// release ends the session that holds the lock, and with it the lock.
func (s *Seat) release() {
	if s.conn == nil {
		return
	}
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = s.conn.Close()
	s.conn = nil
}

// sleep is false when ctx ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
