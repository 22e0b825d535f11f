package api_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/nod-auth/nod/api"
	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// openToAll are the calls that need no credential, so that a worthless one does no
// harm; what they begin ends with a passkey that the caller has not.
var openToAll = []string{
	"/authenticate/fido2/init", "/codes/:type/generate/fido2/init", "/phone/signin/options", "/phone/signout", "/phone/join",
}

// scene is what a call could want to change: a pending request, a passkey, a device.
type scene struct {
	*apitest.House
	app     *apitest.App
	ada     *apitest.Person
	pending apitest.Code
	key     account.Passkey
	sid     string
}

// What an approval lets in is signed in, and no more: with its tokens nobody
// approves another device, mints a code, adds a key or changes anything else of the
// account, on any face, as a bearer token or as a cookie.
func TestObtained_opensNothingElse(t *testing.T) {
	s, obtained := letIn(t)
	routes, err := api.Routes(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	before := s.standing()
	tried := 0
	for _, r := range routes {
		if r.Method == http.MethodGet || r.Method == http.MethodOptions {
			continue
		}
		for name, secret := range obtained {
			if name == "access token" && r.Path == "/oauth/userinfo" {
				continue // who it is about is all that it tells
			}
			if name == "join" && strings.HasPrefix(r.Path, "/phone/join") {
				continue // it waits for its passkey, and makes it
			}
			for how, header := range map[string]map[string]string{
				"bearer": {"Authorization": "Bearer " + secret},
				"cookie": {"Cookie": "nod=" + secret + "; nod-join=" + secret},
			} {
				tried++
				reply := s.Do(apitest.Call{Method: r.Method, Path: s.fill(r.Path), Body: s.body(r.Path), Header: header})
				path := strings.TrimPrefix(r.Path, "/api/native")
				if reply.Status < 400 && !slices.Contains(openToAll, path) {
					t.Errorf("%s %s with the %s as a %s: got %d %s, want a refusal", r.Method, r.Path, name, how, reply.Status, reply.Text)
				}
			}
		}
	}
	if tried < 400 {
		t.Errorf("%d calls were tried, want hundreds", tried)
	}
	if diff := cmp.Diff(before, s.standing()); diff != "" {
		t.Errorf("the account was changed (- before, + after):\n%s", diff)
	}
}

// letIn is a scene with what approvals of Ada's have let in, by name.
func letIn(t *testing.T) (*scene, map[string]string) {
	t.Helper()
	h := open(t)
	s := &scene{House: h, app: h.NewApp(account.Client{}), ada: h.NewPerson("ada")}
	code := s.app.Generate("ada", "long", nil)
	handle := code.ApprovalURL[strings.LastIndex(code.ApprovalURL, "/")+1:]
	s.ada.Approve(approval.Ref{Way: approval.Scanned, Secret: account.Secret(handle)}, "")
	result := s.app.Wait(code, nil).Want(http.StatusOK).S("jwt")

	tv := h.NewRelying(account.OAuth{})
	begun := tv.Begin(apitest.F{"scope": "openid profile offline_access"})
	s.ada.Approve(apitest.Typed(begun.S("user_code")), "")
	tokens := tv.Poll(begun.S("device_code")).Want(http.StatusOK)

	// A browser that may make a passkey now, and has not yet.
	joining := h.Do(apitest.Call{Path: "/phone/join", Body: apitest.M{}}).Want(http.StatusOK)
	s.ada.Approve(apitest.Typed(joining.S("code")), "")
	join, err := http.ParseSetCookie(joining.Header.Get("Set-Cookie"))
	if err != nil {
		t.Fatal(err)
	}

	keys, err := h.Config.Accounts.Passkeys(context.Background(), s.ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	devices, err := h.Config.Accounts.Devices(context.Background(), s.ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	s.key, s.sid, s.pending = keys[0], devices[0].ID, s.app.Generate("ada", "long", nil)
	return s, map[string]string{
		"result": result, "access token": tokens.S("access_token"), "ID token": tokens.S("id_token"),
		"refresh token": tokens.S("refresh_token"), "device's session": s.sid,
		"join": join.Value,
	}
}

func (s *scene) fill(path string) string {
	if strings.Contains(path, "/passkeys/:id") {
		path = strings.ReplaceAll(path, ":id", s.key.ID)
	}
	return strings.NewReplacer(
		":type", "long", ":user_id", s.ada.ID, ":device_id", s.sid, ":id", uuid.NewString(), ":channel", "acme", "*next", "x",
	).Replace(path)
}

// body asks for everything that somebody with a right to it could ask for.
func (s *scene) body(path string) any {
	if strings.HasPrefix(path, "/oauth/") {
		return url.Values{
			"client_id": {s.app.Client.ID}, "login_hint": {"ada"}, "scope": {"openid"}, "token": {s.pending.Code}, "device_code": {s.pending.Code},
			"grant_type": {string(account.GrantDeviceCode)},
		}
	}
	handle := s.pending.ApprovalURL[strings.LastIndex(s.pending.ApprovalURL, "/")+1:]
	return apitest.M{
		"client_id": s.app.Client.ID, "username": "ada", "purpose": "temporary_authentication", "code": s.pending.Code, "no_wait": true,
		"authentication_code": apitest.M{"code": s.pending.Code, "type": "long"}, "credential": apitest.M{"uuid": s.key.ID, "name": "mine"},
		"ref": apitest.M{"way": "scanned", "secret": handle}, "number": s.pending.MatchNumber, "device_id": s.sid,
	}
}

// standing is all that could have been changed.
func (s *scene) standing() map[string]any {
	s.Helper()
	ctx := context.Background()
	out := map[string]any{}
	add := func(name string, v any, err error) {
		if err != nil {
			s.Fatalf("%s: %v", name, err)
		}
		out[name] = v
	}
	keys, err := s.Config.Accounts.Passkeys(ctx, s.ada.ID)
	add("passkeys", keys, err)
	events, err := s.Config.Accounts.Events(ctx, s.ada.ID, 1000)
	add("audit rows", events, err)
	requests, err := s.Store.List(ctx, approval.Filter{UserID: s.ada.ID}, 1000)
	add("requests", requests, err)
	codes, err := s.Directory.Recovery(ctx, s.ada.User)
	add("recovery codes", codes, err)
	user, err := s.Config.Accounts.User(ctx, s.ada.ID)
	add("user", user, err)
	devices, err := s.Config.Accounts.Devices(ctx, s.ada.ID)
	add("devices", devices, err)
	return out
}
