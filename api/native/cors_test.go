package native_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/native"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// stingy lets nothing through.
type stingy struct{}

func (stingy) Take(context.Context, string, int, time.Duration) time.Duration {
	return 1500 * time.Millisecond
}

func (stingy) Note(_ context.Context, _ string, _ time.Duration, next func([]byte) []byte) { next(nil) }

const allowOrigin = "Access-Control-Allow-Origin"

func TestPreflight_allowsTheUnionOfAllOrigins(t *testing.T) {
	h := open(t)
	h.NewApp(account.Client{Origins: []string{"https://a.example"}})
	h.NewApp(account.Client{Origins: []string{"https://b.example:8443"}, NamespaceID: h.Namespace("elsewhere").ID})
	for _, rule := range native.Rules() {
		for _, prefix := range native.Prefixes {
			for origin, want := range map[string]bool{
				"https://a.example": true, "https://b.example:8443": true, "https://b.example": false, "http://a.example": false,
				"https://a.example.evil": false, "null": false, "": false,
			} {
				r := h.Do(Call{Method: http.MethodOptions, Path: prefix + path(rule, account.User{ID: "x"}), Header: map[string]string{
					"Origin": origin, "Access-Control-Request-Method": rule.Method, "Access-Control-Request-Headers": "authorization,content-type",
				}}).Want(http.StatusNoContent)
				if got := r.Header.Get(allowOrigin); (got == origin && got != "") != want {
					t.Fatalf("%s for %q: got %q, want allowed %t", rule.Path, origin, got, want)
				}
				if !want {
					continue
				}
				if got := r.Header.Get("Access-Control-Allow-Headers"); got != "Authorization, Content-Type, X-Client-ID" {
					t.Errorf("got headers %q", got)
				}
				if !strings.Contains(r.Header.Get("Access-Control-Allow-Methods"), rule.Method) {
					t.Errorf("%s: got methods %q", rule.Path, r.Header.Get("Access-Control-Allow-Methods"))
				}
				if r.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Error("credentials are allowed")
				}
			}
		}
	}
}

func TestPreflight_knowsAClientThatWasJustMade(t *testing.T) {
	h := open(t)
	ask := Call{Method: http.MethodOptions, Path: waitPath, Header: map[string]string{"Origin": "https://new.example"}}
	if got := h.Do(ask).Header.Get(allowOrigin); got != "" {
		t.Fatalf("got %q, want none yet", got)
	}
	h.NewApp(account.Client{Origins: []string{"https://new.example"}})
	h.Until("the origin is allowed", func() bool { return h.Do(ask).Header.Get(allowOrigin) != "" })
}

func TestOrigin_mustBeTheClientsOwnBeforeAnyEffect(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{Origins: []string{"https://a.example"}})
	h.NewApp(account.Client{Origins: []string{"https://b.example"}})
	h.NewUser("ada")
	code := app.Generate("ada", "long", M{"authorize": true})
	wait := func(origin string) Call {
		c := waitCall(app, code)
		c.Header = map[string]string{"Origin": origin}
		return c
	}
	for _, origin := range []string{"https://b.example", "https://evil.example", "null", "http://a.example"} {
		r := h.Do(wait(origin)).Want(http.StatusForbidden, "forbidden")
		if got := r.Header.Get(allowOrigin); got != "" {
			t.Errorf("%s: got %q, want nothing to be readable", origin, got)
		}
	}
	used := app.Token(account.UsersRetrieve) // not spent by a page that may not call
	foreign := Call{Path: "/manage/users/retrieve", Token: used, Body: M{"username": "ada"}, Header: map[string]string{"Origin": "https://b.example"}}
	h.Do(foreign).Want(http.StatusForbidden, "forbidden")
	foreign.Header = nil
	h.Do(foreign).Want(http.StatusOK)

	state, err := h.Store.Find(t.Context(), approval.Key{ID: code.RequestID})
	must(app, err)
	if state.State != approval.Approved {
		t.Fatalf("got %s, want approved: nothing happened", state.State)
	}
	r := h.Do(wait("https://a.example")).Want(http.StatusOK)
	if got := r.Header.Get(allowOrigin); got != "https://a.example" {
		t.Errorf("got %q, want the origin", got)
	}
	if !strings.Contains(strings.Join(r.Header.Values("Vary"), ","), "Origin") {
		t.Error("no Vary: Origin")
	}
	h.Do(wait(h.URL)).Want(http.StatusOK) // nod's own pages
}

func TestErrors_canBeReadByAPageOfTheClient(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{Origins: []string{"https://a.example"}})
	own := map[string]string{"Origin": "https://a.example"}
	for name, c := range map[string]Call{
		"no client":     {Path: waitPath, Body: M{}},
		"no body":       {Path: waitPath, Method: http.MethodPost},
		"not JSON":      {Path: waitPath, Body: "x"},
		"nothing there": {Path: waitPath, Body: M{"client_id": app.Client.ID, "username": "x", "authentication_code": M{"code": "1", "type": "long"}}},
		"forged token":  {Path: waitPath, Token: "a.b.c", Body: M{"client_id": app.Client.ID}},
		"state":         {Path: "/requests/x/state"},
	} {
		c.Header = own
		if r := h.Do(c); r.Status < 400 || r.Header.Get(allowOrigin) != own["Origin"] {
			t.Errorf("%s: got %d with %q", name, r.Status, r.Header.Get(allowOrigin))
		}
	}
	h.Do(Call{Path: "/requests/x/state", Header: map[string]string{"Origin": "https://evil.example", "Authorization": "Code 1"}}).Want(http.StatusForbidden, "forbidden")
}

func TestCORS_isForTheNativeFaceOnly(t *testing.T) {
	h := open(t)
	h.NewApp(account.Client{Origins: []string{"https://a.example"}})
	for _, path := range []string{"/", "/livez", "/phone/signin", "/.well-known/jwks.json", "/docs"} {
		r := h.Do(Call{Method: http.MethodOptions, Path: path, Header: map[string]string{"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}})
		if got := r.Header.Get(allowOrigin); got != "" {
			t.Errorf("%s: got %q, want no CORS", path, got)
		}
	}
}
