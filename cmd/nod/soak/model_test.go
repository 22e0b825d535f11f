package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/testservers"
)

// TestService_is_what_the_reference_says makes random calls on the core over each
// store and compares every answer, and every request afterwards, with the plain
// reference.
func TestService_is_what_the_reference_says(t *testing.T) {
	many, fewer := 15_000, 5_000 // 20,000 together; PostgreSQL takes several times as long for each
	if soaking {
		many, fewer = 800_000, 200_000
	}
	t.Run("SQLite", func(t *testing.T) { compare(t, filepath.Join(t.TempDir(), "nod.db"), many) })
	t.Run("PostgreSQL", func(t *testing.T) { // nothing crashes here, so nothing waits for the disk
		compare(t, testservers.StartPostgres(t, "fsync=off").Fresh(), fewer)
	})
}

// core is the rules over a store, with a clock that the test moves.
type core struct {
	now     time.Time
	store   *sqlstore.Store
	service *approval.Service
	people  *approval.Directory
	space   account.Namespace
	clients []account.Client
	users   int
	calls   int
}

const modelFace = "native"

func compare(t *testing.T, where string, calls int) {
	c := newCore(t, where)
	for c.calls < calls && !t.Failed() {
		rapid.Check(t, func(t *rapid.T) { newModel(t, c).run(t) })
	}
	t.Logf("%d calls", c.calls)
}

func newCore(t *testing.T, where string) *core {
	t.Helper()
	c := &core{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	c.store, err = sqlstore.Open(t.Context(), where, sqlstore.WithClock(func() time.Time { return c.now }))
	must(err)
	t.Cleanup(func() { _ = c.store.Close() })
	codes, err := approval.NewCodes(bytes.Repeat([]byte{1}, 32))
	must(err)
	c.service, err = approval.New(approval.Config{
		Store: c.store, Upkeep: c.store, Codes: codes,
		KeyID: func(context.Context, time.Time) (string, error) { return "kid", nil },
	})
	must(err)
	c.people = approval.NewDirectory(c.service, c.store)
	c.space, err = c.people.Namespace(t.Context(), approval.DefaultNamespace)
	must(err)
	for range 2 {
		made, err := c.people.CreateClient(t.Context(), approval.NewClient{Client: account.Client{
			NamespaceID: c.space.ID, Name: "Acme", Type: account.ClientManagement, Match: account.MatchType, Scopes: account.Scopes,
		}})
		must(err)
		c.clients = append(c.clients, made)
	}
	return c
}

// model is one person's requests, in the house and in the reference.
type model struct {
	*core
	ctx    context.Context
	user   account.User
	key    account.Passkey
	active bool
	begun  []approval.Begun
	plain  []*plain
}

func newModel(t *rapid.T, c *core) *model {
	m := &model{core: c, ctx: context.Background(), active: true}
	var err error
	c.users++
	name := fmt.Sprintf("person %d", c.users)
	if m.user, err = c.people.CreateUser(m.ctx, c.space.ID, "", name); err != nil {
		t.Fatal(err)
	}
	m.key = account.Passkey{
		ID: approval.NewOp(), UserID: m.user.ID, CredentialID: []byte(name), PublicKey: []byte("key"),
		Status: account.PasskeyActive, Name: "Phone", CreatedAt: c.now, UpdatedAt: c.now,
	}
	add := approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{approval.AddPasskey{Passkey: m.key}}}
	if err = c.store.Apply(m.ctx, add); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *model) run(t *rapid.T) {
	t.Repeat(map[string]func(*rapid.T){
		"":           m.agree,
		"begin":      m.begin,
		"authorize":  m.authorize,
		"approve":    m.approve,
		"decline":    m.decline,
		"mistype":    m.mistype,
		"open":       m.open,
		"collect":    m.collect,
		"collect2":   m.collect, // as often as all else
		"give up":    m.giveUp,
		"invalidate": m.invalidate,
		"deactivate": m.deactivate,
		"activate":   m.activate,
		"time": func(t *rapid.T) {
			m.now = m.now.Add(time.Duration(rapid.IntRange(1, 240).Draw(t, "seconds")) * time.Second)
		},
	})
	m.audited(t)
}

// pick chooses a request; there may be none yet.
func (m *model) pick(t *rapid.T) (approval.Begun, *plain) {
	if len(m.begun) == 0 {
		t.Skip("nothing was asked yet")
	}
	i := rapid.IntRange(0, len(m.begun)-1).Draw(t, "request")
	return m.begun[i], m.plain[i]
}

func (m *model) expect(t *rapid.T, what string, got, want error) {
	m.calls++
	if !errors.Is(got, want) || want == nil && got != nil {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func (m *model) viewer(phone string) approval.Viewer {
	return approval.Viewer{User: m.user, Address: "192.0.2.9", Phone: phone}
}

func scannedRef(b approval.Begun) approval.Ref {
	return approval.Ref{Way: approval.Scanned, Secret: b.Handle}
}

func listedRef(b approval.Begun) approval.Ref {
	return approval.Ref{Way: approval.Listed, Secret: account.Secret(b.Request.ID)}
}

func (m *model) begin(t *rapid.T) {
	if len(m.begun) == 8 {
		t.Skip("enough requests")
	}
	kind := rapid.SampledFrom([]approval.CodeKind{approval.Short, approval.Long}).Draw(t, "kind")
	ask := approval.Ask{Face: modelFace, Client: m.clients[0], User: m.user, Purpose: approval.SignIn, Kind: kind}
	vouched := rapid.IntRange(0, 4).Draw(t, "vouch") == 0
	if vouched {
		ask.Vouch = &approval.Vouch{Decision: approval.Decision{By: approval.ByBackend, ClientID: m.clients[0].ID}}
	}
	b, err := m.service.Begin(m.ctx, ask)
	if !m.active {
		m.expect(t, "begin", err, approval.ErrInactive)
		return
	}
	m.expect(t, "begin", err, nil)
	p := &plain{state: approval.Pending, version: 1, life: m.now.Add(approval.DefaultLives[kind])}
	if vouched {
		p.move(approval.Approved)
	}
	m.begun, m.plain = append(m.begun, b), append(m.plain, p)
}

func (m *model) target(kind approval.CodeKind) approval.Target {
	return approval.Target{NamespaceID: m.space.ID, UserID: m.user.ID, Asked: m.user.Username, Kind: kind, Purpose: approval.SignIn}
}

func (m *model) authorize(t *rapid.T) {
	b, p := m.pick(t)
	_, err := m.service.Authorize(m.ctx, m.target(b.Request.CodeKind), b.Code, m.clients[0])
	m.expect(t, "authorize", err, p.authorize(m.now))
}

// approve is what a phone does with a passkey; package webauthn tests the real one.
func (m *model) approve(t *rapid.T) {
	b, p := m.pick(t)
	ref, number := scannedRef(b), ""
	if rapid.Bool().Draw(t, "listed") {
		ref, number = listedRef(b), b.MatchNumber.Reveal()
	}
	want := p.undecided(m.now)
	q, err := m.service.Prepare(m.ctx, ref, m.viewer("a"), number)
	m.expect(t, "prepare", err, want)
	if err != nil {
		return
	}
	proof := &approval.Proof{UserID: m.user.ID, PasskeyID: m.key.ID, Record: q.Record, Way: q.Way, Matched: q.Matched}
	_, err = m.service.Decide(m.ctx, ref, m.viewer("a"), approval.Answer{Verdict: approval.Approve, Proof: proof})
	m.expect(t, "approve", err, p.decide(m.now, approval.Approved))
}

func (m *model) decline(t *rapid.T) {
	b, p := m.pick(t)
	_, err := m.service.Decide(m.ctx, scannedRef(b), m.viewer("a"), approval.Answer{Verdict: approval.Decline})
	m.expect(t, "decline", err, p.decide(m.now, approval.Denied))
}

func (m *model) mistype(t *rapid.T) {
	b, p := m.pick(t)
	wrong := "000000"
	if b.MatchNumber.Reveal() == wrong {
		wrong = "000001"
	}
	_, err := m.service.Prepare(m.ctx, listedRef(b), m.viewer("a"), wrong)
	m.expect(t, "mistype", err, p.guess(m.now))
}

func (m *model) open(t *rapid.T) {
	b, p := m.pick(t)
	phone := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "phone")
	_, err := m.service.Opened(m.ctx, scannedRef(b), m.viewer(phone))
	m.expect(t, "open", err, p.open(m.now, phone))
}

func (m *model) holder(t *rapid.T, b approval.Begun) approval.Holder {
	return approval.Holder{
		Face: modelFace, Client: rapid.SampledFrom(m.clients).Draw(t, "client"), UserID: m.user.ID, Asked: m.user.Username,
		Kind: b.Request.CodeKind, Code: b.Code, Address: rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2"}).Draw(t, "from"),
	}
}

func (m *model) collect(t *rapid.T) {
	b, p := m.pick(t)
	h := m.holder(t, b)
	got, err := m.service.Collect(m.ctx, h, approval.SignIn, 0)
	m.expect(t, "collect", err, p.collect(m.now, h.Client.ID, h.Address))
	if err != nil {
		return
	}
	if p.token == "" {
		p.token = got.Grant.JTI
	}
	if got.Grant.JTI != p.token {
		t.Fatalf("collect: got token %s, want the one there is, %s", got.Grant.JTI, p.token)
	}
}

func (m *model) giveUp(t *rapid.T) {
	b, p := m.pick(t)
	err := m.service.Cancel(m.ctx, m.holder(t, b), approval.SignIn)
	p.cancel(m.now, approval.ByHolder)
	m.expect(t, "give up", err, nil)
}

func (m *model) invalidate(t *rapid.T) {
	kind := rapid.SampledFrom([]approval.CodeKind{approval.Short, approval.Long}).Draw(t, "kind")
	_, err := m.service.InvalidateAll(m.ctx, m.target(kind))
	m.expect(t, "invalidate", err, nil)
	for i, p := range m.plain {
		if m.begun[i].Request.CodeKind == kind {
			p.cancel(m.now, approval.ByBackend)
			p.revoke()
		}
	}
}

func (m *model) deactivate(t *rapid.T) {
	u, err := m.people.Deactivate(m.ctx, m.user)
	if !m.active {
		m.expect(t, "deactivate", err, approval.ErrInactive)
		return
	}
	m.expect(t, "deactivate", err, nil)
	m.user, m.active = u, false
	for _, p := range m.plain {
		p.cancel(m.now, approval.ByUserEnded)
	}
}

func (m *model) activate(t *rapid.T) {
	u, err := m.people.Activate(m.ctx, m.user)
	if m.active {
		m.expect(t, "activate", err, approval.ErrExists)
		return
	}
	m.expect(t, "activate", err, nil)
	m.user, m.active = u, true
}

// agree compares what the store holds with the reference.
func (m *model) agree(t *rapid.T) {
	for i, p := range m.plain {
		r, err := m.store.Find(m.ctx, approval.Key{ID: m.begun[i].Request.ID})
		if err != nil {
			t.Fatal(err)
		}
		if r.State != p.state || r.Version != p.version || !r.Expires.Equal(p.life) {
			t.Fatalf("request %d: got %s, version %d, until %s; want %s, %d, %s", i, r.State, r.Version, r.Expires, p.state, p.version, p.life)
		}
	}
}

// audited is I18: as many audit rows as transitions.
func (m *model) audited(t *rapid.T) {
	events, err := m.store.Events(m.ctx, m.user.ID, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]int64)
	for _, e := range events {
		rows[e.RequestID]++
	}
	for i, p := range m.plain {
		if got := rows[m.begun[i].Request.ID]; got != p.version {
			t.Fatalf("request %d: got %d audit rows, want %d", i, got, p.version)
		}
	}
}
