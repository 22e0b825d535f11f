package approval

import (
	"context"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// Ref says which request a phone means and how it got there, by the secret that
// belongs to that way: the handle of a scanned link, the code that was typed,
// or the id of one of the viewer's own listed requests.
type Ref struct {
	Way    Way
	Secret account.Secret
}

// Viewer is the signed-in owner of the phone.
type Viewer struct {
	User    account.User
	Address string // of the phone, for budgets and the audit
}

// View is a request as one viewer may see it.
type View struct {
	Request     Request
	NeedsNumber bool     // an approval must name the match number
	Choices     []string // when it is picked: three numbers, one of them right
	TriesLeft   int
}

// Inspect finds what the phone is looking at. It changes nothing. ErrNotFound
// also for other namespaces; ErrForbidden when a scanned request is for somebody
// else; ErrTooMany after too many wrong typed codes.
func (s *Service) Inspect(ctx context.Context, ref Ref, v Viewer) (View, error) {
	r, err := s.resolve(ctx, ref, v)
	if err != nil {
		return View{}, fmt.Errorf("inspect: %w", err)
	}
	view := View{Request: r, NeedsNumber: r.needsNumber(ref.Way), TriesLeft: maxTries(r.Match) - r.Tries}
	if view.NeedsNumber && r.Match == account.MatchPick {
		view.Choices = s.Codes.Choices(r)
	}
	return view, nil
}

func (s *Service) resolve(ctx context.Context, ref Ref, v Viewer) (r Request, err error) {
	switch ref.Way {
	case Scanned:
		r, err = s.Store.Find(ctx, Key{Handle: ref.Secret.Hash()})
	case Listed:
		r, err = s.Store.Find(ctx, Key{ID: ref.Secret.Reveal()})
	case Typed:
		budgets := append(s.userBudgets(v.User.ID, ""), s.addressBudget(v.Address))
		var found *Request
		found, err = s.byCode(ctx, v.User.NamespaceID, v.User.ID, KindOf(ref.Secret.Reveal()), ref.Secret, budgets)
		r = *found
	default:
		err = ErrNotFound
	}
	switch {
	case err != nil:
		return Request{}, err
	case r.NamespaceID != v.User.NamespaceID:
		return Request{}, ErrNotFound
	case r.UserID == v.User.ID, r.UserID == "" && ref.Way == Scanned:
		return r, nil
	case ref.Way == Scanned:
		return Request{}, ErrForbidden
	default:
		return Request{}, ErrNotFound
	}
}

// Opened notes that the viewer's phone shows the request; the waiting side
// learns of it. Opening it again changes nothing.
func (s *Service) Opened(ctx context.Context, ref Ref, v Viewer) (Request, error) {
	return s.onRef(ctx, "open", ref, v, func(r Request, op string, now time.Time) (*Change, error) {
		c, ok, err := r.open(op, now, ref.Way, v.User.ID)
		if err != nil || !ok {
			return nil, err
		}
		c.Event.Address = v.Address
		return &c, nil
	})
}

// onRef is change for what a phone looks at.
func (s *Service) onRef(ctx context.Context, verb string, ref Ref, v Viewer, judge func(r Request, op string, now time.Time) (*Change, error)) (Request, error) {
	found, err := s.resolve(ctx, ref, v)
	if err == nil {
		found, err = s.change(ctx, &found, judge)
	}
	if err != nil {
		return found, fmt.Errorf("%s: %w", verb, err)
	}
	return found, nil
}

// Question is what a passkey is asked to sign.
type Question struct {
	Request Request
	Record  []byte
	Way     Way
	Matched bool // the match number was needed and is right
}

// Prepare judges everything about a yes except the passkey, and returns the
// record for it to sign. A wrong number is counted first and then reported as a
// MismatchError; with none left the request is declined. An empty number where
// one is needed is a MismatchError that costs nothing.
func (s *Service) Prepare(ctx context.Context, ref Ref, v Viewer, number string) (Question, error) {
	var matched bool
	r, err := s.onRef(ctx, "prepare", ref, v, func(r Request, op string, now time.Time) (*Change, error) {
		if err := r.undecided(now); err != nil {
			return nil, err
		}
		if !r.needsNumber(ref.Way) {
			return nil, nil
		}
		switch given := normalise(Short, number); {
		case given == "":
			return nil, &MismatchError{Left: maxTries(r.Match) - r.Tries}
		case subtle.ConstantTimeCompare([]byte(given), []byte(s.Codes.MatchNumber(r).Reveal())) == 1:
			matched = true
			return nil, nil
		}
		c, err := r.mismatch(op, now, ref.Way, v.User.ID)
		c.Event.Address = v.Address
		return &c, err
	})
	switch {
	case err != nil:
		return Question{}, err
	case r.needsNumber(ref.Way) && !matched:
		return Question{}, fmt.Errorf("prepare: %w", &MismatchError{Left: maxTries(r.Match) - r.Tries})
	}
	return Question{Request: r, Record: Record(r, v.User.ID, ref.Way, Approve), Way: ref.Way, Matched: matched}, nil
}

// Answer is a verdict and, for a yes, the proof it rests on.
type Answer struct {
	Verdict Verdict
	Proof   *Proof
}

// Decide gives the verdict. The first one wins; the loser gets a DecidedError
// that says which it was (I3). When it returns nil the verdict is durable and
// the waiting side has been woken.
func (s *Service) Decide(ctx context.Context, ref Ref, v Viewer, a Answer) (Request, error) {
	return s.onRef(ctx, strings.ToLower(string(a.Verdict)), ref, v, func(r Request, op string, now time.Time) (*Change, error) {
		d := Decision{Way: ref.Way, UserID: v.User.ID, Username: v.User.Username, At: now}
		var c Change
		var err error
		if a.Verdict == Approve {
			d.By = ByPasskey
			c, err = r.approve(op, now, d, a.Proof)
		} else {
			d.By = BySession
			c, err = r.deny(op, now, d)
		}
		c.Event.Address = v.Address
		return &c, err
	})
}

// Waiting lists the viewer's undecided requests, newest first, for the home
// page.
func (s *Service) Waiting(ctx context.Context, v Viewer) ([]Request, error) {
	f := Filter{NamespaceID: v.User.NamespaceID, UserID: v.User.ID, States: []State{Pending}}
	found, err := s.Store.List(ctx, f, 50)
	if err != nil {
		return nil, fmt.Errorf("list waiting: %w", err)
	}
	now, err := s.Store.Now(ctx)
	if err != nil {
		return nil, fmt.Errorf("list waiting: %w", err)
	}
	out := found[:0]
	for _, r := range found {
		if r.undecided(now) == nil && r.Purpose != Direct {
			out = append(out, r)
		}
	}
	return out, nil
}
