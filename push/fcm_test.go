package push

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/push/virtual"
)

// firebaseProject is an FCM channel with a phone behind it.
type firebaseProject struct {
	fcm     *virtual.FCM
	app     *virtual.App
	channel *fcm
	origin  string
}

func newFirebaseProject(t testing.TB) firebaseProject {
	t.Helper()
	p := firebaseProject{}
	p.fcm, p.origin = newVirtualFCM(t)
	p.app = p.fcm.Install()
	var err error
	p.channel, err = newFCM(t.Context(), p.fcm.ServiceAccountJSON(p.origin), p.fcm.Endpoint(p.origin))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.channel.close)
	if p.channel.warning != "" {
		t.Fatalf("got the warning %q, want none", p.channel.warning)
	}
	return p
}

func newVirtualFCM(t testing.TB) (f *virtual.FCM, origin string) {
	t.Helper()
	f, err := virtual.NewFCM()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, server.URL
}

func (p firebaseProject) message(k Kind) Message {
	m := Message{ID: "request-1", Kind: k, Until: time.Now().Add(5 * time.Minute), Left: 5 * time.Minute, Target: account.Secret(p.app.Token())}
	if k == Prompt {
		m.Handle = "opaque-handle"
	}
	if k == Notice {
		m.Notice = "code_authorized"
	}
	return m
}

func TestFCM_aPhoneReceivesTheMessage(t *testing.T) {
	p := newFirebaseProject(t)
	for kind, want := range map[Kind]struct{ urgency, apns string }{
		Prompt: {"high", "10"}, Notice: {"normal", "5"}, Test: {"high", "10"},
	} {
		m := p.message(kind)
		if err := p.channel.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		n, err := p.app.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if title, body := words(m); n.Title != title || n.Body != body || title == "" || body == "" {
			t.Errorf("%s: got %q, %q, want %q, %q", kind, n.Title, n.Body, title, body)
		}
		checkLife(t, string(kind), n)
		if n.Android.Priority != want.urgency || n.Webpush["Urgency"] != want.urgency || n.APNS["apns-priority"] != want.apns {
			t.Errorf("%s: got priorities %s, want %+v", kind, n.Raw, want)
		}
		if tag := collapseID(m.ID); n.Android.Tag != tag || n.APNS["apns-collapse-id"] != tag || n.APNS["apns-push-type"] != "alert" {
			t.Errorf("%s: got %s, want the tag %s", kind, n.Raw, tag)
		}
		checkData(t, m.Payload(), n.Data)
	}
}

// checkLife wants what is left of five minutes, within two seconds.
func checkLife(t *testing.T, name string, n virtual.Notification) {
	t.Helper()
	within := func(d time.Duration) bool { return d <= 5*time.Minute && d >= 5*time.Minute-2*time.Second }
	seconds, err := strconv.Atoi(n.Webpush["TTL"])
	if err != nil || !within(time.Duration(seconds)*time.Second) || !within(n.Android.TTL) || n.Android.TTL%time.Second != 0 {
		t.Errorf("%s: got lives %s and %q, want what remains of 5 minutes", name, n.Android.TTL, n.Webpush["TTL"])
	}
	unix, err := strconv.ParseInt(n.APNS["apns-expiration"], 10, 64)
	if left := unix - time.Now().Unix(); err != nil || left > 300 || left < 297 {
		t.Errorf("%s: got an expiration in %d s, want what remains of 5 minutes", name, left)
	}
}

// checkData wants the payload's members as text, and no others.
func checkData(t *testing.T, p Payload, data map[string]string) {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if len(data) != len(want) {
		t.Errorf("got %v, want %v", data, want)
	}
	for name, value := range want {
		if data[name] != value {
			t.Errorf("%s: got %q, want %q", name, data[name], value)
		}
	}
}

func TestFCM_readsAnswers(t *testing.T) {
	p := newFirebaseProject(t)
	invalid := func(details string) string {
		return `{"error":{"code":400,"message":"Request contains an invalid argument.","status":"INVALID_ARGUMENT","details":[` +
			`{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"}` + details + `]}}`
	}
	violation := func(field string) string {
		return `,{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"` + field + `","description":"Invalid"}]}`
	}
	sentence := strings.Replace(invalid(""), "Request contains an invalid argument.", "The registration token is not a valid FCM registration token", 1)
	for name, c := range map[string]struct {
		fault     virtual.Fault
		gone      bool
		retry     bool
		after     time.Duration
		permanent string
	}{
		"unregistered":           {fault: virtual.Fault{Status: 404, Code: "UNREGISTERED"}, gone: true},
		"a bad token, by field":  {fault: virtual.Fault{Status: 400, Body: invalid(violation("message.token"))}, gone: true},
		"a bad token, by words":  {fault: virtual.Fault{Status: 400, Body: sentence}, gone: true},
		"another field":          {fault: virtual.Fault{Status: 400, Body: invalid(violation("message.data[0].value"))}, permanent: "400: FCM does not understand"},
		"no field":               {fault: virtual.Fault{Status: 400, Body: invalid("")}, permanent: "400: FCM does not understand"},
		"an unknown project":     {fault: virtual.Fault{Status: 404}, permanent: "404: the project is not known"},
		"another sender":         {fault: virtual.Fault{Status: 403, Code: "SENDER_ID_MISMATCH"}, permanent: "another Firebase project"},
		"no permission":          {fault: virtual.Fault{Status: 403}, permanent: "enable the Firebase Cloud Messaging API"},
		"no key for Apple":       {fault: virtual.Fault{Status: 401, Code: "THIRD_PARTY_AUTH_ERROR"}, permanent: "Apple"},
		"no access":              {fault: virtual.Fault{Status: 401}, permanent: "new key"},
		"quota":                  {fault: virtual.Fault{Status: 429, Code: "QUOTA_EXCEEDED", RetryAfter: "60"}, retry: true, after: time.Minute},
		"quota without a time":   {fault: virtual.Fault{Status: 429, Code: "QUOTA_EXCEEDED"}, retry: true},
		"unavailable":            {fault: virtual.Fault{Status: 503, Code: "UNAVAILABLE"}, retry: true},
		"unavailable for a time": {fault: virtual.Fault{Status: 503, Code: "UNAVAILABLE", RetryAfter: "30"}, retry: true, after: 30 * time.Second},
		"internal":               {fault: virtual.Fault{Status: 500, Code: "INTERNAL"}, retry: true},
		"a gateway's page":       {fault: virtual.Fault{Status: 502, Body: "<html>"}, retry: true},
		"somebody else's page":   {fault: virtual.Fault{Status: 200, Body: "<html>"}, permanent: "not FCM's"},
		"a redirect":             {fault: virtual.Fault{Status: 302, Body: "<html>"}, permanent: "redirects"},
	} {
		before := p.fcm.Sends()
		p.fcm.Fail(1, c.fault)
		started := time.Now()
		err := p.channel.Send(t.Context(), p.message(Prompt))
		if got := p.fcm.Sends() - before; got != 1 {
			t.Errorf("%s: got %d attempts, want 1", name, got)
		}
		if took := time.Since(started); took > 3*time.Second {
			t.Errorf("%s: took %s, want an answer at once", name, took)
		}
		var again *RetryError
		switch {
		case err == nil, errors.Is(err, ErrGone) != c.gone, errors.As(err, &again) != c.retry:
			t.Errorf("%s: got %v", name, err)
		case c.retry && again.After != c.after:
			t.Errorf("%s: got a pause of %s, want %s", name, again.After, c.after)
		case !strings.Contains(err.Error(), c.permanent):
			t.Errorf("%s: got %v, want %q", name, err, c.permanent)
		}
		if err != nil && len(err.Error()) > maxSaid {
			t.Errorf("%s: %d characters will be cut: %v", name, len(err.Error()), err)
		}
		refuseSecrets(t, err, p.app.Token())
		p.fcm.Fail(0, virtual.Fault{})
	}
	if got := p.app.Pending(); got != 0 {
		t.Errorf("got %d messages, want none", got)
	}
}

func TestFCM_phonesThatAreGone(t *testing.T) {
	p := newFirebaseProject(t)
	p.app.Uninstall()
	unknown := p.message(Prompt)
	unknown.Target = "a-token-that-nobody-has"
	for name, m := range map[string]Message{"uninstalled": p.message(Prompt), "unknown": unknown} {
		if err := p.channel.Send(t.Context(), m); !errors.Is(err, ErrGone) {
			t.Errorf("%s: got %v, want %v", name, err, ErrGone)
		}
	}
}

func TestFCM_aHangEndsWithTheContext(t *testing.T) {
	p := newFirebaseProject(t)
	hang := virtual.Fault{Hang: true}
	for name, prepare := range map[string]func(){
		"the send":        func() { p.fcm.Fail(1, hang) },
		"a Retry-After":   func() { p.fcm.Fail(1, virtual.Fault{Status: 503, RetryAfter: "60"}) },
		"the token":       func() { p.forgetToken(); p.fcm.FailTokens(1, hang) },
		"a queue for one": func() { p.forgetToken(); p.channel.transport.tokens.turn <- struct{}{} },
	} {
		prepare()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		started := time.Now()
		err := p.channel.Send(ctx, p.message(Prompt))
		cancel()
		if again := (*RetryError)(nil); !errors.As(err, &again) {
			t.Errorf("%s: got %v, want a RetryError", name, err)
		}
		if took := time.Since(started); took > 3*time.Second {
			t.Errorf("%s: took %s, want 50 ms", name, took)
		}
		refuseSecrets(t, err, p.app.Token())
	}
}

// forgetToken makes the next send fetch an access token.
func (p firebaseProject) forgetToken() { p.channel.transport.tokens.token.Store(nil) }

func TestFCM_aReplyThatBreaksOffIsNotSentTwice(t *testing.T) {
	f, origin := newVirtualFCM(t)
	var sends atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		sends.Add(1)
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(server.Close)
	channel, err := newFCM(t.Context(), f.ServiceAccountJSON(origin), server.URL+"/v1/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(channel.close)
	err = channel.Send(t.Context(), Message{Kind: Test, Until: time.Now().Add(time.Minute), Left: time.Minute, Target: "token"})
	if again := (*RetryError)(nil); !errors.As(err, &again) || sends.Load() != 1 {
		t.Errorf("got %v after %d sends, want a RetryError after one", err, sends.Load())
	}
}

func TestFCM_isRetriedWhenNobodyListens(t *testing.T) {
	f, origin := newVirtualFCM(t)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	channel, err := newFCM(t.Context(), f.ServiceAccountJSON(origin), f.Endpoint(closed.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(channel.close)
	err = channel.Send(t.Context(), Message{Kind: Test, Until: time.Now().Add(time.Minute), Left: time.Minute, Target: "token"})
	if again := (*RetryError)(nil); !errors.As(err, &again) || strings.Contains(err.Error(), "canceled") {
		t.Errorf("got %v, want a RetryError with the reason", err)
	}
}

func TestFCM_fetchesOneTokenForMany(t *testing.T) {
	p := newFirebaseProject(t)
	p.forgetToken()
	before := p.fcm.TokenRequests()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := p.channel.Send(t.Context(), p.message(Prompt)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := p.fcm.TokenRequests() - before; got != 1 || p.app.Pending() != 20 {
		t.Errorf("got %d token requests and %d messages, want 1 and 20", got, p.app.Pending())
	}
}

func TestFCM_aKeyDeletedLaterIsFinal(t *testing.T) {
	p := newFirebaseProject(t)
	if err := p.fcm.RotateKey(); err != nil {
		t.Fatal(err)
	}
	p.forgetToken()
	err := p.channel.Send(t.Context(), p.message(Prompt))
	if again := (*RetryError)(nil); err == nil || errors.As(err, &again) || !strings.Contains(err.Error(), "make a new key") {
		t.Errorf("got %v, want a permanent error with the advice to make a new key", err)
	}
	if _, err := p.channel.check(t.Context()); err == nil || !strings.Contains(err.Error(), "make a new key") {
		t.Errorf("check: got %v", err)
	}
}

func TestFCM_checkReachesNoPhone(t *testing.T) {
	p := newFirebaseProject(t)
	if _, err := p.channel.check(t.Context()); err != nil {
		t.Errorf("got %v, want ready", err)
	}
	p.fcm.Fail(1, virtual.Fault{Status: http.StatusForbidden})
	if _, err := p.channel.check(t.Context()); err == nil || !strings.Contains(err.Error(), "enable") {
		t.Errorf("got %v, want what to enable", err)
	}
	if got := p.app.Pending(); got != 0 {
		t.Errorf("got %d messages, want none", got)
	}
}
