package approval

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// Directory changes who takes part: users, their passkeys, clients. Every
// change is one transaction with its audit row, and whatever hangs on what ends
// (open requests, sessions) ends in that same transaction. Safe for concurrent
// use.
type Directory struct {
	service *Service
	read    Accounts
}

// Accounts is what the directory reads.
type Accounts interface {
	account.Namespaces
	account.Users
	account.Passkeys
	account.Phones
	account.Clients
	account.Devices
	account.Recoveries
}

// NewDirectory works on the service's store.
func NewDirectory(s *Service, read Accounts) *Directory {
	return &Directory{service: s, read: read}
}

// DefaultNamespace is where clients and users go that name none.
const DefaultNamespace = "default"

// Namespace finds a namespace by id or name, and makes one of that name when
// there is none.
func (d *Directory) Namespace(ctx context.Context, name string) (account.Namespace, error) {
	ns, err := d.read.Namespace(ctx, name)
	if !errors.Is(err, ErrNotFound) {
		return ns, err
	}
	if name, err = requiredText("namespace", name, MaxName); err != nil {
		return account.Namespace{}, err
	}
	now, err := d.service.Store.Now(ctx)
	if err != nil {
		return account.Namespace{}, fmt.Errorf("create namespace: %w", err)
	}
	ns = account.Namespace{ID: randomHex(8), Name: name, CreatedAt: now}
	// Its name makes the operation: of two processes one creates it, and says so.
	ev := Event{Name: EventNamespaceCreated, NamespaceID: ns.ID, Detail: name}
	create := Change{Op: string(ev.Name) + " " + name, Event: ev, Effects: []Effect{AddNamespace{ns}}}
	if err := outcome("create namespace", d.service.apply(ctx, create)); err != nil {
		return account.Namespace{}, err
	}
	return d.read.Namespace(ctx, name) // another process may have been first
}

// CreateUser adds an active user. ErrExists when the name is taken, ErrInvalid
// when it is empty, too long or deceptive.
func (d *Directory) CreateUser(ctx context.Context, namespaceID, clientID, username string, with ...Effect) (account.User, error) {
	u, add, err := d.NewUser(ctx, namespaceID, clientID, username)
	if err != nil {
		return account.User{}, err
	}
	ev := userEvent(EventUserCreated, u)
	ev.ClientID = clientID
	return u, d.apply(ctx, "create user", ev, append([]Effect{add}, with...)...)
}

// NewUser composes a user without storing it: the effect stores it together
// with what else must happen, a first passkey say.
func (d *Directory) NewUser(ctx context.Context, namespaceID, clientID, username string) (account.User, Effect, error) {
	name, err := requiredText("username", username, MaxUsername)
	if err != nil {
		return account.User{}, nil, err
	}
	now, err := d.service.Store.Now(ctx)
	if err != nil {
		return account.User{}, nil, fmt.Errorf("create user: %w", err)
	}
	u := account.User{
		ID: newID(), NamespaceID: namespaceID, ClientID: clientID, Username: name,
		Status: account.UserActive, CreatedAt: now, UpdatedAt: now,
	}
	return u, AddUser{u}, nil
}

// DeleteUser removes the user with everything that hangs on it. Open requests
// are canceled.
func (d *Directory) DeleteUser(ctx context.Context, u account.User, with ...Effect) error {
	return d.endUser(ctx, u, EventUserDeleted, append([]Effect{DeleteUser{u.ID}}, with...))
}

// Deactivate suspends an active user, cancels the open requests and signs the
// phones out. ErrInactive when the user was not active.
func (d *Directory) Deactivate(ctx context.Context, u account.User, with ...Effect) (account.User, error) {
	if !u.Active() {
		return u, fmt.Errorf("deactivate user: %w", ErrInactive)
	}
	effects := []Effect{SetUserStatus{u.ID, account.UserActive, account.UserInactive}, EndSessions{u.ID}}
	if err := d.endUser(ctx, u, EventUserDeactivated, append(effects, with...)); err != nil {
		return u, err
	}
	return d.read.User(ctx, u.ID)
}

// Activate lets a deactivated user take part again. ErrExists when the user is
// active already.
func (d *Directory) Activate(ctx context.Context, u account.User, with ...Effect) (account.User, error) {
	if u.Active() {
		return u, fmt.Errorf("activate user: %w", ErrExists)
	}
	set := SetUserStatus{u.ID, account.UserInactive, account.UserActive}
	err := d.apply(ctx, "activate user", userEvent(EventUserActivated, u), append([]Effect{set}, with...)...)
	if err != nil {
		return u, err
	}
	return d.read.User(ctx, u.ID)
}

func (d *Directory) endUser(ctx context.Context, u account.User, name EventName, effects []Effect) error {
	f := Filter{UserID: u.ID, States: []State{Pending, Approved}}
	return d.end(ctx, f, ByUserEnded, userEvent(name, u), effects, nil)
}

// Invite makes a link's secret with which the user can enrol one passkey on a
// phone, once, within account.InvitationLife.
func (d *Directory) Invite(ctx context.Context, u account.User, with ...Effect) (account.Secret, account.Invitation, error) {
	if !u.Active() {
		return "", account.Invitation{}, fmt.Errorf("invite user: %w", ErrInactive)
	}
	now, err := d.service.Store.Now(ctx)
	if err != nil {
		return "", account.Invitation{}, fmt.Errorf("invite user: %w", err)
	}
	secret := account.NewSecret()
	inv := account.Invitation{Hash: secret.Hash(), UserID: u.ID, CreatedAt: now, Expires: now.Add(account.InvitationLife)}
	err = d.apply(ctx, "invite user", userEvent(EventInvited, u), append([]Effect{AddInvitation{inv}}, with...)...)
	return secret, inv, err
}

// RenamePasskey gives a passkey another name, at most MaxName characters.
func (d *Directory) RenamePasskey(ctx context.Context, u account.User, p account.Passkey, name string, with ...Effect) (account.Passkey, error) {
	name, err := requiredText("name", name, MaxName)
	if err != nil {
		return p, err
	}
	ev := passkeyEvent(EventPasskeyRenamed, u, p)
	if err := d.apply(ctx, "rename passkey", ev, append([]Effect{RenamePasskey{p.ID, name}}, with...)...); err != nil {
		return p, err
	}
	return d.read.Passkey(ctx, p.ID)
}

// RevokePasskey ends a passkey and cancels what it approved and nobody has
// collected. With keepOne it is ErrForbidden to leave the user without any.
func (d *Directory) RevokePasskey(ctx context.Context, u account.User, p account.Passkey, keepOne bool, with ...Effect) (account.Passkey, error) {
	if p.Status == account.PasskeyRevoked {
		return p, fmt.Errorf("revoke passkey: %w", ErrNotFound)
	}
	effects := []Effect{SetPasskeyStatus{p.ID, p.Status, account.PasskeyRevoked}}
	if keepOne {
		effects = append(effects, KeepPasskey{u.ID})
	}
	if err := d.endPasskey(ctx, EventPasskeyRevoked, u, p, append(effects, with...), nil); err != nil {
		return p, err
	}
	return d.read.Passkey(ctx, p.ID)
}

// SuspendPasskey stops a passkey whose signature counter went backwards: there
// may be a copy (WebAuthn L3 section 6.1.1). The user's phones are told.
func (d *Directory) SuspendPasskey(ctx context.Context, u account.User, p account.Passkey, with ...Effect) error {
	effects := append([]Effect{SetPasskeyStatus{p.ID, account.PasskeyActive, account.PasskeyInactive}}, with...)
	return d.endPasskey(ctx, EventPasskeySuspect, u, p, effects, func(now time.Time) ([]Effect, error) {
		return d.service.notice(ctx, u.ID, NoticeSuspended, now)
	})
}

func (d *Directory) endPasskey(ctx context.Context, name EventName, u account.User, p account.Passkey, effects []Effect, more judged) error {
	f := Filter{PasskeyID: p.ID, States: []State{Pending, Approved}}
	return d.end(ctx, f, ByPasskeyEnded, passkeyEvent(name, u, p), effects, more)
}

// NewClient describes a client to be made.
type NewClient struct {
	Client account.Client // ID and CreatedAt are filled in
	Public []byte         // its first key, SubjectPublicKeyInfo DER; nil for none
}

// CreateClient registers a client. ErrInvalid names what is wrong with it.
func (d *Directory) CreateClient(ctx context.Context, n NewClient) (account.Client, error) {
	c := n.Client
	var err error
	if c.Name, err = requiredText("name", c.Name, MaxName); err != nil {
		return c, err
	}
	if c.OAuth, err = checkOAuth(c); err != nil {
		return c, err
	}
	switch {
	case c.Match != "":
	case c.OAuth != nil:
		c.Match = account.MatchMessage
	default:
		c.Match = account.MatchType
	}
	if c.CreatedAt, err = d.service.Store.Now(ctx); err != nil {
		return c, fmt.Errorf("create client: %w", err)
	}
	c.ID = newClientID()
	effects := []Effect{AddClient{c}}
	if n.Public != nil {
		effects = append(effects, AddClientKey{account.ClientKey{
			ID: newID(), ClientID: c.ID, Public: n.Public, CreatedAt: c.CreatedAt,
		}})
	}
	return c, d.apply(ctx, "create client", clientEvent(EventClientCreated, c), effects...)
}

// AddClientKey adds a public key, so that a client can rotate. ErrTooMany when
// it has account.MaxClientKeys already.
func (d *Directory) AddClientKey(ctx context.Context, c account.Client, public []byte) (account.ClientKey, error) {
	now, err := d.service.Store.Now(ctx)
	if err != nil {
		return account.ClientKey{}, fmt.Errorf("add client key: %w", err)
	}
	k := account.ClientKey{ID: newID(), ClientID: c.ID, Public: public, CreatedAt: now}
	return k, d.apply(ctx, "add client key", clientEvent(EventClientKeyAdded, c), AddClientKey{k})
}

// RemoveClientKey ends one key: tokens signed with it are refused from then on.
func (d *Directory) RemoveClientKey(ctx context.Context, c account.Client, keyID string) error {
	return d.apply(ctx, "remove client key", clientEvent(EventClientKeyRemoved, c), RemoveClientKey{ClientID: c.ID, ID: keyID})
}

// DeleteClient removes a client and cancels its open requests.
func (d *Directory) DeleteClient(ctx context.Context, c account.Client) error {
	f := Filter{ClientID: c.ID, States: []State{Pending, Approved}}
	return d.end(ctx, f, ByClientEnded, clientEvent(EventClientDeleted, c), []Effect{DeleteClient{c.ID}}, nil)
}

// Record makes changes true that were composed elsewhere and concern accounts
// alone, no request: a passkey that was made, a person who signed in on a phone.
func (d *Directory) Record(ctx context.Context, changes ...Change) error {
	return heard(d.service.apply(ctx, changes...))
}

// end ends something and cancels everything open that hangs on it.
func (d *Directory) end(ctx context.Context, f Filter, why By, ev Event, effects []Effect, more judged) error {
	return outcome(string(ev.Name), d.service.cancelAll(ctx, f, why, Change{Op: NewOp(), Event: ev, Effects: effects}, more))
}

func (d *Directory) apply(ctx context.Context, what string, ev Event, effects ...Effect) error {
	return outcome(what, d.service.apply(ctx, Change{Op: NewOp(), Event: ev, Effects: effects}))
}

// outcome names what was done. A conflict means that what the caller had just
// read was changed by another.
func outcome(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, heard(err))
	}
	return nil
}

func userEvent(name EventName, u account.User) Event {
	return Event{Name: name, NamespaceID: u.NamespaceID, UserID: u.ID, Detail: u.Username}
}

func passkeyEvent(name EventName, u account.User, p account.Passkey) Event {
	return Event{Name: name, NamespaceID: u.NamespaceID, UserID: u.ID, PasskeyID: p.ID, Detail: p.Name}
}

func clientEvent(name EventName, c account.Client) Event {
	return Event{Name: name, NamespaceID: c.NamespaceID, ClientID: c.ID, Detail: c.Name}
}

// requiredText is CleanText for a name that must not be empty.
func requiredText(field, s string, max int) (string, error) {
	if strings.TrimSpace(s) == "" {
		return "", &InvalidError{field, "must not be empty"}
	}
	return CleanText(field, s, max)
}

// newClientID draws 256 bits in the form the native contract describes: base64
// text of 44 characters. None begins with a dash: it would read as a flag where
// somebody types it.
func newClientID() string {
	for {
		var b [32]byte
		rand.Read(b[:]) // never fails, Go 1.24 and later
		if id := base64.URLEncoding.EncodeToString(b[:]); id[0] != '-' {
			return id
		}
	}
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}
