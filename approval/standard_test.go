package approval_test

import (
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/testservers"
)

// onBothEngines runs a test about races over SQLite and over PostgreSQL.
func onBothEngines(t *testing.T, test func(t *testing.T, h *house)) {
	t.Run("SQLite", func(t *testing.T) { test(t, onDisk(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		h := build(t, testservers.StartPostgres(t).Fresh())
		t.Cleanup(func() { h.store.Close() })
		test(t, h)
	})
}

// oauth registers a client of the standard faces that may ask for everything.
func (h *house) oauth() account.Client {
	h.t.Helper()
	c, err := h.people.CreateClient(h.t.Context(), approval.NewClient{Client: account.Client{
		NamespaceID: h.ada.NamespaceID, Name: "Acme CLI", Type: account.ClientOAuth,
		OAuth: &account.OAuth{
			Grants: []account.GrantType{account.GrantDeviceCode, account.GrantCIBA}, Auth: account.AuthPrivateKey,
			Scopes: []account.ScopeText{{Scope: account.ScopeOpenID}, {Scope: account.ScopeOffline}, {Scope: "tv.watch", Says: "watch films"}},
		},
	}})
	must(h.t, err)
	return c
}

const standardFace = "oauth-device"

// device begins what the device grant begins: a question to whoever types the code.
func (h *house) device(c account.Client, more ...func(*approval.Ask)) approval.Begun {
	h.t.Helper()
	a := approval.Ask{
		Face: standardFace, Client: c, Purpose: approval.SignIn, Kind: approval.PollCode, Audience: c.ID, Typed: true,
		Life:    c.OAuth.DeviceCodeLife,
		Context: approval.Context{DeviceName: "terminal on yew", Scopes: c.OAuth.Scopes, Details: []byte(`[{"type":"pay","to":"<Bob> & co"}]`)},
	}
	for _, m := range more {
		m(&a)
	}
	b, err := h.core.Begin(h.t.Context(), a)
	must(h.t, err)
	return b
}

// toAda makes the ask a backend's, which knows whom to ask and wants to be told.
func (h *house) toAda(a *approval.Ask) {
	a.Face, a.User, a.Typed, a.AnswerTo = "ciba", h.ada, false, []byte("sealed")
	a.Context.BindingMessage = "W4SCT"
}

// poller is the device that polls.
func poller(c account.Client, b approval.Begun) approval.Holder {
	return approval.Holder{
		Face: b.Request.Face, Client: c, Kind: approval.PollCode, Code: b.Code, Address: "192.0.2.7", Fresh: true,
	}
}

// again is the device that collected, and polls once more.
func (h *house) again(c account.Client, got *approval.Collected) approval.Holder {
	return poller(c, approval.Begun{Request: got.Request, Code: h.core.Codes.Code(approval.PollCode, got.Request.ID)})
}

func withKey(h approval.Holder, jkt string) approval.Holder {
	h.JKT = jkt
	return h
}

func typed(b approval.Begun) approval.Ref {
	return approval.Ref{Way: approval.Typed, Secret: b.UserCode}
}

func (h *house) poll(p approval.Holder) (*approval.Collected, error) {
	return h.core.Collect(h.t.Context(), p, approval.SignIn, 0)
}

// signedIn is a device that was let in.
func (h *house) signedIn(c account.Client, more ...func(*approval.Ask)) *approval.Collected {
	h.t.Helper()
	b := h.device(c, more...)
	_, err := h.approve(typed(b), "")
	must(h.t, err)
	got, err := h.poll(poller(c, b))
	must(h.t, err)
	return got
}

func (h *house) refresh(c account.Client, t account.Secret, scopes ...string) (*approval.Refreshed, error) {
	return h.core.Refresh(h.t.Context(), approval.Refreshing{Token: t, Client: c, Scopes: scopes})
}

func (h *house) stored(id string) account.Device {
	h.t.Helper()
	d, err := h.store.Device(h.t.Context(), id)
	must(h.t, err)
	return d
}

// wantEnded fails unless the device's tokens are no good, for that reason.
func (h *house) wantEnded(what, id string, by approval.By) {
	h.t.Helper()
	if d := h.stored(id); d.RevokedAt.IsZero() || d.RevokedBy != string(by) {
		h.t.Errorf("%s: revoked at %v by %q, want it revoked by %q", what, d.RevokedAt, d.RevokedBy, by)
	}
	_, _, err := h.people.Standing(h.t.Context(), id)
	wantError(h.t, what, err, approval.ErrRevoked)
}

func (h *house) wantStanding(what, id string) {
	h.t.Helper()
	_, u, err := h.people.Standing(h.t.Context(), id)
	if err != nil || u.ID != h.ada.ID {
		h.t.Errorf("%s: got user %q, %v; want it in good standing, and ada's", what, u.ID, err)
	}
}

const aMinute = approval.RedeliveryWindow + time.Second
