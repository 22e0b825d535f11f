package approval

import (
	"context"
	"errors"
	"fmt"

	"github.com/nod-auth/nod/approval/account"
)

// NewPhone is a phone to be registered.
type NewPhone struct {
	Kind   account.PhoneKind
	Target account.Secret // where it is reached: the kind says in which form
	Name   string         // what its software calls itself; "" for a name by its kind
}

var phoneNames = map[account.PhoneKind]string{
	account.PhoneWebPush: "Browser", account.PhoneFCM: "App", account.PhoneEmail: "E-mail",
}

// RegisterPhone lets a user's phone be told of what waits. The same place again
// is the same phone. A place that was another user's becomes this one's: whoever
// is signed in on a device is who holds it. ErrInvalid says what is wrong with
// the target, ErrTooMany that the user has account.MaxPhones already, ErrInactive
// that the user ended.
func (d *Directory) RegisterPhone(ctx context.Context, u account.User, n NewPhone, address string, with ...Effect) (account.Phone, error) {
	var p account.Phone
	var err error
	for range maxConflicts {
		var changes []Change
		if p, changes, err = d.registering(ctx, u, n, address); err == nil {
			changes[0].Effects = append(changes[0].Effects, with...)
			err = d.service.apply(ctx, changes...)
		}
		// The place was registered, removed or moved after it was looked up.
		if !errors.Is(err, ErrExists) && !errors.Is(err, ErrNotFound) {
			break
		}
	}
	if err != nil {
		return account.Phone{}, outcome("register phone", err)
	}
	return p, nil
}

// registering composes what makes the phone the user's, as things stand.
func (d *Directory) registering(ctx context.Context, u account.User, n NewPhone, address string) (account.Phone, []Change, error) {
	p, err := d.newPhone(ctx, u, n)
	if err != nil {
		return account.Phone{}, nil, err
	}
	was, err := d.read.PhoneByHash(ctx, p.Hash)
	known := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return account.Phone{}, nil, err
	}
	if known && was.UserID == u.ID {
		p.ID, p.CreatedAt, p.ReachedAt = was.ID, was.CreatedAt, was.ReachedAt
	}
	if p.Sealed, err = d.service.Reach.Seal(p.ID, n.Target); err != nil {
		return account.Phone{}, nil, err
	}
	needs := Needs{UserID: u.ID}
	if p.ID == was.ID {
		refresh := RefreshPhone{ID: p.ID, UserID: u.ID, Name: p.Name, Sealed: p.Sealed}
		return p, []Change{{Op: NewOp(), Needs: needs, Effects: []Effect{refresh}}}, nil
	}
	add := Change{Op: NewOp(), Needs: needs, Event: phoneEvent(EventPhoneAdded, u, p, address), Effects: []Effect{AddPhone{p}}}
	if !known {
		return p, []Change{add}, nil
	}
	owner, err := d.read.User(ctx, was.UserID)
	return p, []Change{removing(EventPhoneRemoved, owner, was, address), add}, err
}

// newPhone is the phone, except for its place's seal.
func (d *Directory) newPhone(ctx context.Context, u account.User, n NewPhone) (account.Phone, error) {
	if d.service.Reach == nil || !n.Kind.Known() {
		return account.Phone{}, &InvalidError{"kind", "must be one that this server can reach"}
	}
	name, err := CleanText("name", n.Name, MaxName)
	if err != nil {
		return account.Phone{}, err
	}
	if name == "" {
		name = phoneNames[n.Kind]
	}
	hash, err := d.service.Reach.Check(u.ID, n.Kind, n.Target)
	if err != nil {
		return account.Phone{}, err
	}
	now, err := d.service.Store.Now(ctx)
	return account.Phone{ID: newID(), UserID: u.ID, Kind: n.Kind, Name: name, Hash: hash, CreatedAt: now, SeenAt: now}, err
}

// RemovePhone takes one of a user's phones away. ErrNotFound when it is not theirs.
func (d *Directory) RemovePhone(ctx context.Context, u account.User, id, address string, with ...Effect) error {
	p, err := d.PhoneOf(ctx, u, id)
	if err == nil {
		c := removing(EventPhoneRemoved, u, p, address)
		c.Effects = append(c.Effects, with...)
		err = d.service.apply(ctx, c)
	}
	return outcome("remove phone", err)
}

// PhoneGone takes a phone away because its provider says that it is no more.
func (d *Directory) PhoneGone(ctx context.Context, p account.Phone) error {
	u, err := d.read.User(ctx, p.UserID)
	if err == nil {
		err = d.service.apply(ctx, removing(EventPhoneGone, u, p, ""))
	}
	if errors.Is(err, ErrNotFound) { // it went with its user, or its owner was faster
		return nil
	}
	return outcome("remove phone that is gone", err)
}

// PhoneOf finds one of a user's phones; ErrNotFound when it is not theirs.
func (d *Directory) PhoneOf(ctx context.Context, u account.User, id string) (account.Phone, error) {
	p, err := d.read.Phone(ctx, id)
	if err == nil && p.UserID != u.ID {
		err = fmt.Errorf("phone %s: %w", id, ErrNotFound)
	}
	return p, err
}

func removing(name EventName, u account.User, p account.Phone, address string) Change {
	return Change{
		Op: NewOp(), Event: phoneEvent(name, u, p, address),
		Effects: []Effect{RemovePhone{ID: p.ID, UserID: p.UserID}},
	}
}

func phoneEvent(name EventName, u account.User, p account.Phone, address string) Event {
	return Event{Name: name, NamespaceID: u.NamespaceID, UserID: u.ID, Address: address, Detail: p.Name}
}
