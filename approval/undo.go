package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// Undo takes back an approval of the viewer's: what nobody has collected yet is
// canceled and nobody ever will, and what was signed in with it is signed out. What
// came to nothing already stays so.
//
// A passkey that was added with it is deleted like in Directory.RevokePasskey, with
// every passkey that it approved or vouched for, and theirs; and other than there, what
// they have let in is signed out, and the recovery codes that they vouched for are void:
// all of it came of this one approval. Only what the
// viewer signed in with, and what came of that, stays, unless it is the very passkey that
// was added. ErrForbidden when no active passkey would be left; then nothing has changed.
// What is more than a batch ends in several transactions, the passkeys in the first.
//
// A DecidedError where there is nothing that could be undone: no approval, a text that
// was agreed to, a passkey of which nobody wrote down what it was added by.
func (s *Service) Undo(ctx context.Context, requestID string, v Viewer) (Request, error) {
	return s.undo(ctx, requestID, v, ByOwner)
}

// undo is Undo, or the part of a report that is (Report).
func (s *Service) undo(ctx context.Context, requestID string, v Viewer, why By) (Request, error) {
	r, err := s.takeBack(ctx, requestID, v.User, Revoker{ByOwner, v.Address})
	if err != nil || !r.addedPasskey() {
		return r, err
	}
	if err := s.endAdded(ctx, r, v, why); err != nil {
		return r, fmt.Errorf("undo: %w", heard(err))
	}
	return r, nil
}

// TakeBack is Undo for an approval of u's by whoever may speak for them, but for the
// passkey that was added with one: a DecidedError, because deleting that takes more than
// signing devices out.
func (s *Service) TakeBack(ctx context.Context, requestID string, u account.User, by Revoker) (Request, error) {
	r, err := s.takeBack(ctx, requestID, u, by)
	if err == nil && r.addedPasskey() {
		err = fmt.Errorf("undo: %w", &DecidedError{r.State})
	}
	return r, err
}

// takeBack takes back all of an approval but a passkey that was added with it.
func (s *Service) takeBack(ctx context.Context, requestID string, u account.User, by Revoker) (Request, error) {
	ref := Ref{Way: Listed, Secret: account.Secret(requestID)}
	return s.onRef(ctx, "undo", ref, Viewer{User: u}, func(r Request, op string, now time.Time) (*Change, error) {
		c, err := s.takingBack(ctx, r, by, now)
		if c != nil {
			c.Op, c.Event.Address = op, by.Address
		}
		return c, err
	})
}

func (s *Service) takingBack(ctx context.Context, r Request, by Revoker, now time.Time) (*Change, error) {
	switch {
	case r.State == Approved:
		c, _ := r.cancel("", now, by.By)
		return &c, nil
	case r.State == Canceled, r.State == Lapsed, r.addedPasskey():
		return nil, nil
	case r.State != Redeemed || !r.Purpose.signsIn():
		return nil, &DecidedError{r.State}
	}
	d, err := s.Store.Device(ctx, r.Grant.SID)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && ended(d):
		return nil, nil
	case err != nil:
		return nil, err
	}
	c := revoking(d, by)
	return &c, nil
}

// addedPasskey says whether a passkey was made with the request.
func (r Request) addedPasskey() bool { return r.State == Redeemed && r.Purpose == AddCredential }

// Added is what came of a request for a new passkey.
type Added struct {
	// Passkeys are the one that was made with the request, first, and those that came of
	// it (account.Passkey.VouchedBy); none where nobody wrote down what it was made by.
	Passkeys []account.Passkey
	// Devices are what these let in.
	Devices []account.Device
}

// Deleted says whether the passkey that was made with the request is.
func (a Added) Deleted() bool {
	return len(a.Passkeys) > 0 && a.Passkeys[0].Status == account.PasskeyRevoked
}

// Added reads what came of a request of u's; nothing unless a passkey was made with it.
func (s *Service) Added(ctx context.Context, u account.User, r Request) (Added, error) {
	found, err := s.added(ctx, u, r, "")
	if err != nil {
		return Added{}, fmt.Errorf("find what was added: %w", err)
	}
	return found, nil
}

// added leaves out the passkey that is spared and what came of that, except at the root.
func (s *Service) added(ctx context.Context, u account.User, r Request, spared string) (Added, error) {
	if !r.addedPasskey() {
		return Added{}, nil
	}
	all, err := s.Store.Passkeys(ctx, u.ID)
	if err != nil {
		return Added{}, err
	}
	found := Added{Passkeys: family(all, r.ID, spared)}
	if len(found.Passkeys) == 0 {
		return found, nil
	}
	found.Devices, err = s.Store.Devices(ctx, u.ID)
	found.Devices = slices.DeleteFunc(found.Devices, func(d account.Device) bool {
		return !slices.ContainsFunc(found.Passkeys, func(p account.Passkey) bool { return p.ID == d.PasskeyID })
	})
	return found, err
}

// family is the passkey that a request added, and whatever came of it.
func family(all []account.Passkey, requestID, spared string) []account.Passkey {
	root := slices.IndexFunc(all, func(p account.Passkey) bool { return p.RequestID == requestID })
	if root < 0 {
		return nil
	}
	out := []account.Passkey{all[root]}
	for i := 0; i < len(out); i++ { // it grows
		for _, p := range all {
			known := slices.ContainsFunc(out, func(o account.Passkey) bool { return o.ID == p.ID })
			if p.VouchedBy == out[i].ID && p.ID != spared && !known {
				out = append(out, p)
			}
		}
	}
	return out
}

// endAdded ends what came of a request in steps of a batch, each judged again when
// something of it moved meanwhile, until nothing is left. The first one shuts the door:
// nothing is collected, vouched for or signed in with a passkey that is revoked.
func (s *Service) endAdded(ctx context.Context, r Request, v Viewer, why By) error {
	for conflicts := 0; conflicts < maxConflicts; {
		found, err := s.added(ctx, v.User, r, v.PasskeyID)
		switch {
		case err != nil:
			return err
		case why == ByReport && (len(found.Passkeys) == 0 || found.Passkeys[0].ID == v.PasskeyID):
			return nil
		case len(found.Passkeys) == 0:
			return &DecidedError{r.State}
		}
		changes, err := s.endingAdded(ctx, r, found, v, why)
		if err != nil || len(changes) == 0 {
			return err
		}
		if err = s.apply(ctx, changes...); errors.Is(err, ErrConflict) {
			conflicts++
		} else if err != nil {
			return err
		}
	}
	return ErrUnavailable
}

// endingAdded composes the next step of endAdded.
func (s *Service) endingAdded(ctx context.Context, r Request, found Added, v Viewer, why By) ([]Change, error) {
	changes := deleting(r, found.Passkeys, v, why)
	by, ending := Revoker{ByPasskeyEnded, v.Address}, 0
	for _, d := range found.Devices {
		if !ended(d) && ending < batch {
			changes = append(changes, revoking(d, by))
			ending++
		}
	}
	now, err := s.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range found.Passkeys {
		open, err := s.Store.List(ctx, Filter{PasskeyID: p.ID, States: []State{Approved}}, batch)
		if err != nil {
			return nil, err
		}
		for _, r := range open {
			if c, ok := r.cancel(NewOp(), now, by.By); ok {
				c.Event.Address = by.Address
				changes = append(changes, c)
			}
		}
	}
	return changes, nil
}

// deleting revokes those passkeys that are not yet. Without a report one must be left.
func deleting(r Request, passkeys []account.Passkey, v Viewer, why By) []Change {
	var changes []Change
	for _, p := range passkeys {
		if p.Status == account.PasskeyRevoked {
			continue
		}
		ev := passkeyEvent(EventPasskeyRevoked, v.User, p)
		ev.RequestID, ev.Address = r.ID, v.Address
		ev.Detail = strings.TrimSpace(string(why) + " " + p.Name)
		changes = append(changes, Change{
			Op: NewOp(), Event: ev,
			Effects: []Effect{
				SetPasskeyStatus{p.ID, p.Status, account.PasskeyRevoked}, EndRecovery{v.User.ID, p.ID},
			},
		})
	}
	if n := len(changes); n > 0 && why != ByReport {
		changes[n-1].Effects = append(changes[n-1].Effects, KeepPasskey{v.User.ID})
	}
	return changes
}
