package approval

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// Holder is whoever presents a code: the new device, or a backend for it.
type Holder struct {
	Face    string
	Client  account.Client // who collects; the token's audience
	UserID  string         // "": no such user; nothing is found, at the same price
	Asked   string         // what the caller called the user
	Kind    CodeKind
	Code    account.Secret
	Address string
	Token   bool   // it showed a wait token
	JKT     string // the thumbprint of the key that it has shown (RFC 9449), "" for none
	// Since, when above 0, ends the wait also when the request is newer than that
	// version: a PendingError tells how far it got.
	Since int64
	// Fresh is a protocol of the standard faces: whoever collects is told of the device
	// that was signed in, and a lost reply is answered with a fresh grant, and only when
	// Service.Lost said so. Otherwise the identical grant is handed out again.
	Fresh bool
}

// Collected is a redeemed request.
type Collected struct {
	Request Request
	Grant   Grant
	Device  *account.Device // what was signed in; nil unless the holder was Fresh
	Refresh account.Secret  // the device's first refresh token, "" for none
	Again   bool            // the identical grant was handed out before
	Slept   bool            // it was waited for: Decision.At to now is the wake's latency
}

// Collect waits up to hold for the verdict and redeems a yes. With hold 0 it
// looks once and displaces nobody. ErrPending after the hold, when a newer wait
// took its place, or when the node drains, as a PendingError; ErrDenied, ErrExpired,
// ErrInactive, ErrNotFound, ErrTooMany, ErrForbidden (a wait token is needed),
// ErrMismatch (the request is bound to another key) as they are; the context's error
// when the client left, and then nothing was redeemed.
//
// It is asleep for two minutes in ten thousand goroutines at once, and a stack
// that grew once stays: up to the sleep nothing large is passed by value, so
// that all of it fits into 8 KiB (nodload hold).
func (s *Service) Collect(ctx context.Context, h Holder, p Purpose, hold time.Duration) (*Collected, error) {
	id, err := s.collectable(ctx, &h, p)
	if err != nil {
		return nil, fmt.Errorf("collect: %w", err)
	}
	var out *Collected
	var far PendingError
	slept, err := s.sleepOn(ctx, id, hold, &h, func(r *Request, now time.Time) error {
		if out.stands(r) {
			return nil
		}
		got, err := s.settle(ctx, &h, r, now)
		if got != nil {
			out = got
		}
		if errors.Is(err, ErrPending) {
			far = PendingError{Version: r.Version, Opened: !r.OpenedAt.IsZero()}
			if h.Since > 0 && r.Version > h.Since {
				return errNews
			}
		}
		return err
	})
	if err != nil && out != nil { // the store did not say whether it was handed out
		_ = s.Lost(ctx, out) // if so, nobody hears of it; the error below is what counts
	}
	switch {
	case errors.Is(err, errNews), errors.Is(err, ErrPending):
		return nil, fmt.Errorf("collect: %w", &far)
	case err != nil:
		return nil, fmt.Errorf("collect: %w", err)
	}
	out.Slept = slept
	return out, nil
}

// errNews ends the wait of a holder who wants to know how far a request got.
var errNews = errors.New("newer than what the holder knows")

// collectable is the id of the request that the holder may collect. A key that it
// shows first is the only one from then on.
func (s *Service) collectable(ctx context.Context, h *Holder, p Purpose) (string, error) {
	r, err := s.held(ctx, h, p)
	if err == nil {
		err = h.showsToken(r)
	}
	if err == nil && h.JKT != "" && r.JKT == "" {
		err = s.bind(ctx, h, r)
	}
	return r.ID, err
}

func (s *Service) bind(ctx context.Context, h *Holder, r *Request) error {
	_, err := s.change(ctx, r, func(r Request, op string, _ time.Time) (*Change, error) {
		if r.JKT != "" || !r.State.Open() {
			return nil, nil
		}
		c := r.bind(op, h.JKT)
		return &c, nil
	})
	return err
}

// Watcher holds a request's code and only wants to know where it stands.
type Watcher struct {
	RequestID string
	Code      account.Secret
	Address   string
}

// Status is what the waiting side may know before it collects.
type Status struct {
	Request    Request
	ApprovedBy string // username, once approved
}

// Watch waits up to hold for a version newer than since and tells where the
// request stands then. It never redeems, and displaces nobody. ErrNotFound when
// id and code do not belong together; a wrong code costs a try.
func (s *Service) Watch(ctx context.Context, w Watcher, since int64, hold time.Duration) (*Status, error) {
	id, err := s.watched(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	r, err := s.await(ctx, id, since, hold)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	return statusOf(r), nil
}

func statusOf(r *Request) *Status {
	st := &Status{Request: *r}
	if r.State == Approved || r.State == Redeemed {
		st.ApprovedBy = r.name()
	}
	return st
}

// await sleeps until the request has a version newer than since or has ended, and
// returns it as it stands then, or as it was last seen when the hold is over.
func (s *Service) await(ctx context.Context, id string, since int64, hold time.Duration) (*Request, error) {
	var last *Request
	_, err := s.sleepOn(ctx, id, hold, nil, func(r *Request, now time.Time) (err error) {
		last, err = s.runOut(ctx, r, now)
		if err == nil && last.Version <= since && last.State.Open() {
			return ErrPending
		}
		return err
	})
	switch {
	case !errors.Is(err, ErrPending):
		return last, err
	case last == nil: // the store could not be read all the while
		return nil, ErrUnavailable
	}
	return last, nil
}

// watched is the id of the request, once the watcher has shown its code.
func (s *Service) watched(ctx context.Context, w Watcher) (string, error) {
	r, err := s.Store.Find(ctx, Key{ID: w.RequestID})
	if err != nil {
		return "", err
	}
	budgets := append(s.userBudgets(r.UserID, r.ID), s.addressBudget(w.Address))
	found, err := s.byCode(ctx, r.NamespaceID, r.UserID, r.CodeKind, w.Code, budgets)
	if err == nil && found.ID != r.ID {
		err = ErrNotFound
	}
	return r.ID, err
}

// held finds what the holder's code belongs to and whether it is the holder's
// to collect (I6).
func (s *Service) held(ctx context.Context, h *Holder, p Purpose) (*Request, error) {
	ns := h.Client.NamespaceID
	budgets := append(s.userBudgets(h.UserID, ns+"/"+h.Asked), s.addressBudget(h.Address), s.clientBudget(h.Client.ID))
	r, err := s.byCode(ctx, ns, h.UserID, h.Kind, h.Code, budgets)
	switch {
	case err != nil:
		return r, err
	case r.NamespaceID != ns, r.Face != h.Face, r.Purpose != p,
		r.Audience != "" && r.Audience != h.Client.ID:
		return r, ErrNotFound
	}
	return r, nil
}

// showsToken is ErrForbidden when the request, or the client that wants to
// collect it, asks for a wait token and there is none.
func (h *Holder) showsToken(r *Request) error {
	if (r.TokenNeeded || h.Client.RequireWaitToken) && !h.Token {
		return ErrForbidden
	}
	return nil
}

// runOut makes an expiry true that time has brought and nobody has written yet.
// ErrConflict when somebody was first.
func (s *Service) runOut(ctx context.Context, r *Request, now time.Time) (*Request, error) {
	if !r.State.Open() || untilEnd(r, now) > 0 {
		return r, nil
	}
	return s.expire(ctx, r, now)
}

func (s *Service) expire(ctx context.Context, r *Request, now time.Time) (*Request, error) {
	c, ok := r.expire(NewOp(), now)
	if !ok {
		return r, nil
	}
	if err := s.apply(ctx, c); err != nil {
		return r, err
	}
	return c.Request, nil
}

// settle is what a collector gets for the state the request is in.
func (s *Service) settle(ctx context.Context, h *Holder, r *Request, now time.Time) (*Collected, error) {
	r, err := s.runOut(ctx, r, now)
	if err != nil {
		return nil, err
	}
	switch {
	case r.JKT != "" && r.JKT != h.JKT:
		return nil, ErrMismatch
	case r.State == Redeemed && h.Fresh:
		return s.remint(ctx, h, r, now)
	case r.State == Redeemed:
		return s.again(ctx, h, r, now)
	}
	if err := r.uncollectable(); err != nil {
		return nil, err
	}
	return s.redeem(ctx, h, r, now)
}

// uncollectable says why a request in its state cannot be collected, nil when
// it is approved.
func (r *Request) uncollectable() error {
	switch {
	case r.State == Approved:
		return nil
	case r.State == Pending:
		return ErrPending
	case r.State == Redeemed:
		return ErrNotFound
	case r.State == Expired, r.State == Lapsed:
		return ErrExpired
	case r.State == Canceled && r.EndedBy == ByUserEnded:
		return ErrInactive
	default:
		return ErrDenied
	}
}

// again hands the stored grant out once more, to the same collector, unless what it
// signed in was signed out since.
func (s *Service) again(ctx context.Context, h *Holder, r *Request, now time.Time) (*Collected, error) {
	switch {
	case !r.Grant.RevokedAt.IsZero():
		return nil, ErrDenied
	case !r.redeliverable(now, h.Client.ID, h.Address):
		return nil, ErrNotFound
	}
	d, err := s.Store.Device(ctx, r.Grant.SID)
	switch {
	case err == nil && !d.RevokedAt.IsZero():
		return nil, ErrDenied
	case err != nil && !errors.Is(err, ErrNotFound): // no purpose but signing in leaves one
		return nil, err
	}
	return &Collected{Request: *r, Grant: *r.Grant, Again: true}, nil
}

// Approved finds the approved request behind a holder's code without touching
// it: a code of purpose add_credential is only checked when the ceremony
// begins. Its errors are Collect's with hold 0.
func (s *Service) Approved(ctx context.Context, h Holder, p Purpose) (Request, error) {
	id, err := s.collectable(ctx, &h, p)
	if err != nil {
		return Request{}, fmt.Errorf("check: %w", err)
	}
	var found Request
	_, err = s.sleepOn(ctx, id, 0, nil, func(r *Request, now time.Time) error {
		r, err := s.runOut(ctx, r, now)
		if err != nil {
			return err
		}
		found = *r
		return r.uncollectable()
	})
	if err != nil {
		return Request{}, fmt.Errorf("check: %w", err)
	}
	return found, nil
}
