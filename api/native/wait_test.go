package native_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const soon = time.Second // invariant I10: a verdict reaches the waiter within a second

// waitCall is a wait for the code, without a token.
func waitCall(app *apitest.App, c apitest.Code) Call {
	return Call{Path: waitPath, Body: withClient(app, c.WaitBody())}
}

// decline says no on the phone that scanned the code's QR.
func decline(h *house, c apitest.Code, u account.User) {
	h.Helper()
	handle := c.ApprovalURL[strings.LastIndex(c.ApprovalURL, "/")+1:]
	_, err := h.Service.Decide(h.Context(), approval.Ref{Way: approval.Scanned, Secret: account.Secret(handle)},
		approval.Viewer{User: u}, approval.Answer{Verdict: approval.Decline})
	if err != nil {
		h.Fatal(err)
	}
}

func TestWait_isAnsweredAtOnceOnTheDecision(t *testing.T) {
	h := open(t)
	app, u := h.NewApp(account.Client{}), h.NewUser("ada")
	for name, c := range map[string]struct {
		decide func(apitest.Code)
		status int
		code   string
	}{
		"authorized": {func(c apitest.Code) { app.Authorize(c).Want(http.StatusOK) }, http.StatusOK, ""},
		"declined":   {func(c apitest.Code) { decline(h, c, u) }, http.StatusForbidden, "failed_to_authenticate"},
		"invalidated": {func(apitest.Code) {
			app.Post("/codes/short/invalidate-all", account.CodesInvalidate, M{"username": "ada", "purpose": "temporary_authentication"}).Want(http.StatusOK)
		}, http.StatusForbidden, "failed_to_authenticate"},
	} {
		t.Run(name, func(t *testing.T) {
			code := app.Generate("ada", "short", nil)
			held := h.Held(waitCall(app, code))
			began := time.Now()
			c.decide(code)
			r := h.Answer(held)
			if took := time.Since(began); took > soon {
				t.Errorf("answered after %s, want within %s", took, soon)
			}
			if c.code == "" {
				r.Want(c.status)
			} else {
				r.Want(c.status, c.code)
			}
		})
	}
}

func TestWait_isAnsweredOnExpiryAndAfterTheHold(t *testing.T) {
	h := open(t, func(s *apitest.Setup) {
		s.Core.Lives = map[approval.CodeKind]time.Duration{approval.Short: 300 * time.Millisecond}
		s.API.WaitHold = 600 * time.Millisecond
	})
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	short, long := app.Generate("ada", "short", nil), app.Generate("ada", "long", nil)
	expired, timedOut := h.Held(waitCall(app, short)), h.Held(waitCall(app, long))
	h.Answer(expired).Want(http.StatusBadRequest, "verification_code_expired")
	h.Answer(timedOut).Want(http.StatusBadRequest, "remote_session_timeout")
	app.Wait(short, nil).Want(http.StatusBadRequest, "verification_code_expired")
	app.Authorize(short).Want(http.StatusBadRequest, "verification_code_expired")
	app.Authorize(long).Want(http.StatusOK)
	app.Wait(long, nil).Want(http.StatusOK)
}

func TestWait_isAnsweredWhenTheServerDrains(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	code := app.Generate("ada", "long", nil)
	held := h.Held(waitCall(app, code))
	h.Service.Hub.Drain()
	h.Answer(held).Want(http.StatusBadRequest, "remote_session_timeout")
	app.Wait(code, nil).Want(http.StatusBadRequest, "remote_session_timeout")
}

func TestWait_isReplacedByANewerOne(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	code := app.Generate("ada", "long", nil)
	older := h.Held(waitCall(app, code))
	newer := make(chan apitest.Reply, 1)
	go func() { newer <- app.Wait(code, nil) }()
	h.Answer(older).Want(http.StatusBadRequest, "remote_session_timeout")
	app.Authorize(code).Want(http.StatusOK)
	h.Answer(newer).Want(http.StatusOK)
}

func TestWait_noticesAClientThatLeft(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	code := app.Generate("ada", "long", nil)
	c := waitCall(app, code)
	var leave context.CancelFunc
	c.Ctx, leave = context.WithCancel(t.Context())
	held := h.Held(c)
	leave()
	if r := h.Answer(held); r.Status != 0 {
		t.Errorf("got %d, want no answer", r.Status)
	}
	h.Until("nobody sleeps", func() bool { return h.Service.Hub.Sleeping() == 0 })
	h.Until("the log says 499", func() bool { return strings.Contains(h.Log.String(), "status=499") })
	app.Authorize(code).Want(http.StatusOK)
	app.Wait(code, nil).Want(http.StatusOK) // nothing was redeemed for who left
}

func TestWait_looksOnceWithNoWait(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	code := app.Generate("ada", "phrase", nil)
	held := h.Held(waitCall(app, code))
	app.Wait(code, M{"no_wait": true}).Want(http.StatusBadRequest, "remote_session_in_progress")
	app.Authorize(code).Want(http.StatusOK)
	h.Answer(held).Want(http.StatusOK) // it was not displaced
}

func TestWait_namesWhoApproved(t *testing.T) {
	h := open(t)
	app, web := h.NewApp(account.Client{Name: "Back office"}), h.NewApp(account.Client{Type: account.ClientWeb})
	u := h.NewUser("zoë~>?")
	for _, kind := range []string{"short", "long", "phrase"} {
		code := app.Generate(u.Username, kind, nil)
		app.Authorize(code).Want(http.StatusOK)
		r := web.Wait(code, nil).Want(http.StatusOK)
		want := M{
			"client":           M{"id": web.Client.ID, "type": "directweb"},
			"credential":       M{"uuid": code.RequestID, "id": code.RequestID, "type": "code", "name": "Back office"},
			"user":             M{"id": u.ID, "username": u.Username, "namespace_id": u.NamespaceID},
			"is_authenticated": true,
		}
		if diff := cmp.Diff(want, r.JSON, cmpopts.IgnoreMapEntries(func(k string, _ any) bool { return k == "jwt" })); diff != "" {
			t.Errorf("%s: want (-) got (+):\n%s", kind, diff)
		}
		got := claims(r)
		said := M{
			"iss": h.URL, "sub": u.ID, "nid": u.NamespaceID, "aud": web.Client.ID, "action": "login", "udata": u.Username,
			"acr": "urn:nod:acr:backend",
		}
		for name, want := range said {
			if got[name] != want {
				t.Errorf("%s: got claim %s %v, want %v", kind, name, got[name], want)
			}
		}
		if life := got["exp"].(float64) - got["iat"].(float64); life != 600 {
			t.Errorf("got a life of %v s, want 600", life)
		}
		if strings.ContainsAny(strings.Split(r.S("jwt"), ".")[1], "-_") {
			t.Error("the payload needs - or _, which one SDK cannot decode")
		}
	}
}

func TestWait_leavesTheTokenOutWithNoJWT(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	r := app.Wait(app.Generate("ada", "long", M{"authorize": true}), M{"no_jwt": true}).Want(http.StatusOK)
	if _, there := r.JSON["jwt"]; there {
		t.Errorf("got %s, want no jwt", r.Text)
	}
}

func TestWait_usesTheClientsIssuer(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{Issuer: "https://vendor.example"})
	h.NewUser("ada")
	r := app.Wait(app.Generate("ada", "long", M{"authorize": true}), nil).Want(http.StatusOK)
	want := expect(r)
	want.Issuer = "https://vendor.example"
	if _, err := h.Ring.Verify(t.Context(), r.S("jwt"), want); err != nil {
		t.Error(err)
	}
}

func TestWait_repeatsTheIdenticalTokenForAMinute(t *testing.T) {
	h := open(t)
	app, other := h.NewApp(account.Client{}), h.NewApp(account.Client{})
	h.NewUser("ada")
	code := app.Generate("ada", "long", M{"authorize": true})
	first := app.Wait(code, nil).Want(http.StatusOK).S("jwt")
	h.advance(50 * time.Second)
	if again := app.Wait(code, nil).Want(http.StatusOK).S("jwt"); again != first {
		t.Error("the second token is another one")
	}
	other.Wait(code, nil).Want(http.StatusNotFound, "verification_code_not_found")
	h.advance(11 * time.Second)
	app.Wait(code, nil).Want(http.StatusNotFound, "verification_code_not_found")
}

func TestWait_givesOneTokenTo64(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	code := app.Generate("ada", "long", nil)
	app.Authorize(code).Want(http.StatusOK)
	const waiters = 64
	got := make(chan apitest.Reply, waiters)
	for range waiters {
		go func() { got <- app.Wait(code, nil) }()
	}
	tokens := make(map[string]int)
	for range waiters {
		switch r := h.Answer(got); r.Status {
		case http.StatusOK:
			tokens[r.S("jwt")]++
		case http.StatusBadRequest, http.StatusTooManyRequests: // replaced by a newer one, or above the address's share
		default:
			t.Errorf("got %d %s", r.Status, r.Text)
		}
	}
	if len(tokens) != 1 {
		t.Errorf("got %d different tokens, want 1", len(tokens))
	}
}

func TestWait_answersAlikeForWhateverIsNotThere(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	foreign := h.NewApp(account.Client{NamespaceID: h.Namespace("elsewhere").ID})
	h.NewUser("ada")
	code := app.Generate("ada", "short", nil)
	wrong, long, nobody := code, code, code
	wrong.Code = differ(code.Code)
	long.Kind = "long"
	nobody.Username = "nobody"
	add := app.Generate("ada", "long", M{"purpose": "add_credential", "authorize": true})
	audience := app.Generate("ada", "long", M{"authorize": true, "audience": another(h).Client.ID})
	collected := app.Generate("ada", "long", M{"authorize": true})
	another(h).Wait(collected, nil).Want(http.StatusOK)

	want := app.Wait(nobody, nil).Want(http.StatusNotFound, "verification_code_not_found")
	for name, r := range map[string]apitest.Reply{
		"wrong code":              app.Wait(wrong, nil),
		"wrong type":              app.Wait(long, nil),
		"other namespace":         foreign.Wait(code, nil),
		"another purpose":         app.Wait(add, nil),
		"another audience":        app.Wait(audience, nil),
		"collected by another":    app.Wait(collected, nil),
		"unknown in another kind": app.Wait(apitest.Code{Username: "nobody", Kind: "phrase", Code: "a b c d"}, nil),
	} {
		if r.Status != want.Status || r.Text != want.Text {
			t.Errorf("%s: got %d %s, want %d %s", name, r.Status, r.Text, want.Status, want.Text)
		}
		ignore := cmpopts.IgnoreMapEntries(func(k string, _ []string) bool { return k == "Date" || k == "X-Request-Id" })
		if diff := cmp.Diff(want.Header, r.Header, ignore); diff != "" {
			t.Errorf("%s: headers differ:\n%s", name, diff)
		}
	}
}

// another is one more client of the default namespace.
func another(h *house) *apitest.App { return h.NewApp(account.Client{}) }

// differ is another short code.
func differ(code string) string {
	if code[0] == '0' {
		return "1" + code[1:]
	}
	return "0" + code[1:]
}

func TestWait_stopsGuessing(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	code := app.Generate("ada", "short", nil)
	for _, name := range []string{"ada", "nobody"} {
		guess := code
		guess.Username, guess.Code = name, differ(code.Code)
		for range 5 {
			app.Wait(guess, M{"no_wait": true}).Want(http.StatusNotFound, "verification_code_not_found")
		}
		r := app.Wait(guess, M{"no_wait": true}).Want(http.StatusTooManyRequests, "remote_session_maximum_retry_attempts")
		if r.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", name)
		}
	}
	h.advance(2*time.Minute + time.Second)
	for range 5 { // a right one costs nothing
		app.Wait(code, M{"no_wait": true}).Want(http.StatusBadRequest, "remote_session_in_progress")
	}
}

func TestWait_believesNoForwardedAddress(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	for i := range 20 { // the address's budget, each guess at another name
		guess := apitest.Code{Username: fmt.Sprint("nobody", i), Kind: "short", Code: "123456"}
		c := waitCall(app, guess)
		c.Header = map[string]string{"X-Forwarded-For": fmt.Sprintf("203.0.113.%d", i), "X-Real-Ip": fmt.Sprintf("203.0.113.%d", i), "Forwarded": "for=203.0.113.1"}
		h.Do(c).Want(http.StatusNotFound)
	}
	c := waitCall(app, apitest.Code{Username: "nobody", Kind: "short", Code: "123456"})
	c.Header = map[string]string{"X-Forwarded-For": "198.51.100.1"}
	h.Do(c).Want(http.StatusTooManyRequests, "remote_session_maximum_retry_attempts")
	if strings.Contains(h.Log.String(), "203.0.113.") {
		t.Error("the log believes X-Forwarded-For")
	}
}

func TestWait_tellsADeactivatedUserOnlyToTheHolderOfARightCode(t *testing.T) {
	h := open(t)
	app, u := h.NewApp(account.Client{}), h.NewUser("ada")
	code := app.Generate("ada", "long", nil)
	held := h.Held(waitCall(app, code))
	h.Do(Call{Method: http.MethodPut, Path: "/manage/users/" + u.ID + "/deactivate", Token: app.Token(account.UsersDeactivate)}).Want(http.StatusOK)
	h.Answer(held).Want(http.StatusForbidden, "account_deactivated")
	wrong := code
	wrong.Code = strings.Repeat("A", 32)
	app.Wait(wrong, nil).Want(http.StatusNotFound, "verification_code_not_found")
	app.Wait(code, nil).Want(http.StatusForbidden, "account_deactivated")
}

func TestWaits_haveASharePerAddressAndOnePerClient(t *testing.T) {
	h := open(t, func(s *apitest.Setup) {
		s.API.MaxWaitsPerAddress, s.API.MaxWaitsPerClient, s.API.MaxWaits = 2, 3, 5
	})
	app, other := h.NewApp(account.Client{}), h.NewApp(account.Client{})
	h.NewUser("ada")
	var held []<-chan apitest.Reply
	hold := func(a *apitest.App, scope account.Scope) {
		t.Helper()
		c := waitCall(a, app.Generate("ada", "long", nil))
		if scope != "" {
			c.Token = a.Token(scope)
		}
		held = append(held, h.Held(c))
	}
	full := func(a *apitest.App, scope account.Scope) {
		t.Helper()
		r := a.Post(waitPath, scope, app.Generate("ada", "long", nil).WaitBody()).Want(http.StatusTooManyRequests, "too_many_requests")
		if r.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	hold(app, "")
	hold(app, "")
	full(app, "")
	app.Wait(app.Generate("ada", "long", nil), M{"no_wait": true}).Want(http.StatusBadRequest, "remote_session_in_progress")
	for range 3 {
		hold(app, account.AuthTemporary)
	}
	full(app, account.AuthTemporary)
	full(other, account.AuthTemporary) // the node is full
	h.Service.Hub.Drain()
	for _, c := range held {
		h.Answer(c).Want(http.StatusBadRequest, "remote_session_timeout")
	}
}

func TestHandle_canNeverBeWaitedOn(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	code := app.Generate("ada", "long", M{"authorize": true})
	handle := code
	handle.Code = code.ApprovalURL[strings.LastIndex(code.ApprovalURL, "/")+1:]
	app.Wait(handle, nil).Want(http.StatusNotFound, "verification_code_not_found")
}
