package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// The notices of what happens to somebody's ways in.
const (
	// NoticePasskeyAdded: there is one more passkey that can approve in their name.
	NoticePasskeyAdded Notice = "passkey_added"
	// NoticeRecoveryMade: there are new recovery codes, and the old ones are void.
	NoticeRecoveryMade Notice = "recovery_codes_made"
	// NoticeRecovered: a recovery code was used, and they were signed out everywhere.
	NoticeRecovered Notice = "recovery_code_used"
)

// Tell is a notice that a Change brings to its user's phones: the rows that deliver
// it are composed for each try of the transaction (see Service.commit), so that
// whoever makes the change need not know how far the flood guard is.
type Tell struct {
	UserID string
	Notice Notice
}

func tells(c Change) bool { return len(c.Tells) > 0 }

// commit applies the changes together with the rows of what they tell, and returns
// all that was applied. A notice to the same user that was first moves the flood
// guard's row: then they are composed anew. ErrConflict is about the changes.
func (s *Service) commit(ctx context.Context, changes []Change) ([]Change, error) {
	if !slices.ContainsFunc(changes, tells) {
		return changes, s.Store.Apply(ctx, changes...)
	}
	var conflict error
	var before []int64
	for range maxConflicts {
		full, versions, err := s.telling(ctx, changes)
		if err != nil {
			return nil, err
		}
		if conflict != nil && slices.Equal(versions, before) {
			return nil, conflict
		}
		conflict, before = s.Store.Apply(ctx, full...), versions
		if !errors.Is(conflict, ErrConflict) {
			return full, conflict
		}
	}
	return nil, fmt.Errorf("tell phones: %w", ErrUnavailable)
}

// telling returns the changes with the effects of what they tell, and the versions
// of the rows that these rest on.
func (s *Service) telling(ctx context.Context, changes []Change) (full []Change, versions []int64, err error) {
	now, err := s.Store.Now(ctx)
	if err != nil {
		return nil, nil, err
	}
	full = slices.Clone(changes)
	for i, c := range changes {
		for _, t := range c.Tells {
			more, err := s.notice(ctx, t.UserID, t.Notice, now)
			if err != nil {
				return nil, nil, fmt.Errorf("tell phones: %w", err)
			}
			for _, e := range more {
				if set, ok := e.(SetPrompting); ok {
					versions = append(versions, set.From)
				}
			}
			full[i].Effects = slices.Concat(full[i].Effects, more)
		}
	}
	return full, versions, nil
}
