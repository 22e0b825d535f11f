package oauth_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval/account"
)

const typRequest = "oauth-authz-req+jwt"

// signedRequest has the claims that a signed request must have, and asks ada.
func (b *bank) signedRequest() M {
	return M{
		"iss": b.client.ID, "aud": b.URL, "exp": ago(-300), "nbf": ago(5), "iat": ago(5), "jti": uuid.NewString(),
		"scope": "openid", "login_hint": "ada",
	}
}

// sends an authentication request whose parameters are these and no other.
func (b *bank) sends(p params) apitest.Reply {
	b.Helper()
	return b.Do(b.call("/oauth/bc-authorize", p))
}

func TestSignedRequest_asks_what_it_says_inside(t *testing.T) {
	b := openBank(t, func(c *account.Client) { c.OAuth.SignedOnly = true })
	for about, more := range map[string]M{
		"the expiry a number": {"requested_expiry": 30}, "the expiry a text": {"requested_expiry": "30"},
	} {
		claims := b.signedRequest()
		maps.Copy(claims, M{
			"binding_message": "W4SCT", "acr_values": nil,
			"authorization_details": []M{{"type": "payment", "amount": 12.5}},
		})
		maps.Copy(claims, more)
		r := b.sends(params{"request": b.signs(b.key, typRequest, claims)}).Want(http.StatusOK)
		got := b.request(r.S("auth_req_id"))
		if r.JSON["expires_in"] != 30.0 || got.UserID != b.ada.ID || got.Context.BindingMessage != "W4SCT" ||
			!strings.Contains(string(got.Context.Details), `"payment"`) {
			t.Errorf("%s: got %s, user %s, %+v; want 30 s, ada and what is inside", about, r.Text, got.UserID, got.Context)
		}
	}
}

func TestSignedRequest_counts_once(t *testing.T) {
	b := openBank(t)
	request := params{"request": b.signs(b.key, typRequest, b.signedRequest())}
	b.sends(request).Want(http.StatusOK)
	wantError(t, "again", b.sends(request), http.StatusBadRequest, "invalid_request")
}

func TestSignedRequest_unsigned_is_refused_where_only_signed_ones_count(t *testing.T) {
	b := openBank(t, func(c *account.Client) { c.OAuth.SignedOnly = true })
	wantError(t, "unsigned", b.asks(nil), http.StatusBadRequest, "invalid_request")
}

func TestSignedRequest_refused(t *testing.T) {
	b := openBank(t)
	_, stranger := b.newClient()
	for _, c := range []struct {
		about string
		key   *ecdsa.PrivateKey
		typ   string
		more  M
	}{
		{"another's key", stranger, typRequest, nil},
		{"a client assertion", b.key, "client-authentication+jwt", nil},
		{"an ID token", b.key, "at+jwt", nil},
		{"another iss", b.key, typRequest, M{"iss": "somebody"}},
		{"no iss", b.key, typRequest, M{"iss": nil}},
		{"another aud", b.key, typRequest, M{"aud": "https://other.example"}},
		{"the endpoint as aud", b.key, typRequest, M{"aud": b.URL + "/oauth/bc-authorize"}},
		{"one aud too many", b.key, typRequest, M{"aud": []string{b.URL, "https://other.example"}}},
		{"no aud", b.key, typRequest, M{"aud": nil}},
		{"no exp", b.key, typRequest, M{"exp": nil}},
		{"no nbf", b.key, typRequest, M{"nbf": nil}},
		{"no iat", b.key, typRequest, M{"iat": nil}},
		{"no jti", b.key, typRequest, M{"jti": nil}},
		{"an empty jti", b.key, typRequest, M{"jti": ""}},
		{"a jti that is too long", b.key, typRequest, M{"jti": strings.Repeat("a", 200)}},
		{"expired", b.key, typRequest, M{"exp": ago(1)}},
		{"not yet", b.key, typRequest, M{"nbf": ago(-600), "exp": ago(-900)}},
		{"issued tomorrow", b.key, typRequest, M{"iat": ago(-86400)}},
		{"valid for longer than an hour", b.key, typRequest, M{"nbf": ago(10), "exp": ago(10 - 3601)}},
		{"a scope that is a list", b.key, typRequest, M{"scope": []string{"openid"}}},
		{"an expiry with a fraction", b.key, typRequest, M{"requested_expiry": 1.5}},
		{"a negative expiry", b.key, typRequest, M{"requested_expiry": -1}},
		{"a hint that is a number", b.key, typRequest, M{"login_hint": 7}},
		{"a hint with a null in it", b.key, typRequest, M{"login_hint": "ada\x00"}},
		{"no hint", b.key, typRequest, M{"login_hint": nil}},
	} {
		claims := b.signedRequest()
		maps.Copy(claims, c.more)
		wantError(t, c.about, b.sends(params{"request": b.signs(c.key, c.typ, claims)}), http.StatusBadRequest, "invalid_request")
	}
}

func TestSignedRequest_other_algorithms_are_refused(t *testing.T) {
	b := openBank(t)
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	b.must(err)
	for _, key := range []jose.SigningKey{
		{Algorithm: jose.RS256, Key: rs}, {Algorithm: jose.PS256, Key: rs}, {Algorithm: jose.HS256, Key: []byte(b.secret + b.secret)},
	} {
		request := signedWith(b, key, new(jose.SignerOptions).WithType(typRequest), b.signedRequest())
		wantError(t, string(key.Algorithm), b.sends(params{"request": request}), http.StatusBadRequest, "invalid_request")
	}
	good := strings.Split(b.signs(b.key, typRequest, b.signedRequest()), ".")
	none := "eyJhbGciOiJub25lIn0." + good[1] + "." // {"alg":"none"}
	wantError(t, "none", b.sends(params{"request": none}), http.StatusBadRequest, "invalid_request")
	wantError(t, "no signature", b.sends(params{"request": good[0] + "." + good[1] + "."}), http.StatusBadRequest, "invalid_request")
}

func TestSignedRequest_nothing_stands_beside_it(t *testing.T) {
	b := openBank(t)
	for _, name := range []string{
		"scope", "client_notification_token", "acr_values", "login_hint_token", "id_token_hint", "login_hint",
		"binding_message", "user_code", "requested_expiry", "authorization_details",
	} {
		request := params{"request": b.signs(b.key, typRequest, b.signedRequest()), name: "openid"}
		wantError(t, name, b.sends(request), http.StatusBadRequest, "invalid_request")
	}
	beside := params{
		"request":   b.signs(b.key, typRequest, b.signedRequest()),
		"client_id": b.client.ID, "client_secret": b.secret.Reveal(), // who authenticates in the form
	}
	b.sends(beside).Want(http.StatusOK)
}
