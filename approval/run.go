package approval

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	reapEvery  = 5 * time.Second
	purgeEvery = time.Minute
	// keepSettled is how long a settled request stays readable after its time:
	// long enough that a slow caller hears "expired" and not "unknown".
	keepSettled = time.Hour
)

// Run drives the hub's sweep, the other nodes' wakes, the notes of when devices were
// used and the janitor until ctx ends. Call it once.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Hub.run(ctx, s.Store) })
	if s.Signals != nil {
		g.Go(func() error { return s.Signals.Run(ctx, s.Hub.Wake, s.Hub.Resync) })
	}
	g.Go(func() error { return s.noteUses(ctx) })
	if s.Upkeep != nil {
		g.Go(func() error { return s.janitor(ctx) })
	}
	return g.Wait()
}

// janitor expires what nobody waits for and deletes what nobody can ask for. A
// store that is away is tried again at the next turn.
func (s *Service) janitor(ctx context.Context) error {
	reap, purge := time.NewTicker(reapEvery), time.NewTicker(purgeEvery)
	defer reap.Stop()
	defer purge.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-reap.C:
			err = s.reap(ctx)
		case <-purge.C:
			err = s.purge(ctx)
		}
		if err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "upkeep goes on later", "error", err)
		}
	}
}

func (s *Service) reap(ctx context.Context) error {
	for {
		due, err := s.Upkeep.Due(ctx, batch)
		if err != nil {
			return err
		}
		now, err := s.Store.Now(ctx)
		if err != nil {
			return err
		}
		for _, r := range due {
			if c, ok := r.expire(NewOp(), now); ok {
				if err := s.apply(ctx, c); err != nil && !errors.Is(err, ErrConflict) {
					return err
				}
			}
		}
		if len(due) < batch || ctx.Err() != nil {
			return nil //nolint:nilerr // told to stop in the middle: the rest is due at the next start
		}
	}
}

func (s *Service) purge(ctx context.Context) error {
	now, err := s.Store.Now(ctx)
	if err != nil {
		return err
	}
	_, err = s.Upkeep.Purge(ctx, now.Add(-keepSettled))
	return err
}
