package oauth_test

// What other servers got wrong (shared contract "Standard faces", last section), each
// a test that is named after the mistake.

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// hydra#4110.
func TestMistake_denialNeverReachesTheDevice(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{Hold: hold})
	b := begin(r, nil)
	poll := h.held(r.PollCall(b.deviceCode))
	p.Decline(b.ref())
	h.Answer(poll).WantError(badRequest, "access_denied")
	for range 3 { // and step, which keeps polling, hears the same every time
		r.Poll(b.deviceCode).WantError(badRequest, "access_denied")
	}
}

// CVE-2026-9798, CVE-2026-88770.
func TestMistake_tokensForAUserLockedBetweenStartAndRedemption(t *testing.T) {
	h := open(t)
	for name, lock := range map[string]func(*apitest.Person){
		"locked": func(p *apitest.Person) {
			if _, err := h.Directory.Deactivate(t.Context(), p.User); err != nil {
				t.Fatal(err)
			}
		},
		"deleted": func(p *apitest.Person) {
			if err := h.Directory.DeleteUser(t.Context(), p.User); err != nil {
				t.Fatal(err)
			}
		},
		"without the passkey": func(p *apitest.Person) {
			owned, err := h.Store.Passkeys(t.Context(), p.ID)
			if err == nil {
				_, err = h.Directory.RevokePasskey(t.Context(), p.User, owned[0], false)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := h.NewPerson("ada "+name), h.NewRelying(account.OAuth{})
			b := begin(r, nil)
			p.Approve(b.ref(), "")
			lock(p)
			for range 2 {
				r.Poll(b.deviceCode).WantError(badRequest, "access_denied")
			}
		})
	}
}

func TestMistake_aCodeThatKeepsReturningTheStoredToken(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	b := begin(r, nil)
	p.Approve(b.ref(), "")
	reply := r.Poll(b.deviceCode).Want(ok)
	for range 2 {
		r.Poll(b.deviceCode).WantError(badRequest, "invalid_grant")
		h.advance(30 * time.Second)
	}
	if err := standing(h, r, reply); err != nil { // asking again takes nothing away
		t.Errorf("got %v, want the device to stand", err)
	}
}

// CVE-2023-2585.
func TestMistake_aCodeOfOneClientRedeemedByAnother(t *testing.T) {
	h := open(t)
	p, owner := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	b := begin(owner, nil)
	thieves := []*apitest.Relying{
		h.NewRelying(account.OAuth{}), h.NewRelying(account.OAuth{Auth: account.AuthNone}),
		h.NewRelying(account.OAuth{}, func(c *account.Client) { c.NamespaceID = h.Namespace("elsewhere").ID }),
	}
	steal := func() {
		t.Helper()
		for _, thief := range thieves {
			thief.Poll(b.deviceCode).WantError(badRequest, "invalid_grant")
		}
		c := F{"grant_type": string(account.GrantCIBA), "auth_req_id": b.deviceCode} // nor is it one of the other grant
		owner.Post(apitest.TokenPath, c).WantError(badRequest, "invalid_grant")
		owner.Poll(b.userCode).WantError(badRequest, "invalid_grant") // nor the code that is typed
	}
	steal()
	p.Approve(b.ref(), "")
	steal()
	owner.Poll(b.deviceCode).Want(ok)
}

// keycloak#51275.
func TestMistake_noLimitOnUserCodeGuesses(t *testing.T) {
	h := open(t)
	p := h.NewPerson("ada")
	b := begin(h.NewRelying(account.OAuth{}), nil)
	guess := func(code string) error {
		_, err := h.Service.Inspect(t.Context(), apitest.Typed(code), approval.Viewer{User: p.User, Address: "192.0.2.1"})
		return err
	}
	const limit = 5 // approval.Guesses.PerUser
	for range limit {
		if err := guess("BCDF-GHJK"); !errors.Is(err, approval.ErrNotFound) {
			t.Fatalf("got %v, want not found", err)
		}
	}
	for _, code := range []string{"BCDF-GHJK", b.userCode} { // the right one says nothing any more, either
		if err := guess(code); !errors.Is(err, approval.ErrTooMany) {
			t.Errorf("got %v, want too many", err)
		}
	}
}

// H2CK/oidc#716.
func TestMistake_slowDownThatNeverRecovers(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	b := begin(r, nil)
	r.Poll(b.deviceCode).WantError(badRequest, "authorization_pending")
	h.advance(2 * time.Second)
	r.Poll(b.deviceCode).WantError(badRequest, "slow_down")
	for range 3 { // whether the client heeds it and adds five seconds
		h.advance(10 * time.Second)
		r.Poll(b.deviceCode).WantError(badRequest, "authorization_pending")
	}
	h.advance(2 * time.Second)
	r.Poll(b.deviceCode).WantError(badRequest, "slow_down")
	for range 3 { // or goes on as advertised
		h.advance(5 * time.Second)
		r.Poll(b.deviceCode).WantError(badRequest, "authorization_pending")
	}
	p.Approve(b.ref(), "")
	r.Poll(b.deviceCode).Want(ok)
}

// Abblix#281.
func TestMistake_firstPollThrottled(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{})
	b := begin(r, nil)
	r.Poll(b.deviceCode).WantError(badRequest, "authorization_pending") // at t = 0
	r.Poll(b.deviceCode).WantError(badRequest, "authorization_pending") // and at once from a second process
}

// nebi#448.
func TestMistake_aGETThatApproves(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	a := r.Begin(nil)
	b := begun{a.S("device_code"), a.S("user_code")}
	before := requestOf(h, p, b)
	for _, path := range []string{"/device?user_code=" + b.userCode, "/device", apitest.TokenPath, apitest.DevicePath} {
		h.Do(Call{Method: http.MethodGet, Path: path})
		h.Do(Call{Method: http.MethodHead, Path: path})
	}
	if after := requestOf(h, p, b); after.Version != before.Version || after.State != approval.Pending {
		t.Errorf("got version %d, %s, want %d and pending: a GET changed something", after.Version, after.State, before.Version)
	}
}

// spring-authorization-server#1977.
func TestMistake_expiredReadAsPending(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	pending, approved := begin(r, nil), begin(r, nil)
	p.Approve(approved.ref(), "")
	h.advance(account.DefaultDeviceCodeLife)
	r.Poll(pending.deviceCode).WantError(badRequest, "expired_token")
	if err := p.TryApprove(pending.ref(), ""); !errors.Is(err, approval.ErrExpired) {
		t.Errorf("approve: got %v, want expired", err)
	}
	h.advance(approval.CollectGrace)
	r.Poll(approved.deviceCode).WantError(badRequest, "expired_token")
}
