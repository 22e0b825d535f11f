package approval

import (
	"errors"
	"fmt"
	"time"
)

// The error words. Each face maps them to its protocol in one table; a test
// walks all of Words through every table.
var (
	// ErrNotFound covers unknown, somebody else's, of another type or
	// namespace: one word, so that nobody learns which.
	ErrNotFound = errors.New("not found")
	// ErrPending means nobody has decided yet and the hold is over.
	ErrPending = errors.New("not decided yet")
	// ErrDenied means the request was declined, canceled or invalidated.
	ErrDenied = errors.New("declined or canceled")
	// ErrExpired means the request ran out, undecided or uncollected.
	ErrExpired = errors.New("expired")
	// ErrDecided means another verdict was first; DecidedError says which.
	ErrDecided = errors.New("already decided")
	// ErrMismatch means the proof or the number is not for this request;
	// MismatchError says how many tries are left.
	ErrMismatch = errors.New("does not match")
	// ErrForbidden means this caller may not, whatever the state.
	ErrForbidden = errors.New("not allowed")
	// ErrInactive means the user was deactivated.
	ErrInactive = errors.New("user is not active")
	// ErrRevoked means a passkey or client that the act rests on is gone.
	ErrRevoked = errors.New("passkey or client is no longer valid")
	// ErrReplayed means something that works once was used again, or too late.
	ErrReplayed = errors.New("already used")
	// ErrRotated means a QR code that was right a moment ago: the screen shows
	// another one by now.
	ErrRotated = errors.New("replaced by a newer QR code")
	// ErrExists means the name or key is taken.
	ErrExists = errors.New("already exists")
	// ErrInvalid means the input breaks a rule; InvalidError says which.
	ErrInvalid = errors.New("invalid")
	// ErrTooMany means a limit is reached; LimitError says how long.
	ErrTooMany = errors.New("too many")
	// ErrUnavailable means the truth cannot be reached: nothing was decided.
	ErrUnavailable = errors.New("store unavailable")

	// ErrConflict is between a store and who writes to it: the version moved, read
	// and judge again. It never leaves Service or Directory.
	ErrConflict = errors.New("changed meanwhile")
)

// Words lists every error word that can leave the core.
var Words = []error{
	ErrNotFound, ErrPending, ErrDenied, ErrExpired, ErrDecided, ErrMismatch, ErrForbidden,
	ErrInactive, ErrRevoked, ErrReplayed, ErrRotated, ErrExists, ErrInvalid, ErrTooMany, ErrUnavailable,
}

// heard puts a conflict that does not end into a word that may leave: nothing
// happened, and the caller tries again.
func heard(err error) error {
	if errors.Is(err, ErrConflict) {
		return fmt.Errorf("%w: %v", ErrUnavailable, err) //nolint:errorlint // the conflict stays in the core
	}
	return err
}

// PendingError tells whoever polls how far a request got.
type PendingError struct {
	Version int64
	Opened  bool // somebody looks at it on a phone
}

func (e *PendingError) Error() string { return ErrPending.Error() }
func (e *PendingError) Unwrap() error { return ErrPending }

// DecidedError tells the loser of a race which verdict was first (I3).
type DecidedError struct{ State State }

func (e *DecidedError) Error() string { return fmt.Sprintf("%v: %s", ErrDecided, e.State) }
func (e *DecidedError) Unwrap() error { return ErrDecided }

// MismatchError says how many wrong match numbers are left before the request
// is declined; with 0 it just was.
type MismatchError struct{ Left int }

func (e *MismatchError) Error() string { return fmt.Sprintf("match number: %v", ErrMismatch) }
func (e *MismatchError) Unwrap() error { return ErrMismatch }

// ChangedError means that the request is not what the passkey was shown any more:
// the proof is a good one, over a record that has been changed behind it (A5).
type ChangedError struct{ RequestID string }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("request %s is not the one that was shown: %v", e.RequestID, ErrMismatch)
}
func (e *ChangedError) Unwrap() error { return ErrMismatch }

// LimitError says when trying again can work.
type LimitError struct{ RetryAfter time.Duration }

func (e *LimitError) Error() string {
	return fmt.Sprintf("%v: try again in %s", ErrTooMany, e.RetryAfter.Round(time.Second))
}
func (e *LimitError) Unwrap() error { return ErrTooMany }

// InvalidError names the field and what to do about it, in words that may be
// shown to the caller. It never repeats the input.
type InvalidError struct{ Field, Reason string }

func (e *InvalidError) Error() string { return e.Field + ": " + e.Reason }
func (e *InvalidError) Unwrap() error { return ErrInvalid }
