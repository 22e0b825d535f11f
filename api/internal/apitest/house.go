// Package apitest serves the whole API for tests: the real core, real ceremonies,
// real tokens, and whatever store the test opens, behind a real HTTP server.
// Every reply is held to the OpenAPI document. Only tests import it.
package apitest

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nod-auth/nod/api"
	"github.com/nod-auth/nod/api/internal/contract"
	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/storetest"
	"github.com/nod-auth/nod/web"
	"github.com/nod-auth/nod/webauthn"
)

// Store is everything a house keeps.
type Store interface {
	approval.Store
	approval.Upkeep
	approval.Ceremonies
	approval.Outbox
	approval.Hooks
	account.Recoveries
	api.Accounts
}

// Setup is what a test may change before the house opens.
type Setup struct {
	API  api.Config
	Core approval.Config
}

// House is a running server.
type House struct {
	testing.TB
	URL       string // also the public URL and nod's own origin
	HTTP      *http.Client
	Server    *httptest.Server
	Store     Store
	Reach     *Reach
	Push      *Push
	Service   *approval.Service
	Directory *approval.Directory
	Ring      *token.Ring
	Log       *Log
	Config    api.Config // as the server has it
	Document  *contract.Document
}

// Open starts a house on the store. It ends with the test.
func Open(t testing.TB, s Store, change ...func(*Setup)) *House {
	t.Helper()
	h := &House{TB: t, Store: s, Reach: &Reach{Phones: s}, Push: &Push{}, Log: &Log{}}
	h.Server = httptest.NewUnstartedServer(nil)
	public := &url.URL{Scheme: "http", Host: "localhost:" + portOf(h.Server)}
	h.URL = public.String()

	setup := Setup{
		API:  api.Config{PublicURL: h.URL, RPID: public.Hostname(), Push: h.Push, Log: slog.New(slog.NewTextHandler(h.Log, nil))},
		Core: approval.Config{Store: audited{s}, Upkeep: s, Reach: h.Reach, Outbox: s, Hooks: s, Receivers: h.Reach},
	}
	for _, f := range change {
		f(&setup)
	}
	h.build(setup)
	h.Server.Start()
	t.Cleanup(func() {
		h.Service.Hub.Drain()
		h.HTTP.CloseIdleConnections()
		h.Server.Close()
	})
	return h
}

// audited is a store that takes no change which lacks its audit row.
type audited struct{ approval.Store }

func (s audited) Apply(ctx context.Context, changes ...approval.Change) error {
	for _, c := range changes {
		if err := storetest.Unaudited(c); err != nil {
			panic(err) // whoever made the change
		}
	}
	return s.Store.Apply(ctx, changes...)
}

func (h *House) build(setup Setup) {
	h.Helper()
	ctx := context.Background()
	kept, err := signingKeys()
	h.must(err)
	h.Ring, err = token.Open(ctx, kept, key(1), time.Now)
	h.must(err)
	core, c := setup.Core, setup.API
	core.KeyID = h.Ring.Current
	core.Codes, err = approval.NewCodes(key(2))
	h.must(err)
	h.Service, err = approval.New(core)
	h.must(err)
	h.Directory = approval.NewDirectory(h.Service, h.Store)
	c.Service, c.Directory, c.Accounts, c.Ring = h.Service, h.Directory, h.Store, h.Ring
	c.Ceremonies, err = webauthn.New(webauthn.Config{
		RPID: c.RPID, RPName: "nod", Origin: h.URL, Service: h.Service, Directory: h.Directory,
		Ceremonies: h.Store, Accounts: h.Store, InventKey: key(3),
	})
	h.must(err)
	c.Pages, err = web.New()
	h.must(err)
	h.Server.Config.Handler, err = api.New(c)
	h.must(err)
	h.Config = c
	h.Document, err = document()
	h.must(err)
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	h.HTTP = &http.Client{Transport: h.Document.Transport(h.TB, &http.Transport{MaxIdleConnsPerHost: 64}), CheckRedirect: stay}
}

// document is read once for all houses.
var document = sync.OnceValues(func() (*contract.Document, error) { return contract.Load(api.OpenAPI()) })

func (h *House) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func portOf(s *httptest.Server) string {
	u := url.URL{Host: s.Listener.Addr().String()}
	return u.Port()
}

// Namespace finds or makes one.
func (h *House) Namespace(name string) account.Namespace {
	h.Helper()
	ns, err := h.Directory.Namespace(context.Background(), name)
	h.must(err)
	return ns
}

// NewApp makes a client with a key. What c leaves out is filled in: the default
// namespace, a name, the type management, every scope.
func (h *House) NewApp(c account.Client) *App {
	h.Helper()
	fill(&c.Name, "Acme TV")
	fill(&c.Type, account.ClientManagement)
	if c.NamespaceID == "" {
		c.NamespaceID = h.Namespace(approval.DefaultNamespace).ID
	}
	if c.Scopes == nil {
		c.Scopes = account.Scopes
	}
	pem, public, err := token.NewServiceKey()
	h.must(err)
	private, err := token.ParsePrivateKey(pem)
	h.must(err)
	c, err = h.Directory.CreateClient(context.Background(), approval.NewClient{Client: c, Public: public})
	h.must(err)
	return &App{House: h, Client: c, Key: private}
}

// NewUser makes a user in the default namespace.
func (h *House) NewUser(name string) account.User {
	h.Helper()
	u, err := h.Directory.CreateUser(context.Background(), h.Namespace(approval.DefaultNamespace).ID, "", name)
	h.must(err)
	return u
}

func fill[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// drawn are the signing keys of every house of a process: to draw an RSA key takes
// longer than all the rest of a house.
var drawn = sync.OnceValues(func() ([]token.StoredKey, error) {
	s := &keys{}
	_, err := token.Open(context.Background(), s, key(1), time.Now)
	return s.list, err
})

// signingKeys is a store with keys that sign from now on.
func signingKeys() (*keys, error) {
	list, err := drawn()
	s := &keys{list: slices.Clone(list)}
	for i := range s.list {
		s.list[i].UseFrom = time.Now()
	}
	return s, err
}

// keys is a token.KeyStore in memory.
type keys struct {
	mu   sync.Mutex
	list []token.StoredKey
}

func (k *keys) SigningKeys(context.Context) ([]token.StoredKey, time.Time, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.list), time.Now(), nil
}

func (k *keys) ChangeSigningKeys(_ context.Context, change func(time.Time, []token.StoredKey) ([]token.StoredKey, error)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	list, err := change(time.Now(), slices.Clone(k.list))
	if err == nil {
		k.list = list
	}
	return err
}

// Log keeps what the server logged.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is everything so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
