package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/push/virtual"
)

const (
	// arrivalLimit is how long a prompt may take from the call to the phone. It
	// takes a few milliseconds; this is for a busy machine.
	arrivalLimit = time.Second
	// patience is for what is tried again, or waits for a lease to end (15 s).
	patience = 30 * time.Second
	// shortLife is how long a code of six digits lives.
	shortLife = 3 * time.Minute
)

// providers are a Web Push service and Firebase Cloud Messaging, on loopback.
type providers struct {
	service *virtual.Service
	fcm     *virtual.FCM
	// web and firebase are the servers of both.
	web, firebase *httptest.Server
	account       string // file with Firebase's service account
}

func startProviders(t *testing.T) *providers {
	t.Helper()
	fcm, err := virtual.NewFCM()
	if err != nil {
		t.Fatal(err)
	}
	p := &providers{service: virtual.NewService(), fcm: fcm}
	p.web, p.firebase = serve(t, p.service), serve(t, fcm)
	p.account = filepath.Join(t.TempDir(), "firebase.json")
	p.writeAccount(t)
	return p
}

// writeAccount writes the key file of Firebase's project as it is now.
func (p *providers) writeAccount(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(p.account, p.fcm.ServiceAccountJSON(p.firebase.URL), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serve runs a handler until the test ends. A provider that hangs lets go first.
func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// settings are nod's, of a server that knows these providers and no others.
func (p *providers) settings() []string {
	return []string{
		"--push-services", p.web.URL, "--push-allow-networks", "127.0.0.0/8",
		"--fcm-credentials-file", p.account, "--fcm-endpoint", p.fcm.Endpoint(p.firebase.URL),
	}
}

// household is a server with push, its providers, and a backend that may register
// the phones of its users.
type household struct {
	*server
	*providers
	backend *native
	key     string // that browsers subscribe with
}

func startHousehold(t *testing.T, flags ...string) *household {
	t.Helper()
	p := startProviders(t)
	h := &household{providers: p, server: startServer(t, append(p.settings(), flags...)...)}
	h.backend = h.newClient(t, "management")
	h.key = h.pushKey(t)
	return h
}

// pushKey is what `nod push keys` says.
func (s *server) pushKey(t *testing.T) string {
	t.Helper()
	var keys struct {
		PublicKey string `json:"public_key"`
	}
	s.cli(t, &keys, "push", "keys")
	return keys.PublicKey
}

// restart takes a server up again after a crash.
func (h *household) restart(t *testing.T) {
	t.Helper()
	h.backend.http.CloseIdleConnections()
	h.server.start(t)
}

// createUser creates a user through the API, which is faster than a process.
func (n *native) createUser(t *testing.T, username string) string {
	t.Helper()
	if got := n.call(t.Context(), "/manage/users", "users.create", map[string]any{"username": username}); got.Status != http.StatusOK {
		t.Fatalf("create user %s: got %+v, want 200", username, got)
	}
	return username
}

// phones posts to one of the calls about a user's phones.
func (n *native) phones(t *testing.T, call, username string, body map[string]any) answer {
	t.Helper()
	body["username"] = username
	return n.callAs(t.Context(), "/phones/"+call, token.Service{Type: "phones.register", Username: username}, body)
}

// phonesOf lists the user's phones.
func (n *native) phonesOf(t *testing.T, username string) []phoneLine {
	t.Helper()
	got := n.phones(t, "list", username, map[string]any{})
	if got.Status != http.StatusOK {
		t.Fatalf("list phones: got %+v, want 200", got)
	}
	return got.Phones
}

// invalidateAll takes the user's short codes back.
func (n *native) invalidateAll(t *testing.T, username string) {
	t.Helper()
	got := n.call(t.Context(), "/codes/short/invalidate-all", "codes.invalidate",
		map[string]any{"username": username, "purpose": purposeLogin})
	if got.Status != http.StatusOK {
		t.Fatalf("invalidate-all: got %+v, want 200", got)
	}
}

// installApp gives the user an application on a phone and registers it.
func (h *household) installApp(t *testing.T, username string) *virtual.App {
	t.Helper()
	app := h.fcm.Install()
	got := h.backend.phones(t, "register", username, map[string]any{"kind": "fcm", "token": app.Token(), "name": "Phone"})
	if got.Status != http.StatusOK {
		t.Fatalf("register an application: got %+v, want 200", got)
	}
	return app
}

// subscribe gives the user a browser that is subscribed and registers it.
func (h *household) subscribe(t *testing.T, username string) *virtual.Subscription {
	t.Helper()
	sub, err := h.service.Subscribe(h.web.URL, h.key)
	if err != nil {
		t.Fatal(err)
	}
	got := h.backend.phones(t, "register", username,
		map[string]any{"kind": "webpush", "subscription": json.RawMessage(sub.JSON()), "name": "Browser"})
	if got.Status != http.StatusOK {
		t.Fatalf("register a browser: got %+v, want 200", got)
	}
	return sub
}

// prompted is what generate answers of a request that asks for a prompt.
type prompted struct {
	answer
	username string
}

// prompt asks for a short code and a prompt.
func (n *native) prompt(t *testing.T, username string, more ...map[string]any) prompted {
	t.Helper()
	got := n.tryPrompt(t.Context(), username, more...)
	if got.Status != http.StatusOK || got.Code == "" {
		t.Fatalf("generate for %s: got %+v, want 200 and a code", username, got)
	}
	return got
}

func (n *native) tryPrompt(ctx context.Context, username string, more ...map[string]any) prompted {
	body := map[string]any{"username": username, "purpose": purposeLogin, "notify": true}
	for _, m := range more {
		for name, value := range m {
			if body[name] = value; value == nil {
				delete(body, name)
			}
		}
	}
	return prompted{n.call(ctx, "/codes/short/generate", "codes.generate", body), username}
}

// promptQueued is prompt where a road leads to the user.
func (n *native) promptQueued(t *testing.T, username string) prompted {
	t.Helper()
	got := n.prompt(t, username)
	if got.Push != "queued" {
		t.Fatalf("push of generate for %s: got %q, want queued", username, got.Push)
	}
	return got
}

// state asks once where a request stands.
func (n *native) state(t *testing.T, p prompted) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.server.url+"/requests/"+p.RequestID+"/state?since=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Code "+p.Code)
	return n.do(request)
}

// awaitPush returns when the state endpoint says this of the prompt, and fails
// the test when it says something that no prompt becomes this after.
func (n *native) awaitPush(t *testing.T, p prompted, want string) {
	t.Helper()
	var last string
	await(t, "push of the state to be "+want, func() bool {
		got := n.state(t, p)
		if got.Status != http.StatusOK {
			t.Fatalf("state: got %+v, want 200", got)
		}
		if last == "failed" && got.Push == "queued" {
			t.Fatalf("push of the state: got %s after %s", got.Push, last)
		}
		last = got.Push
		return got.Push == want
	})
}

// await returns when a condition holds that nothing tells us of.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// receiver is a phone of either kind.
type receiver[T any] interface {
	Receive(ctx context.Context) (T, error)
}

// receive waits for the next message on a phone.
func receive[T any](t *testing.T, phone receiver[T], within time.Duration) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	got, err := phone.Receive(ctx)
	if err != nil {
		t.Fatalf("nothing arrived at %T within %v: %v", phone, within, err)
	}
	return got
}

// payload is what travels to a phone.
type payload struct {
	Type    string    `json:"type"`
	ID      string    `json:"id"`
	Notice  string    `json:"notice"`
	Expires time.Time `json:"expires_at"`
}

func readPayload(t *testing.T, text []byte) payload {
	t.Helper()
	var p payload
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		t.Fatalf("payload %s: %v", text, err)
	}
	return p
}
