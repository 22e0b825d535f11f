package native_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval/account"
)

// signedIn is a device as the face shows it.
type signedIn struct {
	ID        string
	RequestID string `json:"request_id"`
	ClientID  string `json:"client_id"`
	Kind      string
	App       string
	Name      string
	Address   string
	Approved  string    `json:"approved_by"`
	RevokedAt time.Time `json:"revoked_at"`
	RevokedBy string    `json:"revoked_by"`
	Active    bool
}

func devicesIn(r apitest.Reply) []signedIn {
	r.Helper()
	var list struct{ Devices []signedIn }
	r.Want(http.StatusOK).Into(&list)
	return list.Devices
}

func listDevices(app *apitest.App, body M) []signedIn {
	app.Helper()
	return devicesIn(app.Post("/devices/list", account.DevicesList, body))
}

func revokeDevices(app *apitest.App, body M) apitest.Reply {
	app.Helper()
	return app.Post("/devices/revoke", account.DevicesRevoke, body)
}

// letIn signs a device of the user's in, by the backend's word, and returns its code.
func letIn(app *apitest.App, username, name string) apitest.Code {
	app.Helper()
	code := app.Generate(username, "long", M{"device_name": name, "requester_ip": "203.0.113.7"})
	app.Authorize(code).Want(http.StatusOK)
	app.Wait(code, nil).Want(http.StatusOK)
	return code
}

func TestDevices_areWhatWasSignedIn(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{Name: "Acme Web", Type: account.ClientWeb, Origins: []string{h.URL}})
	ada := newPerson(app, "ada") // which signs in on the application's page
	code := letIn(app, "ada", "Living-room TV")
	got := listDevices(app, M{"username": "ada"})
	if len(got) != 2 {
		t.Fatalf("got %d devices, want the television and the page", len(got))
	}
	tv, page := got[0], got[1]
	want := signedIn{
		ID: tv.ID, RequestID: code.RequestID, ClientID: app.Client.ID, Kind: "screen", App: "Acme Web", Name: "Living-room TV",
		Address: "203.0.113.7", Approved: "backend", Active: true,
	}
	if tv != want {
		t.Errorf("television: got %+v, want %+v", tv, want)
	}
	if page.Kind != "page" || page.Approved != "passkey" || !page.Active {
		t.Errorf("page: got %+v, want it signed in by a passkey", page)
	}
	if one := listDevices(app, M{"user_id": ada.ID, "device": M{"id": tv.ID}}); len(one) != 1 || one[0] != tv {
		t.Errorf("by its id: got %+v, want the television alone", one)
	}
	if one := listDevices(app, M{"user_id": ada.ID, "request_id": code.RequestID}); len(one) != 1 || one[0] != tv {
		t.Errorf("by its request: got %+v, want the television alone", one)
	}
	if none := listDevices(app, M{"username": "ada", "device": M{"id": "no-such-device"}}); len(none) != 0 {
		t.Errorf("by another id: got %+v, want none", none)
	}
	h.deactivate(app, ada.ID)
	for _, d := range listDevices(app, M{"username": "ada"}) {
		if d.Active {
			t.Errorf("of a deactivated user: %+v is active", d)
		}
	}
}

func (h *house) deactivate(app *apitest.App, userID string) {
	h.Helper()
	h.Do(Call{Method: http.MethodPut, Path: "/manage/users/" + userID + "/deactivate", Token: app.Token(account.UsersDeactivate)}).Want(http.StatusOK)
}

func TestDevices_revoke(t *testing.T) {
	for name, tc := range map[string]struct {
		body func(first signedIn) M
		ends int // of two
	}{
		"by id":      {func(d signedIn) M { return M{"device": M{"id": d.ID}} }, 1},
		"by request": {func(d signedIn) M { return M{"request_id": d.RequestID} }, 1},
		"all":        {func(signedIn) M { return M{"all": true} }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			app := h.NewApp(account.Client{})
			h.NewUser("ada")
			letIn(app, "ada", "Kitchen TV")
			code := letIn(app, "ada", "Living-room TV")
			body := tc.body(listDevices(app, M{"username": "ada"})[0])
			body["username"] = "ada"
			for range 2 { // again is fine
				ended := devicesIn(revokeDevices(app, body))
				if len(ended) != tc.ends {
					t.Errorf("answered %d devices, want %d", len(ended), tc.ends)
				}
				for _, d := range ended {
					if d.Active || d.RevokedBy != "backend" || d.RevokedAt.IsZero() {
						t.Errorf("got %+v, want it revoked by a backend", d)
					}
				}
			}
			app.Wait(code, nil).Want(http.StatusForbidden, "failed_to_authenticate") // its reply is not given again
			active := 0
			for _, d := range listDevices(app, M{"username": "ada"}) {
				if d.Active {
					active++
				}
			}
			if active != 2-tc.ends {
				t.Errorf("%d are active, want %d", active, 2-tc.ends)
			}
		})
	}
}

// What was approved and nobody has collected yet is revoked by its request, too.
func TestDevices_revokeBeforeAnybodyCollected(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	for name, body := range map[string]func(apitest.Code) M{
		"by request": func(c apitest.Code) M { return M{"username": "ada", "request_id": c.RequestID} },
		"all":        func(apitest.Code) M { return M{"username": "ada", "all": true} },
	} {
		code := app.Generate("ada", "long", nil)
		app.Authorize(code).Want(http.StatusOK)
		if got := devicesIn(revokeDevices(app, body(code))); len(got) != 0 {
			t.Errorf("%s: got %+v, want no device", name, got)
		}
		app.Wait(code, nil).Want(http.StatusForbidden, "failed_to_authenticate")
	}
}

func TestDevices_ofSomebodyElse(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	h.NewUser("eve")
	code := letIn(app, "ada", "Living-room TV")
	device := listDevices(app, M{"username": "ada"})[0]
	foreign := h.NewApp(account.Client{NamespaceID: h.Namespace("other").ID})
	for name, which := range map[string]M{"id": {"device": M{"id": device.ID}}, "request": {"request_id": code.RequestID}} {
		t.Run(name, func(t *testing.T) {
			hers := M{"username": "eve"}
			theirs := M{"username": "ada"}
			for k, v := range which {
				hers[k], theirs[k] = v, v
			}
			revokeDevices(app, hers).Want(http.StatusNotFound, "device_not_found")
			revokeDevices(foreign, theirs).Want(http.StatusNotFound, "user_not_found")
			if got := listDevices(app, hers); len(got) != 0 {
				t.Errorf("of another user: got %+v, want none", got)
			}
			foreign.Post("/devices/list", account.DevicesList, theirs).Want(http.StatusNotFound, "user_not_found")
		})
	}
	revokeDevices(foreign, M{"username": "ada", "all": true}).Want(http.StatusNotFound, "user_not_found")
	if got := listDevices(app, M{"username": "ada"}); len(got) != 1 || !got[0].Active {
		t.Errorf("after all that: got %+v, want the television active", got)
	}
}

func TestDevices_callsThatAreRefused(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	pending := app.Generate("ada", "long", nil)
	for name, body := range map[string]M{
		"nothing said":         {},
		"two at once":          {"all": true, "device": M{"id": "x"}},
		"device and request":   {"request_id": "y", "device": M{"id": "x"}},
		"what cannot be an id": {"device": M{"id": "a b"}},
	} {
		body["username"] = "ada"
		if got := revokeDevices(app, body).Want(http.StatusBadRequest, "request_validation_error"); got.S("message") == "" {
			t.Errorf("%s: got %s, want a reason", name, got.Text)
		}
	}
	revokeDevices(app, M{"username": "ada", "device": M{"id": "no-such-device"}}).Want(http.StatusNotFound, "device_not_found")
	revokeDevices(app, M{"username": "ada", "request_id": pending.RequestID}).Want(http.StatusNotFound, "device_not_found")
	if got := app.Authorize(pending); got.Status != http.StatusOK {
		t.Errorf("a question that was not revoked: got %s, want it open", got.Text)
	}
	app.Post("/devices/list", account.DevicesRevoke, M{"username": "ada"}).Want(http.StatusForbidden, "forbidden")
	app.Post("/devices/revoke", account.DevicesList, M{"username": "ada", "all": true}).Want(http.StatusForbidden, "forbidden")
	app.Post("/devices/list", "", M{"username": "ada"}).Want(http.StatusUnauthorized)
	token := app.Token(account.DevicesRevoke)
	again := Call{Path: "/devices/revoke", Body: withClient(app, M{"username": "ada", "all": true}), Token: token}
	h.Do(again).Want(http.StatusOK)
	h.Do(again).Want(http.StatusUnauthorized, "unauthorized")
}
