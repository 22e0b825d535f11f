package oauth_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval/account"
)

func wantEmpty(t *testing.T, r apitest.Reply) {
	t.Helper()
	if r.Status != ok || r.Text != "" {
		t.Errorf("got %d %q, want 200 and nothing", r.Status, r.Text)
	}
}

func TestRevoke_eitherTokenEndsTheDevice(t *testing.T) {
	for _, auth := range account.AuthMethods {
		for _, which := range []string{"access", "refresh"} {
			t.Run(string(auth)+" "+which, func(t *testing.T) {
				h := open(t)
				r := h.NewRelying(account.OAuth{Auth: auth})
				s := letIn(r, h.NewPerson("ada"), "openid offline_access")
				other := letIn(r, h.Enrol(h.NewUser("bob")), "openid offline_access")
				token := map[string]string{"access": s.access, "refresh": s.refresh}[which]
				wantEmpty(t, r.Post(revokePath, F{"token": token, "token_type_hint": "refresh_token"}))
				shows(h, "Bearer "+s.access, nil).WantError(refused, "invalid_token")
				r.Refresh(s.refresh).WantError(badRequest, "invalid_grant")
				wantEmpty(t, r.Post(revokePath, F{"token": token}))
				shows(h, "Bearer "+other.access, nil).Want(ok)
			})
		}
	}
}

func TestRevoke_leavesAloneWhatIsNotTheClients(t *testing.T) {
	h := open(t)
	r, stranger := h.NewRelying(account.OAuth{}), h.NewRelying(account.OAuth{Auth: account.AuthNone})
	s := letIn(r, h.NewPerson("ada"), "openid offline_access")
	open := begin(r, F{"scope": "openid"})
	for _, token := range []string{s.access, s.refresh, s.id, open.deviceCode, "word", "a.b.c"} {
		wantEmpty(t, stranger.Post(revokePath, F{"token": token}))
	}
	shows(h, "Bearer "+s.access, nil).Want(ok)
	r.Refresh(s.refresh).Want(ok)
	h.NewPerson("bob").Approve(open.ref(), "")
	r.Poll(open.deviceCode).Want(ok)
}

func TestRevoke_accessTokenThatRanOutEndsNothing(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{})
	s := letIn(r, h.NewPerson("ada"), "openid offline_access")
	h.advance(account.DefaultAccessLife + time.Second)
	wantEmpty(t, r.Post(revokePath, F{"token": s.access}))
	r.Refresh(s.refresh).Want(ok)
}

func TestRevoke_deviceCodeTakesTheQuestionBack(t *testing.T) {
	h := open(t)
	ada := h.NewPerson("ada")
	r := h.NewRelying(account.OAuth{Auth: account.AuthNone, Hold: account.DefaultHold})
	b := begin(r, F{"scope": "openid"})
	held := h.Held(r.PollCall(b.deviceCode))
	wantEmpty(t, r.Post(revokePath, F{"token": b.deviceCode, "token_type_hint": "device_code"}))
	h.Answer(held).WantError(badRequest, "access_denied")
	if err := ada.TryApprove(b.ref(), ""); err == nil {
		t.Error("it can still be approved")
	}
	r.Poll(b.deviceCode).WantError(badRequest, "access_denied")

	approved := begin(r, F{"scope": "openid"})
	ada.Approve(approved.ref(), "")
	wantEmpty(t, r.Post(revokePath, F{"token": approved.deviceCode}))
	r.Poll(approved.deviceCode).WantError(badRequest, "access_denied")
}

func TestRevoke_requestOfABackendIsTakenBack(t *testing.T) {
	h := open(t)
	h.NewPerson("ada")
	r := h.NewRelying(account.OAuth{})
	id := r.Post("/oauth/bc-authorize", F{"scope": "openid", "login_hint": "ada"}).Want(ok).S("auth_req_id")
	poll := F{"grant_type": string(account.GrantCIBA), "auth_req_id": id}
	r.Post(apitest.TokenPath, poll).WantError(badRequest, "authorization_pending")
	wantEmpty(t, r.Post(revokePath, F{"token": id}))
	r.Post(apitest.TokenPath, poll).WantError(badRequest, "access_denied")
}

func TestRevoke_codeThatWasRedeemedEndsNothing(t *testing.T) {
	h := open(t)
	ada, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	b := begin(r, F{"scope": "openid"})
	ada.Approve(b.ref(), "")
	access := r.Poll(b.deviceCode).Want(ok).S("access_token")
	wantEmpty(t, r.Post(revokePath, F{"token": b.deviceCode}))
	shows(h, "Bearer "+access, nil).Want(ok)
}

func TestRevoke_refusesCallsThatAreNotInOrder(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{})
	r.Post(revokePath, F{}).WantError(badRequest, "invalid_request")
	h.Do(Call{Path: revokePath, Body: M{"token": "word"}}).WantError(badRequest, "invalid_request")
	h.store.down.Store(true)
	r.Post(revokePath, F{"token": "word"}).WantError(http.StatusServiceUnavailable, "temporarily_unavailable")
	h.store.down.Store(false)
	r.Secret = account.NewSecret()
	r.Post(revokePath, F{"token": "word"}).WantError(refused, "invalid_client")
}
