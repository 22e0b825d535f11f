package push

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
	"github.com/nod-auth/nod/push/egress"
)

const hookSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// receiver is a real one on loopback, whose ranges are allowed.
func receiver(t *testing.T, handle http.HandlerFunc) (url string, c Config) {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return server.URL, Config{
		WebhookURL: server.URL + "/nod?key=4711", WebhookSecret: hookSecret,
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
}

func TestWebhook_prompt_arrives_signed_and_within_a_second(t *testing.T) {
	type call struct {
		header http.Header
		body   []byte
	}
	calls := make(chan call, 1)
	_, c := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls <- call{r.Header, body}
	})
	h := build(t, freshdb.File(t), c)
	defer h.file.Close()
	defer h.runs()()
	began := time.Now()
	b := h.ask(h.ada)
	got := <-calls
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %s, want less than a second", took)
	}
	verify, err := webhooks.NewWebhook(hookSecret)
	h.must(err)
	if err := verify.Verify(got.body, got.header); err != nil {
		t.Errorf("signature: %v", err)
	}
	var body map[string]any
	h.must(json.Unmarshal(got.body, &body))
	handle := h.push.codes.Prompt(b.Request.ID).Reveal()
	want := map[string]any{
		"type": "nod.prompt", "timestamp": body["timestamp"],
		"data": map[string]any{
			"type": "prompt", "id": handle, "expires_at": b.Request.Expires.Truncate(time.Second).Format(time.RFC3339),
			"user_id": h.ada.ID, "username": "ada", "url": "https://nod.example/a/" + handle,
		},
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	h.settled()
	h.wantDelivery(b, approval.DeliverySent)
}

func TestWebhook_answers_mean_what_they_should(t *testing.T) {
	now := time.Now()
	later := now.Add(time.Minute).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		status  int
		after   string // Retry-After
		retry   bool
		least   time.Duration
		success bool
	}{
		{status: 200, success: true}, {status: 202, success: true}, {status: 204, success: true},
		{status: 503, retry: true}, {status: 500, retry: true}, {status: 408, retry: true},
		{status: 429, after: "7", retry: true, least: 7 * time.Second},
		{status: 503, after: later, retry: true, least: 55 * time.Second},
		{status: 503, after: "soon", retry: true}, {status: 503, after: "-1", retry: true},
		{status: 302}, {status: 400}, {status: 401}, {status: 404}, {status: 410}, {status: 413},
	} {
		address, config := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.after)
			w.Header().Set("Location", "http://169.254.169.254/")
			w.WriteHeader(c.status)
			io.WriteString(w, "a secret of the receiver's")
		})
		err := hook(t, address, config).Send(t.Context(), Message{ID: "msg-1", Kind: Test, Until: now.Add(time.Hour)})
		retry, again := errors.AsType[*RetryError](err)
		switch {
		case c.success != (err == nil), again != c.retry:
			t.Errorf("%d: got %v, want success %t, retry %t", c.status, err, c.success, c.retry)
		case again && (retry.After < c.least || retry.After > c.least+10*time.Second):
			t.Errorf("%d, %s: got a pause of %s, want %s", c.status, c.after, retry.After, c.least)
		case err != nil && (strings.Contains(err.Error(), "4711") || strings.Contains(err.Error(), "secret")):
			t.Errorf("%d: got %v, want no word of the address or the answer's text", c.status, err)
		}
	}
}

func TestWebhook_that_is_not_there_is_tried_again_and_a_private_one_is_not(t *testing.T) {
	address, config := receiver(t, func(http.ResponseWriter, *http.Request) {})
	m := Message{ID: "msg-1", Kind: Test, Until: time.Now().Add(time.Hour)}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	err := hook(t, gone.URL, config).Send(t.Context(), m)
	if _, again := errors.AsType[*RetryError](err); !again {
		t.Errorf("nobody listens: got %v, want a retry", err)
	}
	config.Allow = []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}
	err = hook(t, address, config).Send(t.Context(), m)
	if _, again := errors.AsType[*RetryError](err); again || !errors.Is(err, egress.ErrRefused) {
		t.Errorf("loopback: got %v, want %v and no retry", err, egress.ErrRefused)
	}
}

func hook(t *testing.T, address string, c Config) *webhook {
	t.Helper()
	u, err := parseWebhookURL(address)
	if err != nil {
		t.Fatal(err)
	}
	client := egress.New(egress.Config{Allow: c.Allow, Ports: []uint16{webhookPort(u)}, Timeout: attemptTime})
	t.Cleanup(client.CloseIdleConnections)
	w, err := newWebhook(address+"/nod?key=4711", hookSecret, "https://nod.example", client)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestLog_line_has_the_link(t *testing.T) {
	h := build(t, freshdb.File(t), Config{LogPrompts: true})
	defer h.file.Close()
	if !strings.Contains(h.log.String(), "for development") {
		t.Errorf("log at the start: got %q, want a warning", h.log)
	}
	defer h.runs()()
	b := h.ask(h.ada)
	h.settled()
	h.wantDelivery(b, approval.DeliverySent)
	want := "https://nod.example/a/" + h.push.codes.Prompt(b.Request.ID).Reveal()
	if !strings.Contains(h.log.String(), want) {
		t.Errorf("log: got %s, want %s in it", h.log, want)
	}
}
