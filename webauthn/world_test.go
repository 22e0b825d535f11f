package webauthn_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
	"github.com/nod-auth/nod/webauthn"
	"github.com/nod-auth/nod/webauthn/virtual"
)

const (
	rpID      = "nod.example"
	ownOrigin = "https://nod.example"
	appOrigin = "https://app.example"
	face      = "native"
)

// world is a small nod: one client, Alice with a passkey on her phone, and a
// clock that a test may move.
type world struct {
	*testing.T
	*webauthn.Ceremonies
	config  webauthn.Config
	store   *sqlstore.Store
	service *approval.Service
	dir     *approval.Directory
	path    string
	ahead   atomic.Int64 // nanoseconds the store's clock is ahead

	client  account.Client
	alice   account.User
	passkey account.Passkey
	phone   *virtual.Authenticator
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, path: freshdb.File(t), phone: virtual.New()}
	var err error
	w.store, err = sqlstore.Open(w.Context(), w.path, sqlstore.WithClock(func() time.Time {
		return time.Now().Add(time.Duration(w.ahead.Load()))
	}))
	w.ok(err)
	t.Cleanup(func() { w.store.Close() })
	codes, err := approval.NewCodes(bytes.Repeat([]byte{1}, 32))
	w.ok(err)
	w.service, err = approval.New(approval.Config{
		Store: w.store, Upkeep: w.store, Codes: codes,
		KeyID: func(context.Context, time.Time) (string, error) { return "key-1", nil },
	})
	w.ok(err)
	w.dir = approval.NewDirectory(w.service, w.store)
	w.config = webauthn.Config{
		RPID: rpID, RPName: "nod", Origin: ownOrigin, Service: w.service, Directory: w.dir,
		Ceremonies: w.store, Accounts: w.store, InventKey: bytes.Repeat([]byte{2}, 32),
	}
	w.Ceremonies, err = webauthn.New(w.config)
	w.ok(err)
	w.populate()
	return w
}

func (w *world) populate() {
	w.Helper()
	ns, err := w.dir.Namespace(w.Context(), approval.DefaultNamespace)
	w.ok(err)
	w.client = w.newClient(ns.ID, "Acme TV")
	w.alice = w.newUser("alice")
	w.alice, w.passkey = w.enrol(w.alice, w.phone)
}

func (w *world) newClient(namespaceID, name string) account.Client {
	w.Helper()
	c, err := w.dir.CreateClient(w.Context(), approval.NewClient{Client: account.Client{
		NamespaceID: namespaceID, Name: name, Type: account.ClientWeb, Origins: []string{appOrigin}, OpenRegistration: true,
	}})
	w.ok(err)
	return c
}

func (w *world) newUser(name string) account.User {
	w.Helper()
	u, err := w.dir.CreateUser(w.Context(), w.client.NamespaceID, w.client.ID, name)
	w.ok(err)
	return u
}

func (w *world) enrol(u account.User, with *virtual.Authenticator) (account.User, account.Passkey) {
	w.Helper()
	secret, _, err := w.dir.Invite(w.Context(), u)
	w.ok(err)
	o, invited, err := w.BeginEnrol(w.Context(), secret)
	w.ok(err)
	if invited.ID != u.ID {
		w.Fatalf("invited user: got %s, want %s", invited.ID, u.ID)
	}
	u, k, err := w.Enrol(w.Context(), secret, w.made(with, ownOrigin, o), "", "192.0.2.1")
	w.ok(err)
	return u, k
}

// ask puts a question to Alice and returns the reference her phone scans.
func (w *world) ask(c approval.Context) (approval.Begun, approval.Ref) {
	w.Helper()
	b, err := w.service.Begin(w.Context(), approval.Ask{
		Face: face, Client: w.client, User: w.alice, Purpose: approval.SignIn, Kind: approval.Short, Context: c,
	})
	w.ok(err)
	return b, approval.Ref{Way: approval.Scanned, Secret: b.Handle}
}

func (w *world) viewer() approval.Viewer {
	return approval.Viewer{User: w.alice, Address: "192.0.2.1"}
}

func (w *world) holder() approval.Holder {
	return approval.Holder{Face: face, Client: w.client, Address: "192.0.2.9"}
}

func (w *world) answered(a *virtual.Authenticator, origin string, o webauthn.RequestOptions) webauthn.Assertion {
	w.Helper()
	got, err := a.Get(origin, o)
	w.ok(err)
	return got
}

func (w *world) made(a *virtual.Authenticator, origin string, o webauthn.CreationOptions) webauthn.Attestation {
	w.Helper()
	got, err := a.Create(origin, o)
	w.ok(err)
	return got
}

// signingIn is an answer to a fresh sign-in ceremony.
func (w *world) signingIn() webauthn.Assertion {
	w.Helper()
	o, err := w.BeginSignIn(w.Context())
	w.ok(err)
	return w.answered(w.phone, ownOrigin, o)
}

func (w *world) signIn(a webauthn.Assertion) error {
	_, _, err := w.SignIn(w.Context(), a, "192.0.2.1")
	return err
}

// approving is an answer to a fresh ceremony for the request.
func (w *world) approving(ref approval.Ref) webauthn.Assertion {
	w.Helper()
	o, err := w.BeginApproval(w.Context(), ref, w.viewer(), "")
	w.ok(err)
	return w.answered(w.phone, ownOrigin, o)
}

func (w *world) approve(ref approval.Ref, a webauthn.Assertion) error {
	_, err := w.Approve(w.Context(), ref, w.viewer(), a)
	return err
}

func (w *world) state(id string) approval.State {
	w.Helper()
	r, err := w.store.Find(w.Context(), approval.Key{ID: id})
	w.ok(err)
	return r.State
}

func (w *world) stored() account.Passkey {
	w.Helper()
	k, err := w.store.Passkey(w.Context(), w.passkey.ID)
	w.ok(err)
	return k
}

// count is how many audit rows of Alice's have the name.
func (w *world) count(userID string, name approval.EventName) int {
	w.Helper()
	events, err := w.store.Events(w.Context(), userID, 1000)
	w.ok(err)
	n := 0
	for _, e := range events {
		if e.Name == name {
			n++
		}
	}
	return n
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func wants(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
