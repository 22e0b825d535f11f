package oauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval/account"
)

// soon is what the contract promises an unmodified client: token in hand within
// 100 ms of the approval while a poll is held. A loaded machine is given more.
const soon = time.Second

const hold = 20 * time.Second

func TestPoll_isAnsweredInTheMomentOfTheVerdict(t *testing.T) {
	h := open(t)
	p := h.NewPerson("ada")
	for _, method := range account.AuthMethods {
		for name, c := range map[string]struct {
			decide func(begun)
			check  func(apitest.Reply)
		}{
			"approved": {func(b begun) { p.Approve(b.ref(), "") }, func(r apitest.Reply) { r.Want(ok).S("access_token") }},
			"denied":   {func(b begun) { p.Decline(b.ref()) }, func(r apitest.Reply) { r.WantError(badRequest, "access_denied") }},
		} {
			t.Run(string(method)+" "+name, func(t *testing.T) {
				r := h.NewRelying(account.OAuth{Auth: method, Hold: hold})
				b := begin(r, nil)
				poll := h.held(r.PollCall(b.deviceCode))
				c.decide(b)
				began := time.Now()
				reply := h.Answer(poll)
				if took := time.Since(began); took > soon {
					t.Errorf("answered %s after the verdict, want at once", took)
				}
				c.check(reply)
			})
		}
	}
}

func TestPoll_isAnsweredOnExpiryAndAfterTheHold(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{Hold: 300 * time.Millisecond})
	b := begin(r, nil)
	r.Poll(b.deviceCode).WantError(badRequest, "authorization_pending")
	h.advance(account.DefaultDeviceCodeLife - 200*time.Millisecond)
	r.Poll(b.deviceCode).WantError(badRequest, "expired_token")
	r.Poll(b.deviceCode).WantError(badRequest, "expired_token")
}

// TestPoll_withoutAHoldIsAnsweredAtOnce: down to 0, per client.
func TestPoll_withoutAHoldIsAnsweredAtOnce(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{Hold: 0})
	b := begin(r, nil)
	r.Poll(b.deviceCode).WantError(badRequest, "authorization_pending")
	if h.Service.Hub.Sleeping() != 0 {
		t.Error("somebody sleeps, want nobody")
	}
	p.Approve(b.ref(), "")
	r.Poll(b.deviceCode).Want(ok)
}

func TestPoll_isNeverHeldForWhoIsNotAuthenticated(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{Hold: hold})
	b := begin(r, nil)
	c := r.PollCall(b.deviceCode)
	c.Header["Authorization"] = apitest.Basic(r.Client.ID, "wrong")
	for range 3 { // and it costs the client nothing: pacing comes after
		h.Do(c).WantError(refused, "invalid_client")
	}
	h.held(r.PollCall(b.deviceCode))
	h.Service.Hub.Drain()
}

func TestPoll_isAnsweredWhenTheServerDrains(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{Hold: hold})
	b := begin(r, nil)
	poll := h.held(r.PollCall(b.deviceCode))
	h.Service.Hub.Drain()
	h.Answer(poll).WantError(badRequest, "authorization_pending")
	h.advance(5 * time.Second)
	r.Poll(b.deviceCode).WantError(badRequest, "authorization_pending")
}

// TestPoll_thatIsTooFastIsNotHeld and is told so at once; a verdict wins all the same.
func TestPoll_thatIsTooFastIsNotHeld(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{Hold: 10 * time.Millisecond})
	for name, c := range map[string]struct {
		decide func(begun)
		want   string
	}{
		"approved": {func(b begun) { p.Approve(b.ref(), "") }, ""},
		"denied":   {func(b begun) { p.Decline(b.ref()) }, "access_denied"},
		"expired":  {func(begun) { h.advance(account.DefaultDeviceCodeLife) }, "expired_token"},
	} {
		t.Run(name, func(t *testing.T) {
			b := begin(r, nil)
			r.Poll(b.deviceCode).WantError(badRequest, "authorization_pending")
			h.advance(2 * time.Second)
			r.Poll(b.deviceCode).WantError(badRequest, "slow_down")
			c.decide(b)
			if c.want == "" {
				r.Poll(b.deviceCode).Want(ok)
				return
			}
			for range 3 { // step keeps polling after access_denied
				r.Poll(b.deviceCode).WantError(badRequest, c.want)
			}
		})
	}
}

// TestPoll_isCountedOnce however long it was held: five seconds after its start the
// next one is in time, and a poll beside it, as of SSSD's second process, is its twin,
// which takes its place.
func TestPoll_isCountedOnce(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{Hold: hold})
	b := begin(r, nil)
	first := h.held(r.PollCall(b.deviceCode))
	second := h.replacing(first, r.PollCall(b.deviceCode))
	h.advance(5 * time.Second)
	third := h.replacing(second, r.PollCall(b.deviceCode))
	h.advance(2 * time.Second)
	r.Poll(b.deviceCode).WantError(badRequest, "slow_down")
	h.Service.Hub.Drain()
	h.Answer(third).WantError(badRequest, "authorization_pending")
}

// TestPoll_everyOneTwice is x/oauth2 as it comes: each poll with Basic and again with
// the body.
func TestPoll_everyOneTwice(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	b := begin(r, nil)
	inBody := r.PollCall(b.deviceCode)
	inBody.Header = nil
	inBody.Body = apitest.Values(F{
		"grant_type": string(account.GrantDeviceCode), "device_code": b.deviceCode,
		"client_id": r.Client.ID, "client_secret": r.Secret.Reveal(),
	})
	for range 4 {
		r.Poll(b.deviceCode).WantError(badRequest, "authorization_pending")
		h.Do(inBody).WantError(badRequest, "authorization_pending")
		h.advance(5 * time.Second)
	}
	p.Approve(b.ref(), "")
	r.Poll(b.deviceCode).Want(ok)
}

func TestPolls_haveASharePerClientOrAddress(t *testing.T) {
	h := open(t, func(s *apitest.Setup) { s.API.MaxWaitsPerClient, s.API.MaxWaitsPerAddress = 2, 1 })
	confidential := h.NewRelying(account.OAuth{Hold: hold})
	one := h.NewRelying(account.OAuth{Auth: account.AuthNone, Hold: hold})
	another := h.NewRelying(account.OAuth{Auth: account.AuthNone, Hold: hold})
	var polls []<-chan apitest.Reply
	for _, r := range []*apitest.Relying{confidential, confidential, one} {
		polls = append(polls, h.held(r.PollCall(begin(r, nil).deviceCode)))
	}
	// Whoever finds no place polls like in the old days, and never hears an error.
	for _, r := range []*apitest.Relying{confidential, one, another} {
		r.Poll(begin(r, nil).deviceCode).WantError(badRequest, "authorization_pending")
	}
	h.Service.Hub.Drain()
	for _, poll := range polls {
		h.Answer(poll).WantError(badRequest, "authorization_pending")
	}
}

// TestPoll_inAnOutageIsStillPending: a store that cannot be read is no verdict, and
// clients that know the RFC's words only go on.
func TestPoll_inAnOutageIsStillPending(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	b := begin(r, nil)
	h.store.down.Store(true)
	reply := r.Poll(b.deviceCode).WantError(http.StatusServiceUnavailable, "authorization_pending")
	if reply.Header.Get("Retry-After") == "" {
		t.Error("got no Retry-After")
	}
	h.store.down.Store(false)
	p.Approve(b.ref(), "")
	h.store.down.Store(true)
	r.Poll(b.deviceCode).WantError(http.StatusServiceUnavailable, "authorization_pending")
	h.store.down.Store(false)
	r.Poll(b.deviceCode).Want(ok)
}

func TestPoll_tellsProgressToWhoAsks(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{Hold: hold})
	b := begin(r, F{"scope": "profile"})
	since := func(version string) Call {
		return r.Call(apitest.TokenPath, F{"grant_type": string(account.GrantDeviceCode), "device_code": b.deviceCode, "nod_since": version})
	}
	poll := h.held(since("1"))
	p.Opens(b.ref())
	told := h.Answer(poll).WantError(badRequest, "authorization_pending")
	if told.JSON["nod_version"] != 2.0 || told.JSON["nod_opened"] != true {
		t.Errorf("got %s, want version 2, opened", told.Text)
	}
	// It asks again at once, and that is no poll too many; asking for the same news
	// again would be.
	poll = h.held(since("2"))
	h.advance(2 * time.Second)
	h.Do(since("1")).WantError(badRequest, "slow_down")
	p.Approve(b.ref(), "")
	done := h.Answer(poll).Want(ok)
	if got := done.S("nod_approved_by"); got != "ada" {
		t.Errorf("got nod_approved_by %q, want ada", got)
	}
}

func TestPoll_tellsNothingOfOursToWhoDoesNotAsk(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{Scopes: []account.ScopeText{{Scope: "play"}, {Scope: "openid"}}})
	for _, c := range []struct {
		scope, since string
	}{{"openid", ""}, {"openid", "-1"}, {"openid", "x"}, {"play", "0"}} {
		b := begin(r, F{"scope": c.scope})
		in := F{"grant_type": string(account.GrantDeviceCode), "device_code": b.deviceCode, "nod_since": c.since}
		pending := r.Post(apitest.TokenPath, in).WantError(badRequest, "authorization_pending")
		if told := strings.Contains(pending.Text, "nod_"); told != (c.since == "0") {
			t.Errorf("nod_since %q: got %s", c.since, pending.Text)
		}
		p.Approve(b.ref(), "")
		if done := r.Post(apitest.TokenPath, in).Want(ok); strings.Contains(done.Text, "nod_") {
			t.Errorf("scope %s, nod_since %q: got %s, want nobody named", c.scope, c.since, done.Text)
		}
	}
}

func TestToken_knowsItsGrantsAlone(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{})
	r.Post(apitest.TokenPath, nil).WantError(badRequest, "invalid_request")
	for _, grant := range []string{"authorization_code", "password", "client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"} {
		r.Post(apitest.TokenPath, F{"grant_type": grant}).WantError(badRequest, "unsupported_grant_type")
	}
	for _, grant := range []account.GrantType{account.GrantDeviceCode, account.GrantCIBA, account.GrantRefresh} {
		r.Post(apitest.TokenPath, F{"grant_type": string(grant)}).WantError(badRequest, "invalid_request")
	}
	r.Post(apitest.TokenPath, F{"grant_type": string(account.GrantCIBA), "auth_req_id": "nothing"}).WantError(badRequest, "invalid_grant")
	online := h.NewRelying(account.OAuth{Scopes: []account.ScopeText{{Scope: "openid"}}})
	online.Refresh("nothing").WantError(badRequest, "unauthorized_client")
}

func TestPolls_areCounted(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{Hold: hold})
	b := begin(r, nil)
	poll := h.held(r.PollCall(b.deviceCode))
	p.Approve(b.ref(), "")
	h.Answer(poll).Want(ok)
	r.Poll(b.deviceCode).WantError(badRequest, "invalid_grant")
	h.Until("both polls are counted", func() bool {
		return h.metric("nod_oauth_polls_total", "device_code", "collected") == 1 && h.metric("nod_oauth_polls_total", "device_code", "not_found") == 1
	})
	if got := h.metric("nod_oauth_decision_to_reply_seconds"); got != 1 {
		t.Errorf("got %v observations of the wake's latency, want 1", got)
	}
}
