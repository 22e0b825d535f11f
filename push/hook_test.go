package push

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
)

// listener is a receiver of webhooks: a real one on loopback. It answers the n-th call,
// the first being 1, by a script, and remembers what it was sent.
type listener struct {
	*httptest.Server
	mu     sync.Mutex
	calls  []hookCall
	flying int
	most   int // that were under way at once
}

type hookCall struct {
	header http.Header
	body   []byte
	at     time.Time
}

func (c hookCall) id() string { return c.header.Get(webhooks.HeaderWebhookID) }

func newListener(t *testing.T, answers func(w http.ResponseWriter, r *http.Request, n int)) *listener {
	t.Helper()
	l := &listener{}
	l.Server = httptest.NewServer(l.handler(answers))
	t.Cleanup(l.Close)
	return l
}

func (l *listener) handler(answers func(w http.ResponseWriter, r *http.Request, n int)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		l.mu.Lock()
		l.calls = append(l.calls, hookCall{r.Header.Clone(), body, time.Now()})
		n := len(l.calls)
		l.flying++
		l.most = max(l.most, l.flying)
		l.mu.Unlock()
		answers(w, r, n)
		l.mu.Lock()
		l.flying--
		l.mu.Unlock()
	})
}

func (l *listener) heard() []hookCall {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls)
}

func (l *listener) atOnce() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.most
}

// hooked is a house that may call loopback and whose pauses are short.
func hooked(t *testing.T) *house {
	t.Helper()
	h := hookedAt(t, freshdb.File(t), "127.0.0.0/8", "::1/128")
	t.Cleanup(func() { h.file.Close() })
	return h
}

func hookedAt(t *testing.T, path string, allow ...string) *house {
	t.Helper()
	var c Config
	for _, a := range allow {
		c.Allow = append(c.Allow, netip.MustParsePrefix(a))
	}
	h := build(t, path, c)
	h.core.Hooks, h.core.Receivers = h.file, h.push.Hooks()
	h.push.told.backoff = []time.Duration{10 * time.Millisecond}
	h.push.told.first, h.push.told.last = 10*time.Millisecond, 20*time.Millisecond
	return h
}

func (h *house) hook(url string, events ...string) (account.Webhook, account.Secret) {
	h.Helper()
	w, secret, err := h.people.AddWebhook(h.Context(), h.app.NamespaceID, url, events)
	h.must(err)
	return w, secret
}

// happens asks and declines: three events with the one between.
func (h *house) happens() approval.Begun {
	h.Helper()
	b, err := h.core.Begin(h.Context(), approval.Ask{
		Face: "native", Client: h.app, User: h.ada, Purpose: approval.SignIn, Kind: approval.Long,
		Context: approval.Context{DeviceName: "TV", BindingMessage: "apple tree"},
	})
	h.must(err)
	ref := approval.Ref{Way: approval.Scanned, Secret: b.Handle}
	_, err = h.core.Opened(h.Context(), ref, approval.Viewer{User: h.ada})
	h.must(err)
	h.decline(b)
	return b
}

// announce queues n announcements for a webhook without anything having happened.
func (h *house) announce(w account.Webhook, n int) {
	h.Helper()
	var all []approval.Effect
	for range n {
		body, err := json.Marshal(approval.Announcement{ID: approval.NewOp(), Type: "request.approved"})
		h.must(err)
		all = append(all, approval.Deliver{Topic: approval.TopicWebhook, Key: w.ID, Body: body, Until: time.Now().Add(approval.AnnounceFor)})
	}
	h.must(h.file.Apply(h.Context(), approval.Change{Op: approval.NewOp(), Effects: all}))
	h.push.Queued()
}

func (h *house) deliveries(w account.Webhook) []approval.HookDelivery {
	h.Helper()
	ds, err := h.file.HookDeliveries(h.Context(), approval.HookFilter{WebhookID: w.ID}, 2000)
	h.must(err)
	return ds
}

// rests waits until a webhook has n announcements that are over, and none that is not.
func (h *house) rests(w account.Webhook, n int) []approval.HookDelivery {
	h.Helper()
	var ds []approval.HookDelivery
	h.until(fmt.Sprintf("%d announcements have come to rest", n), func() bool {
		ds = h.deliveries(w)
		return len(ds) == n && !slices.ContainsFunc(ds, func(d approval.HookDelivery) bool { return !d.Next.IsZero() })
	})
	return ds
}

func verifies(secret account.Secret, c hookCall) error {
	v, err := webhooks.NewWebhook(secret.Reveal())
	if err != nil {
		return err
	}
	return v.Verify(c.body, c.header)
}

func TestHooks_event_arrives_at_once_signed_and_without_a_secret(t *testing.T) {
	h, to := hooked(t), newListener(t, func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusNoContent) })
	defer h.runs()()
	w, secret := h.hook(to.URL + "/hooks?key=4711")
	began := time.Now()
	b := h.happens()
	ds := h.rests(w, 3)
	calls := to.heard()
	slices.SortFunc(calls, func(a, b hookCall) int { return strings.Compare(string(a.body), string(b.body)) })
	if len(calls) != 3 {
		t.Fatalf("calls: got %d, want 3", len(calls))
	}
	for _, c := range calls {
		if err := verifies(secret, c); err != nil {
			t.Errorf("signature: %v", err)
		}
		if took := c.at.Sub(began); took > time.Second {
			t.Errorf("it took %s, want less than a second", took)
		}
		if got := c.header.Get("Content-Type"); got != "application/json" {
			t.Errorf("content type: got %q, want application/json", got)
		}
		for what, s := range map[string]string{
			"code": b.Code.Reveal(), "handle": b.Handle.Reveal(), "number": b.MatchNumber.Reveal(), "binding message": "apple tree", "secret": secret.Reveal(),
		} {
			if strings.Contains(string(c.body), s) {
				t.Errorf("body: contains the %s", what)
			}
		}
	}
	var got map[string]any
	h.must(json.Unmarshal(to.heardOf(ds[0].Announcement.ID).body, &got))
	want := map[string]any{
		"type": "request.denied", "timestamp": ds[0].Announcement.Timestamp.Format(time.RFC3339Nano),
		"data": map[string]any{
			"request_id": b.Request.ID, "version": 3.0, "state": "denied", "purpose": "temporary_authentication", "client_id": h.app.ID,
			"user_id": h.ada.ID, "username": "ada", "device_name": "TV", "by": "session",
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("body (-want +got):\n%s", d)
	}
	if d := ds[0]; d.State != approval.DeliverySent || d.Answer != "answered 204" || d.Tries != 1 || d.SettledAt.IsZero() {
		t.Errorf("log: got %+v, want sent at the first attempt with 204", d)
	}
}

// heardOf is the first call about an event.
func (l *listener) heardOf(event string) hookCall {
	for _, c := range l.heard() {
		if c.id() == event {
			return c
		}
	}
	return hookCall{}
}

func TestHooks_rotation_signs_with_both_secrets_for_the_grace(t *testing.T) {
	h, to := hooked(t), newListener(t, status200)
	defer h.runs()()
	w, first := h.hook(to.URL)
	w, second, err := h.people.RotateWebhook(t.Context(), w, time.Hour)
	h.must(err)
	h.announce(w, 1)
	h.rests(w, 1)
	w, third, err := h.people.RotateWebhook(t.Context(), w, 0)
	h.must(err)
	h.announce(w, 1)
	h.rests(w, 2)
	calls := to.heard()
	for _, c := range []struct {
		what   string
		call   hookCall
		secret account.Secret
		valid  bool
	}{
		{"the old one during the grace", calls[0], first, true}, {"the new one during the grace", calls[0], second, true},
		{"one to come", calls[0], third, false}, {"the newest", calls[1], third, true},
		{"the one before without grace", calls[1], second, false}, {"the oldest", calls[1], first, false},
	} {
		if err := verifies(c.secret, c.call); (err == nil) != c.valid {
			t.Errorf("%s: got %v, want valid %t", c.what, err, c.valid)
		}
	}
	now := time.Now()
	w.Before, w.BeforeEnds = w.Sealed, now
	if keys, err := h.push.hooks.keys(w, now); err != nil || len(keys) != 1 {
		t.Errorf("at the end of the grace: got %d keys, %v; want one", len(keys), err)
	}
}

func status200(http.ResponseWriter, *http.Request, int) {}

func TestHooks_sealed_shows_nothing_and_opens_as_its_own_alone(t *testing.T) {
	h := hooked(t)
	w, secret := h.hook("https://backend.example/nod")
	if strings.Contains(string(w.Sealed), secret.Reveal()) || len(w.Sealed) < len(secret.Reveal()) {
		t.Errorf("at rest: got %d bytes, want the secret sealed", len(w.Sealed))
	}
	if _, err := h.push.hooks.keys(w, time.Now()); err != nil {
		t.Errorf("open: %v", err)
	}
	other, _ := h.hook("https://backend.example/nod")
	other.Sealed = w.Sealed
	if _, err := h.push.hooks.keys(other, time.Now()); err == nil {
		t.Error("open as another webhook's: got nil, want an error")
	}
	phone, err := h.push.book.seal("x", secret)
	h.must(err)
	w.Sealed = phone
	if _, err := h.push.hooks.keys(w, time.Now()); err == nil {
		t.Error("open a phone's address: got nil, want an error")
	}
}

func TestHooks_check_says_what_is_wrong_with_a_url(t *testing.T) {
	outside := hookedAt(t, freshdb.File(t))
	defer outside.file.Close()
	for url, ok := range map[string]bool{
		"https://backend.example/nod": true, "https://backend.example:8443/": true, "https://8.8.8.8/": true,
		"http://backend.example/": false, "https://127.0.0.1/": false, "https://10.0.0.1/": false, "https://[::1]/": false,
		"https://[::ffff:10.0.0.1]/": false, "https://user:pass@backend.example/": false, "https://backend.example/#x": false,
		"ftp://backend.example/": false, "backend.example": false, "": false, "https://": false, "%": false,
	} {
		if err := outside.push.hooks.CheckHook(url); (err == nil) != ok {
			t.Errorf("%s: got %v, want ok %t", url, err, ok)
		}
	}
	inside := hooked(t)
	for url, ok := range map[string]bool{"http://127.0.0.1:8080/": true, "https://127.0.0.1/": true, "http://10.0.0.1/": false} {
		if err := inside.push.hooks.CheckHook(url); (err == nil) != ok {
			t.Errorf("with loopback allowed, %s: got %v, want ok %t", url, err, ok)
		}
	}
}

func TestHooks_test_says_in_a_sentence_what_came_back(t *testing.T) {
	h := hooked(t)
	h.push.hooks.within = 100 * time.Millisecond
	answer := func(code int, header ...string) func(http.ResponseWriter, *http.Request, int) {
		return func(w http.ResponseWriter, _ *http.Request, _ int) {
			if len(header) > 0 {
				w.Header().Set("Retry-After", header[0])
			}
			w.WriteHeader(code)
		}
	}
	hang := func(_ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() }
	for name, c := range map[string]struct {
		answers func(http.ResponseWriter, *http.Request, int)
		want    string
	}{
		"taken":      {answer(202), "it took the test"},
		"error":      {answer(500), "only 2xx counts"},
		"busy":       {answer(503, "120"), "tried again in 2m0s"},
		"gone":       {answer(410), "disables the webhook"},
		"redirected": {answer(302), "a redirect"},
		"hanging":    {hang, "no answer within 100ms"},
	} {
		to := newListener(t, c.answers)
		w, secret := h.hook(to.URL)
		says, taken := h.push.Hooks().Test(t.Context(), w)
		if !strings.Contains(says, c.want) || taken != (name == "taken") {
			t.Errorf("%s: got %t, %q; want %q", name, taken, says, c.want)
		}
		if calls := to.heard(); len(calls) != 1 || verifies(secret, calls[0]) != nil || !strings.Contains(string(calls[0].body), TypeTest) {
			t.Errorf("%s: got %d calls, want one signed test", name, len(calls))
		}
	}
	w, _ := h.hook("http://127.0.0.1:1/")
	if says, taken := h.push.Hooks().Test(t.Context(), w); taken || !strings.Contains(says, "not reached") {
		t.Errorf("down: got %t, %q", taken, says)
	}
	if got := len(h.deliveries(w)); got != 0 {
		t.Errorf("log after tests: got %d lines, want none", got)
	}
}

func TestHooks_pauses_grow_and_fill_the_day(t *testing.T) {
	q := &hookQueue{queue: &queue{backoff: hookBackoff}}
	start := time.Unix(1_800_000_000, 0)
	for tries, want := range hookBackoff {
		got := q.next(int64(tries+1), ErrGone, start).Sub(start).Seconds()
		if got < want.Seconds()*(1-jitter)-1e-6 || got > want.Seconds()*(1+jitter) {
			t.Errorf("pause %d: got %g s, want %s within a fifth", tries+1, got, want)
		}
	}
	if got := q.next(100, ErrGone, start).Sub(start); got < longestHookPause*8/10-time.Microsecond {
		t.Errorf("pause 100: got %s, want as long as the longest", got)
	}
	if got := q.next(1, &RetryError{After: time.Hour, Err: ErrGone}, start).Sub(start); got != time.Hour {
		t.Errorf("when the receiver asks for an hour: got %s", got)
	}
	attempts, at := 1, hookBackoff[0]
	for ; at < approval.AnnounceFor; attempts++ {
		at += hookBackoff[min(attempts, len(hookBackoff)-1)]
	}
	if attempts != 18 { // hookBackoff says so
		t.Errorf("attempts in %s: got %d, want 18", approval.AnnounceFor, attempts)
	}
}
