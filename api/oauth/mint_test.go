package oauth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval/account"
)

// signIn is a device that a person has let in, with its tokens.
func signIn(r *apitest.Relying, p *apitest.Person, in F) apitest.Reply {
	r.Helper()
	b := begin(r, in)
	p.Approve(b.ref(), "")
	return r.Poll(b.deviceCode).Want(ok)
}

func headerOf(t *testing.T, compact string) (h struct{ Alg, Typ, Kid string }) {
	t.Helper()
	first, _, _ := strings.Cut(compact, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	if err == nil {
		err = json.Unmarshal(raw, &h)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestTokens_sayWhatWasGranted(t *testing.T) {
	h := open(t)
	p := h.NewPerson("ada")
	r := h.NewRelying(account.OAuth{AccessLife: 5 * time.Minute, IDTokenLife: 7 * time.Minute, Audience: "https://api.example"})
	details := `[{"type":"payment","amount":"1"}]`
	reply := signIn(r, p, F{"scope": "openid profile", "authorization_details": details})

	access := claimsOf(h.House, reply.S("access_token"), "at+jwt", "https://api.example")
	id := claimsOf(h.House, reply.S("id_token"), "JWT", r.Client.ID)
	iat, sid := access["iat"].(float64), access["sid"].(string)
	sum := sha256.Sum256([]byte(reply.S("access_token")))
	same := M{
		"iss": h.URL, "sub": p.ID, "iat": iat, "auth_time": access["auth_time"], "sid": sid,
		"acr": "urn:nod:acr:cross-device", "amr": []any{"pop", "user", "mfa"},
	}
	with := func(more M) M {
		for name, value := range same {
			more[name] = value
		}
		return more
	}
	wantAccess := with(M{
		"aud": "https://api.example", "exp": iat + 300, "jti": access["jti"], "client_id": r.Client.ID, "scope": "openid profile",
		"authorization_details": []any{M{"type": "payment", "amount": "1"}},
	})
	wantID := with(M{
		"aud": r.Client.ID, "exp": iat + 420, "jti": id["jti"], "preferred_username": "ada",
		"at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
	})
	if diff := cmp.Diff(wantAccess, access); diff != "" {
		t.Errorf("access token: want (-) got (+):\n%s", diff)
	}
	if diff := cmp.Diff(wantID, id); diff != "" {
		t.Errorf("ID token: want (-) got (+):\n%s", diff)
	}
	if at := access["auth_time"].(float64); at > iat || at < iat-60 {
		t.Errorf("got auth_time %v, want that of the approval, shortly before %v", at, iat)
	}
	if access["jti"] == id["jti"] || access["jti"] == "" {
		t.Errorf("got jti %v and %v, want two", access["jti"], id["jti"])
	}
	wantAnswer := M{
		"access_token": reply.S("access_token"), "id_token": reply.S("id_token"), "token_type": "Bearer", "expires_in": 300.0,
		"scope": "openid profile", "authorization_details": []any{M{"type": "payment", "amount": "1"}},
	}
	if diff := cmp.Diff(wantAnswer, reply.JSON); diff != "" {
		t.Errorf("answer: want (-) got (+):\n%s", diff)
	}
	d, err := h.Store.Device(t.Context(), sid)
	if err != nil || d.UserID != p.ID || d.ClientID != r.Client.ID {
		t.Errorf("sid names the device %+v, %v", d, err)
	}
	if got := reply.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("got Cache-Control %q, want no-store", got)
	}
}

func TestTokens_areNoMoreThanAskedFor(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	for scope, want := range map[string]struct{ id, name, refresh bool }{
		"":                              {id: true, name: true},
		"openid":                        {id: true},
		"profile":                       {},
		"openid offline_access":         {id: true, refresh: true},
		"openid profile offline_access": {id: true, name: true, refresh: true},
	} {
		reply := signIn(r, p, F{"scope": scope})
		_, id := reply.JSON["id_token"]
		_, refresh := reply.JSON["refresh_token"]
		if id != want.id || refresh != want.refresh {
			t.Errorf("scope %q: got ID token %v, refresh token %v, want %v, %v", scope, id, refresh, want.id, want.refresh)
		}
		if _, there := reply.JSON["authorization_details"]; there {
			t.Errorf("scope %q: got authorization_details, want none", scope)
		}
		if id {
			said := claimsOf(h.House, reply.S("id_token"), "JWT", r.Client.ID)
			if _, name := said["preferred_username"]; name != want.name {
				t.Errorf("scope %q: got a name %v, want %v", scope, name, want.name)
			}
		}
		claimsOf(h.House, reply.S("access_token"), "at+jwt", r.Client.ID) // the audience is the client where it has no other
	}
}

func TestIDToken_isSignedAsTheClientIsRegistered(t *testing.T) {
	h := open(t)
	p := h.NewPerson("ada")
	for _, alg := range []string{"ES256", "RS256"} {
		r := h.NewRelying(account.OAuth{IDTokenAlg: alg})
		reply := signIn(r, p, F{"scope": "openid offline_access"})
		for range 2 { // and after a refresh
			if got := headerOf(t, reply.S("id_token")); got.Alg != alg || got.Kid == "" {
				t.Errorf("got ID token %+v, want %s", got, alg)
			}
			if got := headerOf(t, reply.S("access_token")); got.Alg != "ES256" || got.Typ != "at+jwt" {
				t.Errorf("got access token %+v, want ES256", got)
			}
			claimsOf(h.House, reply.S("id_token"), "JWT", r.Client.ID)
			reply = r.Refresh(reply.S("refresh_token")).Want(ok)
		}
	}
}
