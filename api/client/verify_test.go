package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/api/client"
)

const audience = "api"

// publisher is an issuer's key set, without network.
type publisher struct {
	t   *testing.T
	key *ecdsa.PrivateKey // kid k-1

	mu      sync.Mutex
	extra   []jose.JSONWebKey
	control string
	down    *said // instead of the set
	fetches int
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	return &publisher{t: t, key: newKey(t, elliptic.P256()), control: "public, max-age=60"}
}

func (p *publisher) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch r.URL.String() {
	case issuer + "/.well-known/openid-configuration":
		return says(200, asJSON(map[string]string{"issuer": issuer, "jwks_uri": issuer + "/keys"})).reply(r)
	case issuer + "/keys":
	default:
		p.t.Errorf("call: got %s", r.URL)
	}
	p.fetches++
	if p.down != nil {
		return p.down.reply(r)
	}
	set := jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey{jwk("k-1", p.key)}, p.extra...)}
	return says(200, asJSON(set)).with("Cache-Control", p.control).reply(r)
}

func (p *publisher) change(f func()) { p.mu.Lock(); defer p.mu.Unlock(); f() }

func (p *publisher) fetched() int { p.mu.Lock(); defer p.mu.Unlock(); return p.fetches }

func jwk(kid string, key *ecdsa.PrivateKey) jose.JSONWebKey {
	return jose.JSONWebKey{Key: &key.PublicKey, KeyID: kid, Algorithm: "ES256", Use: "sig"}
}

func (p *publisher) verifier() *client.Verifier {
	return &client.Verifier{Issuer: issuer, Audience: audience, HTTPClient: &http.Client{Transport: p}}
}

// claimsOf are those of a good access token, changed; nil takes one away.
func claimsOf(changes map[string]any) map[string]any {
	now := time.Now().Unix()
	c := map[string]any{
		"iss": issuer, "sub": "u-1", "aud": audience, "exp": now + 600, "iat": now, "jti": "j-1",
		"client_id": "tv", "scope": "openid tv", "sid": "d-1", "amr": []string{"hwk"}, "acr": "urn:x", "auth_time": now - 3,
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// sign makes a token of whatever header and claims.
func sign(t *testing.T, key *ecdsa.PrivateKey, header, claims string) string {
	t.Helper()
	input := b64([]byte(header)) + "." + b64([]byte(claims))
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

const accessHeader = `{"alg":"ES256","typ":"at+jwt","kid":"k-1"}`

func (p *publisher) token(changes map[string]any) string {
	p.t.Helper()
	return sign(p.t, p.key, accessHeader, asJSON(claimsOf(changes)))
}

func TestVerify_good_tokens(t *testing.T) {
	p := newPublisher(t)
	at := func(seconds int64) time.Time { return time.Unix(time.Now().Unix()+seconds, 0) }
	access := &client.Verified{
		Issuer: issuer, Subject: "u-1", Audience: []string{audience}, ClientID: "tv", SessionID: "d-1",
		Scopes: []string{"openid", "tv"}, Methods: []string{"hwk"}, Class: "urn:x",
		AuthTime: at(-3), IssuedAt: at(0), Expires: at(600), ID: "j-1",
	}
	result := *access
	result.ClientID, result.Username, result.Scopes = audience, "ada", []string{}
	several := *access
	several.Audience = []string{"other", audience}
	ofResult := map[string]any{"client_id": nil, "scope": nil, "action": "login", "udata": "ada", "nid": "0123456789abcdef"}
	for name, test := range map[string]struct {
		header  string
		changes map[string]any
		want    *client.Verified
	}{
		"an access token":   {accessHeader, nil, access},
		"its typ in full":   {strings.Replace(accessHeader, "at+jwt", "application/AT+JWT", 1), nil, access},
		"several audiences": {accessHeader, map[string]any{"aud": []string{"other", audience}}, &several},
		"good since now":    {accessHeader, map[string]any{"nbf": time.Now().Unix()}, access},
		"a result token":    {strings.Replace(accessHeader, "at+jwt", "JWT", 1), ofResult, &result},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := p.verifier().Verify(t.Context(), sign(t, p.key, test.header, asJSON(claimsOf(test.changes))))
			if err != nil {
				t.Fatal(err)
			}
			var claims map[string]any
			if json.Unmarshal(got.JSON, &claims) != nil || claims["sub"] != "u-1" {
				t.Errorf("JSON: got %s", got.JSON)
			}
			got.JSON = nil
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVerify_leeway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublisher(t)
		v := p.verifier()
		v.Leeway = 30 * time.Second
		now := time.Now().Unix()
		for name, test := range map[string]struct {
			changes map[string]any
			want    error
		}{
			"just expired":  {map[string]any{"exp": now - 29}, nil},
			"long expired":  {map[string]any{"exp": now - 30}, client.ErrToken},
			"good soon":     {map[string]any{"nbf": now + 30}, nil},
			"not good soon": {map[string]any{"nbf": now + 31}, client.ErrToken},
		} {
			if _, err := v.Verify(t.Context(), p.token(test.changes)); !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, want %v", name, err, test.want)
			}
		}
	})
}

func TestVerify_needs_issuer_and_audience(t *testing.T) {
	p := newPublisher(t)
	for _, v := range []*client.Verifier{{Issuer: issuer}, {Audience: audience}} {
		v.HTTPClient = &http.Client{Transport: p}
		if _, err := v.Verify(t.Context(), p.token(nil)); err == nil || errors.Is(err, client.ErrToken) {
			t.Errorf("got %v, want an error that does not blame the token", err)
		}
	}
}
