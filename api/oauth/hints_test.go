package oauth_test

import (
	"crypto/ecdsa"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

func TestHint_names_a_user_by_name_or_id(t *testing.T) {
	b := openBank(t)
	zoe := b.NewUser("zo\u00eb")
	for hint, want := range map[string]account.User{
		"ada": b.ada, b.ada.ID: b.ada, "zo\u00eb": zoe, "zoe\u0308": zoe, zoe.ID: zoe,
	} {
		if got := b.request(b.begins(params{"login_hint": hint})).UserID; got != want.ID {
			t.Errorf("%s: got user %s, want %s", hint, got, want.ID)
		}
	}
}

func TestHint_id_is_nobody_else_s(t *testing.T) {
	b := openBank(t)
	b.NewUser(b.ada.ID) // who calls themselves so gets none of ada's questions
	if got := b.request(b.begins(params{"login_hint": b.ada.ID})).UserID; got != b.ada.ID {
		t.Errorf("got user %s, want ada, %s", got, b.ada.ID)
	}
	_, err := b.Directory.Deactivate(t.Context(), b.ada)
	b.must(err)
	wantError(t, "after ada is gone", b.asks(params{"login_hint": b.ada.ID}), http.StatusBadRequest, "unknown_user_id")
}

// hintToken has the claims that a login_hint_token must have.
func (b *bank) hintToken() M {
	return M{"iss": b.client.ID, "aud": b.URL, "exp": ago(-60), "sub": "ada"}
}

func TestHintToken_names_a_user(t *testing.T) {
	b := openBank(t)
	for about, more := range map[string]M{
		"a name": {"sub": "ada"}, "an id": {"sub": b.ada.ID},
		"dated": {"iat": ago(5), "nbf": ago(5)}, "aud as a list": {"aud": []string{b.URL}},
	} {
		claims := b.hintToken()
		maps.Copy(claims, more)
		id := b.begins(params{"login_hint": "", "login_hint_token": b.signs(b.key, "JWT", claims)})
		if got := b.request(id).UserID; got != b.ada.ID {
			t.Errorf("%s: got user %s, want ada", about, got)
		}
	}
}

func TestHintToken_refused(t *testing.T) {
	b := openBank(t)
	_, stranger := b.newClient()
	for _, c := range []struct {
		about string
		key   *ecdsa.PrivateKey
		typ   string
		more  M
		code  string
	}{
		{"another's key", stranger, "JWT", nil, "invalid_request"},
		{"a signed request", b.key, "oauth-authz-req+jwt", nil, "invalid_request"},
		{"a client assertion", b.key, "client-authentication+jwt", nil, "invalid_request"},
		{"an access token", b.key, "at+jwt", nil, "invalid_request"},
		{"another iss", b.key, "JWT", M{"iss": "somebody"}, "invalid_request"},
		{"no iss", b.key, "JWT", M{"iss": nil}, "invalid_request"},
		{"another aud", b.key, "JWT", M{"aud": "https://other.example"}, "invalid_request"},
		{"one aud too many", b.key, "JWT", M{"aud": []string{b.URL, "https://other.example"}}, "invalid_request"},
		{"no aud", b.key, "JWT", M{"aud": nil}, "invalid_request"},
		{"no exp", b.key, "JWT", M{"exp": nil}, "invalid_request"},
		{"no sub", b.key, "JWT", M{"sub": nil}, "invalid_request"},
		{"not yet", b.key, "JWT", M{"nbf": ago(-3600), "exp": ago(-7200)}, "invalid_request"},
		{"expired", b.key, "JWT", M{"exp": ago(1)}, "expired_login_hint_token"},
		{"nobody", b.key, "JWT", M{"sub": "nobody"}, "unknown_user_id"},
	} {
		claims := b.hintToken()
		maps.Copy(claims, c.more)
		r := b.asks(params{"login_hint": "", "login_hint_token": b.signs(c.key, c.typ, claims)})
		wantError(t, c.about, r, http.StatusBadRequest, c.code)
	}
}

func TestIDTokenHint_names_whom_it_was_about_however_old(t *testing.T) {
	b := openBank(t)
	id := b.begins(nil)
	b.approves(b.ada, b.request(id).ID)
	tokens := b.polls(id).Want(http.StatusOK)
	hint := params{"login_hint": "", "id_token_hint": tokens.S("id_token")}
	if got := b.request(b.begins(hint)).UserID; got != b.ada.ID {
		t.Errorf("fresh: got user %s, want ada", got)
	}
	b.ahead.Add(int64(24 * time.Hour)) // its life is ten minutes
	if got := b.request(b.begins(hint)).UserID; got != b.ada.ID {
		t.Errorf("a day old: got user %s, want ada", got)
	}

	hint["id_token_hint"] = tokens.S("access_token")
	wantError(t, "an access token", b.asks(hint), http.StatusBadRequest, "invalid_request")
	hint["id_token_hint"] = b.signs(b.key, "JWT", M{"iss": b.URL, "aud": b.client.ID, "sub": b.ada.ID, "exp": ago(-60)})
	wantError(t, "one that the client made", b.asks(hint), http.StatusBadRequest, "invalid_request")
	hint["id_token_hint"] = tokens.S("id_token")
	b.client, _ = b.newClient()
	wantError(t, "another client's", b.asks(hint), http.StatusBadRequest, "invalid_request")
}
