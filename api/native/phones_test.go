package native_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval/account"
)

// phoneCall is a call about the phones of the user that the token names.
func phoneCall(app *apitest.App, verb, named string, body M) apitest.Reply {
	app.Helper()
	c := Call{Path: "/phones/" + verb, Body: withClient(app, body)}
	c.Token = app.Token(account.PhonesRegister, func(s *token.Service) { s.Username = named })
	return app.Do(c)
}

// registered is the id of a new phone of the user's, which is reached at target.
func registered(app *apitest.App, username, target string) string {
	app.Helper()
	return phoneCall(app, "register", username, M{"username": username, "kind": "fcm", "token": target}).Want(http.StatusOK).S("phone.id")
}

func TestPhones_areRegisteredListedAndRemoved(t *testing.T) {
	h := open(t)
	app, u := h.NewApp(account.Client{}), h.NewUser("ada")
	for kind, body := range map[string]M{
		"webpush": {"subscription": M{"endpoint": "https://push.example/1", "keys": M{"p256dh": "BA", "auth": "AA"}}, "name": "Ada's tablet"},
		"fcm":     {"token": "token-1"},
		"email":   {"address": "ada@example.com"},
	} {
		body["username"], body["kind"] = "ada", kind
		r := phoneCall(app, "register", "ada", body).Want(http.StatusOK)
		if r.S("user_id") != u.ID || r.S("phone.kind") != kind || r.S("phone.name") == "" {
			t.Errorf("%s: got %s, want a phone of %s with a name", kind, r.Text, u.ID)
		}
		if strings.Contains(r.Text, "push.example") || strings.Contains(r.Text, "token-1") || strings.Contains(r.Text, "ada@") {
			t.Errorf("%s: got %s, want nothing of where it is reached", kind, r.Text)
		}
		again := phoneCall(app, "register", "ada", body).Want(http.StatusOK)
		if got, want := again.S("phone.id"), r.S("phone.id"); got != want {
			t.Errorf("%s registered again: got phone %s, want %s", kind, got, want)
		}
	}
	var list struct {
		Phones []struct{ ID, Kind, Name string }
	}
	phoneCall(app, "list", "ada", M{"user_id": u.ID}).Want(http.StatusOK).Into(&list)
	if len(list.Phones) != 3 {
		t.Fatalf("phones: got %d, want 3", len(list.Phones))
	}
	gone := M{"username": "ada", "phone": M{"id": strings.ToUpper(list.Phones[0].ID)}}
	if got := phoneCall(app, "remove", "ada", gone).Want(http.StatusOK).S("phone.id"); got != list.Phones[0].ID {
		t.Errorf("removed: got %s, want %s", got, list.Phones[0].ID)
	}
	phoneCall(app, "remove", "ada", gone).Want(http.StatusNotFound, "phone_not_found")
	phoneCall(app, "list", "ada", M{"username": "ada"}).Want(http.StatusOK).Into(&list)
	if len(list.Phones) != 2 {
		t.Errorf("phones after a removal: got %d, want 2", len(list.Phones))
	}
}

// TestPhones_areNobodyElsesToRegister: what the body says of a user is the
// client's word; what the token says is who signed for.
func TestPhones_areNobodyElsesToRegister(t *testing.T) {
	h := open(t)
	app, ada, eve := h.NewApp(account.Client{}), h.NewUser("ada"), h.NewUser("eve")
	phone := registered(app, "ada", "hers")
	for verb, body := range map[string]M{
		"register": {"kind": "fcm", "token": "eve's"}, "list": {}, "remove": {"phone": M{"id": phone}},
	} {
		for name, names := range map[string]func(*token.Service){
			"nobody":                   func(*token.Service) {},
			"somebody else":            func(s *token.Service) { s.Username = "eve" },
			"somebody else in udata":   func(s *token.Service) { s.Udata = "eve" },
			"somebody else by id":      func(s *token.Service) { s.UserID = eve.ID },
			"two people":               func(s *token.Service) { s.Username, s.UserID = "ada", eve.ID },
			"nobody there is":          func(s *token.Service) { s.Username = "nobody" },
			"the user, and a stranger": func(s *token.Service) { s.UserID, s.Udata = ada.ID, "nobody" },
		} {
			for _, of := range []M{{"username": "ada"}, {"user_id": ada.ID}} {
				for k, v := range body {
					of[k] = v
				}
				c := Call{Path: "/phones/" + verb, Body: withClient(app, of), Token: app.Token(account.PhonesRegister, names)}
				if r := h.Do(c); r.Status != http.StatusForbidden || r.JSON["code"] != "forbidden" {
					t.Errorf("%s with a token that names %s: got %d %s, want 403 forbidden", verb, name, r.Status, r.Text)
				}
			}
		}
	}
	found, err := h.Store.Phones(t.Context(), ada.ID)
	must(app, err)
	if len(found) != 1 || found[0].ID != phone {
		t.Errorf("phones of the user: got %v, want the one that was registered", found)
	}
}

func TestPhones_ofOthersAreAnsweredForLikeNone(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	foreign := h.NewApp(account.Client{NamespaceID: h.Namespace("elsewhere").ID})
	h.NewUser("ada")
	h.NewUser("eve")
	hers := registered(app, "ada", "hers")
	none := phoneCall(app, "remove", "eve", M{"username": "eve", "phone": M{"id": "00000000-0000-4000-8000-000000000000"}}).Want(http.StatusNotFound, "phone_not_found")
	other := phoneCall(app, "remove", "eve", M{"username": "eve", "phone": M{"id": hers}}).Want(http.StatusNotFound, "phone_not_found")
	if other.Text != none.Text {
		t.Errorf("somebody else's phone: got %s, want %s as for none", other.Text, none.Text)
	}
	phoneCall(foreign, "list", "ada", M{"username": "ada"}).Want(http.StatusNotFound, "user_not_found")
	phoneCall(foreign, "remove", "ada", M{"username": "ada", "phone": M{"id": hers}}).Want(http.StatusNotFound, "user_not_found")
	phoneCall(app, "list", "nobody", M{"username": "nobody"}).Want(http.StatusNotFound, "user_not_found")
}

func TestPhones_withTargetsThatCannotBeUsedAreRefused(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	for name, c := range map[string]struct {
		body M
		code string
	}{
		"no kind":            {M{"token": "x"}, "missing_parameter"},
		"another kind":       {M{"kind": "pager", "token": "x"}, "request_validation_error"},
		"no subscription":    {M{"kind": "webpush", "token": "x"}, "missing_parameter"},
		"a null one":         {M{"kind": "webpush", "subscription": nil}, "missing_parameter"},
		"plain http":         {M{"kind": "webpush", "subscription": M{"endpoint": "http://push.example/1"}}, "request_validation_error"},
		"a text":             {M{"kind": "webpush", "subscription": hunter}, "request_validation_error"},
		"no token":           {M{"kind": "fcm", "address": "x@example.com"}, "missing_parameter"},
		"token as a number":  {M{"kind": "fcm", "token": 7}, "request_validation_error"},
		"no address":         {M{"kind": "email", "token": "x"}, "missing_parameter"},
		"name that deceives": {M{"kind": "fcm", "token": "x", "name": hunter + "\u202e"}, "request_validation_error"},
		"name too long":      {M{"kind": "fcm", "token": "x", "name": strings.Repeat("x", 65)}, "request_validation_error"},
	} {
		c.body["username"] = "ada"
		r := phoneCall(app, "register", "ada", c.body).Want(http.StatusBadRequest, c.code)
		discreet(t, name, r)
	}
	phoneCall(app, "remove", "ada", M{"username": "ada"}).Want(http.StatusBadRequest, "missing_parameter")
	phoneCall(app, "remove", "ada", M{"username": "ada", "phone": M{"id": "a b"}}).Want(http.StatusBadRequest, "request_validation_error")
}

func TestPhones_haveALimit(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	for i := range account.MaxPhones {
		registered(app, "ada", fmt.Sprint("token-", i))
	}
	phoneCall(app, "register", "ada", M{"username": "ada", "kind": "fcm", "token": "one more"}).Want(http.StatusConflict, "too_many_phones")
	registered(app, "ada", "token-0") // again is not one more
}

func TestPhones_ofAnInactiveUserAreNotRegistered(t *testing.T) {
	h := open(t)
	app, u := h.NewApp(account.Client{}), h.NewUser("ada")
	_, err := h.Directory.Deactivate(t.Context(), u)
	must(app, err)
	phoneCall(app, "register", "ada", M{"username": "ada", "kind": "fcm", "token": "x"}).Want(http.StatusForbidden, "account_deactivated")
}

func TestPhoneTokens_workOnce(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	for verb, more := range map[string]M{
		"register": {"kind": "fcm", "token": "x"}, "list": {}, "remove": {"phone": M{"id": "nobody-has-it"}},
	} {
		more["username"] = "ada"
		c := Call{Path: "/phones/" + verb, Body: withClient(app, more)}
		c.Token = app.Token(account.PhonesRegister, func(s *token.Service) { s.Udata = "ada" })
		if first := h.Do(c); judged(first) {
			t.Errorf("%s: got %d %s at the first use", verb, first.Status, first.Text)
		}
		h.Do(c).Want(http.StatusUnauthorized, "unauthorized")
	}
}
