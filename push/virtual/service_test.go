package virtual

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const origin = "https://push.example"

// sender signs VAPID tokens.
type sender struct{ key *ecdsa.PrivateKey }

func newSender(t *testing.T) sender {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return sender{key}
}

func (s sender) public(t *testing.T) string {
	t.Helper()
	point, err := s.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(point)
}

func (s sender) header(t *testing.T, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return "vapid t=" + token + ", k=" + s.public(t)
}

func goodClaims() map[string]any {
	return map[string]any{"aud": origin, "exp": time.Now().Add(time.Hour).Unix(), "sub": "mailto:push@example.org"}
}

// example posts the RFC's message to a subscription with the RFC's keys.
type example struct {
	service *Service
	sub     *Subscription
	sender  sender
}

func newExample(t *testing.T) example {
	t.Helper()
	e := example{service: NewService(), sender: newSender(t)}
	var err error
	if e.sub, err = e.service.Subscribe(origin, e.sender.public(t)); err != nil {
		t.Fatal(err)
	}
	e.sub.private, e.sub.secret = exampleKey(t), raw(t, exampleSecret)
	return e
}

func (e example) post(t *testing.T, change func(r *http.Request)) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, e.sub.Endpoint(), bytes.NewReader(raw(t, exampleMessage)))
	r.Header.Set("Authorization", e.sender.header(t, goodClaims()))
	r.Header.Set("TTL", "60")
	r.Header.Set("Urgency", "high")
	r.Header.Set("Topic", "prompt")
	r.Header.Set("Content-Encoding", "aes128gcm")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	e.service.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestService_handsTheMessageOver(t *testing.T) {
	e := newExample(t)
	if status, body := e.post(t, nil); status != http.StatusCreated {
		t.Fatalf("got %d %s, want 201", status, body)
	}
	d, err := e.sub.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if string(d.Plaintext) != exampleText || d.TTL != time.Minute || d.Urgency != "high" || d.Topic != "prompt" || d.Subject != "mailto:push@example.org" {
		t.Errorf("got %+v", d)
	}
}

func TestService_refuses(t *testing.T) {
	e := newExample(t)
	other := newSender(t)
	claims := func(name string, value any) func(*http.Request) {
		c := goodClaims()
		c[name] = value
		return func(r *http.Request) { r.Header.Set("Authorization", e.sender.header(t, c)) }
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
		says   string
	}{
		"nobody's key":        {header("Authorization", other.header(t, goodClaims())), 403, "not the one"},
		"a forged signature":  {header("Authorization", forged(t, e.sender, other)), 403, "not the one"},
		"no authorization":    {header("Authorization", ""), 401, "scheme vapid"},
		"another scheme":      {header("Authorization", "WebPush abc"), 401, "scheme vapid"},
		"half the parameters": {header("Authorization", "vapid k="+e.sender.public(t)), 401, "lacks t or k"},
		"another audience":    {claims("aud", "https://push.example.org"), 401, "not for"},
		"an old token":        {claims("exp", time.Now().Add(-time.Minute).Unix()), 401, "expired"},
		"an eternal token":    {claims("exp", time.Now().Add(25*time.Hour).Unix()), 401, "24 hours"},
		"a doubled mailto":    {claims("sub", "mailto:mailto:push@example.org"), 401, "no contact"},
		"no contact":          {claims("sub", ""), 401, "no contact"},
		"no TTL":              {header("TTL", ""), 400, "TTL"},
		"a fractional TTL":    {header("TTL", "1.5"), 400, "TTL"},
		"a new urgency":       {header("Urgency", "urgent"), 400, "urgency"},
		"a long topic":        {header("Topic", strings.Repeat("a", 33)), 400, "topic"},
		"a strange topic":     {header("Topic", "a.b"), 400, "topic"},
		"an old encoding":     {header("Content-Encoding", "aesgcm"), 400, "aes128gcm"},
		"a foreign message":   {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", 200))) }, 400, "decrypt"},
		"a large message":     {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", 4097))) }, 413, "4096"},
		"an unknown phone":    {func(r *http.Request) { r.URL.Path = "/push/nobody" }, 404, "no such"},
		"another path":        {func(r *http.Request) { r.URL.Path = "/" }, 404, "no such"},
		"a GET":               {func(r *http.Request) { r.Method = http.MethodGet }, 405, "posted"},
	} {
		if status, body := e.post(t, c.change); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: got %d %q, want %d and %q", name, status, body, c.status, c.says)
		}
	}
	if got := e.sub.Pending(); got != 0 {
		t.Errorf("got %d messages, want none", got)
	}
}

// forged is a token signed by one sender under the key of another.
func forged(t *testing.T, as, by sender) string {
	t.Helper()
	token, _, _ := strings.Cut(by.header(t, goodClaims()), ", k=")
	return token + ", k=" + as.public(t)
}

func TestService_failsAsTold(t *testing.T) {
	e := newExample(t)
	e.service.Fail(2, Fault{Status: http.StatusServiceUnavailable, RetryAfter: "7"})
	for _, want := range []int{503, 503, 201} {
		if got, _ := e.post(t, nil); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
	e.service.Fail(-1, Fault{Status: http.StatusTooManyRequests})
	for range 3 {
		if got, _ := e.post(t, nil); got != 429 {
			t.Errorf("got %d, want 429", got)
		}
	}
	e.service.Fail(0, Fault{})
	e.sub.Unsubscribe()
	if got, _ := e.post(t, nil); got != http.StatusGone {
		t.Errorf("after unsubscribing: got %d, want 410", got)
	}
	if got := e.service.Requests(); got != 7 {
		t.Errorf("got %d requests, want 7", got)
	}
}

func TestSubscription_isWrittenAsBrowsersDo(t *testing.T) {
	e := newExample(t)
	var got struct {
		Endpoint       string
		ExpirationTime *int
		Keys           struct{ P256dh, Auth string }
	}
	if err := json.Unmarshal([]byte(e.sub.JSON()), &got); err != nil {
		t.Fatal(err)
	}
	if got.Endpoint != e.sub.Endpoint() || len(raw(t, got.Keys.P256dh)) != 65 || got.Keys.Auth != exampleSecret {
		t.Errorf("got %+v", got)
	}
}

func TestSubscribe_refusesWhatIsNoKey(t *testing.T) {
	for _, key := range []string{"", "!", "AAAA"} {
		if _, err := NewService().Subscribe(origin, key); err == nil {
			t.Errorf("%q: got no error", key)
		}
	}
}
