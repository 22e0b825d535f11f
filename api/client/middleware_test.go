package client_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nod-auth/nod/api/client"
)

func TestMiddleware(t *testing.T) {
	p := newPublisher(t)
	v := p.verifier()
	down := newPublisher(t)
	down.down = &badGate
	for name, test := range map[string]struct {
		v         *client.Verifier
		header    []string
		status    int
		challenge string // begins with it
		body      string // in it
	}{
		"a good token":      {v, []string{"Bearer " + p.token(nil)}, 200, "", "hello u-1"},
		"in small letters":  {v, []string{"bearer " + p.token(nil)}, 200, "", "hello u-1"},
		"none":              {v, nil, 401, "Bearer", "needs a token"},
		"a password":        {v, []string{"Basic YTpi"}, 401, "Bearer", "needs a token"},
		"an empty one":      {v, []string{"Bearer"}, 401, `Bearer error="invalid_token"`, "invalid_token"},
		"an expired one":    {v, []string{"Bearer " + p.token(map[string]any{"exp": 1})}, 401, `Bearer error="invalid_token", error_description="The token is refused: it has expired."`, "expired"},
		"two":               {v, []string{"Bearer " + p.token(nil), "Bearer " + p.token(nil)}, 401, `Bearer error="invalid_token"`, "more than one"},
		"a bound one":       {v, []string{"Bearer " + p.token(map[string]any{"cnf": map[string]string{"jkt": "x"}})}, 401, `Bearer error="invalid_token"`, "bound to a key"},
		"one with a proof":  {v, []string{"DPoP " + p.token(map[string]any{"cnf": map[string]string{"jkt": "x"}})}, 401, `Bearer error="invalid_token"`, "bound to a key"},
		"keys out of reach": {down.verifier(), []string{"Bearer " + p.token(nil)}, 503, "", "temporarily_unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["Authorization"] = test.header
			w := httptest.NewRecorder()
			test.v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, "hello ", client.Claims(r.Context()).Subject)
			})).ServeHTTP(w, r)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.body) {
				t.Errorf("got %d %s, want %d with %q", w.Code, w.Body, test.status, test.body)
			}
			got := w.Header().Get("WWW-Authenticate")
			if (got == "") != (test.challenge == "") || !strings.HasPrefix(got, test.challenge) {
				t.Errorf("challenge: got %q, want %q", got, test.challenge)
			}
			if (w.Header().Get("Retry-After") != "") != (test.status == 503) {
				t.Errorf("Retry-After: got %q", w.Header().Get("Retry-After"))
			}
			if test.status != 200 && (w.Header().Get("Content-Type") != "application/json" || !json.Valid(w.Body.Bytes())) {
				t.Errorf("the refusal is not JSON: %s", w.Body)
			}
		})
	}
}

func TestClaims_without_middleware(t *testing.T) {
	if got := client.Claims(t.Context()); got != nil {
		t.Errorf("got %v, want none", got)
	}
}

func TestVerified_HasScope(t *testing.T) {
	v := &client.Verified{Scopes: []string{"openid", "tv"}}
	if !v.HasScope("tv") || v.HasScope("t") || v.HasScope("") {
		t.Errorf("scopes %v: got tv %t, t %t; want the one and not the other", v.Scopes, v.HasScope("tv"), v.HasScope("t"))
	}
}
