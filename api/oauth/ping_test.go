package oauth_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/approval/account"
)

// pings is where a client hears them: a real server.
func pings(t *testing.T) (url string, heard <-chan M) {
	t.Helper()
	got := make(chan M, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		said := M{"authorization": r.Header.Get("Authorization")}
		_ = json.Unmarshal(body, &said)
		got <- said
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/ciba/ping", got
}

func TestPing_arrives_and_then_the_token_endpoint_answers_at_once(t *testing.T) {
	address, heard := pings(t)
	b := openBank(t, func(c *account.Client) {
		c.OAuth.Delivery, c.OAuth.Notification = account.DeliverPing, address
	})
	b.runs(t)
	for _, c := range []struct {
		end    string
		decide func(u account.User, requestID string)
		status int
		code   any
	}{
		{"approved", b.approves, http.StatusOK, nil},
		{"denied", b.declines, http.StatusBadRequest, "access_denied"},
		{"expired", func(account.User, string) { b.ahead.Add(int64(3 * time.Minute)) }, http.StatusBadRequest, "expired_token"},
	} {
		notification := account.NewSecret().Reveal()
		id := b.begins(params{"client_notification_token": notification})
		c.decide(b.ada, b.request(id).ID)
		if c.end == "expired" {
			b.polls(id) // somebody has to look: the janitor, when nobody polls
		}
		want := M{"authorization": "Bearer " + notification, "auth_req_id": id}
		if diff := cmp.Diff(want, within(t, heard)); diff != "" {
			t.Errorf("%s: ping (-want +got):\n%s", c.end, diff)
		}
		began := time.Now()
		r := b.polls(id)
		if took := time.Since(began); r.Status != c.status || r.JSON["error"] != c.code || took > time.Second {
			t.Errorf("%s: got %d %s after %s, want %d %v at once", c.end, r.Status, r.Text, took, c.status, c.code)
		}
	}
}

func within[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came within 10 s")
	}
	return v
}

func TestPing_notification_token(t *testing.T) {
	address, _ := pings(t)
	b := openBank(t, func(c *account.Client) {
		c.OAuth.Delivery, c.OAuth.Notification = account.DeliverPing, address
	})
	for text, ok := range map[string]bool{
		"": false, "a": true, "8d67dc78-7faa-4d41-aabd-67707b374255": true, "a.b_c~d+e/f==": true,
		strings.Repeat("a", 1024): true, strings.Repeat("a", 1025): false,
		"a b": false, "a\r\nX: y": false, "=": false, "a=b": false, "ä": false, `a"b`: false,
	} {
		r := b.asks(params{"client_notification_token": text})
		if ok != (r.Status == http.StatusOK) {
			t.Errorf("%q: got %d %s, want ok %t", text, r.Status, r.Text, ok)
		}
		if !ok {
			wantError(t, fmt.Sprintf("%q", text), r, http.StatusBadRequest, "invalid_request")
		}
	}
}

func TestPing_address_that_may_not_be_called_is_said_at_once(t *testing.T) {
	b := openBank(t, func(c *account.Client) {
		c.OAuth.Delivery, c.OAuth.Notification = account.DeliverPing, "https://10.0.0.1/ping"
	})
	r := b.asks(params{"client_notification_token": "abc"})
	wantError(t, "a private address", r, http.StatusBadRequest, "unauthorized_client")
	if strings.Contains(r.Text, "/ping") {
		t.Errorf("a private address: got %s, want it not repeated", r.Text)
	}
}
