package approval

import (
	"context"
	"errors"
	"time"
)

// retryStore is how long a held wait pauses when the store cannot answer. The
// wait goes on: an outage is not a verdict (C6).
const retryStore = time.Second

// sleepOn is the one waiting loop: watch, then read, then sleep. look's
// ErrPending means sleep on, ErrConflict look again at once (but not for ever);
// anything else ends the wait. An unreachable store does not end it, only the hold does. holder is nil
// for whoever only wants to know.
func (s *Service) sleepOn(ctx context.Context, id string, hold time.Duration, holder *Holder, look func(*Request, time.Time) error) (slept bool, err error) {
	over := time.Now().Add(hold)
	// Watch first: a verdict committed from here on leaves a token in seat.wake,
	// so the read below sees it or the sleep ends at once. The other way round,
	// a verdict between read and watch would be slept through.
	if hold <= 0 { // who only looks displaces nobody
		holder = nil
	}
	seat := s.Hub.sit(id, holder)
	defer seat.leave()
	for conflicts := 0; ; {
		r, now, err := s.read(ctx, id)
		if err == nil {
			seat.version.Store(r.Version)
			err = look(r, now)
		}
		next := retryStore
		switch {
		case errors.Is(err, ErrPending):
			next = untilEnd(r, now)
		case errors.Is(err, ErrConflict) && conflicts < maxConflicts:
			conflicts++
			continue
		case !errors.Is(err, ErrUnavailable):
			return slept, heard(err)
		}
		if hold <= 0 || seat.replaced.Load() {
			return slept, err
		}
		slept = true
		if end, err := s.sleep(ctx, seat, next, time.Until(over)); end {
			return slept, err
		}
	}
}

// sleep lasts until a wake, the next look, the end of the hold (left), a drain or
// the client's leaving; end says that the wait is over.
func (s *Service) sleep(ctx context.Context, seat *seat, next, left time.Duration) (end bool, err error) {
	alarm := time.NewTimer(min(next, left))
	defer alarm.Stop()
	select {
	case <-seat.wake:
		if seat.replaced.Load() {
			return true, ErrPending
		}
		return false, nil
	case <-alarm.C:
		if left <= next {
			return true, ErrPending
		}
		return false, nil
	case <-s.Hub.draining:
		return true, ErrPending
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

func (s *Service) read(ctx context.Context, id string) (*Request, time.Time, error) {
	if err := ctx.Err(); err != nil { // the client left: nothing is redeemed for it
		return nil, time.Time{}, err
	}
	r, err := s.find(ctx, Key{ID: id})
	if err != nil {
		return nil, time.Time{}, err
	}
	now, err := s.Store.Now(ctx)
	return r, now, err
}

// untilEnd is when time alone changes what a look finds.
func untilEnd(r *Request, now time.Time) time.Duration {
	if r.State == Approved {
		return r.collectBy().Sub(now)
	}
	return r.Expires.Sub(now)
}
