package oauth_test

import (
	"net/http/httptest"
	"testing"

	"github.com/nod-auth/nod/api"
	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// another is one more node on the house's store and keys, that knows nothing else of
// the first. It returns how calls get there.
func (h *house) another(t *testing.T) func(apitest.Call) apitest.Reply {
	t.Helper()
	c := h.Config
	core := h.Service.Config
	core.Hub, c.Metrics = nil, nil
	service, err := approval.New(core)
	if err != nil {
		t.Fatal(err)
	}
	c.Service, c.Directory = service, approval.NewDirectory(service, h.store)
	handler, err := api.New(c)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	there := *h.House
	there.URL = server.URL
	return there.Do
}

// What one node revokes is dead on another in the same moment: nothing about a device
// is remembered outside of the store.
func TestRevoke_onOneNodeIsSeenOnAnother(t *testing.T) {
	for name, end := range map[string]func(h *house, p *apitest.Person, sid string) error{
		"the owner revokes it": func(h *house, p *apitest.Person, sid string) error {
			_, err := h.Directory.RevokeDevices(t.Context(), p.User, []string{sid}, approval.Revoker{By: approval.ByOwner})
			return err
		},
		"the owner revokes all": func(h *house, p *apitest.Person, _ string) error {
			_, err := h.Directory.RevokeAllDevices(t.Context(), p.User, approval.Revoker{By: approval.ByOwner})
			return err
		},
		"the owner uses a recovery code": func(h *house, p *apitest.Person, _ string) error {
			made, err := h.Directory.NewRecovery(t.Context(), p.User, 1, approval.Asker{})
			if err == nil {
				_, err = h.Directory.Recover(t.Context(), p.Username, made.Codes[0], "192.0.2.7")
			}
			return err
		},
		"the owner undoes it": func(h *house, p *apitest.Person, sid string) error {
			d, err := h.store.Device(t.Context(), sid)
			if err == nil {
				_, err = h.Service.Undo(t.Context(), d.RequestID, approval.Viewer{User: p.User})
			}
			return err
		},
		"a backend revokes it": func(h *house, p *apitest.Person, sid string) error {
			app := h.NewApp(account.Client{})
			app.Post("/devices/revoke", account.DevicesRevoke, M{"username": p.Username, "device": M{"id": sid}}).Want(ok)
			return nil
		},
		"the user is deactivated": func(h *house, p *apitest.Person, _ string) error {
			_, err := h.Directory.Deactivate(t.Context(), p.User)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			there := h.another(t)
			p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
			s := letIn(r, p, "openid offline_access")
			asked := func(token string) apitest.Reply { return there(r.Call(introspectPath, F{"token": token})).Want(ok) }
			for which, token := range map[string]string{"access": s.access, "refresh": s.refresh} {
				if got := asked(token); got.JSON["active"] != true {
					t.Errorf("%s before: got %s, want it active", which, got.Text)
				}
			}
			if err := end(h, p, s.sid); err != nil {
				t.Fatal(err)
			}
			for which, token := range map[string]string{"access": s.access, "refresh": s.refresh} {
				if got := asked(token).Text; got != inactive {
					t.Errorf("%s after: got %s, want %s", which, got, inactive)
				}
			}
			refresh := r.Call(apitest.TokenPath, F{"grant_type": string(account.GrantRefresh), "refresh_token": s.refresh})
			there(refresh).WantError(badRequest, "invalid_grant")
		})
	}
}
