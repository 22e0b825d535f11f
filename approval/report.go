package approval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// EventReported is a request whose person says that they did not start it. Detail is
// the state that it was in.
const EventReported EventName = "request.reported"

// Report says that the viewer did not start a request. It declines what is undecided,
// undoes what was approved (Undo), and leaves what ended otherwise as it ended. Push is
// silent for MuteFor. Saying so twice is no error, and changes nothing: first is false
// then. Its errors are Inspect's.
//
// A passkey that was added goes whatever is left, other than in Undo: it is a thief's,
// and what a guard against accidents keeps for its owner it would keep for the thief. The
// one passkey that a report never deletes is the one that its sender signed in with:
// whoever holds that cannot mean it, and needs it to look on. So nobody locks themselves
// out, and a thief who reports what the owner has added wins nothing: with a passkey of
// their own they could delete the owner's by hand. Passkeys that were added before anybody
// wrote down by what stay, and so they do in Undo.
//
// An approval is undone first and by itself: when the rest fails, nothing of it is left
// all the same. One that is given on another phone in this very moment is a
// DecidedError, and not undone; what runs out in it is ErrExpired. Both can be looked
// at, and reported again.
func (s *Service) Report(ctx context.Context, ref Ref, v Viewer) (reported Request, first bool, err error) {
	found, err := s.resolveEnded(ctx, ref, v)
	if err == nil && (found.State == Approved || found.State == Redeemed && found.Purpose.signsIn() || found.addedPasskey()) {
		found, err = s.undo(ctx, found.ID, v, ByReport)
	}
	looked := found.State
	if err == nil {
		found, err = s.change(ctx, &found, func(r Request, op string, now time.Time) (*Change, error) {
			switch {
			case r.EndedBy == ByReport:
				first = false
				return nil, nil
			case r.State == Approved, r.State != looked && r.State == Redeemed:
				return nil, &DecidedError{r.State}
			case r.State == Pending && !now.Before(r.Expires):
				return nil, ErrExpired
			}
			d := v.decision(r, "", now)
			d.By = BySession
			c := r.report(op, now, d)
			c.Event.Address = v.Address
			first = true
			return s.muted(ctx, c, v.User.ID, now)
		})
	}
	if err != nil {
		return found, false, fmt.Errorf("report: %w", err)
	}
	return found, first, nil
}

// resolveEnded is resolve, and lets what ran out have run out.
func (s *Service) resolveEnded(ctx context.Context, ref Ref, v Viewer) (Request, error) {
	found, err := s.resolve(ctx, ref, v)
	if err != nil {
		return found, err
	}
	now, err := s.Store.Now(ctx)
	if err != nil {
		return found, err
	}
	r, err := s.runOut(ctx, &found, now)
	if errors.Is(err, ErrConflict) { // somebody was faster
		return s.Store.Find(ctx, Key{ID: found.ID})
	}
	return *r, err
}

// muted adds to a report that push is silent.
func (s *Service) muted(ctx context.Context, c Change, userID string, now time.Time) (*Change, error) {
	if s.Reach == nil {
		return &c, nil
	}
	p, err := s.Store.Prompting(ctx, userID)
	if err != nil {
		return nil, err
	}
	c.Effects = append(c.Effects, SetPrompting{p.Version, p.reported(now)})
	return &c, nil
}

// report is the rule: an undecided request is declined, of any other it is noted.
func (r Request) report(op string, now time.Time, d Decision) Change {
	was := r.State
	c, err := r.deny(op, now, d)
	if err != nil {
		c = r.step(op, EventReported, r.State)
	}
	c.Request.EndedBy = ByReport
	if c.Request.UserID == "" { // it ran out before anybody answered
		c.Request.UserID = d.UserID
	}
	c.Event.NamespaceID = cmp.Or(c.Event.NamespaceID, d.NamespaceID)
	c.Event.Name, c.Event.UserID, c.Event.Detail = EventReported, d.UserID, string(was)
	return c
}

// reported mutes, whatever was declined before.
func (p Prompting) reported(now time.Time) Prompting {
	next := p.forget(now)
	next.MutedUntil, next.Declined = now.Add(MuteFor), nil
	return next
}

// sourceWindow is how far back SameSource looks: a day, the number.
const sourceWindow = 24 * time.Hour

// SameSource lists what the source of a request signed in as its user in the 24 hours
// before, and nobody has signed out: devices that asked or collected from the network
// (AddressGroup) where this one asked from, or was collected. Newest first. Nothing is
// found of a request of which nobody said where it comes from.
//
// What a server collected (CIBA) says where the server stands, and so nothing.
func (d *Directory) SameSource(ctx context.Context, u account.User, r Request) ([]account.Device, error) {
	now, err := d.service.Store.Now(ctx)
	if err != nil {
		return nil, fmt.Errorf("find same source: %w", err)
	}
	all, err := d.read.Devices(ctx, u.ID)
	if err != nil {
		return nil, fmt.Errorf("find same source: %w", err)
	}
	collected := ""
	if r.Grant != nil {
		collected = r.Grant.Address
	}
	from := networks(r.deviceKind(), r.Context.Address, collected)
	return slices.DeleteFunc(all, func(dev account.Device) bool {
		shared := func(n string) bool { return slices.Contains(from, n) }
		return !dev.RevokedAt.IsZero() || dev.CreatedAt.Before(now.Add(-sourceWindow)) ||
			!slices.ContainsFunc(networks(dev.Kind, dev.Address, dev.CollectedFrom), shared)
	}), nil
}

// networks is where something came from, as far as that is the person's own address,
// or whoever poses as them.
func networks(kind account.DeviceKind, asked, collected string) []string {
	var out []string
	if asked != "" {
		out = append(out, AddressGroup(asked))
	}
	if collected != "" && kind != account.DeviceServer {
		out = append(out, AddressGroup(collected))
	}
	return out
}
