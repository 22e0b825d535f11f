package oauth_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// requestOf is the request behind a user code, as the person's phone finds it.
func requestOf(h *house, p *apitest.Person, b begun) approval.Request {
	h.Helper()
	view, err := h.Service.Inspect(h.Context(), b.ref(), approval.Viewer{User: p.User})
	if err != nil {
		h.Fatal(err)
	}
	return view.Request
}

func TestDeviceAuthorization_answersAsTheRFCSays(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{})
	a := r.Begin(nil)
	var got struct {
		DeviceCode string      `json:"device_code"`
		UserCode   string      `json:"user_code"`
		URI        string      `json:"verification_uri"`
		Complete   string      `json:"verification_uri_complete"`
		ExpiresIn  json.Number `json:"expires_in"`
		Interval   json.Number `json:"interval"`
	}
	a.Into(&got)
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(got.DeviceCode) {
		t.Errorf("got device_code %q, want 256 bits", got.DeviceCode)
	}
	if !regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`).MatchString(got.UserCode) {
		t.Errorf("got user_code %q", got.UserCode)
	}
	if got.URI != h.URL+"/device" || got.Complete != h.URL+"/device?user_code="+got.UserCode {
		t.Errorf("got %s and %s", got.URI, got.Complete)
	}
	// As text in the reply: numbers, and not strings of them.
	if !strings.Contains(a.Text, `"expires_in":600`) || !strings.Contains(a.Text, `"interval":5`) {
		t.Errorf("got %s, want expires_in 600 and interval 5 as numbers", a.Text)
	}
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("got Cache-Control %q, want no-store", got)
	}
}

func TestDeviceAuthorization_heedsTheRegistration(t *testing.T) {
	h := open(t)
	short := h.NewRelying(account.OAuth{DeviceCodeLife: 90 * time.Second, NoComplete: true})
	a := short.Begin(nil)
	if _, there := a.JSON["verification_uri_complete"]; there || a.JSON["expires_in"] != 90.0 {
		t.Errorf("got %s, want 90 seconds and no complete URI", a.Text)
	}
	backend := h.NewRelying(account.OAuth{Grants: []account.GrantType{account.GrantCIBA}})
	backend.Post(apitest.DevicePath, nil).WantError(badRequest, "unauthorized_client")
	backend.Post(apitest.TokenPath, unknownCode).WantError(badRequest, "unauthorized_client")
}

func TestDeviceAuthorization_freezesWhatThePersonIsShown(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	details := `[ {"type":"payment_initiation", "amount":"1"} ]`
	c := r.Call(apitest.DevicePath, F{"scope": "profile openid profile", "authorization_details": details, "device_name": "Living-room TV"})
	c.Header["User-Agent"] = "TV/1.0"
	a := h.Do(c).Want(ok)
	req := requestOf(h, p, begun{userCode: a.S("user_code")})
	want := approval.Context{
		App: "Acme TV", DeviceName: "Living-room TV", Address: "127.0.0.1", UserAgent: "TV/1.0",
		Scopes:  []account.ScopeText{{Scope: "profile", Says: "see your username"}, {Scope: "openid", Says: "know who you are"}},
		Details: json.RawMessage(`[{"type":"payment_initiation","amount":"1"}]`),
	}
	if diff := cmp.Diff(want, req.Context); diff != "" {
		t.Errorf("want (-) got (+):\n%s", diff)
	}
	if req.Audience != r.Client.ID || req.UserID != "" || req.JKT != "" {
		t.Errorf("got audience %s, user %q, key %q: want the client, nobody yet, none", req.Audience, req.UserID, req.JKT)
	}
}

// TestDeviceAuthorization_expectingSomebody_isAnsweredByNobodyElse is threat A4 for a
// client that knows who is in front of it.
func TestDeviceAuthorization_expectingSomebody_isAnsweredByNobodyElse(t *testing.T) {
	h := open(t)
	ada, eve := h.NewPerson("ada"), h.NewPerson("eve")
	r := h.NewRelying(account.OAuth{})
	b := begin(r, F{"expected_sub": strings.ToUpper(ada.ID)})
	before := requestOf(h, ada, b)
	if err := eve.TryApprove(b.ref(), ""); !errors.Is(err, approval.ErrForbidden) {
		t.Errorf("somebody else approves: got %v, want %v", err, approval.ErrForbidden)
	}
	_, err := h.Service.Decide(h.Context(), b.ref(), approval.Viewer{User: eve.User}, approval.Answer{Verdict: approval.Decline})
	if !errors.Is(err, approval.ErrForbidden) {
		t.Errorf("somebody else declines: got %v, want %v", err, approval.ErrForbidden)
	}
	if diff := cmp.Diff(before, requestOf(h, ada, b)); diff != "" {
		t.Errorf("somebody else changed it, was (-) is (+):\n%s", diff)
	}
	ada.Approve(b.ref(), "")
	tokens := r.Poll(b.deviceCode).Want(ok)
	if got := claimsOf(h.House, tokens.S("access_token"), "at+jwt", r.Client.ID)["sub"]; got != ada.ID {
		t.Errorf("sub: got %v, want %s", got, ada.ID)
	}

	// Whether there is such a user, nobody is told.
	nobody := begin(r, F{"expected_sub": "6f0a1c7e-52f4-4d8f-9d1b-3f4b1f0a9c11"})
	for _, p := range []*apitest.Person{ada, eve} {
		if err := p.TryApprove(nobody.ref(), ""); !errors.Is(err, approval.ErrForbidden) {
			t.Errorf("%s approves what nobody may: got %v, want %v", p.Username, err, approval.ErrForbidden)
		}
	}
	r.Post(apitest.DevicePath, F{"expected_sub": "ada"}).WantError(badRequest, "invalid_request")
}

func TestDeviceAuthorization_asksForWhatTheClientMayHave(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	scopes := func(in F) []string {
		t.Helper()
		var out []string
		for _, s := range requestOf(h, p, begin(r, in)).Context.Scopes {
			out = append(out, s.Scope)
		}
		return out
	}
	if got, want := scopes(nil), []string{"openid", "profile"}; !slices.Equal(got, want) {
		t.Errorf("without scope: got %q, want %q: nobody gets offline_access unasked", got, want)
	}
	if got, want := scopes(F{"scope": "offline_access openid"}), []string{"offline_access", "openid"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	r.Post(apitest.DevicePath, F{"scope": "openid admin"}).WantError(badRequest, "invalid_scope")
	r.Post(apitest.DevicePath, F{"scope": "OPENID"}).WantError(badRequest, "invalid_scope")
}

func TestDeviceAuthorization_repeatsNothingThatIsWrong(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{})
	const secret = "hunter2"
	for _, c := range []struct {
		in   F
		code string
	}{
		{F{"device_name": secret + "\u202e"}, "invalid_request"},
		{F{"device_name": strings.Repeat(secret, 20)}, "invalid_request"},
		{F{"scope": secret}, "invalid_scope"},
		{F{"authorization_details": secret}, "invalid_authorization_details"},
		{F{"authorization_details": `[{"type":"` + secret + `\u202e"}]`}, "invalid_authorization_details"},
		{F{"authorization_details": `[{"type":"` + strings.Repeat(secret, 1000) + `"}]`}, "invalid_authorization_details"},
	} {
		reply := r.Post(apitest.DevicePath, c.in).WantError(badRequest, c.code)
		if strings.Contains(reply.Text, secret) {
			t.Errorf("the answer repeats what was sent: %s", reply.Text)
		}
	}
	json := Call{Path: apitest.DevicePath, Body: M{"client_id": r.Client.ID}}
	h.Do(json).WantError(badRequest, "invalid_request")
	twice := r.Call(apitest.DevicePath, nil)
	twice.Body, twice.Header["Content-Type"] = "x=1&x=2", "application/x-www-form-urlencoded"
	h.Do(twice).WantError(badRequest, "invalid_request")
}

// TestDeviceAuthorization_isPacedByAddressForStrangers: whoever proves to be the
// client asks for all its users from one address.
func TestDeviceAuthorization_isPacedByAddressForStrangers(t *testing.T) {
	h := open(t)
	public, confidential := h.NewRelying(account.OAuth{Auth: account.AuthNone}), h.NewRelying(account.OAuth{})
	var reply apitest.Reply
	for range 200 {
		if reply = public.Post(apitest.DevicePath, nil); reply.Status != ok {
			break
		}
	}
	reply.WantError(http.StatusTooManyRequests, "slow_down")
	if reply.Header.Get("Retry-After") == "" {
		t.Error("got no Retry-After")
	}
	confidential.Begin(nil)
}

func TestUserCode_isOfItsNamespace(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{})
	b := begin(r, nil)
	u, err := h.Directory.CreateUser(t.Context(), h.Namespace("elsewhere").ID, "", "eve")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Enrol(u).TryApprove(b.ref(), ""); err == nil {
		t.Error("a user of another namespace approved, want refused")
	}
	r.Poll(b.deviceCode).WantError(badRequest, "authorization_pending")
}
