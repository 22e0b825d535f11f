package approval

import (
	"context"
	"fmt"
	"time"
)

// A browser that has no passkey yet may ask for one on nod's own pages. No client asks
// there, and nobody knows whom it is about before somebody scans the QR code or types
// the code: as in RFC 8628 nobody can be named, so nobody can be found out and nobody
// can be prompted by strangers. Such a request is of no namespace (NamespaceID ""), may
// be opened from any, and is held to one purpose, AddCredential. Whoever decides it makes
// it theirs: from then on it has a user like any other, and its Decision says which
// namespace hears of it. The request's own stays empty, because it is frozen and signed
// like everything else that was asked (I5), and the codes are bound to it.
//
// It is collected by making the passkey (package webauthn), in one transaction; the
// grant that the redemption leaves is never signed.

// unclaimed is nil for an Ask of a client, and for what nod itself may ask of whoever
// comes; ErrForbidden for anything else that no client asks.
func (a Ask) unclaimed() error {
	switch {
	case a.Client.ID != "" && a.Client.NamespaceID != "":
		return nil
	case a.Client.ID+a.Client.NamespaceID+a.Audience+a.User.ID+a.Context.ExpectedSub != "",
		a.Purpose != AddCredential, a.Notify, a.Vouch != nil, a.AnswerTo != nil:
		return fmt.Errorf("ask without a client: %w", ErrForbidden)
	default:
		return nil
	}
}

// decision begins what the viewer decides about r.
func (v Viewer) decision(r Request, way Way, at time.Time) Decision {
	d := Decision{Way: way, UserID: v.User.ID, Username: v.User.Username, At: at}
	if r.NamespaceID == "" {
		d.NamespaceID = v.User.NamespaceID
	}
	return d
}

// namespace is whose webhooks and audit a request belongs to; "" while nobody has
// decided one of no namespace.
func (r Request) namespace() string {
	if r.NamespaceID == "" && r.Decision != nil {
		return r.Decision.NamespaceID
	}
	return r.NamespaceID
}

// Await waits up to hold for a version newer than since and tells where the holder's
// request stands then; of one whose QR code rotates no longer than that is shown. It
// redeems nothing and displaces nobody. ErrNotFound unless the holder may collect it.
func (s *Service) Await(ctx context.Context, h Holder, p Purpose, since int64, hold time.Duration) (*Status, error) {
	r, err := s.held(ctx, &h, p)
	if err == nil && r.Rotates && r.State == Pending {
		var now time.Time
		now, err = s.Store.Now(ctx)
		_, until := s.Codes.Rotating(*r, now)
		hold = min(hold, until.Sub(now))
	}
	if err == nil {
		r, err = s.await(ctx, r.ID, since, hold)
	}
	if err != nil {
		return nil, fmt.Errorf("await: %w", err)
	}
	return statusOf(r), nil
}
