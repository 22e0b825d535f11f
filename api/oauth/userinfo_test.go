package oauth_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const (
	userinfoPath   = "/oauth/userinfo"
	introspectPath = "/oauth/introspect"
	revokePath     = "/oauth/revoke"
)

// signedIn is what a person let in.
type signedIn struct {
	access, refresh, id, sid string
}

// letIn lets a client's device in with the person's passkey.
func letIn(r *apitest.Relying, p *apitest.Person, scope string) signedIn {
	r.Helper()
	b := begin(r, F{"scope": scope})
	p.Approve(b.ref(), "")
	got := withNonce(r, func() apitest.Reply { return r.Poll(b.deviceCode) }).Want(ok)
	s := signedIn{access: got.S("access_token")}
	s.refresh, _ = got.JSON["refresh_token"].(string)
	s.id, _ = got.JSON["id_token"].(string)
	s.sid, _ = claimsOf(r.House, s.access, "at+jwt", r.Client.ID)["sid"].(string)
	return s
}

// withNonce makes a call, once more if its proof lacked the nonce.
func withNonce(r *apitest.Relying, call func() apitest.Reply) apitest.Reply {
	got := call()
	if r.Proof != nil && got.JSON["error"] == "use_dpop_nonce" {
		r.Proof.Nonce = got.Header.Get("DPoP-Nonce")
		return call()
	}
	return got
}

// shows sends an access token to userinfo.
func shows(h *house, authorization string, header map[string]string) apitest.Reply {
	all := map[string]string{"Authorization": authorization}
	maps.Copy(all, header)
	return h.Do(Call{Path: userinfoPath, Header: all})
}

func TestUserinfo_tellsWhatTheScopesAllow(t *testing.T) {
	h := open(t)
	ada := h.NewPerson("ada")
	r := h.NewRelying(account.OAuth{Scopes: []account.ScopeText{{Scope: "openid"}, {Scope: "profile"}, {Scope: "play"}}})
	for scope, want := range map[string]string{"openid profile": "ada", "openid": "", "openid play": ""} {
		s := letIn(r, ada, scope)
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			got := h.Do(Call{Method: method, Path: userinfoPath, Token: s.access}).Want(ok)
			if name, _ := got.JSON["preferred_username"].(string); got.S("sub") != ada.ID || name != want {
				t.Errorf("%s %s: got %s, want sub %s and username %q", method, scope, got.Text, ada.ID, want)
			}
		}
	}
	got := shows(h, "bearer "+letIn(r, ada, "play").access, nil).WantError(http.StatusForbidden, "insufficient_scope")
	if is := got.Header.Get("WWW-Authenticate"); !strings.HasPrefix(is, `Bearer error="insufficient_scope"`) || !strings.Contains(is, `scope="openid"`) {
		t.Errorf("got WWW-Authenticate %q", is)
	}
}

func TestUserinfo_refusesWhatIsNoLiveAccessToken(t *testing.T) {
	h := open(t)
	ada := h.NewPerson("ada")
	r := h.NewRelying(account.OAuth{})
	s := letIn(r, ada, "openid offline_access")
	head, rest, _ := strings.Cut(s.access, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	for name, token := range map[string]string{
		"an ID token": s.id, "a refresh token": s.refresh, "a word": "word",
		"another signature": head + "." + payload + "." + strings.Repeat("A", len(signature)),
		"no signature":      head + "." + payload + ".", "other claims": head + "." + payload[:len(payload)-4] + "fQ." + signature,
	} {
		got := shows(h, "Bearer "+token, nil)
		if got.Status != refused || got.JSON["error"] != "invalid_token" {
			t.Errorf("%s: got %d %s, want 401 invalid_token", name, got.Status, got.Text)
		}
		if is := got.Header.Get("WWW-Authenticate"); !strings.HasPrefix(is, `Bearer error="invalid_token"`) {
			t.Errorf("%s: got WWW-Authenticate %q", name, is)
		}
	}
	h.advance(account.DefaultAccessLife)
	shows(h, "Bearer "+s.access, nil).WantError(refused, "invalid_token")
}

func TestUserinfo_withoutATokenNamesBothSchemes(t *testing.T) {
	h := open(t)
	for _, header := range []string{"", "Basic YTpi", "Bearer", "Bearer ", "Token x"} {
		got := shows(h, header, nil)
		if got.Status != refused {
			t.Errorf("%q: got %d, want 401", header, got.Status)
		}
		all := strings.Join(got.Header.Values("WWW-Authenticate"), ", ")
		if !strings.Contains(all, "Bearer realm=") || !strings.Contains(all, `DPoP algs="ES256"`) || strings.Contains(all, "error=") {
			t.Errorf("%q: got WWW-Authenticate %q, want both schemes and no error", header, all)
		}
	}
}

// ends are the ways in which everything that was signed in ends at once.
func ends(h *house, r *apitest.Relying, p *apitest.Person) map[string]func(sid string) error {
	ctx := context.Background()
	return map[string]func(string) error{
		"the device is revoked": func(sid string) error { return h.Service.RevokeDevice(ctx, sid, approval.ByOwner) },
		"the user is deactivated": func(string) error {
			_, err := h.Directory.Deactivate(ctx, p.User)
			return err
		},
		"the user is deleted":   func(string) error { return h.Directory.DeleteUser(ctx, p.User) },
		"the client is deleted": func(string) error { return h.Directory.DeleteClient(ctx, r.Client) },
		"its time is over": func(string) error {
			h.advance(account.DefaultRefreshIdle + time.Second)
			return nil
		},
	}
}

func TestUserinfo_isOverAtOnceWhenItsGroundsAre(t *testing.T) {
	for name := range ends(nil, nil, nil) {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			ada, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
			s := letIn(r, ada, "openid offline_access")
			shows(h, "Bearer "+s.access, nil).Want(ok)
			if err := ends(h, r, ada)[name](s.sid); err != nil {
				t.Fatal(err)
			}
			shows(h, "Bearer "+s.access, nil).WantError(refused, "invalid_token")
		})
	}
}

func TestUserinfo_storeFaultIsNoVerdict(t *testing.T) {
	h := open(t)
	s := letIn(h.NewRelying(account.OAuth{}), h.NewPerson("ada"), "openid")
	h.store.down.Store(true)
	got := shows(h, "Bearer "+s.access, nil).WantError(http.StatusServiceUnavailable, "temporarily_unavailable")
	if got.Header.Get("Retry-After") == "" {
		t.Error("got no Retry-After")
	}
	h.store.down.Store(false)
	shows(h, "Bearer "+s.access, nil).Want(ok)
}

func TestUserinfo_boundTokenNeedsAProofOfItsKey(t *testing.T) {
	h := open(t)
	ada := h.NewPerson("ada")
	r := h.NewRelying(account.OAuth{})
	unbound := letIn(r, ada, "openid")
	r.Proof = h.NewProver()
	got := r.Post(apitest.DevicePath, F{"scope": "openid"}).WantError(badRequest, "use_dpop_nonce")
	r.Proof.Nonce = got.Header.Get("DPoP-Nonce")
	s := letIn(r, ada, "openid")
	other := h.NewProver()
	other.Nonce = r.Proof.Nonce

	at := h.URL + userinfoPath
	mine := func(change ...func(M)) string {
		return r.Proof.Sign(http.MethodGet, at, func(m M) {
			apitest.For(s.access)(m)
			for _, f := range change {
				f(m)
			}
		})
	}
	used := mine()
	if got := shows(h, "DPoP "+s.access, map[string]string{"DPoP": used}).Want(ok); got.S("sub") != ada.ID || got.Header.Get("DPoP-Nonce") == "" {
		t.Errorf("got %s and nonce %q, want %s and a nonce", got.Text, got.Header.Get("DPoP-Nonce"), ada.ID)
	}
	for name, c := range map[string]struct{ scheme, token, proof, code string }{
		"as Bearer":              {"Bearer", s.access, "", "invalid_token"},
		"as Bearer with a proof": {"Bearer", s.access, mine(), "invalid_token"},
		"no proof":               {"DPoP", s.access, "", "invalid_dpop_proof"},
		"another key's proof":    {"DPoP", s.access, other.Sign(http.MethodGet, at, apitest.For(s.access)), "invalid_token"},
		"a proof again":          {"DPoP", s.access, used, "invalid_dpop_proof"},
		"no ath":                 {"DPoP", s.access, r.Proof.Sign(http.MethodGet, at, nil), "invalid_dpop_proof"},
		"another token's ath":    {"DPoP", s.access, r.Proof.Sign(http.MethodGet, at, apitest.For(unbound.access)), "invalid_dpop_proof"},
		"another method":         {"DPoP", s.access, r.Proof.Sign(http.MethodPost, at, apitest.For(s.access)), "invalid_dpop_proof"},
		"another address":        {"DPoP", s.access, r.Proof.Sign(http.MethodGet, h.URL+introspectPath, apitest.For(s.access)), "invalid_dpop_proof"},
		"no nonce":               {"DPoP", s.access, mine(func(m M) { delete(m, "nonce") }), "use_dpop_nonce"},
		"a token not bound":      {"DPoP", unbound.access, r.Proof.Sign(http.MethodGet, at, apitest.For(unbound.access)), "invalid_token"},
		"no token of ours":       {"DPoP", "word", mine(), "invalid_token"},
	} {
		header := map[string]string{}
		if c.proof != "" {
			header["DPoP"] = c.proof
		}
		got := shows(h, c.scheme+" "+c.token, header)
		if got.Status != refused || got.JSON["error"] != c.code {
			t.Errorf("%s: got %d %s, want 401 %s", name, got.Status, got.Text, c.code)
		}
		if is := got.Header.Get("WWW-Authenticate"); !strings.Contains(is, `error="`+c.code+`"`) {
			t.Errorf("%s: got WWW-Authenticate %q, want error %s", name, is, c.code)
		}
		if nonce := got.Header.Get("DPoP-Nonce"); c.scheme == "DPoP" && nonce == "" {
			t.Errorf("%s: got no nonce for the next proof", name)
		}
	}
}
