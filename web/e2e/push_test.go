package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/push/virtual"
)

// A prompt is there before its owner has turned to the phone: of 20 people, each
// with an application and a browser, both get it, and it says where to look and
// for how long, urgently, and nothing else.
func TestPush_arrivesAtOnce(t *testing.T) {
	t.Parallel()
	h := startHousehold(t)
	var toApp, toBrowser []time.Duration
	for i := range 20 {
		user := h.backend.createUser(t, fmt.Sprintf("user%d", i))
		app, browser := h.installApp(t, user), h.subscribe(t, user)
		asked := time.Now()
		p := h.backend.promptQueued(t, user)
		n, d := receive(t, app, patience), receive(t, browser, patience)
		toApp, toBrowser = append(toApp, n.At.Sub(asked)), append(toBrowser, d.At.Sub(asked))

		assertNotification(t, n, p)
		assertDelivery(t, d, p)
		h.backend.awaitPush(t, p, "sent")
	}
	logTimes(t, "from the call to the application", toApp)
	logTimes(t, "from the call to the browser", toBrowser)
	if slowest := max(slices.Max(toApp), slices.Max(toBrowser)); slowest > arrivalLimit {
		t.Errorf("slowest prompt: got %v, want under %v", slowest, arrivalLimit)
	}
}

func logTimes(t *testing.T, what string, times []time.Duration) {
	t.Helper()
	slices.Sort(times)
	t.Logf("%s: median %v, slowest %v of %d", what, times[len(times)/2], times[len(times)-1], len(times))
}

// assertNotification checks a prompt as Firebase took it.
func assertNotification(t *testing.T, n virtual.Notification, p prompted) {
	t.Helper()
	if got := n.Data["type"]; got != "prompt" {
		t.Errorf("type: got %q, want prompt", got)
	}
	if got := n.Android.Priority; got != "high" {
		t.Errorf("priority: got %q, want high", got)
	}
	assertLife(t, n.Android.TTL)
	expires, err := time.Parse(time.RFC3339, n.Data["expires_at"])
	if err != nil {
		t.Errorf("expires_at: %v", err)
	}
	assertLife(t, time.Until(expires))
	assertHandle(t, n.Data["id"], p)
	assertDiscreet(t, n.Raw, p)
	if n.Title == "" || n.Body == "" {
		t.Errorf("words: got title %q and body %q, want some", n.Title, n.Body)
	}
}

// assertDelivery checks a prompt as the browser decrypted it.
func assertDelivery(t *testing.T, d virtual.Delivery, p prompted) {
	t.Helper()
	got := readPayload(t, d.Plaintext)
	if got.Type != "prompt" || got.Notice != "" {
		t.Errorf("payload: got %s, want a prompt", d.Plaintext)
	}
	if d.Urgency != "high" {
		t.Errorf("urgency: got %q, want high", d.Urgency)
	}
	if d.Topic == "" || strings.Contains(p.RequestID, d.Topic) {
		t.Errorf("topic: got %q, want one that names nothing", d.Topic)
	}
	assertLife(t, d.TTL)
	assertLife(t, time.Until(got.Expires))
	assertHandle(t, got.ID, p)
	assertDiscreet(t, d.Plaintext, p)
}

// assertLife checks that a message lives as long as the short code it is about.
func assertLife(t *testing.T, got time.Duration) {
	t.Helper()
	if slack := 5 * time.Second; got > shortLife || got < shortLife-slack {
		t.Errorf("life: got %v, want what is left of %v", got, shortLife)
	}
}

// assertHandle checks that a prompt has a handle of its own.
func assertHandle(t *testing.T, got string, p prompted) {
	t.Helper()
	if len(got) < 20 || strings.Contains(p.ApprovalURL, got) {
		t.Errorf("handle: got %q, want another than the one in %s", got, p.ApprovalURL)
	}
}

// assertDiscreet checks that a message holds nothing with which to approve, and
// nothing of what is asked.
func assertDiscreet(t *testing.T, message []byte, p prompted) {
	t.Helper()
	for what, secret := range map[string]string{
		"code": p.Code, "number": p.MatchNumber, "request id": p.RequestID, "username": p.username, "app": "Acme",
	} {
		if secret == "" {
			t.Errorf("generate named no %s", what)
		} else if bytes.Contains(message, []byte(secret)) {
			t.Errorf("the message holds the %s: %s", what, message)
		}
	}
}

// A provider that has a bad moment is tried again, and not before it asks for that.
func TestPush_triedAgain(t *testing.T) {
	t.Parallel()
	h := startHousehold(t)
	for i, c := range []struct {
		name  string
		fault virtual.Fault
		least time.Duration
	}{
		{"503", virtual.Fault{Status: http.StatusServiceUnavailable}, 500 * time.Millisecond},
		{"429 with Retry-After", virtual.Fault{Status: http.StatusTooManyRequests, RetryAfter: "3"}, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			user := h.backend.createUser(t, fmt.Sprintf("user%d", i))
			app, browser := h.installApp(t, user), h.subscribe(t, user)
			h.fcm.Fail(1, c.fault)
			h.service.Fail(1, c.fault)
			sends, requests := h.fcm.Sends(), h.service.Requests()
			asked := time.Now()
			p := h.backend.promptQueued(t, user)
			if got := h.backend.state(t, p).Push; got != "queued" {
				t.Errorf("push of the state before any provider took it: got %q, want queued", got)
			}
			for provider, at := range map[string]time.Time{
				"Firebase": receive(t, app, patience).At, "Web Push": receive(t, browser, patience).At,
			} {
				if got := at.Sub(asked); got < c.least || got > c.least+3*time.Second {
					t.Errorf("%s got it again after %v, want a little more than %v", provider, got, c.least)
				}
			}
			h.backend.awaitPush(t, p, "sent")
			if got := h.fcm.Sends() - sends; got != 2 {
				t.Errorf("requests to Firebase: got %d, want 2", got)
			}
			if got := h.service.Requests() - requests; got != 2 {
				t.Errorf("requests to Web Push: got %d, want 2", got)
			}
		})
	}
}

// A provider that hangs delays nobody: not generate, not the same person's other
// phone, not other people.
func TestPush_providerHangs(t *testing.T) {
	t.Parallel()
	h := startHousehold(t)
	alice, bob := h.backend.createUser(t, "alice"), h.backend.createUser(t, "bob")
	app, bobs := h.installApp(t, alice), h.installApp(t, bob)
	h.subscribe(t, alice)
	h.service.Fail(-1, virtual.Fault{Hang: true})

	asked := time.Now()
	first := h.backend.promptQueued(t, alice)
	if took := time.Since(asked); took > arrivalLimit {
		t.Errorf("generate took %v, want under %v", took, arrivalLimit)
	}
	if got := receive(t, app, patience).At.Sub(asked); got > arrivalLimit {
		t.Errorf("the same person's application got it after %v, want under %v", got, arrivalLimit)
	}
	h.backend.awaitPush(t, first, "sent")
	asked = time.Now()
	h.backend.promptQueued(t, bob)
	if got := receive(t, bobs, patience).At.Sub(asked); got > arrivalLimit {
		t.Errorf("somebody else's application got it after %v, want under %v", got, arrivalLimit)
	}
}

// A phone that its provider does not know any more is removed.
func TestPush_phoneIsGone(t *testing.T) {
	t.Parallel()
	h := startHousehold(t)
	user := h.backend.createUser(t, "alice")
	app, browser, left := h.installApp(t, user), h.subscribe(t, user), h.installApp(t, user)
	app.Uninstall()       // 404 UNREGISTERED
	browser.Unsubscribe() // 410
	if got := len(h.backend.phonesOf(t, user)); got != 3 {
		t.Fatalf("phones before: got %d, want 3", got)
	}
	h.backend.promptQueued(t, user)
	receive(t, left, patience)
	await(t, "the phones that are gone to be removed", func() bool { return len(h.backend.phonesOf(t, user)) == 1 })

	left.Uninstall()
	h.backend.invalidateAll(t, user) // one prompt at a time
	last := h.backend.promptQueued(t, user)
	h.backend.awaitPush(t, last, "failed")
	await(t, "the last phone to be removed", func() bool { return len(h.backend.phonesOf(t, user)) == 0 })
	h.backend.invalidateAll(t, user)
	if got := h.backend.prompt(t, user).Push; got != "none" {
		t.Errorf("push of generate without a phone: got %q, want none", got)
	}
}

// A provider that is down fails no request: the answer is 200 with "queued", the
// state says "failed" once the last attempt was made, and the request goes on.
func TestPush_providerDown(t *testing.T) {
	t.Parallel()
	h := startHousehold(t, "--code-life-short", "5s")
	user := h.backend.createUser(t, "alice")
	h.installApp(t, user)
	h.subscribe(t, user)
	h.web.Close()
	h.firebase.Close()

	p := h.backend.promptQueued(t, user)
	if got := h.backend.state(t, p); got.State != "pending" || got.Push != "queued" {
		t.Errorf("state: got %+v, want pending and queued", got)
	}
	h.backend.awaitPush(t, p, "failed")
	if got := h.get(t.Context(), strings.TrimPrefix(p.ApprovalURL, h.url)); got != http.StatusOK {
		t.Errorf("GET approval_url: got %d, want 200", got)
	}
	got := h.backend.call(t.Context(), "/codes/short/authorize", "codes.authorize",
		map[string]any{"username": user, "purpose": purposeLogin, "code": p.Code})
	if got.Status != http.StatusOK {
		t.Errorf("authorize after the prompt failed: got %+v, want 200", got)
	}
	for _, phone := range h.backend.phonesOf(t, user) {
		if phone.Fault == "" {
			t.Errorf("fault of the %s phone: got none, want what went wrong", phone.Kind)
		}
	}
}

// A client that was registered with --notify prompts unless it says otherwise.
func TestPush_byTheClientsDefault(t *testing.T) {
	t.Parallel()
	h := startHousehold(t)
	eager := h.newClient(t, "management", "--notify")
	for i, c := range []struct {
		name   string
		client *native
		notify any
		want   string
	}{
		{"a client with --notify", eager, nil, "queued"},
		{"a client with --notify that says no", eager, false, "none"},
		{"a client without", h.backend, nil, "none"},
		{"a client without that says yes", h.backend, true, "queued"},
	} {
		user := h.backend.createUser(t, fmt.Sprintf("user%d", i))
		h.installApp(t, user)
		p := c.client.prompt(t, user, map[string]any{"notify": c.notify})
		if p.Push != c.want {
			t.Errorf("%s: push got %q, want %q", c.name, p.Push, c.want)
		}
		if got := c.client.state(t, p).Push; c.want == "none" && got != "none" {
			t.Errorf("%s: push of the state got %q, want none", c.name, got)
		}
	}
}

// A webhook carries what a phone would get, signed, to whatever reaches people in
// another way; it needs no phone.
func TestPush_webhook(t *testing.T) {
	t.Parallel()
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of twenty-four bytes, or more"))
	verifier, err := webhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	received := make(chan []byte, 1)
	hook := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = verifier.Verify(body, r.Header)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		received <- body
	}))
	s := startServer(t, "--push-webhook-url", hook.URL, "--push-webhook-secret", secret, "--push-allow-networks", "127.0.0.0/8")
	backend := s.newClient(t, "management")
	p := backend.promptQueued(t, backend.createUser(t, "alice"))
	select {
	case body := <-received:
		var got struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal(body, &got); err != nil || got.Type == "" {
			t.Errorf("webhook: got %s (%v), want JSON with a type", body, err)
		}
		if bytes.Contains(body, []byte(p.Code)) {
			t.Errorf("the webhook holds the code: %s", body)
		}
		t.Logf("%s", body)
	case <-time.After(patience):
		t.Fatal("the webhook was not called with a signature that can be verified")
	}
	backend.awaitPush(t, p, "sent")
}

// Whoever has a code that needs no approval could use it unseen: its owner is told.
func TestPush_noticeOfAnAuthorizedCode(t *testing.T) {
	t.Parallel()
	h := startHousehold(t)
	user := h.backend.createUser(t, "alice")
	app, browser := h.installApp(t, user), h.subscribe(t, user)
	p := h.backend.prompt(t, user, map[string]any{"authorize": true, "notify": false})
	n, d := receive(t, app, patience), receive(t, browser, patience)
	if n.Data["type"] != "notice" || n.Data["notice"] != "code_authorized" || n.Data["id"] != "" {
		t.Errorf("at the application: got %v, want a notice of the code", n.Data)
	}
	if got := readPayload(t, d.Plaintext); got.Type != "notice" || got.Notice != "code_authorized" || got.ID != "" {
		t.Errorf("at the browser: got %s, want a notice of the code", d.Plaintext)
	}
	assertDiscreet(t, n.Raw, p)
	assertDiscreet(t, d.Plaintext, p)
}

// Nobody registers a phone for somebody else, nor one that makes nod call
// addresses of the caller's choice.
func TestPhones_refused(t *testing.T) {
	t.Parallel()
	h := startHousehold(t)
	alice, bob := h.backend.createUser(t, "alice"), h.backend.createUser(t, "bob")
	sub, err := h.service.Subscribe(h.web.URL, h.key)
	if err != nil {
		t.Fatal(err)
	}
	at := func(endpoint string) json.RawMessage {
		return json.RawMessage(strings.Replace(sub.JSON(), sub.Endpoint(), endpoint, 1))
	}
	own := token.Service{Type: "phones.register", Username: alice}
	for _, c := range []struct {
		name         string
		claims       token.Service
		subscription json.RawMessage
	}{
		{"a token that names somebody else", token.Service{Type: "phones.register", Username: bob}, at(sub.Endpoint())},
		{"a token that names nobody", token.Service{Type: "phones.register"}, at(sub.Endpoint())},
		{"a token of another scope", token.Service{Type: "codes.generate", Username: alice}, at(sub.Endpoint())},
		{"a service that is not on the list", own, at("https://push.example.org/x")},
		{"another port of this machine", own, at("http://127.0.0.1:1/x")},
		{"this machine by another name", own, at(strings.Replace(sub.Endpoint(), "127.0.0.1", "localhost", 1))},
		{"a user in front of the host", own, at(strings.Replace(sub.Endpoint(), "http://", "http://push.example.org@", 1))},
		{"no subscription", own, json.RawMessage(`{"endpoint": 1}`)},
	} {
		got := h.backend.callAs(t.Context(), "/phones/register", c.claims,
			map[string]any{"username": alice, "kind": "webpush", "subscription": c.subscription})
		if got.Status < 400 || got.Status > 499 || got.Code == "" || got.Message == "" {
			t.Errorf("%s: got %+v, want a refusal in words", c.name, got)
		}
		t.Logf("%s: %d %s %s", c.name, got.Status, got.Code, got.Message)
	}
	if got := h.backend.phonesOf(t, alice); len(got) != 0 {
		t.Errorf("phones afterwards: got %+v, want none", got)
	}
	if got := h.service.Requests(); got != 0 {
		t.Errorf("requests to the push service: got %d, want none", got)
	}
}
