package approval_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
	"github.com/nod-auth/nod/approval/storetest"
)

const face = "native"

// house is a whole core on a real store: one application with a backend and a
// page, and one person with a passkey.
type house struct {
	t       *testing.T
	store   *sqlstore.Store
	tamper  *tampered
	core    *approval.Service
	people  *approval.Directory
	backend account.Client
	page    account.Client
	roads   *roads // nil until h.withPush
	ada     account.User
	key     account.Passkey
}

// inBubble runs a test in fake time: a hold of two minutes takes none.
func inBubble(t *testing.T, test func(t *testing.T, h *house)) {
	t.Helper()
	inQuietBubble(t, func(t *testing.T, h *house) {
		defer h.running()()
		test(t, h)
	})
}

// running runs the core until stop is called.
func (h *house) running() (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	var running sync.WaitGroup
	running.Go(func() { h.core.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// inQuietBubble is a bubble in which nothing sweeps or reaps every five seconds, so
// that a month takes no time either.
func inQuietBubble(t *testing.T, test func(t *testing.T, h *house)) {
	t.Helper()
	path := freshdb.File(t)
	synctest.Test(t, func(t *testing.T) {
		h := build(t, path)
		defer h.store.Close()
		test(t, h)
	})
}

func build(t *testing.T, path string) *house {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), path)
	must(t, err)
	codes, err := approval.NewCodes(bytes.Repeat([]byte{1}, 32))
	must(t, err)
	h := &house{t: t, store: store, tamper: &tampered{Store: store}}
	h.core, err = approval.New(approval.Config{
		Store: h.tamper, Upkeep: store, Codes: codes,
		KeyID: func(context.Context, time.Time) (string, error) { return "kid-1", nil },
	})
	must(t, err)
	h.people = approval.NewDirectory(h.core, store)
	ns, err := h.people.Namespace(t.Context(), "default")
	must(t, err)
	h.backend = h.client(ns, account.ClientManagement, account.MatchType)
	h.page = h.client(ns, account.ClientWeb, account.MatchType)
	h.ada, h.key = h.person(ns, "ada")
	return h
}

func (h *house) client(ns account.Namespace, kind account.ClientType, m account.Match) account.Client {
	h.t.Helper()
	c, err := h.people.CreateClient(h.t.Context(), approval.NewClient{Client: account.Client{
		NamespaceID: ns.ID, Name: "Acme " + string(kind), Type: kind, Match: m, Scopes: account.Scopes,
	}})
	must(h.t, err)
	return c
}

func (h *house) person(ns account.Namespace, name string) (account.User, account.Passkey) {
	h.t.Helper()
	u, err := h.people.CreateUser(h.t.Context(), ns.ID, "", name)
	must(h.t, err)
	p := account.Passkey{
		ID: "00000000-0000-4000-8000-" + (name + "000000000000")[:12], UserID: u.ID, CredentialID: []byte(name), PublicKey: []byte("key"),
		Status: account.PasskeyActive, Name: "Phone of " + name, CreatedAt: u.CreatedAt, UpdatedAt: u.CreatedAt,
	}
	must(h.t, h.store.Apply(h.t.Context(), approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{approval.AddPasskey{Passkey: p}}}))
	return u, p
}

func (h *house) begin(kind approval.CodeKind) approval.Begun {
	h.t.Helper()
	b, err := h.core.Begin(h.t.Context(), h.ask(kind))
	must(h.t, err)
	return b
}

func (h *house) ask(kind approval.CodeKind) approval.Ask {
	return approval.Ask{
		Face: face, Client: h.backend, User: h.ada, Purpose: approval.SignIn, Kind: kind,
		Context: approval.Context{DeviceName: "Living-room TV"},
	}
}

func (h *house) holder(b approval.Begun) approval.Holder {
	return approval.Holder{
		Face: face, Client: h.page, UserID: h.ada.ID, Asked: "ada",
		Kind: b.Request.CodeKind, Code: b.Code, Address: "192.0.2.7",
	}
}

func (h *house) viewer(u account.User) approval.Viewer {
	return approval.Viewer{User: u, Address: "192.0.2.9"}
}

func (h *house) target() approval.Target {
	return approval.Target{NamespaceID: h.ada.NamespaceID, UserID: h.ada.ID, Asked: "ada", Kind: approval.Long, Purpose: approval.SignIn}
}

// approve does what the phone does, with a proof that needs no authenticator:
// package webauthn tests the real one.
func (h *house) approve(ref approval.Ref, number string) (approval.Request, error) {
	v := h.viewer(h.ada)
	q, err := h.core.Prepare(h.t.Context(), ref, v, number)
	if err != nil {
		return approval.Request{}, err
	}
	p := &approval.Proof{UserID: h.ada.ID, PasskeyID: h.key.ID, PasskeyName: h.key.Name, Record: q.Record, Way: q.Way, Matched: q.Matched}
	return h.core.Decide(h.t.Context(), ref, v, approval.Answer{Verdict: approval.Approve, Proof: p})
}

func scanned(b approval.Begun) approval.Ref {
	return approval.Ref{Way: approval.Scanned, Secret: b.Handle}
}

func listed(b approval.Begun) approval.Ref {
	return approval.Ref{Way: approval.Listed, Secret: account.Secret(b.Request.ID)}
}

// ending is how a wait ended.
type ending struct {
	got *approval.Collected
	err error
}

// wait starts a held collect and returns once it sleeps.
func (h *house) wait(ctx context.Context, holder approval.Holder) <-chan ending {
	out := make(chan ending, 1)
	go func() {
		got, err := h.core.Collect(ctx, holder, approval.SignIn, 2*time.Minute)
		out <- ending{got, err}
	}()
	synctest.Wait()
	return out
}

// tampered is the real store with hooks in front, to stop time between two
// steps or to make it unreachable.
type tampered struct {
	approval.Store
	mu       sync.Mutex
	onFind   func()
	onApply  func()
	onList   func(list func())                // around a list
	rewrite  func(c []approval.Change)        // before a commit
	applied  func(c ...approval.Change) error // after a commit; its error is the caller's
	refusal  error                            // of every write
	outage   error
	finds    int
	askedFor int
}

func (s *tampered) set(f func(*tampered)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *tampered) List(ctx context.Context, f approval.Filter, limit int) (found []approval.Request, err error) {
	s.mu.Lock()
	hook := s.onList
	s.mu.Unlock()
	list := func() { found, err = s.Store.List(ctx, f, limit) }
	if hook == nil {
		list()
	} else {
		hook(list)
	}
	return found, err
}

func (s *tampered) Find(ctx context.Context, k approval.Key) (approval.Request, error) {
	s.mu.Lock()
	s.finds++
	hook, outage := s.onFind, s.outage
	s.mu.Unlock()
	if outage != nil {
		return approval.Request{}, outage
	}
	r, err := s.Store.Find(ctx, k)
	if hook != nil {
		hook()
	}
	return r, err
}

func (s *tampered) Apply(ctx context.Context, c ...approval.Change) error {
	s.mu.Lock()
	hook, rewrite, applied, fault := s.onApply, s.rewrite, s.applied, cmp.Or(s.outage, s.refusal)
	s.mu.Unlock()
	if fault != nil {
		return fault
	}
	for _, one := range c {
		if err := storetest.Unaudited(one); err != nil {
			panic(err) // whoever made the change
		}
	}
	if hook != nil {
		hook()
	}
	if rewrite != nil {
		rewrite(c)
	}
	err := s.Store.Apply(ctx, c...)
	if err == nil && applied != nil {
		err = applied(c...)
	}
	return err
}

func (s *tampered) Changed(ctx context.Context, seen []approval.Seen) ([]string, error) {
	s.mu.Lock()
	s.askedFor += len(seen)
	outage := s.outage
	s.mu.Unlock()
	if outage != nil {
		return nil, outage
	}
	return s.Store.Changed(ctx, seen)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
