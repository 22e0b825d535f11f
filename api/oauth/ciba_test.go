package oauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func TestBackchannel_asks_what_it_was_told_to(t *testing.T) {
	b := openBank(t)
	details := `[ {"type": "payment", "amount": {"value": "12.00", "currency": "EUR"}} ]`
	r := b.asks(params{
		"scope": "openid payments", "binding_message": "Überweisung №7 ✓", "authorization_details": details,
		"acr_values": "urn:whatever", "unheard_of": "ignored", "client_notification_token": "ignored when polling",
	}).Want(http.StatusOK)
	want := M{"auth_req_id": r.S("auth_req_id"), "expires_in": 120.0, "interval": 5.0}
	if diff := cmp.Diff(want, r.JSON); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if got := r.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: got %q, want no-store", got)
	}
	req := b.request(r.S("auth_req_id"))
	shown := approval.Context{
		App: "Acme Bank", Username: "ada", BindingMessage: "Überweisung №7 ✓",
		Scopes:  []account.ScopeText{{Scope: "openid", Says: "know who you are"}, {Scope: "payments", Says: "see your payments"}},
		Details: json.RawMessage(`[{"type":"payment","amount":{"value":"12.00","currency":"EUR"}}]`),
	}
	if diff := cmp.Diff(shown, req.Context); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
	if req.Face != "ciba" || req.UserID != b.ada.ID || req.Audience != b.client.ID || req.AnswerTo != nil {
		t.Errorf("request: got face %s, user %s, audience %s; want ciba, ada, the client, and nobody to tell", req.Face, req.UserID, req.Audience)
	}
}

func TestBackchannel_refuses(t *testing.T) {
	b := openBank(t)
	inactive := b.NewUser("inactive")
	_, err := b.Directory.Deactivate(t.Context(), inactive)
	b.must(err)
	elsewhere, err := b.Directory.CreateUser(t.Context(), b.Namespace("elsewhere").ID, "", "eve")
	b.must(err)
	for _, c := range []struct {
		about string
		p     params
		code  string
	}{
		{"no scope", params{"scope": ""}, "invalid_request"},
		{"no openid", params{"scope": "payments"}, "invalid_scope"},
		{"another's scope", params{"scope": "openid admin"}, "invalid_scope"},
		{"no hint", params{"login_hint": ""}, "invalid_request"},
		{"two hints", params{"login_hint_token": "a.b.c"}, "invalid_request"},
		{"three hints", params{"login_hint_token": "a.b.c", "id_token_hint": "a.b.c"}, "invalid_request"},
		{"nobody", params{"login_hint": "nobody"}, "unknown_user_id"},
		{"no name", params{"login_hint": " "}, "unknown_user_id"},
		{"a name that deceives", params{"login_hint": "ada\u202e"}, "unknown_user_id"},
		{"the name that stands for none", params{"login_hint": "-"}, "unknown_user_id"},
		{"an inactive user", params{"login_hint": "inactive"}, "unknown_user_id"},
		{"an inactive user's id", params{"login_hint": inactive.ID}, "unknown_user_id"},
		{"a user of another namespace", params{"login_hint": "eve"}, "unknown_user_id"},
		{"the id of one", params{"login_hint": elsewhere.ID}, "unknown_user_id"},
		{"another case of the name", params{"login_hint": "ADA"}, "unknown_user_id"},
		{"a hint token that is none", params{"login_hint": "", "login_hint_token": "ada"}, "invalid_request"},
		{"an ID token that is none", params{"login_hint": "", "id_token_hint": "ada"}, "invalid_request"},
		{"an expiry of nothing", params{"requested_expiry": "0"}, "invalid_request"},
		{"a negative expiry", params{"requested_expiry": "-1"}, "invalid_request"},
		{"an expiry with a fraction", params{"requested_expiry": "1.5"}, "invalid_request"},
		{"an expiry that is too long", params{"requested_expiry": "601"}, "invalid_request"},
		{"an expiry beyond numbers", params{"requested_expiry": "99999999999999999999"}, "invalid_request"},
		{"an expiry in words", params{"requested_expiry": "soon"}, "invalid_request"},
		{"details that are no list", params{"authorization_details": `{"type":"a"}`}, "invalid_authorization_details"},
		{"details without a type", params{"authorization_details": `[{"a":"b"}]`}, "invalid_authorization_details"},
		{"details that deceive", params{"authorization_details": `[{"type":"a","b":"\u202e"}]`}, "invalid_authorization_details"},
		{"460 characters with emoji and CJK", params{"binding_message": strings.Repeat("合言葉🔑 ", 92)}, "invalid_binding_message"},
		{"a message that deceives", params{"binding_message": "pay 1\u202e0"}, "invalid_binding_message"},
		{"a message of several lines", params{"binding_message": "a\nb"}, "invalid_binding_message"},
		{"a message of nothing", params{"binding_message": "   "}, "invalid_binding_message"},
	} {
		r := b.asks(c.p)
		wantError(t, c.about, r, http.StatusBadRequest, c.code)
		for _, secret := range []string{"nobody", "eve", "\u202e", "soon"} {
			if strings.Contains(r.Text, secret) {
				t.Errorf("%s: got %s, want nothing that was sent", c.about, r.Text)
			}
		}
	}
	if got := b.asks(params{"requested_expiry": "601"}).S("error_description"); !strings.Contains(got, "600") {
		t.Errorf("an expiry that is too long: got %q, want the longest", got)
	}
}

func TestBackchannel_authenticates_the_client_always(t *testing.T) {
	b := openBank(t, func(c *account.Client) { c.OAuth.Relaxed = true })
	form := params{"scope": "openid", "login_hint": "ada", "client_id": b.client.ID}
	wantError(t, "its id alone, although relaxed", b.Do(b.call("/oauth/bc-authorize", form)), http.StatusUnauthorized, "invalid_client")
	form["client_secret"] = account.NewSecret().Reveal()
	wantError(t, "a wrong secret", b.Do(b.call("/oauth/bc-authorize", form)), http.StatusUnauthorized, "invalid_client")
	form["client_secret"] = b.secret.Reveal()
	b.Do(b.call("/oauth/bc-authorize", form)).Want(http.StatusOK)

	device, _ := b.newClient(func(c *account.Client) { c.OAuth.Grants = []account.GrantType{account.GrantDeviceCode} })
	form["client_id"] = device.ID
	wantError(t, "a client of the other grant", b.Do(b.call("/oauth/bc-authorize", form)), http.StatusBadRequest, "unauthorized_client")
}

func TestBackchannel_requested_expiry_is_obeyed(t *testing.T) {
	b := openBank(t)
	for text, want := range map[string]float64{"": 120, "1": 1, "30": 30, "600": 600} {
		if got := b.asks(params{"requested_expiry": text}).Want(http.StatusOK).JSON["expires_in"]; got != want {
			t.Errorf("requested_expiry %q: got %v, want %v", text, got, want)
		}
	}
}

func TestBackchannel_match_number_is_for_clients_that_show_it(t *testing.T) {
	b := openBank(t)
	for match, want := range map[account.Match]bool{
		account.MatchType: true, account.MatchPick: true, account.MatchMessage: false, account.MatchNone: false,
	} {
		b.client, _ = b.newClient(func(c *account.Client) { c.Match = match })
		r := b.asks(nil).Want(http.StatusOK)
		number, shown := r.JSON["match_number"]
		if shown != want {
			t.Errorf("%s: got match_number %v, want one: %t", match, number, want)
		}
		if right := b.Service.Codes.MatchNumber(b.request(r.S("auth_req_id"))).Reveal(); want && number != right {
			t.Errorf("%s: got match_number %v, want %s", match, number, right)
		}
	}
}

func TestBackchannel_user_code(t *testing.T) {
	b := openBank(t, func(c *account.Client) { c.OAuth.NeedUserCode = true })
	wantError(t, "none is set", b.asks(params{"user_code": "BCDF-GHJK"}), http.StatusBadRequest, "invalid_user_code")
	code := b.Directory.NewUserCode()
	b.must(b.Directory.SetUserCode(t.Context(), b.ada, code))
	wantError(t, "missing", b.asks(nil), http.StatusBadRequest, "missing_user_code")
	wantError(t, "wrong", b.asks(params{"user_code": "BCDF-GHJK"}), http.StatusBadRequest, "invalid_user_code")
	b.begins(params{"user_code": code.Reveal()})
	b.begins(params{"user_code": strings.ToLower(strings.ReplaceAll(code.Reveal(), "-", " "))})

	bob := b.NewUser("bob")
	b.must(b.Directory.SetUserCode(t.Context(), bob, code))
	tries := 0
	for b.asks(params{"login_hint": "bob", "user_code": "BCDF-GHJK"}).Status == http.StatusBadRequest {
		tries++
	}
	if tries != 10 {
		t.Errorf("wrong codes that were judged: got %d, want 10", tries)
	}
	r := b.asks(params{"login_hint": "bob", "user_code": code.Reveal()})
	wantError(t, "the right one after too many", r, http.StatusTooManyRequests, "slow_down")
	if r.Header.Get("Retry-After") == "" {
		t.Error("the right one after too many: got no Retry-After, want one")
	}
	b.begins(params{"user_code": code.Reveal()}) // ada's are her own
}

func TestBackchannel_user_code_that_is_not_needed_must_be_right_all_the_same(t *testing.T) {
	b := openBank(t)
	b.begins(params{"user_code": "BCDF-GHJK"}) // she has none to compare it with
	b.must(b.Directory.SetUserCode(t.Context(), b.ada, b.Directory.NewUserCode()))
	b.begins(nil)
	wantError(t, "wrong", b.asks(params{"user_code": "BCDF-GHJK"}), http.StatusBadRequest, "invalid_user_code")
}

func TestBackchannel_one_person_is_not_asked_without_end(t *testing.T) {
	b := openBank(t)
	bob := b.NewUser("bob")
	asked := 0
	for b.asks(nil).Status == http.StatusOK {
		asked++
	}
	if asked != 20 {
		t.Errorf("questions to one person in a row: got %d, want 20", asked)
	}
	wantError(t, "one more", b.asks(nil), http.StatusTooManyRequests, "slow_down")
	b.begins(params{"login_hint": bob.Username})
}

func TestBackchannel_poll_learns_of_the_verdict_at_once(t *testing.T) {
	b := openBank(t)
	id := b.begins(params{"binding_message": "W4SCT", "scope": "openid payments", "authorization_details": `[{"type":"payment"}]`})
	held := b.Held(b.pollCall(id))
	began := time.Now()
	b.approves(b.ada, b.request(id).ID)
	r := b.Answer(held)
	if took := time.Since(began); r.Status != http.StatusOK || took > time.Second {
		t.Fatalf("got %d %s after %s, want tokens within a second", r.Status, r.Text, took)
	}
	claims, err := b.Ring.Verify(t.Context(), r.S("access_token"), token.Expect{Issuer: b.URL, Audience: b.client.ID, Typ: "at+jwt"})
	b.must(err)
	var got struct {
		Subject string          `json:"sub"`
		Scope   string          `json:"scope"`
		Details json.RawMessage `json:"authorization_details"`
	}
	b.must(claims.Decode(&got))
	if got.Subject != b.ada.ID || got.Scope != "openid payments" || string(got.Details) != `[{"type":"payment"}]` {
		t.Errorf("access token: got %+v, want ada, the scopes and the details", got)
	}
	if r.S("id_token") == "" {
		t.Error("id_token: got none, want one")
	}
	wantError(t, "polled again", b.polls(id), http.StatusBadRequest, "invalid_grant")
}

func TestBackchannel_binding_message_must_be_confirmed(t *testing.T) {
	b := openBank(t)
	prepare := func(id string) error {
		_, err := b.Service.Prepare(t.Context(), listed(b.request(id).ID), viewer(b.ada), "")
		return err
	}
	if err := prepare(b.begins(params{"binding_message": "W4SCT"})); !errors.Is(err, approval.ErrMismatch) {
		t.Errorf("approve without having seen the message: got %v, want %v", err, approval.ErrMismatch)
	}
	if err := prepare(b.begins(nil)); err != nil {
		t.Errorf("approve without a message: got %v, want nil", err)
	}
}

func TestBackchannel_poll_after_a_no_and_after_its_time(t *testing.T) {
	b := openBank(t, func(c *account.Client) { c.OAuth.Hold = 0 })
	denied, expired := b.begins(nil), b.begins(params{"requested_expiry": "30"})
	wantError(t, "undecided", b.polls(denied), http.StatusBadRequest, "authorization_pending")
	b.declines(b.ada, b.request(denied).ID)
	for range 2 {
		wantError(t, "declined", b.polls(denied), http.StatusBadRequest, "access_denied")
	}
	b.ahead.Add(int64(31 * time.Second))
	wantError(t, "too late", b.polls(expired), http.StatusBadRequest, "expired_token")
}

func TestBackchannel_id_of_another_client_is_nothing(t *testing.T) {
	b := openBank(t, func(c *account.Client) { c.OAuth.Hold = 0 })
	id := b.begins(nil)
	b.approves(b.ada, b.request(id).ID)
	mine := b.client
	b.client, _ = b.newClient()
	wantError(t, "another client", b.polls(id), http.StatusBadRequest, "invalid_grant")
	b.client = mine
	b.polls(id).Want(http.StatusOK)
}

func TestBackchannel_proof_binds_at_once(t *testing.T) {
	b := openBank(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	b.must(err)
	proof := func(path, nonce string) string {
		claims := M{"jti": uuid.NewString(), "htm": "POST", "htu": b.URL + path, "iat": ago(0)}
		if nonce != "" {
			claims["nonce"] = nonce
		}
		options := &jose.SignerOptions{EmbedJWK: true}
		return signedWith(b, jose.SigningKey{Algorithm: jose.ES256, Key: key}, options.WithType("dpop+jwt"), claims)
	}
	call := b.call("/oauth/bc-authorize", params{"scope": "openid", "login_hint": "ada"})
	call.Header["DPoP"] = proof(call.Path, "")
	r := b.Do(call)
	wantError(t, "no nonce", r, http.StatusBadRequest, "use_dpop_nonce")
	call.Header["DPoP"] = proof(call.Path, r.Header.Get("DPoP-Nonce"))
	r = b.Do(call).Want(http.StatusOK)
	id := r.S("auth_req_id")
	b.approves(b.ada, b.request(id).ID)
	wantError(t, "polled without a proof", b.polls(id), http.StatusBadRequest, "invalid_grant")
	poll := b.pollCall(id)
	poll.Header["DPoP"] = proof(poll.Path, r.Header.Get("DPoP-Nonce"))
	if got := b.Do(poll).Want(http.StatusOK).S("token_type"); got != "DPoP" {
		t.Errorf("token_type: got %s, want DPoP", got)
	}
}
