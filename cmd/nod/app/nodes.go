package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/localbus"
	"github.com/nod-auth/nod/approval/redisbus"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/cmd/nod/config"
)

const (
	// databaseWithin is how long a start waits for a database server that does not
	// answer: PostgreSQL that starts together with nod, or recovers from a crash,
	// takes seconds.
	databaseWithin = 30 * time.Second
	databaseEvery  = 500 * time.Millisecond
)

// openPatiently opens the core, and waits for a database server that may only just
// be starting. What waiting cannot mend, a wrong password say, is reported at once.
func openPatiently(ctx context.Context, c config.Config, log *slog.Logger) (*Core, error) {
	for end := time.Now().Add(databaseWithin); ; {
		core, err := Open(ctx, c)
		if err == nil || !sqlstore.Away(err) || ctx.Err() != nil || time.Now().After(end) {
			return core, err
		}
		log.Warn("the database does not answer yet; trying again", "for_at_most", time.Until(end).Round(time.Second).String(), "error", err)
		select {
		case <-time.After(databaseEvery):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// join connects this node with the others: over Redis, or, on a server without it,
// by making sure that there are none.
func (s *Server) join(ctx context.Context) (err error) {
	own := localbus.NewPacer()
	s.pacer = own
	url := s.Config.RedisURL.Reveal()
	if url != "" {
		if s.bus, err = redisbus.New(url, own, s.log); err != nil {
			return err
		}
		s.Service.Signals, s.pacer = s.bus, s.bus
	}
	s.seat, err = s.Store.Sit(ctx, s.bus == nil)
	if errors.Is(err, sqlstore.ErrTaken) {
		if s.bus == nil {
			return fmt.Errorf("another node serves %s already, and without Redis neither would hear of the other's decisions; "+
				"stop it first, or give every node the same --redis-url", s.Config.DatabaseName())
		}
		return fmt.Errorf("a node without Redis serves %s already and would not hear of this one's decisions; "+
			"give every node the same --redis-url", s.Config.DatabaseName())
	}
	return err
}

// leave ends what join began.
func (s *Server) leave() error {
	var err error
	if s.bus != nil {
		err = s.bus.Close()
	}
	if s.seat != nil {
		err = errors.Join(err, s.seat.Close())
	}
	return err
}

// parts says how the parts are that requests can be served without, by their names:
// nil for one that is well. The audit is one while it is stuck.
func (s *Server) parts() map[string]error {
	parts := make(map[string]error)
	if s.bus != nil {
		parts["redis"] = s.bus.Health()
	}
	if stuck := s.sealer.Stuck(); stuck != nil {
		parts["audit"] = stuck
	}
	return parts
}

var _ approval.Signals = (*redisbus.Bus)(nil)
