package push

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/push/egress"
	"github.com/nod-auth/nod/push/virtual"
)

// browser is a web push channel with a browser behind it.
type browser struct {
	service *virtual.Service
	sub     *virtual.Subscription
	channel *webPush
	vapid   VAPID
	origin  string
}

func newBrowser(t testing.TB) browser {
	t.Helper()
	b := browser{service: virtual.NewService(), vapid: newTestVAPID(t)}
	server := httptest.NewServer(b.service)
	t.Cleanup(server.Close)
	b.origin = server.URL
	var err error
	if b.sub, err = b.service.Subscribe(server.URL, b.vapid.Public()); err != nil {
		t.Fatal(err)
	}
	b.channel = b.sender(t, b.vapid)
	return b
}

// sender is a channel through the real guard, which the operator opened for
// loopback.
func (b browser) sender(t testing.TB, v VAPID) *webPush {
	t.Helper()
	s := testServices(t, b.origin)
	client := egress.New(egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Ports: s.Ports()})
	t.Cleanup(client.CloseIdleConnections)
	w, err := newWebPush(v, "mailto:push@example.org", s, client)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (b browser) message(k Kind) Message {
	m := Message{
		ID: "request-1", Kind: k, Until: time.Now().Add(5 * time.Minute), Left: 5 * time.Minute,
		Target: account.Secret(b.sub.JSON()),
	}
	switch k {
	case Prompt:
		m.Handle = "opaque-handle"
	case Notice:
		m.Notice = approval.NoticeCode
	}
	return m
}

func TestWebPush_aPhoneReadsThePayload(t *testing.T) {
	b := newBrowser(t)
	for kind, urgency := range map[Kind]string{Prompt: "high", Notice: "normal", Test: "high"} {
		m := b.message(kind)
		if err := b.channel.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		d, err := b.sub.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got Payload
		if err := json.Unmarshal(d.Plaintext, &got); err != nil || got != m.Payload() {
			t.Errorf("%s: got %s, %v, want %+v", kind, d.Plaintext, err, m.Payload())
		}
		if d.Urgency != urgency || d.Subject != "mailto:push@example.org" {
			t.Errorf("%s: got urgency %q from %q, want %q", kind, d.Urgency, d.Subject, urgency)
		}
		if d.TTL > 5*time.Minute || d.TTL < 5*time.Minute-2*time.Second {
			t.Errorf("%s: got a TTL of %s, want what remains of 5 minutes", kind, d.TTL)
		}
	}
}

func TestWebPush_lengthsTellNothing(t *testing.T) {
	b := newBrowser(t)
	short, long := b.message(Test), b.message(Prompt)
	long.Handle = account.Secret(strings.Repeat("h", 500))
	sizes := map[int]bool{}
	for _, m := range []Message{short, long} {
		if err := b.channel.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		d, err := b.sub.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sizes[d.Size] = true
	}
	if !sizes[4096] || len(sizes) != 1 {
		t.Errorf("got sizes %v, want 4096 alone", sizes)
	}
}

func TestWebPush_repeatsHaveTheSameTopicAndFreshKeys(t *testing.T) {
	b := newBrowser(t)
	b.service.Fail(1, virtual.Fault{Status: http.StatusServiceUnavailable})
	m := b.message(Prompt)
	if err := b.channel.Send(t.Context(), m); err == nil {
		t.Fatal("got nil, want a RetryError")
	}
	other := m
	other.ID = "request-2"
	var topics []string
	for _, m := range []Message{m, m, other} {
		if err := b.channel.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		d, err := b.sub.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		topics = append(topics, d.Topic)
	}
	if topics[0] == "" || topics[0] != topics[1] || topics[1] == topics[2] {
		t.Errorf("got topics %q, want the first two equal", topics)
	}
}

func TestWebPush_readsAnswers(t *testing.T) {
	b := newBrowser(t)
	date := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	for name, c := range map[string]struct {
		fault     virtual.Fault
		gone      bool
		retry     bool
		after     time.Duration
		permanent string
	}{
		"200":                {fault: virtual.Fault{Status: 200}},
		"201":                {fault: virtual.Fault{Status: 201}},
		"202":                {fault: virtual.Fault{Status: 202}},
		"404":                {fault: virtual.Fault{Status: 404}, gone: true},
		"410":                {fault: virtual.Fault{Status: 410}, gone: true},
		"408":                {fault: virtual.Fault{Status: 408}, retry: true},
		"406 is Microsoft's": {fault: virtual.Fault{Status: 406}, retry: true},
		"429":                {fault: virtual.Fault{Status: 429}, retry: true},
		"429 with seconds":   {fault: virtual.Fault{Status: 429, RetryAfter: "7"}, retry: true, after: 7 * time.Second},
		"429 with a date":    {fault: virtual.Fault{Status: 429, RetryAfter: date}, retry: true, after: 90 * time.Second},
		"500":                {fault: virtual.Fault{Status: 500}, retry: true},
		"503 with seconds":   {fault: virtual.Fault{Status: 503, RetryAfter: "30"}, retry: true, after: 30 * time.Second},
		"503 with nonsense":  {fault: virtual.Fault{Status: 503, RetryAfter: "later"}, retry: true},
		"400":                {fault: virtual.Fault{Status: 400}, permanent: "400: the service does not understand"},
		"400 about keys":     {fault: virtual.Fault{Status: 400, Body: `{"reason":"VapidPkHashMismatch"}`}, permanent: "400 VapidPkHashMismatch: the VAPID key"},
		"401":                {fault: virtual.Fault{Status: 401}, permanent: "401: the VAPID key"},
		"403":                {fault: virtual.Fault{Status: 403, Body: `{"reason":"BadJwtToken"}`}, permanent: "403 BadJwtToken: the VAPID key"},
		"413":                {fault: virtual.Fault{Status: 413}, permanent: "413: the message is too large"},
		"an unfit reason":    {fault: virtual.Fault{Status: 400, Body: `{"reason":"see /push/x"}`}, permanent: "400: the service"},
		"an endless body":    {fault: virtual.Fault{Status: 400, Body: strings.Repeat("x", 1<<20)}, permanent: "400: the service"},
	} {
		b.service.Fail(1, c.fault)
		err := b.channel.Send(t.Context(), b.message(Prompt))
		var again *RetryError
		switch {
		case errors.Is(err, ErrGone) != c.gone, errors.As(err, &again) != c.retry:
			t.Errorf("%s: got %v", name, err)
		case c.retry && (again.After > c.after || again.After < c.after-3*time.Second):
			t.Errorf("%s: got a pause of %s, want %s", name, again.After, c.after)
		case c.permanent != "" && (err == nil || !strings.Contains(err.Error(), c.permanent)):
			t.Errorf("%s: got %v, want %q", name, err, c.permanent)
		case err == nil && (c.gone || c.retry || c.permanent != ""):
			t.Errorf("%s: got nil", name)
		}
		if err != nil && len(err.Error()) > maxSaid {
			t.Errorf("%s: %d characters will be cut: %v", name, len(err.Error()), err)
		}
		refuseSecrets(t, err, b.sub.Endpoint(), b.vapid.Private().Reveal())
	}
}

func TestWebPush_anEndedSubscriptionIsGone(t *testing.T) {
	b := newBrowser(t)
	b.sub.Unsubscribe()
	if err := b.channel.Send(t.Context(), b.message(Prompt)); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want %v", err, ErrGone)
	}
}

func TestWebPush_anotherKeyHasToSubscribeAgain(t *testing.T) {
	b := newBrowser(t)
	err := b.sender(t, newTestVAPID(t)).Send(t.Context(), b.message(Prompt))
	if err == nil || !strings.Contains(err.Error(), "subscribe again") {
		t.Errorf("got %v, want the advice to subscribe again", err)
	}
}

func TestWebPush_aHangEndsWithTheContext(t *testing.T) {
	b := newBrowser(t)
	b.service.Fail(1, virtual.Fault{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := b.channel.Send(ctx, b.message(Prompt))
	var again *RetryError
	if !errors.As(err, &again) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want a RetryError of %v", err, context.DeadlineExceeded)
	}
	refuseSecrets(t, err, b.sub.Endpoint())
}

func TestWebPush_isRetriedWhenNobodyListens(t *testing.T) {
	b := newBrowser(t)
	server := httptest.NewServer(b.service)
	sub, err := b.service.Subscribe(server.URL, b.vapid.Public())
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	s := testServices(t, server.URL)
	w, err := newWebPush(b.vapid, "mailto:push@example.org", s, noRedirects(t))
	if err != nil {
		t.Fatal(err)
	}
	m := b.message(Prompt)
	m.Target = account.Secret(sub.JSON())
	err = w.Send(t.Context(), m)
	if again := (*RetryError)(nil); !errors.As(err, &again) {
		t.Errorf("got %v, want a RetryError", err)
	}
	refuseSecrets(t, err, sub.Endpoint())
}

func TestWebPush_followsNoRedirect(t *testing.T) {
	var reached atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			reached.Store(true)
			return
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	b := newBrowser(t)
	sub, err := b.service.Subscribe(server.URL, b.vapid.Public())
	if err != nil {
		t.Fatal(err)
	}
	m := b.message(Prompt)
	m.Target = account.Secret(sub.JSON())
	b.origin = server.URL
	err = b.sender(t, b.vapid).Send(t.Context(), m)
	if again := (*RetryError)(nil); err == nil || errors.As(err, &again) || errors.Is(err, ErrGone) || reached.Load() {
		t.Errorf("got %v, and followed %t, want a permanent error", err, reached.Load())
	}
	refuseSecrets(t, err, sub.Endpoint())
}

func TestWebPush_sendsNothing(t *testing.T) {
	b := newBrowser(t)
	good := b.message(Prompt)
	late, foreign, garbled := good, good, good
	late.Left = 0
	foreign.Target = account.Secret(strings.Replace(b.sub.JSON(), b.origin, "https://evil.example", 1))
	garbled.Target = "not a subscription"
	for name, c := range map[string]struct {
		m    Message
		want string
	}{
		"late":    {late, "its time is over"},
		"foreign": {foreign, "push service"},
		"garbled": {garbled, "subscription"},
	} {
		err := b.channel.Send(t.Context(), c.m)
		if again := (*RetryError)(nil); err == nil || errors.As(err, &again) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a permanent error with %q", name, err, c.want)
		}
	}
	if got := b.service.Requests(); got != 0 {
		t.Errorf("got %d requests, want none", got)
	}
}

func TestNewWebPush_wantsAKeyAndAContact(t *testing.T) {
	v, s := newTestVAPID(t), testServices(t)
	if _, err := newWebPush(VAPID{}, "mailto:push@example.org", s, http.DefaultClient); err == nil || !strings.Contains(err.Error(), "nod push keys") {
		t.Errorf("no key: got %v", err)
	}
	if _, err := newWebPush(v, "push@example.org", s, http.DefaultClient); err == nil || !strings.Contains(err.Error(), "mailto:") {
		t.Errorf("no URI: got %v", err)
	}
	w, err := newWebPush(v, "mailto:push@localhost", s, http.DefaultClient)
	if err != nil || !strings.Contains(w.warning, "Apple") {
		t.Errorf("localhost: got %v, want a warning", err)
	}
	if _, err := w.check(t.Context()); err == nil || err.Error() != w.warning {
		t.Errorf("check: got %v, want the warning", err)
	}
}

func BenchmarkWebPush(b *testing.B) {
	phone := newBrowser(b)
	m := phone.message(Prompt)
	for b.Loop() {
		if err := phone.channel.Send(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}

// refuseSecrets wants an error, if there is one, that repeats none of them.
func refuseSecrets(t testing.TB, err error, secrets ...string) {
	t.Helper()
	if err == nil {
		return
	}
	for _, secret := range secrets {
		last := secret[strings.LastIndexByte(secret, '/')+1:]
		if strings.Contains(err.Error(), last) {
			t.Errorf("the error repeats a secret: %v", err)
		}
	}
}
