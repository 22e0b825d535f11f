package oauth_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval/account"
)

const inactive = `{"active":false}`

func TestIntrospect_tellsEverythingOfALiveAccessToken(t *testing.T) {
	h := open(t)
	ada := h.NewPerson("ada")
	tv, api := h.NewRelying(account.OAuth{Auth: account.AuthNone}), h.NewRelying(account.OAuth{})
	const details = `[{"type":"payment","amount":"4711.00"}]`
	b := begin(tv, F{"scope": "openid profile", "authorization_details": details})
	ada.Approve(b.ref(), "")
	access := tv.Poll(b.deviceCode).Want(ok).S("access_token")

	want := claimsOf(h.House, access, "at+jwt", tv.Client.ID) // the token's own claims, and:
	want["active"], want["username"], want["token_type"] = true, "ada", "Bearer"
	got := api.Post(introspectPath, F{"token": access}).Want(ok)
	if diff := cmp.Diff(want, got.JSON); diff != "" {
		t.Errorf("want (-) got (+):\n%s", diff)
	}
	for name, member := range map[string]any{
		"client_id": tv.Client.ID, "sub": ada.ID, "scope": "openid profile", "iss": h.URL, "acr": "urn:nod:acr:cross-device",
		"authorization_details": []any{M{"type": "payment", "amount": "4711.00"}},
	} {
		if diff := cmp.Diff(member, got.JSON[name]); diff != "" {
			t.Errorf("%s: want (-) got (+):\n%s", name, diff)
		}
	}
	if got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got Cache-Control %q, want no-store", got.Header.Get("Cache-Control"))
	}
}

func TestIntrospect_tellsWhichKeyATokenIsBoundTo(t *testing.T) {
	h := open(t)
	ada, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	r.Proof = h.NewProver()
	withNonce(r, func() apitest.Reply { return r.Post(apitest.DevicePath, nil) })
	s := letIn(r, ada, "openid offline_access")
	r.Proof = nil
	for name, token := range map[string]string{"access": s.access, "refresh": s.refresh} {
		got := r.Post(introspectPath, F{"token": token}).Want(ok)
		if jkt, _ := got.JSON["cnf"].(M)["jkt"].(string); len(jkt) != 43 {
			t.Errorf("%s: got %s, want cnf with a thumbprint", name, got.Text)
		}
		if is := got.JSON["token_type"]; name == "access" && is != "DPoP" || name == "refresh" && is != nil {
			t.Errorf("%s: got token_type %v", name, is)
		}
	}
}

func TestIntrospect_tellsARefreshTokenToItsOwnClientAlone(t *testing.T) {
	h := open(t)
	ada := h.NewPerson("ada")
	r, other := h.NewRelying(account.OAuth{}), h.NewRelying(account.OAuth{})
	s := letIn(r, ada, "openid offline_access")
	got := r.Post(introspectPath, F{"token": s.refresh, "token_type_hint": "access_token"}).Want(ok)
	if got.JSON["active"] != true || got.S("username") != "ada" || got.S("scope") != "openid offline_access" || got.S("sid") != s.sid {
		t.Errorf("got %s, want a live token of ada's", got.Text)
	}
	if left := time.Until(time.Unix(int64(got.JSON["exp"].(float64)), 0)); left < account.DefaultRefreshIdle-time.Minute {
		t.Errorf("got %s left, want %s", left, account.DefaultRefreshIdle)
	}
	if got := other.Post(introspectPath, F{"token": s.refresh}).Want(ok).Text; got != inactive {
		t.Errorf("another client: got %s, want %s", got, inactive)
	}
	next := r.Refresh(s.refresh).Want(ok).S("refresh_token")
	if got := r.Post(introspectPath, F{"token": s.refresh}).Want(ok).Text; got != inactive {
		t.Errorf("one that was used: got %s, want %s", got, inactive)
	}
	if got := r.Post(introspectPath, F{"token": next}).Want(ok).JSON["active"]; got != true {
		t.Errorf("the next one: got active %v, want true", got)
	}
}

func TestIntrospect_saysNothingOfWhatIsNotLive(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{})
	s := letIn(r, h.NewPerson("ada"), "openid offline_access")
	foreign := h.NewRelying(account.OAuth{}, func(c *account.Client) { c.NamespaceID = h.Namespace("elsewhere").ID })
	for name, c := range map[string]struct {
		asks  *apitest.Relying
		token string
	}{
		"a word": {r, "word"}, "an ID token": {r, s.id}, "a broken JWT": {r, "a.b.c"}, "another namespace's": {foreign, s.access},
		"another namespace's refresh token": {foreign, s.refresh}, "a piece": {r, s.access[:len(s.access)-1]},
	} {
		if got := c.asks.Post(introspectPath, F{"token": c.token}).Want(ok).Text; got != inactive {
			t.Errorf("%s: got %s, want %s", name, got, inactive)
		}
	}
}

func TestIntrospect_isOverAtOnceWhenItsGroundsAre(t *testing.T) {
	for name := range ends(nil, nil, nil) {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			ada, tv, api := h.NewPerson("ada"), h.NewRelying(account.OAuth{}), h.NewRelying(account.OAuth{})
			s := letIn(tv, ada, "openid offline_access")
			if got := api.Post(introspectPath, F{"token": s.access}).Want(ok).JSON["active"]; got != true {
				t.Fatalf("got active %v before, want true", got)
			}
			if err := ends(h, tv, ada)[name](s.sid); err != nil {
				t.Fatal(err)
			}
			asks := map[string]*apitest.Relying{s.access: api, s.refresh: tv}
			if name == "the client is deleted" {
				delete(asks, s.refresh) // nobody is left who may ask
			}
			for token, who := range asks {
				if got := who.Post(introspectPath, F{"token": token}).Want(ok).Text; got != inactive {
					t.Errorf("got %s, want %s", got, inactive)
				}
			}
		})
	}
}

func TestIntrospect_isForClientsThatProveWhoTheyAre(t *testing.T) {
	h := open(t)
	public, r := h.NewRelying(account.OAuth{Auth: account.AuthNone}), h.NewRelying(account.OAuth{})
	signing := h.NewRelying(account.OAuth{Auth: account.AuthPrivateKey})
	public.Post(introspectPath, F{"token": "word"}).WantError(refused, "invalid_client")
	signing.Post(introspectPath, F{"token": "word"}).Want(ok)
	r.Post(introspectPath, F{}).WantError(badRequest, "invalid_request")
	r.Secret = account.NewSecret()
	r.Post(introspectPath, F{"token": "word"}).WantError(refused, "invalid_client")
	h.Do(Call{Path: introspectPath, Body: M{"token": "word"}}).WantError(badRequest, "invalid_request")
}
