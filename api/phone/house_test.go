package phone_test

import (
	"bytes"
	"context"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/goleak"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/api/internal/contract"
	"github.com/nod-auth/nod/api/phone"
	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/localbus"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
	"github.com/nod-auth/nod/web"
	"github.com/nod-auth/nod/webauthn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// document is the HTTP contract, which every reply is held to.
var document = sync.OnceValue(func() *contract.Document {
	text, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		panic(err)
	}
	d, err := contract.Load(text)
	if err != nil {
		panic(err)
	}
	return d
})

// clock is the store's, so that days pass at once.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time           { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(by time.Duration) { c.ahead.Add(int64(by)) }

// house is the face on the real core and a real store, served on a free port.
type house struct {
	t         testing.TB
	url       string
	dir       string // of the store
	server    *httptest.Server
	config    phone.Config
	engine    *gin.Engine
	clock     *clock
	reach     *apitest.Reach
	push      *apitest.Push
	store     *sqlstore.Store
	service   *approval.Service
	directory *approval.Directory
	namespace account.Namespace
	client    account.Client
}

// houseAt makes a house whose public URL is the one given, "" for the server's.
func houseAt(t testing.TB, public string) *house {
	t.Helper()
	h := &house{t: t, clock: &clock{}, push: &apitest.Push{}}
	h.server = httptest.NewUnstartedServer(nil)
	h.url = "http://localhost:" + port(h.server.Listener.Addr().String())
	if public == "" {
		public = h.url
	}
	h.furnish(public)
	h.server.Config.Handler = h.engine
	h.server.Start()
	t.Cleanup(func() {
		h.service.Hub.Drain()
		h.server.Close()
	})
	return h
}

func newHouse(t testing.TB) *house { t.Helper(); return houseAt(t, "") }

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }

func (h *house) furnish(public string) {
	t, ctx := h.t, context.Background()
	var err error
	path := freshdb.File(t)
	h.dir = filepath.Dir(path)
	h.store, err = sqlstore.Open(ctx, path, sqlstore.WithClock(h.clock.now))
	must(t, err)
	t.Cleanup(func() { h.store.Close() })
	codes, err := approval.NewCodes(bytes.Repeat([]byte{7}, 32))
	must(t, err)
	h.reach = &apitest.Reach{Phones: h.store}
	h.service, err = approval.New(approval.Config{
		Store: h.store, Codes: codes, Reach: h.reach, Outbox: h.store,
		Locate: func(address string) approval.Place { return places[address] },
		KeyID:  func(context.Context, time.Time) (string, error) { return "key", nil },
	})
	must(t, err)
	h.directory = approval.NewDirectory(h.service, h.store)
	origin, err := url.Parse(public)
	must(t, err)
	ceremonies, err := webauthn.New(webauthn.Config{
		RPID: origin.Hostname(), RPName: "nod", Origin: public, Service: h.service, Directory: h.directory,
		Ceremonies: h.store, Accounts: h.store, InventKey: bytes.Repeat([]byte{9}, 32),
	})
	must(t, err)
	pages, err := web.New()
	must(t, err)

	gin.SetMode(gin.TestMode)
	h.engine = gin.New()
	h.engine.Use(wire.Identify, wire.Trust(nil), wire.SecurityHeaders(false))
	h.config = phone.Config{
		PublicURL: public, Service: h.service, Directory: h.directory, Accounts: h.store,
		Ceremonies: ceremonies, Pages: pages, Push: h.push, Pacer: localbus.NewPacer(),
	}
	must(t, phone.Mount(h.engine, h.config))
	h.namespace, err = h.directory.Namespace(ctx, approval.DefaultNamespace)
	must(t, err)
	h.client = h.newClient(account.MatchType)
}

// places is where the addresses of these tests are.
var places = map[string]approval.Place{
	"127.0.0.1":    {Name: "Hamburg, Germany", Country: "DE"}, // all handsets
	"203.0.113.7":  {Name: "Berlin, Germany", Country: "DE"},
	"198.51.100.1": {Name: "Kyoto, Japan", Country: "JP"},
}

func (h *house) newClient(m account.Match) account.Client {
	h.t.Helper()
	return h.addClient(account.Client{Match: m})
}

func (h *house) addClient(c account.Client) account.Client {
	h.t.Helper()
	c.NamespaceID, c.Name, c.Type = h.namespace.ID, "Acme TV", account.ClientManagement
	c, err := h.directory.CreateClient(context.Background(), approval.NewClient{Client: c})
	must(h.t, err)
	return c
}

func (h *house) newUser(name string) account.User {
	h.t.Helper()
	u, err := h.directory.CreateUser(context.Background(), h.namespace.ID, "", name)
	must(h.t, err)
	return u
}

// invite returns an invitation's secret.
func (h *house) invite(u account.User) string {
	h.t.Helper()
	secret, _, err := h.directory.Invite(context.Background(), u)
	must(h.t, err)
	return secret.Reveal()
}

// ask is a new device that asks, through the client given.
func (h *house) ask(c account.Client, u account.User, kind approval.CodeKind) approval.Begun {
	h.t.Helper()
	return h.begin(c, u, func(a *approval.Ask) { a.Kind = kind })
}

// begin asks with a long code for what ask fills in; change may alter it.
func (h *house) begin(c account.Client, u account.User, change func(*approval.Ask)) approval.Begun {
	h.t.Helper()
	a := approval.Ask{
		Face: "native", Client: c, User: u, Purpose: approval.SignIn, Kind: approval.Long,
		Context: approval.Context{
			DeviceName: "Living-room TV", BindingMessage: "Row 7, seat 12", Address: "203.0.113.7",
			UserAgent: "Mozilla/5.0 (Linux; Android 9; BRAVIA 4K GB) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/100.0 Safari/537.36",
		},
	}
	change(&a)
	b, err := h.service.Begin(context.Background(), a)
	must(h.t, err)
	return b
}

// collect is what the waiting device gets, looking once.
func (h *house) collect(b approval.Begun) (*approval.Collected, error) {
	return h.service.Collect(context.Background(), approval.Holder{
		Face: "native", Client: h.client, UserID: b.Request.UserID, Kind: b.Request.CodeKind, Code: b.Code,
	}, approval.SignIn, 0)
}

func (h *house) request(id string) approval.Request {
	h.t.Helper()
	r, err := h.store.Find(context.Background(), approval.Key{ID: id})
	must(h.t, err)
	return r
}

// patience is how long a test waits for what must happen soon.
const patience = 10 * time.Second

// until polls until ok, and ends the test when that takes too long.
func (h *house) until(what string, ok func() bool) {
	h.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			h.t.Fatalf("still not: %s", what)
		case <-tick.C:
		}
	}
}

func (h *house) wantState(id string, want approval.State) {
	h.t.Helper()
	if got := h.request(id).State; got != want {
		h.t.Errorf("state of the request: got %s, want %s", got, want)
	}
}
