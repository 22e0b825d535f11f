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
// belongs to that way: the handle of a scanned link, the handle of a prompt, the
// code that was typed, or the id of one of the viewer's own listed requests.
type Ref struct {
	Way    Way
	Secret account.Secret
}

// Viewer is the signed-in owner of the phone.
type Viewer struct {
	User    account.User
	Address string // of the phone, for budgets and the audit
	// Phone tells this phone from others, opaquely; "": nobody can.
	Phone     string
	PasskeyID string // that they signed in with; "": nobody says
}

// View is a request as one viewer may see it.
type View struct {
	Request     Request
	Ref         Ref      // what names it from now on: a QR code that rotates is exchanged
	NeedsNumber bool     // an approval must name the match number
	NeedsSeen   bool     // an approval must say that the device shows the binding message: MessageSeen
	UserCode    string   // what the device shows to be typed, "" for none
	Choices     []string // when it is picked: three numbers, one of them right
	TriesLeft   int
	WaitAddress string // where a device waits for it on this node: a hint, and no part of what is signed
}

// Arrived says how a link's handle got to the phone.
func (s *Service) Arrived(handle account.Secret) Ref {
	if s.Codes.prompted(handle) != "" {
		return Ref{Pushed, handle}
	}
	return Ref{Scanned, handle}
}

// Inspect finds what the phone is looking at. It changes nothing. ErrNotFound
// also for other namespaces; ErrForbidden when a scanned or pushed request is for
// somebody else, or a typed one that expects somebody else; ErrRotated when the QR code is no longer shown; ErrTooMany after
// too many wrong typed codes.
func (s *Service) Inspect(ctx context.Context, ref Ref, v Viewer) (View, error) {
	r, err := s.resolve(ctx, ref, v)
	if err != nil {
		return View{}, fmt.Errorf("inspect: %w", err)
	}
	return s.view(r, ref, v), nil
}

func (s *Service) view(r Request, ref Ref, v Viewer) View {
	if r.Rotates && ref.Way == Scanned {
		ref.Secret = s.Codes.own(r.ID, v.User.ID)
	}
	view := View{
		Request: r, Ref: ref, NeedsNumber: r.needsNumber(ref.Way), NeedsSeen: r.needsSeen(ref.Way), TriesLeft: maxTries(r.Match) - r.Tries,
		WaitAddress: s.Hub.holder(r.ID),
	}
	if r.TypedHash != nil {
		view.UserCode = s.Codes.Code(UserCode, r.ID).Reveal()
	}
	if view.NeedsNumber && r.Match == account.MatchPick {
		view.Choices = s.Codes.Choices(r)
	}
	return view
}

// Follow waits up to hold for a version newer than since and shows what became of
// the request: opened on another phone, decided there, taken back, run out. Its
// errors are Inspect's.
func (s *Service) Follow(ctx context.Context, ref Ref, v Viewer, since int64, hold time.Duration) (View, error) {
	found, err := s.resolve(ctx, ref, v)
	if err != nil {
		return View{}, fmt.Errorf("follow: %w", err)
	}
	now, err := s.await(ctx, found.ID, since, hold)
	if err != nil {
		return View{}, fmt.Errorf("follow: %w", err)
	}
	return s.view(*now, ref, v), nil
}

// resolve finds the request and judges whether the viewer may see it.
func (s *Service) resolve(ctx context.Context, ref Ref, v Viewer) (Request, error) {
	r, err := s.lookUp(ctx, ref, v)
	switch {
	case err != nil:
		return Request{}, err
	case r.NamespaceID != v.User.NamespaceID && r.NamespaceID != "": // see join.go
		return Request{}, ErrNotFound
	case r.UserID == v.User.ID, r.UserID == "" && ref.Way.Travelled() && r.expects(v.User.ID):
		return r, nil
	case ref.Way == Scanned, ref.Way == Pushed, r.UserID == "" && ref.Way == Typed:
		return Request{}, ErrForbidden
	default:
		return Request{}, ErrNotFound
	}
}

func (s *Service) lookUp(ctx context.Context, ref Ref, v Viewer) (Request, error) {
	switch ref.Way {
	case Scanned:
		return s.byHandle(ctx, ref.Secret, v)
	case Pushed:
		if id := s.Codes.prompted(ref.Secret); id != "" {
			return s.Store.Find(ctx, Key{ID: id})
		}
	case Listed:
		return s.Store.Find(ctx, Key{ID: ref.Secret.Reveal()})
	case Typed:
		return s.typed(ctx, ref.Secret, v)
	}
	return Request{}, ErrNotFound
}

// typed finds what was typed: one of the viewer's own codes, or a user code of the
// namespace or of nod's own. Both are one guess.
func (s *Service) typed(ctx context.Context, code account.Secret, v Viewer) (Request, error) {
	budgets := append(s.userBudgets(v.User.ID, ""), s.addressBudget(v.Address))
	kind := KindOf(code.Reveal())
	if kind == UserCode {
		k := Key{Typed: s.Codes.Hash(v.User.NamespaceID, "", UserCode, code.Reveal())}
		k.OrTyped = s.Codes.Hash("", "", UserCode, code.Reveal())
		return s.Store.Guess(ctx, k, budgets)
	}
	r, err := s.byCode(ctx, v.User.NamespaceID, v.User.ID, kind, code, budgets)
	return *r, err
}

// byHandle finds what was scanned: a stored handle, one that rotates and is still
// shown, or what this viewer got in exchange for one.
func (s *Service) byHandle(ctx context.Context, handle account.Secret, v Viewer) (Request, error) {
	if id, step := s.Codes.rotated(handle); id != "" {
		r, now, err := s.read(ctx, id)
		switch {
		case err != nil:
			return Request{}, err
		case !r.Rotates:
			return Request{}, ErrNotFound
		case !r.fresh(step, now):
			return Request{}, ErrRotated
		}
		return *r, nil
	}
	if id, _ := requestOf(handle); id != "" && same(handle, s.Codes.own(id, v.User.ID)) {
		return s.Store.Find(ctx, Key{ID: id})
	}
	return s.Store.Find(ctx, Key{Handle: handle.Hash()})
}

// Opened notes that the viewer's phone shows the request; the waiting side
// learns of it. Opening it again changes nothing.
func (s *Service) Opened(ctx context.Context, ref Ref, v Viewer) (Request, error) {
	return s.onRef(ctx, "open", ref, v, func(r Request, op string, now time.Time) (*Change, error) {
		c, ok, err := r.open(op, now, ref.Way, v.User.ID, v.Phone)
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

// MessageSeen is what is given for a number where none is asked for, but that the
// device shows the same binding message.
const MessageSeen = "seen"

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
		if r.needsSeen(ref.Way) {
			matched = number == MessageSeen
			return nil, nil
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
		if err != nil {
			return nil, err
		}
		c.Event.Address = v.Address
		if c.Request.State == Denied {
			return s.withAnswer(ctx, c, v, now)
		}
		return &c, nil
	})
	switch {
	case err != nil:
		return Question{}, err
	case (r.needsNumber(ref.Way) || r.needsSeen(ref.Way)) && !matched:
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
		d := v.decision(r, ref.Way, now)
		var c Change
		var err error
		if a.Verdict == Approve {
			d.By = ByPasskey
			c, err = r.approve(op, now, d, a.Proof)
		} else {
			d.By = BySession
			c, err = r.deny(op, now, d)
		}
		if err != nil {
			return nil, err
		}
		c.Event.Address = v.Address
		return s.withAnswer(ctx, c, v, now)
	})
}

// withAnswer lets a person's verdict count for the prompts to come.
func (s *Service) withAnswer(ctx context.Context, c Change, v Viewer, now time.Time) (*Change, error) {
	more, err := s.answered(ctx, v.User.ID, c.Request.State, now)
	c.Effects = append(c.Effects, more...)
	return &c, err
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
