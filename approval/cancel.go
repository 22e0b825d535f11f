package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// InvalidateAll takes back every live code of the target, and the grants of
// those just collected (I4). It returns when that was true.
func (s *Service) InvalidateAll(ctx context.Context, t Target, with ...Effect) (time.Time, error) {
	f := Filter{
		NamespaceID: t.NamespaceID, UserID: t.UserID, CodeKind: t.Kind, Purpose: t.Purpose,
		States: []State{Pending, Approved, Redeemed}, GrantLive: true,
	}
	if err := s.cancelAll(ctx, f, ByBackend, Change{Op: NewOp(), Effects: with}, nil); err != nil {
		return time.Time{}, fmt.Errorf("invalidate: %w", heard(err))
	}
	return s.Store.Now(ctx)
}

// Cancel takes back the request that the holder holds: the new device gave up. What
// has ended stays as it ended, and what ran out meanwhile has run out.
func (s *Service) Cancel(ctx context.Context, h Holder, p Purpose) error {
	found, err := s.held(ctx, &h, p)
	if err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	_, err = s.change(ctx, found, func(r Request, op string, now time.Time) (*Change, error) {
		if c, ok := r.cancel(op, now, ByHolder); ok && r.State.Open() {
			return &c, nil
		}
		return nil, nil
	})
	return err
}

// batch is how many requests one cancelling transaction takes along.
const batch = 500

// judged are effects that rest on rows which may move: they are composed anew
// each time a transaction is tried. nil: there are none.
type judged func(now time.Time) ([]Effect, error)

// cancelAll makes last true and cancels every request that matches, in one
// transaction. What another caller began or approved in the moment before that
// transaction is canceled right after it: last shuts the door (a redemption
// checks user, passkey and client again), so nothing can come of it meanwhile.
func (s *Service) cancelAll(ctx context.Context, f Filter, why By, last Change, more judged) error {
	if err := s.cancelWith(ctx, f, why, last, more); err != nil {
		return err
	}
	shut, err := s.Store.Now(ctx)
	for err == nil {
		var found []Request
		found, err = s.Store.List(ctx, f, batch)
		found = slices.DeleteFunc(found, func(r Request) bool { return r.CreatedAt.After(shut) })
		if err != nil || len(found) == 0 {
			return err
		}
		err = s.cancelWith(ctx, f, why, Change{}, nil)
	}
	return err
}

// cancelWith cancels up to a batch of what matches together with last, again
// when one of them, or what more rests on, moves meanwhile. ErrConflict means
// that last itself cannot be made true.
func (s *Service) cancelWith(ctx context.Context, f Filter, why By, last Change, more judged) error {
	for range maxConflicts {
		now, err := s.Store.Now(ctx)
		if err != nil {
			return err
		}
		found, err := s.Store.List(ctx, f, batch)
		if err != nil {
			return err
		}
		changes := make([]Change, 0, len(found)+1)
		for _, r := range found {
			if c, ok := r.cancel(NewOp(), now, why); ok {
				changes = append(changes, c)
			}
		}
		if last.Op != "" {
			c, err := last.with(more, now)
			if err != nil {
				return err
			}
			changes = append(changes, c)
		}
		if err = s.apply(ctx, changes...); !errors.Is(err, ErrConflict) || len(found) == 0 && more == nil {
			return err
		}
	}
	return fmt.Errorf("cancel all: %w", ErrUnavailable)
}

// with puts what more composes before the change's own effects.
func (c Change) with(more judged, now time.Time) (Change, error) {
	if more == nil {
		return c, nil
	}
	first, err := more(now)
	c.Effects = slices.Concat(first, c.Effects)
	return c, err
}
