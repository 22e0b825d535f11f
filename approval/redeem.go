package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// redeem is the mint: the commit of the redemption with its grant. ErrConflict
// when somebody was first: whoever lost looks at what the winner left.
func (s *Service) redeem(ctx context.Context, h *Holder, r *Request, now time.Time, first ...Change) (*Collected, error) {
	g, err := s.grant(ctx, h, r, now)
	if err != nil {
		return nil, err
	}
	return s.hand(ctx, h, r.redeem(NewOp(), g), first...)
}

// remint hands out once more what the server saw get lost. ErrNotFound when it did
// not, or when somebody has ended since, with a better reason, what was lost.
func (s *Service) remint(ctx context.Context, h *Holder, r *Request, now time.Time) (*Collected, error) {
	if !r.remintable(now, h.Client.ID, h.JKT) {
		return nil, ErrNotFound
	}
	lost, err := s.Store.Device(ctx, r.Grant.SID)
	switch {
	case err != nil:
		return nil, err
	case lost.RevokedBy != string(ByLost):
		return nil, ErrNotFound
	}
	g, err := s.grant(ctx, h, r, now)
	if err != nil {
		return nil, err
	}
	c := r.remint(NewOp(), g)
	c.Effects = []Effect{SetDevice{From: lost.Version, Is: next(lost)}} // it is as it was read
	return s.hand(ctx, h, c)
}

// hand makes a redemption true and says what it gives. When the store did not say
// what came of it, that is what it gives if it stands after all.
func (s *Service) hand(ctx context.Context, h *Holder, c Change, first ...Change) (*Collected, error) {
	out := &Collected{Request: *c.Request, Grant: *c.Request.Grant}
	if c.Request.Purpose.signsIn() {
		d := out.Request.signsIn(h.Client)
		c.Effects = append(c.Effects, AddDevice{d})
		if h.Fresh {
			out.Device = &d
		}
		if d.Generation > 0 {
			out.Refresh = s.Codes.refreshToken(d)
		}
	}
	switch err := s.apply(ctx, append(slices.Clip(first), c)...); {
	case errors.Is(err, ErrRevoked):
		return nil, ErrDenied
	case errors.Is(err, ErrUnavailable):
		return out, err
	case err != nil:
		return nil, err
	}
	return out, nil
}

// stands says whether a redemption that nobody heard of is the one that counts.
func (c *Collected) stands(r *Request) bool {
	return c != nil && r.State == Redeemed && r.Grant.JTI == c.Grant.JTI && !r.Grant.Lost && r.Grant.RevokedAt.IsZero()
}

// grant fixes everything the token will say. Times are whole seconds: JWT
// NumericDate, and a redelivery must be identical.
func (s *Service) grant(ctx context.Context, h *Holder, r *Request, now time.Time) (Grant, error) {
	kid, err := s.KeyID(ctx, now)
	if err != nil {
		return Grant{}, fmt.Errorf("signing key: %w", err)
	}
	amr, acr := r.means()
	life := s.TokenLife
	if h.Client.OAuth != nil {
		life = h.Client.OAuth.AccessLife
	}
	return Grant{
		JTI: newID(), SID: newID(), KID: kid, Issuer: h.Client.Issuer,
		Audience: h.Client.ID, Subject: r.UserID, Username: r.name(),
		IssuedAt: now.Truncate(time.Second), Expires: now.Add(life).Truncate(time.Second),
		AuthTime: r.Decision.At.Truncate(time.Second), AMR: amr, ACR: acr, Address: h.Address,
		JKT: r.JKT, Offline: r.Context.asksFor(account.ScopeOffline),
	}, nil
}

// means tells the truth about how the person was authenticated: amr in the
// words of RFC 8176, acr "phr" (phishing-resistant, OpenID EAP ACR Values)
// only where the passkey was used on the device that signs in.
func (r Request) means() (amr []string, acr string) {
	switch {
	case r.Decision.By != ByPasskey:
		return []string{"backend"}, "urn:nod:acr:backend"
	case r.Purpose == Direct, r.Decision.Way == OnPage:
		return []string{"pop", "user", "mfa"}, "phr"
	default:
		return []string{"pop", "user", "mfa"}, "urn:nod:acr:cross-device"
	}
}

// Redeem collects an approved request by its id, in the transaction of the
// changes it was approved for, which come first. ErrReplayed when it was
// collected already, otherwise Collect's errors with hold 0.
func (s *Service) Redeem(ctx context.Context, h Holder, requestID string, first ...Change) (*Collected, error) {
	var out *Collected
	_, err := s.sleepOn(ctx, requestID, 0, nil, func(r *Request, now time.Time) (err error) {
		if r.Face != h.Face || r.NamespaceID != h.Client.NamespaceID {
			return ErrNotFound
		}
		if r, err = s.runOut(ctx, r, now); err != nil {
			return err
		}
		if r.State == Redeemed {
			return ErrReplayed
		}
		if err = r.uncollectable(); err != nil {
			return err
		}
		out, err = s.redeem(ctx, &h, r, now, first...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("redeem: %w", err)
	}
	return out, nil
}

// Login is a passkey sign-in that answers with a token: a request that was
// asked, approved and collected in one breath, with one audit row. What must be
// true before, a passkey that was only just made say, comes first in the same
// transaction.
func (s *Service) Login(ctx context.Context, h Holder, u account.User, p Proof, first ...Change) (*Collected, error) {
	now, err := s.Store.Now(ctx)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	r := Request{
		ID: newRequestID(), Face: h.Face, NamespaceID: h.Client.NamespaceID, ClientID: h.Client.ID,
		Purpose: Direct, Context: Context{App: h.Client.Name, Username: u.Username, Address: h.Address},
		UserID: u.ID, Match: account.MatchNone, CreatedAt: now, Expires: now, State: Approved,
		Decision: &Decision{By: ByPasskey, UserID: u.ID, PasskeyID: p.PasskeyID, PasskeyName: p.PasskeyName, At: now},
	}
	g, err := s.grant(ctx, &h, &r, now)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	c := r.redeem(NewOp(), g)
	c.Effects = append(append(c.Effects, p.Effects...), AddDevice{c.Request.signsIn(h.Client)})
	if err := s.apply(ctx, append(slices.Clip(first), c)...); err != nil {
		return nil, fmt.Errorf("login: %w", heard(err))
	}
	return &Collected{Request: *c.Request, Grant: g}, nil
}
