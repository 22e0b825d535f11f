package approval

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// signsIn is what a redemption signs in at the client that collected.
func (r Request) signsIn(c account.Client) account.Device {
	g := r.Grant
	d := account.Device{
		ID: g.SID, Version: 1, NamespaceID: r.NamespaceID, ClientID: c.ID, UserID: g.Subject, RequestID: r.ID,
		PasskeyID: r.Decision.PasskeyID, Username: g.Username, Name: r.Context.DeviceName,
		Place: r.Context.Place, Address: r.Context.Address, Details: r.Context.Details,
		App: r.Context.App, Kind: r.deviceKind(), Agent: r.Context.UserAgent, CollectedFrom: g.Address,
		JKT: g.JKT, AMR: g.AMR, ACR: g.ACR, AuthTime: g.AuthTime,
		CreatedAt: g.IssuedAt, SeenAt: g.IssuedAt, Expires: g.Expires,
	}
	r.approval(&d)
	for _, s := range r.Context.Scopes {
		d.Scopes = append(d.Scopes, s.Scope)
	}
	if g.Offline && c.OAuth != nil {
		d.Generation = 1
		d.Expires = later(g.Expires, g.IssuedAt.Add(c.OAuth.RefreshIdle))
	}
	return d
}

// next is the device's next version, before anything in it moves.
func next(d account.Device) account.Device {
	d.Version++
	return d
}

// refreshToken is the newest refresh token of a device. Like a rotating handle it
// is made with the codes' key and not stored: the device's row knows which of all
// that were ever given out is the newest, so any other that turns up is known for
// what it is.
func (c *Codes) refreshToken(d account.Device) account.Secret {
	return c.handle("refresh", d.ID, binary.BigEndian.AppendUint64(nil, uint64(d.Generation)))
}

// refreshes is the device and the generation that a refresh token is of; "" for
// none of ours.
func (c *Codes) refreshes(t account.Secret) (deviceID string, generation int64) {
	id, step := requestOf(t)
	if id == "" || len(step) != 8 {
		return "", 0
	}
	d := account.Device{ID: id, Generation: int64(binary.BigEndian.Uint64(step))}
	if !same(t, c.refreshToken(d)) {
		return "", 0
	}
	return id, d.Generation
}

// Refreshing is whoever presents a refresh token.
type Refreshing struct {
	Token  account.Secret
	Client account.Client
	JKT    string
	Scopes []string // a part of what was granted; none: all of it (RFC 6749 section 6)
}

// Refreshed is what a refresh token was exchanged for.
type Refreshed struct {
	Device account.Device
	Scopes []string // of the new access token
	Token  account.Secret
	At     time.Time // of the new tokens, whole seconds
}

// Refresh exchanges the newest refresh token of a device for the next. ErrReplayed
// when it is an older one: then somebody has a copy, and the device is revoked (RFC
// 9700 section 4.14.2). ErrNotFound when it is none or another client's, ErrMismatch
// when the device is bound to another key, ErrInvalid when more is asked for than
// was granted, ErrExpired, ErrRevoked and ErrInactive as they are.
//
// The exchange is the commit: when a crash or the network takes the reply and the
// server did not see it (LostRefresh), the token before is an older one all the same.
func (s *Service) Refresh(ctx context.Context, a Refreshing) (*Refreshed, error) {
	id, generation := s.Codes.refreshes(a.Token)
	if id == "" {
		return nil, fmt.Errorf("refresh: %w", ErrNotFound)
	}
	var out *Refreshed
	err := s.onDevice(ctx, id, func(d account.Device, now time.Time) (*Change, error) {
		if d.ClientID != a.Client.ID {
			return nil, ErrNotFound
		}
		seen, err := refresh(d, generation, a, now)
		if err != nil {
			return nil, err
		}
		out = &Refreshed{Device: seen, Scopes: a.Scopes, Token: s.Codes.refreshToken(seen), At: seen.SeenAt}
		return &Change{
			Needs:   Needs{UserID: d.UserID, ClientIDs: clients(d.ClientID)},
			Effects: []Effect{SetDevice{From: d.Version, Is: seen}},
		}, nil
	})
	if errors.Is(err, ErrReplayed) {
		if err := s.RevokeDevice(ctx, id, ByReuse); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, fmt.Errorf("refresh: %w", err)
	}
	if len(out.Scopes) == 0 {
		out.Scopes = out.Device.Scopes
	}
	return out, nil
}

// refresh is the rule: the device after its refresh token of a generation was
// used.
func refresh(d account.Device, generation int64, a Refreshing, now time.Time) (account.Device, error) {
	foreign := func(scope string) bool { return !slices.Contains(d.Scopes, scope) }
	switch again := d.Lost && generation == d.Generation-1 && now.Before(d.SeenAt.Add(RedeliveryWindow)); {
	case !d.RevokedAt.IsZero():
		return d, ErrRevoked
	case !now.Before(d.Expires):
		return d, ErrExpired
	case d.JKT != "" && d.JKT != a.JKT:
		return d, ErrMismatch
	case generation > d.Generation:
		return d, ErrNotFound
	case generation < d.Generation && !again:
		return d, ErrReplayed
	case slices.ContainsFunc(a.Scopes, foreign):
		return d, &InvalidError{"scope", "must be a part of what was granted"}
	}
	d = next(d)
	d.Generation++
	d.Lost = false
	d.JKT = a.JKT // the first key that is shown is the only one from then on
	d.SeenAt = now.Truncate(time.Second)
	d.Expires = later(d.SeenAt.Add(a.Client.OAuth.AccessLife), d.SeenAt.Add(a.Client.OAuth.RefreshIdle))
	return d, nil
}

// Revoke ends the device behind a refresh token of the client's (RFC 7009), be it
// the newest or one that was exchanged already: who signs out may have missed a
// reply. A token that is none, or another client's, is no error: there is nothing to
// end.
func (s *Service) Revoke(ctx context.Context, t account.Secret, clientID string) error {
	id, _ := s.Codes.refreshes(t)
	if id == "" {
		return nil
	}
	d, err := s.Store.Device(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && d.ClientID != clientID:
		return nil
	case err != nil:
		return fmt.Errorf("revoke token: %w", err)
	}
	return s.RevokeDevice(ctx, d.ID, ByHolder)
}

// RefreshedDevice is the device whose newest refresh token this is; ErrNotFound
// for any other. Whether the device stands is another question: Directory.Standing.
func (s *Service) RefreshedDevice(ctx context.Context, t account.Secret) (account.Device, error) {
	id, generation := s.Codes.refreshes(t)
	d, err := account.Device{}, ErrNotFound
	if id != "" {
		d, err = s.Store.Device(ctx, id)
	}
	if err == nil && d.Generation != generation {
		err = ErrNotFound
	}
	if err != nil {
		return account.Device{}, fmt.Errorf("find refresh token: %w", err)
	}
	return d, nil
}

// Lost says that the reply with what was collected never left: its tokens are
// revoked, and within RedeliveryWindow the same client may collect once more. It
// does nothing when the device has moved since, because its tokens did arrive or
// because somebody ended it; nor for a holder that was not Fresh. It goes on when
// ctx has ended: that is how replies fail.
func (s *Service) Lost(ctx context.Context, c *Collected) error {
	if c.Device == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitDeadline)
	defer cancel()
	d, read := *c.Device, false
	_, err := s.change(ctx, &c.Request, func(r Request, op string, now time.Time) (_ *Change, err error) {
		// At first it is taken for granted that both are as they were handed out: a
		// commit that is still under way is then overtaken by nothing.
		if read {
			d, err = s.Store.Device(ctx, d.ID)
		}
		read = true
		switch {
		case errors.Is(err, ErrNotFound), err == nil && d.Version != c.Device.Version:
			return nil, nil
		case err != nil:
			return nil, err
		case r.Grant == nil || r.Grant.JTI != c.Grant.JTI:
			return nil, nil
		}
		lost, ok := r.lost(op)
		if !ok {
			return nil, nil
		}
		gone := next(d)
		gone.RevokedAt, gone.RevokedBy = now, string(ByLost)
		lost.Effects = []Effect{SetDevice{From: d.Version, Is: gone}}
		return &lost, nil
	})
	if err != nil {
		return fmt.Errorf("note lost reply: %w", err)
	}
	return nil
}

// LostRefresh says the same of what a refresh token was exchanged for: within
// RedeliveryWindow the one before is taken once more.
func (s *Service) LostRefresh(ctx context.Context, r *Refreshed) error {
	d := next(r.Device)
	d.Lost = true
	c := Change{Op: NewOp(), Effects: []Effect{SetDevice{From: r.Device.Version, Is: d}}}
	if err := s.apply(ctx, c); err != nil && !errors.Is(err, ErrConflict) {
		return fmt.Errorf("note lost reply: %w", err)
	}
	return nil
}

// onDevice judges a device and applies the judgement, again when it moved
// meanwhile. A nil change means there is nothing to do.
func (s *Service) onDevice(ctx context.Context, id string, judge func(account.Device, time.Time) (*Change, error)) error {
	op := NewOp()
	for range maxConflicts {
		d, err := s.Store.Device(ctx, id)
		if err != nil {
			return err
		}
		now, err := s.Store.Now(ctx)
		if err != nil {
			return err
		}
		c, err := judge(d, now)
		if err != nil || c == nil {
			return err
		}
		c.Op = op
		if err := s.apply(ctx, *c); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("device %s: %w", id, ErrUnavailable)
}

// Standing is a device whose tokens are good, and its user: neither revoked nor run
// out, the user active. ErrNotFound (also when its user or its client was deleted),
// ErrRevoked, ErrExpired and ErrInactive say what is not.
func (d *Directory) Standing(ctx context.Context, deviceID string) (account.Device, account.User, error) {
	dev, u, err := d.standing(ctx, deviceID)
	if err != nil {
		err = fmt.Errorf("device: %w", err)
	}
	return dev, u, err
}

func (d *Directory) standing(ctx context.Context, deviceID string) (account.Device, account.User, error) {
	dev, err := d.service.Store.Device(ctx, deviceID)
	if err != nil {
		return dev, account.User{}, err
	}
	now, err := d.service.Store.Now(ctx)
	if err != nil {
		return dev, account.User{}, err
	}
	switch {
	case !dev.RevokedAt.IsZero():
		return dev, account.User{}, ErrRevoked
	case !dev.Live(now):
		return dev, account.User{}, ErrExpired
	}
	u, err := d.read.User(ctx, dev.UserID)
	if err == nil && !u.Active() {
		err = ErrInactive
	}
	return dev, u, err
}
