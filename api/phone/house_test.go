package phone_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
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

	"github.com/nod-auth/nod/api/internal/contract"
	"github.com/nod-auth/nod/api/phone"
	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/localbus"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/web"
	"github.com/nod-auth/nod/webauthn"
	"github.com/nod-auth/nod/webauthn/virtual"
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
	t         *testing.T
	url       string
	dir       string // of the store
	server    *httptest.Server
	config    phone.Config
	engine    *gin.Engine
	clock     *clock
	store     *sqlstore.Store
	service   *approval.Service
	directory *approval.Directory
	namespace account.Namespace
	client    account.Client
}

// houseAt makes a house whose public URL is the one given, "" for the server's.
func houseAt(t *testing.T, public string) *house {
	t.Helper()
	h := &house{t: t, clock: &clock{}, dir: t.TempDir()}
	h.server = httptest.NewUnstartedServer(nil)
	h.url = "http://localhost:" + port(h.server.Listener.Addr().String())
	if public == "" {
		public = h.url
	}
	h.furnish(public)
	h.server.Config.Handler = h.engine
	h.server.Start()
	t.Cleanup(h.server.Close)
	return h
}

func newHouse(t *testing.T) *house { t.Helper(); return houseAt(t, "") }

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }

func (h *house) furnish(public string) {
	t, ctx := h.t, context.Background()
	var err error
	h.store, err = sqlstore.Open(ctx, filepath.Join(h.dir, "nod.db"), sqlstore.WithClock(h.clock.now))
	must(t, err)
	t.Cleanup(func() { h.store.Close() })
	codes, err := approval.NewCodes(bytes.Repeat([]byte{7}, 32))
	must(t, err)
	h.service, err = approval.New(approval.Config{
		Store: h.store, Codes: codes,
		KeyID: func(context.Context, time.Time) (string, error) { return "key", nil },
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
		Ceremonies: ceremonies, Pages: pages, Pacer: localbus.NewPacer(),
	}
	must(t, phone.Mount(h.engine, h.config))
	h.namespace, err = h.directory.Namespace(ctx, approval.DefaultNamespace)
	must(t, err)
	h.client = h.newClient(account.MatchType)
}

func (h *house) newClient(m account.Match) account.Client {
	h.t.Helper()
	c, err := h.directory.CreateClient(context.Background(), approval.NewClient{
		Client: account.Client{NamespaceID: h.namespace.ID, Name: "Acme TV", Type: account.ClientManagement, Match: m},
	})
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
	b, err := h.service.Begin(context.Background(), approval.Ask{
		Face: "native", Client: c, User: u, Purpose: approval.SignIn, Kind: kind,
		Context: approval.Context{
			DeviceName: "Living-room TV", BindingMessage: "Row 7, seat 12", Address: "203.0.113.7",
			UserAgent: "Mozilla/5.0 (Linux; Android 9; BRAVIA 4K GB) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/100.0 Safari/537.36",
		},
	})
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

func (h *house) wantState(id string, want approval.State) {
	h.t.Helper()
	if got := h.request(id).State; got != want {
		h.t.Errorf("state of the request: got %s, want %s", got, want)
	}
}

// handset is somebody's phone: a browser and an authenticator.
type handset struct {
	t       *testing.T
	house   *house
	browser *http.Client
	keys    *virtual.Authenticator
	user    account.User
}

func (h *house) handset() *handset {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	must(h.t, err)
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	browser := &http.Client{Jar: jar, CheckRedirect: stay, Transport: document().Transport(h.t, h.server.Client().Transport)}
	return &handset{t: h.t, house: h, browser: browser, keys: virtual.New()}
}

// owner is a handset whose owner has enrolled and is signed in.
func (h *house) owner(name string) *handset {
	h.t.Helper()
	p := h.handset()
	p.user = h.newUser(name)
	p.enrol(h.invite(p.user)).want(http.StatusOK)
	return p
}

// reply is what came back, read to its end.
type reply struct {
	t      *testing.T
	status int
	header http.Header
	text   string
}

func (p *handset) send(method, path, contentType, body string, header ...string) reply {
	p.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, p.house.url+path, strings.NewReader(body))
	must(p.t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := p.browser.Do(req)
	must(p.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(p.t, err)
	return reply{t: p.t, status: res.StatusCode, header: res.Header, text: string(text)}
}

func (p *handset) get(path string, header ...string) reply {
	p.t.Helper()
	return p.send(http.MethodGet, path, "", "", header...)
}

func (p *handset) call(path string, body any) reply {
	p.t.Helper()
	text, err := json.Marshal(body)
	must(p.t, err)
	return p.send(http.MethodPost, path, "application/json", string(text))
}

func (p *handset) form(path string, fields ...string) reply {
	p.t.Helper()
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return p.send(http.MethodPost, path, "application/x-www-form-urlencoded", values.Encode())
}

func (p *handset) enrol(invitation string) reply {
	p.t.Helper()
	begun := p.call("/phone/enrol/options", map[string]any{"invitation": invitation})
	if begun.status != http.StatusOK {
		return begun
	}
	made, err := p.keys.CreateJSON(p.house.url, []byte(begun.text))
	must(p.t, err)
	return p.call("/phone/enrol", map[string]any{"invitation": invitation, "credential": json.RawMessage(made)})
}

func (p *handset) signIn(next string) reply {
	p.t.Helper()
	begun := p.call("/phone/signin/options", map[string]any{}).want(http.StatusOK)
	return p.call("/phone/signin", map[string]any{"credential": p.sign(begun), "next": next})
}

// sign answers request options with the handset's passkey.
func (p *handset) sign(options reply) json.RawMessage {
	p.t.Helper()
	answer, err := p.keys.GetJSON(p.house.url, []byte(options.text))
	must(p.t, err)
	return answer
}

type ref map[string]string

func scanned(b approval.Begun) ref { return ref{"way": "scanned", "secret": b.Handle.Reveal()} }
func typed(b approval.Begun) ref   { return ref{"way": "typed", "secret": b.Code.Reveal()} }
func listed(b approval.Begun) ref  { return ref{"way": "listed", "secret": b.Request.ID} }

func (p *handset) beginApproval(r ref, number string) reply {
	p.t.Helper()
	return p.call("/phone/requests/approve/options", map[string]any{"ref": r, "number": number})
}

func (p *handset) approve(r ref, number string) reply {
	p.t.Helper()
	begun := p.beginApproval(r, number)
	if begun.status != http.StatusOK {
		return begun
	}
	return p.call("/phone/requests/approve", map[string]any{"ref": r, "credential": p.sign(begun)})
}

func (r reply) want(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status: got %d, want %d\n%s", r.status, status, r.text)
	}
	return r
}

func (r reply) wantCode(status int, code string) reply {
	r.t.Helper()
	r.want(status)
	if got := r.member("code"); got != code {
		r.t.Errorf("code: got %v, want %s", got, code)
	}
	if message, _ := r.member("message").(string); message == "" {
		r.t.Error("message: got none")
	}
	return r
}

func (r reply) wantText(parts ...string) reply {
	r.t.Helper()
	for _, part := range parts {
		if !strings.Contains(r.text, part) {
			r.t.Errorf("page: %q is not in it\n%s", part, r.text)
		}
	}
	return r
}

func (r reply) wantNoText(parts ...string) reply {
	r.t.Helper()
	for _, part := range parts {
		if strings.Contains(r.text, part) {
			r.t.Errorf("page: %q is in it", part)
		}
	}
	return r
}

func (r reply) wantLocation(path string) reply {
	r.t.Helper()
	r.want(http.StatusSeeOther)
	if got := r.header.Get("Location"); got != path {
		r.t.Errorf("location: got %q, want %q", got, path)
	}
	return r
}

// member reads one member of a JSON reply.
func (r reply) member(name string) any {
	r.t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(r.text), &members); err != nil {
		r.t.Fatalf("reply is not JSON: %v\n%s", err, r.text)
	}
	return members[name]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// otherNumber is six digits that are not the ones given.
func otherNumber(number account.Secret) string {
	if number.Reveal() == "111111" {
		return "222222"
	}
	return "111111"
}
