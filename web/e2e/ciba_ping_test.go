package e2e

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pinged is one request to a client's notification endpoint.
type pinged struct {
	Path, Authorization, Type, Body string
}

// notifications is a client's notification endpoint. It answers the statuses in
// turn, and then 200 with a body, which CIBA Core section 10.2 lets a client do.
func notifications(t *testing.T, statuses ...int) (address string, heard <-chan pinged) {
	t.Helper()
	got := make(chan pinged, 16)
	turn := make(chan int, len(statuses))
	for _, status := range statuses {
		turn <- status
	}
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- pinged{r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)}
		select {
		case status := <-turn:
			w.WriteHeader(status)
		default:
			_, _ = w.Write([]byte(`{"thanks": true}`))
		}
	}))
	return s.URL + "/ciba/ping", got
}

// askPing asks the owner of the phone on behalf of a client that is told by a ping,
// and returns the ping that it is to hear.
func (s *standard) askPing(t *testing.T, c registered, message, life string) (id string, want pinged) {
	t.Helper()
	const bearer = "8d67dc78-7faa-4d41-aabd-67707b374255"
	got := s.post(t.Context(), http.DefaultClient, c, "/oauth/bc-authorize", url.Values{
		"scope": {"openid"}, "login_hint": {s.phone.username}, "binding_message": {message}, "client_notification_token": {bearer},
		"requested_expiry": {life},
	})
	if got.Status != http.StatusOK || got.AuthReqID == "" {
		t.Fatalf("ask: got %+v, want 200 and an auth_req_id", got)
	}
	return got.AuthReqID, pinged{"/ciba/ping", "Bearer " + bearer, "application/json", `{"auth_req_id":"` + got.AuthReqID + `"}`}
}

func (s *standard) collect(t *testing.T, c registered, id string) oauthReply {
	t.Helper()
	return s.post(t.Context(), http.DefaultClient, c, "/oauth/token", url.Values{"grant_type": {grantCIBA}, "auth_req_id": {id}})
}

func hear(t *testing.T, heard <-chan pinged, within time.Duration) pinged {
	t.Helper()
	select {
	case got := <-heard:
		return got
	case <-time.After(within):
		t.Fatalf("no ping within %v", within)
		return pinged{}
	}
}

func TestCIBAPing_saysThatThereIsAnAnswer(t *testing.T) {
	t.Parallel()
	address, heard := notifications(t)
	s := startStandard(t, "--push-allow-networks", "127.0.0.0/8")
	c := s.register(t, "--grant", "ciba", "--ciba-delivery", "ping", "--ciba-notification", address)
	for _, end := range []struct {
		name   string
		life   string // seconds
		decide func(context.Context, question) error
		status int
		code   string
	}{
		{"approved", "120", s.phone.approve, http.StatusOK, ""},
		{"denied", "120", s.phone.decline, http.StatusBadRequest, errDenied},
		{"expired", "1", func(context.Context, question) error { return nil }, http.StatusBadRequest, errExpired},
	} {
		t.Run(end.name, func(t *testing.T) {
			id, want := s.askPing(t, c, "Row 7, "+end.name, end.life)
			if err := end.decide(t.Context(), question{Message: "Row 7, " + end.name}); err != nil {
				t.Fatal(err)
			}
			decided := time.Now()
			got := hear(t, heard, patience)
			t.Logf("pinged %v after the answer", time.Since(decided))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ping (-want +got):\n%s", diff)
			}
			s.collect(t, c, id).want(t, end.status, end.code)
		})
	}
	if len(heard) > 0 {
		t.Errorf("pings after a 200: got %+v, want none", <-heard)
	}
}

// A ping that was not taken is owed: also by a server that is killed meanwhile.
func TestCIBAPing_isOwedOverACrash(t *testing.T) {
	t.Parallel()
	address, heard := notifications(t, http.StatusServiceUnavailable)
	s := startStandard(t, "--push-allow-networks", "127.0.0.0/8")
	c := s.register(t, "--grant", "ciba", "--ciba-delivery", "ping", "--ciba-notification", address)
	id, want := s.askPing(t, c, "Row 7", "600")
	if err := s.phone.approve(t.Context(), question{Message: "Row 7"}); err != nil {
		t.Fatal(err)
	}
	pings := []pinged{hear(t, heard, patience)}
	await(t, "the refused ping to be noted", func() bool {
		noted, err := s.gauges(t.Context(), `nod_push_messages_total{channel="ciba-ping",outcome="retry"}`)
		return err == nil && noted[0] == 1
	})
	s.kill(t)
	http.DefaultClient.CloseIdleConnections()
	s.start(t)
	pings = append(pings, hear(t, heard, patience))
	if diff := cmp.Diff(slices.Repeat([]pinged{want}, 2), pings); diff != "" {
		t.Errorf("pings (-want +got):\n%s", diff)
	}
	s.collect(t, c, id).want(t, http.StatusOK, "")
}

// Where the operator allowed no private networks, loopback is not called, and the
// client is told so when it asks.
func TestCIBAPing_privateAddressIsRefused(t *testing.T) {
	t.Parallel()
	s := startStandard(t)
	c := s.register(t, "--grant", "ciba", "--ciba-delivery", "ping", "--ciba-notification", "http://127.0.0.1:"+freePort(t)+"/ciba/ping")
	got := s.post(t.Context(), http.DefaultClient, c, "/oauth/bc-authorize", url.Values{
		"scope": {"openid"}, "login_hint": {s.phone.username}, "client_notification_token": {"8d67dc78"},
	})
	got.want(t, http.StatusBadRequest, "unauthorized_client")
}
