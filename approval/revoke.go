package approval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// EventSessionEnded is a browser session that its owner ended from another one. Detail
// is the browser's name, or "all others".
const EventSessionEnded EventName = "session.ended"

// The effects that sign somebody out.
type (
	// RevokeDevice ends a device whatever its version is: a refresh that is under way
	// loses. The first to end it is who ended it, except that what was only lost
	// (ByLost) can still be ended for good. With Must it is ErrConflict when it had
	// ended, or is gone; else that is no error.
	RevokeDevice struct {
		Device account.Device // nothing but its ID decides; webhooks are told its names and client
		By     By
		Must   bool
	}
	// EndSession ends one browser session of a user, ErrNotFound when there is none.
	// EndOtherSessions ends all but one; that one need not be there.
	EndSession struct {
		UserID string
		Hash   []byte
	}
	EndOtherSessions struct {
		UserID string
		Except []byte
	}
)

func (RevokeDevice) effect()     {}
func (EndSession) effect()       {}
func (EndOtherSessions) effect() {}

// Revoker is who ends something, and where from.
type Revoker struct {
	By      By
	Address string // "" where nobody knows
}

// ended says whether nothing can come of the device any more.
func ended(d account.Device) bool {
	return !d.RevokedAt.IsZero() && d.RevokedBy != string(ByLost)
}

// revoking ends a device that was just read.
func revoking(d account.Device, by Revoker) Change {
	return Change{
		Op: NewOp(),
		Event: Event{
			Name: EventDeviceRevoked, NamespaceID: d.NamespaceID, RequestID: d.RequestID,
			UserID: d.UserID, ClientID: d.ClientID, PasskeyID: d.PasskeyID, Address: by.Address,
			Detail: strings.TrimSpace(string(by.By) + " " + d.Name),
		},
		Effects: []Effect{RevokeDevice{Device: d, By: by.By, Must: true}},
	}
}

// RevokeDevice ends what an approval signed in, with all its tokens, and nothing
// can be collected in its place. One that ended already, or that there is not, is no
// error.
func (s *Service) RevokeDevice(ctx context.Context, id string, by By) error {
	d, err := s.Store.Device(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && ended(d):
		return nil
	case err == nil:
		err = s.apply(ctx, revoking(d, Revoker{By: by}))
	}
	if err != nil && !errors.Is(err, ErrConflict) { // then somebody was faster
		return fmt.Errorf("revoke device: %w", err)
	}
	return nil
}

// Devices lists what is signed in as a user, newest first, ended ones included for as
// long as they are kept (account.Device.KeepUntil).
func (d *Directory) Devices(ctx context.Context, u account.User) ([]account.Device, error) {
	found, err := d.read.Devices(ctx, u.ID)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	return found, nil
}

// RevokeDevices ends those of a user's devices that are named, and returns how many it
// ended. ErrNotFound, and then none is, when one of them is not the user's; one that
// ended before is no error. With happens in the transaction of the first.
func (d *Directory) RevokeDevices(ctx context.Context, u account.User, ids []string, by Revoker, with ...Effect) (int, error) {
	all, err := d.Devices(ctx, u)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(dev account.Device) bool { return dev.ID == id }) {
			return 0, fmt.Errorf("revoke device: %w", ErrNotFound)
		}
	}
	return d.signOut(ctx, u, by, signOut{ids: ids, first: with})
}

// RevokeAllDevices ends all of a user's devices, and what was approved and nobody has
// collected yet. What is approved afterwards stays, and so do consents to transactions,
// which sign nobody in. It returns how many devices it ended.
func (d *Directory) RevokeAllDevices(ctx context.Context, u account.User, by Revoker, with ...Effect) (int, error) {
	return d.signOut(ctx, u, by, signOut{all: true, first: with})
}

// SignOutEverywhere is RevokeAllDevices, and ends every browser session of the user
// but the one whose hash is kept.
func (d *Directory) SignOutEverywhere(ctx context.Context, u account.User, by Revoker, keep []byte) (int, error) {
	ev := userEvent(EventSessionEnded, u)
	ev.Address, ev.Detail = by.Address, "all others"
	out := Change{Op: NewOp(), Event: ev, Effects: []Effect{EndOtherSessions{u.ID, keep}}}
	if err := d.service.apply(ctx, out); err != nil {
		return 0, fmt.Errorf("sign out everywhere: %w", heard(err))
	}
	return d.RevokeAllDevices(ctx, u, by)
}

// EndSession ends one browser session of a user. ErrNotFound when it is not theirs, or
// has ended.
func (d *Directory) EndSession(ctx context.Context, u account.User, v account.Session, by Revoker) error {
	ev := userEvent(EventSessionEnded, u)
	ev.Address, ev.Detail, ev.PasskeyID = by.Address, v.Name, v.PasskeyID
	return d.apply(ctx, "end session", ev, EndSession{u.ID, v.Hash})
}

// signOut says what of a user's ends.
type signOut struct {
	all   bool
	ids   []string // unless all
	first []Effect // in the first step
	last  *Change  // in the last one, which is then the one that leaves nothing
}

// signOut ends in steps of a batch, each judged again when something of it moved
// meanwhile, until nothing is left of what was there when it began. Where it fails in
// between, what it ended has ended, and last has not happened.
func (d *Directory) signOut(ctx context.Context, u account.User, by Revoker, what signOut) (revoked int, err error) {
	began, err := d.service.Store.Now(ctx)
	if err != nil {
		return 0, fmt.Errorf("sign out: %w", err)
	}
	for conflicts := 0; conflicts < maxConflicts; {
		next, err := d.nextStep(ctx, u, by, what, began)
		if err == nil && len(next.changes) == 0 {
			return revoked, nil
		}
		if err == nil {
			err = d.service.apply(ctx, next.changes...)
		}
		switch {
		case err == nil:
			revoked += next.devices
			what.first = nil
		case errors.Is(err, ErrConflict):
			conflicts++
			continue
		default:
			return revoked, fmt.Errorf("sign out: %w", err)
		}
		if next.last {
			return revoked, nil
		}
	}
	return revoked, fmt.Errorf("sign out: %w", ErrUnavailable)
}

// step is one transaction of a signOut.
type step struct {
	changes []Change
	devices int  // that it ends
	last    bool // it has signOut.last in it
}

// nextStep composes the next one; without changes there is nothing left to do. It looks
// for approvals before it looks for devices: what is collected in between is found as a
// device, and what was found as an approval is a conflict.
func (d *Directory) nextStep(ctx context.Context, u account.User, by Revoker, what signOut, began time.Time) (step, error) {
	var approvals []Change
	moreApprovals := false
	if what.all {
		var err error
		if approvals, moreApprovals, err = d.approvalsToEnd(ctx, u, by, began); err != nil {
			return step{}, err
		}
	}
	devices, moreDevices, err := d.devicesToEnd(ctx, u, by, what, began)
	if err != nil {
		return step{}, err
	}
	next := step{devices: len(devices)}
	if len(what.first) > 0 {
		next.changes = append(next.changes, Change{Op: NewOp(), Effects: what.first})
	}
	if next.last = what.last != nil && !moreDevices && !moreApprovals; next.last {
		next.changes = append(next.changes, *what.last)
	}
	next.changes = slices.Concat(next.changes, devices, approvals)
	return next, nil
}

// devicesToEnd ends up to a batch of devices; more says that there are others. What
// counts is when a device was approved, and not when it collected: an approval from
// before began must not get in while this looks. It is known to the second, so what is
// approved within the second in which this began ends, too.
func (d *Directory) devicesToEnd(ctx context.Context, u account.User, by Revoker, what signOut, began time.Time) (changes []Change, more bool, err error) {
	found, err := d.read.Devices(ctx, u.ID)
	if err != nil {
		return nil, false, err
	}
	for _, dev := range found {
		if ended(dev) || dev.AuthTime.After(began) || !what.all && !slices.Contains(what.ids, dev.ID) {
			continue
		}
		if len(changes) == batch {
			return changes, true, nil
		}
		changes = append(changes, revoking(dev, by))
	}
	return changes, false, nil
}

// approvalsToEnd takes back up to a batch of what was approved and nobody collected.
func (d *Directory) approvalsToEnd(ctx context.Context, u account.User, by Revoker, began time.Time) (changes []Change, more bool, err error) {
	f := Filter{UserID: u.ID, States: []State{Approved}} // of no namespace, too
	open, err := d.service.Store.List(ctx, f, batch)
	for _, r := range open {
		if c, ok := r.cancel(NewOp(), began, by.By); ok && r.Purpose != Transaction && !r.Decision.At.After(began) {
			c.Event.Address = by.Address
			changes = append(changes, c)
		}
	}
	return changes, len(open) == batch && len(changes) > 0, err
}

// signsIn says whether collecting a request of that purpose signs something in.
func (p Purpose) signsIn() bool { return p == SignIn || p == Direct }

// deviceKind is what the request signs in, as its person knows it.
func (r Request) deviceKind() account.DeviceKind {
	switch {
	case r.Purpose == Direct:
		return account.DevicePage
	case r.CodeKind == PollCode && r.TypedHash == nil:
		return account.DeviceServer
	default:
		return account.DeviceScreen
	}
}

// approval is how a device tells what it rests on.
func (r Request) approval(d *account.Device) {
	if by := r.Decision; by != nil {
		d.ApprovedBy, d.ApprovedWith, d.ApprovedVia = string(by.By), cmp.Or(by.PasskeyName, by.ClientName), string(by.Way)
	}
}
