package oauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval/account"
)

// place is where somebody takes a JWT.
type place struct {
	header bool                               // it travels in a header
	fresh  func() string                      // a good one
	own    *ecdsa.PrivateKey                  // whose tokens are its own to make; nil where they are the server's
	send   func(compact string) apitest.Reply // it, with everything else as it has to be
	// codes are the errors that may be answered; where there are none the answer is
	// 200 and the body this text (RFC 7662 section 2.2, RFC 7009 section 2.2).
	codes []string
	empty string
}

// places are all of them.
func places(h *house) map[string]place {
	ada := h.NewPerson("ada")
	asserting := h.NewRelying(account.OAuth{Auth: account.AuthPrivateKey})
	tv := h.NewRelying(account.OAuth{}) // with a secret, and a key for what it signs
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	must(h.Directory.AddClientKey(h.Context(), tv.Client, must(x509.MarshalPKIXPublicKey(&key.PublicKey))))
	tokens := letIn(tv, ada, "openid offline_access")
	bound := h.NewRelying(account.OAuth{})
	bound.Proof = h.NewProver()
	bound.Proof.Nonce = bound.Post(apitest.DevicePath, F{"scope": "openid"}).WantError(badRequest, "use_dpop_nonce").Header.Get("DPoP-Nonce")
	boundTokens := letIn(bound, ada, "openid")

	all := map[string]place{}
	for path, in := range map[string]F{
		apitest.DevicePath: {"scope": "openid"}, "/oauth/bc-authorize": {"scope": "openid", "login_hint": "ada"},
		apitest.TokenPath: {"grant_type": string(account.GrantRefresh), "refresh_token": "none"},
		introspectPath:    {"token": "none"}, revokePath: {"token": "none"},
	} {
		all["client_assertion at "+path] = place{
			fresh: func() string { return asserting.Assertion(nil) }, own: asserting.Key, codes: []string{"invalid_client", "invalid_request"},
			send: func(compact string) apitest.Reply {
				body := F{"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion": compact}
				maps.Copy(body, in)
				return post(h, path, body)
			},
		}
	}
	asks := func(name string, more F) func(string) apitest.Reply {
		return func(compact string) apitest.Reply {
			body := F{name: compact}
			maps.Copy(body, more)
			return tv.Post("/oauth/bc-authorize", body)
		}
	}
	signs := func(typ string, more M) func() string {
		return func() string {
			claims := M{
				"iss": tv.Client.ID, "aud": h.URL, "exp": ago(-60), "nbf": ago(5), "iat": ago(5), "jti": uuid.NewString(),
			}
			maps.Copy(claims, more)
			return apitest.SignJWT(h.House, key, typ, nil, claims)
		}
	}
	invalid := []string{"invalid_request"}
	all["request"] = place{
		fresh: signs("oauth-authz-req+jwt", M{"scope": "openid", "login_hint": "ada"}), own: key, send: asks("request", nil), codes: invalid,
	}
	all["login_hint_token"] = place{
		fresh: signs("JWT", M{"sub": "ada"}), own: key, send: asks("login_hint_token", F{"scope": "openid"}), codes: invalid,
	}
	all["id_token_hint"] = place{
		fresh: func() string { return tokens.id }, send: asks("id_token_hint", F{"scope": "openid"}), codes: invalid,
	}

	for path, in := range map[string]F{
		apitest.DevicePath: {"scope": "openid"}, "/oauth/bc-authorize": {"scope": "openid", "login_hint": "ada"},
		apitest.TokenPath: {"grant_type": string(account.GrantRefresh), "refresh_token": "none"},
	} {
		all["DPoP at "+path] = place{
			header: true, own: bound.Proof.Key, codes: []string{"invalid_dpop_proof"},
			fresh: func() string { return bound.Proof.Sign(http.MethodPost, h.URL+path, nil) },
			send: func(compact string) apitest.Reply {
				c := tv.Call(path, in)
				c.Header["DPoP"] = compact
				return h.Do(c)
			},
		}
	}
	all["DPoP at userinfo"] = place{
		header: true, own: bound.Proof.Key, codes: []string{"invalid_dpop_proof"},
		fresh: func() string {
			return bound.Proof.Sign(http.MethodGet, h.URL+userinfoPath, apitest.For(boundTokens.access))
		},
		send: func(compact string) apitest.Reply {
			return shows(h, "DPoP "+boundTokens.access, map[string]string{"DPoP": compact})
		},
	}
	all["access token at userinfo"] = place{
		header: true, fresh: func() string { return tokens.access }, codes: []string{"invalid_token"},
		send: func(compact string) apitest.Reply { return shows(h, "Bearer "+compact, nil) },
	}
	for name, grant := range map[string]account.GrantType{"refresh_token": account.GrantRefresh, "device_code": account.GrantDeviceCode} {
		all["access token at "+apitest.TokenPath+" as "+name] = place{ // takes no JWT at all
			fresh: func() string { return tokens.access }, codes: []string{"invalid_grant"},
			send: func(compact string) apitest.Reply {
				return tv.Post(apitest.TokenPath, F{"grant_type": string(grant), name: compact})
			},
		}
	}
	all["access token at introspection"] = place{
		fresh: func() string { return tokens.access }, empty: `{"active":false}`,
		send: func(compact string) apitest.Reply { return tv.Post(introspectPath, F{"token": compact}) },
	}
	all["access token at revocation"] = place{
		fresh: func() string { return letIn(tv, ada, "openid").access },
		send:  func(compact string) apitest.Reply { return tv.Post(revokePath, F{"token": compact}) },
	}
	return all
}

// judge is what is wrong with the answer to a forgery, "" when nothing is.
func (p place) judge(r apitest.Reply, f forgery) string {
	tooLarge := r.Status == http.StatusRequestEntityTooLarge && r.JSON["error"] == "invalid_request"
	code, _ := r.JSON["error"].(string)
	description, _ := r.JSON["error_description"].(string)
	switch {
	case tooLarge:
		return ""
	case p.codes == nil && (r.Status != ok || strings.TrimSpace(r.Text) != p.empty):
		return "want 200 " + p.empty
	case p.codes == nil:
		return ""
	case r.Status < 400 || r.Status > 499 || !slices.Contains(p.codes, code) || description == "":
		return fmt.Sprintf("want a 4xx with an error of %v and a description", p.codes)
	case r.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return "want JSON that nobody keeps"
	case strings.Contains(r.Text, "evil") || len(f.compact) > 40 && strings.Contains(r.Text, f.compact[:40]):
		return "want nothing repeated"
	}
	return ""
}

// Forty hostile JWTs and more at every place that takes one: each is refused in the
// protocol's own words, and not one changes anything.
func TestJWT_hostile(t *testing.T) {
	h := open(t)
	all := places(h)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			p := all[name]
			list := newForger(h, p.fresh(), p.own).forgeries()
			if p.header {
				list = slices.DeleteFunc(list, cannotBeAHeader)
			}
			if least := 40; len(list) < least {
				t.Errorf("%d hostile tokens, want %d", len(list), least)
			}
			p.refuses(t, h, list)
			if r := p.send(p.fresh()); !p.took(r) {
				t.Errorf("the one all others are made from: got %d %s", r.Status, r.Text)
			}
		})
	}
	if log := h.Log.String(); strings.Contains(log, "evil.example") || strings.Contains(log, "etc/passwd") {
		t.Error("the log repeats what a token said")
	}
}

// Every kind of JWT is genuine and fresh, and at the wrong place: a proof names its
// purpose.
func TestJWT_ofAnotherKind(t *testing.T) {
	h := open(t)
	all := places(h)
	kind := func(name string) string {
		if strings.HasPrefix(name, "DPoP at ") {
			return name // each is for one address
		}
		before, _, _ := strings.Cut(name, " at ")
		return before
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			var list []forgery
			for other, p := range all {
				if kind(other) != kind(name) {
					list = append(list, forgery{"what is for " + other, p.fresh()})
				}
			}
			all[name].refuses(t, h, list)
		})
	}
}

// refuses sends them all, and looks at the answers and at what was written.
func (p place) refuses(t *testing.T, h *house, list []forgery) {
	t.Helper()
	var commits atomic.Int32
	count := func() { commits.Add(1) }
	h.store.onApply.Store(&count)
	defer h.store.onApply.Store(nil)
	for _, f := range list {
		r := p.send(f.compact)
		if wrong := p.judge(r, f); wrong != "" {
			t.Errorf("%s: got %d %s, %s", f.name, r.Status, r.Text, wrong)
		}
		if n := commits.Swap(0); n != 0 {
			t.Errorf("%s: %d changes were written, want none", f.name, n)
		}
	}
}

// took says whether the answer is one to a token that was taken, whatever became of
// the rest of the call.
func (p place) took(r apitest.Reply) bool {
	if p.codes == nil {
		return r.Status == ok && (p.empty == "" || r.JSON["active"] == true)
	}
	code, _ := r.JSON["error"].(string)
	return r.Status == ok || code == "invalid_grant"
}

// cannotBeAHeader says what does not get through HTTP: nobody sends a line break in a
// header, or a megabyte.
func cannotBeAHeader(f forgery) bool {
	return strings.ContainsAny(f.compact, "\r\n") || len(f.compact) > 8<<10
}
