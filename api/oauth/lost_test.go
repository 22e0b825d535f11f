package oauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// broken is a connection that breaks while the reply is written: at once, or when
// what was buffered goes out.
type broken struct {
	*httptest.ResponseRecorder
	late bool
}

var errBroken = errors.New("connection reset by peer")

func (w broken) Write(p []byte) (int, error) {
	if w.late {
		return len(p), nil
	}
	return 0, errBroken
}

func (w broken) FlushError() error { return errBroken }

// serve is one call without a network: w is the connection.
func serve(ctx context.Context, h *house, w http.ResponseWriter, c Call) {
	h.Helper()
	req := httptest.NewRequest(http.MethodPost, c.Path, strings.NewReader(c.Body.(url.Values).Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range c.Header {
		req.Header.Set(name, value)
	}
	h.Server.Config.Handler.ServeHTTP(w, req.WithContext(ctx))
}

// devices are those of a person, newest first.
func devices(h *house, p *apitest.Person) []account.Device {
	h.Helper()
	list, err := h.Store.Devices(h.Context(), p.ID)
	if err != nil {
		h.Fatal(err)
	}
	return list
}

// losses are the ways in which the server sees a reply fail.
var losses = map[string]func(h *house, c Call){
	"the connection breaks": func(h *house, c Call) {
		serve(h.Context(), h, broken{httptest.NewRecorder(), false}, c)
	},
	"it breaks as the buffer goes out": func(h *house, c Call) {
		serve(h.Context(), h, broken{httptest.NewRecorder(), true}, c)
	},
	"the client leaves in the moment of the commit": func(h *house, c Call) {
		ctx, leave := context.WithCancel(h.Context())
		defer leave()
		hook := func() { leave() }
		h.store.onApply.Store(&hook)
		defer h.store.onApply.Store(nil)
		w := httptest.NewRecorder()
		serve(ctx, h, w, c)
		if strings.Contains(w.Body.String(), "access_token") {
			h.Errorf("tokens that were revoked were sent: %s", w.Body)
		}
	},
}

func TestLostReply_isMadeGoodOnceToTheSameClient(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			p, r, other := h.NewPerson("ada"), h.NewRelying(account.OAuth{}), h.NewRelying(account.OAuth{})
			b := begin(r, F{"scope": offline})
			p.Approve(b.ref(), "")
			lose(h, r.PollCall(b.deviceCode))
			if got := devices(h, p); len(got) != 1 || got[0].RevokedAt.IsZero() {
				t.Errorf("got %+v, want one device, revoked: its tokens may be anywhere", got)
			}
			if h.metric("nod_oauth_polls_total", "device_code", "lost") != 1 {
				t.Error("the loss was not counted")
			}

			other.Poll(b.deviceCode).WantError(badRequest, "invalid_grant")
			reply := r.Poll(b.deviceCode).Want(ok)
			if err := standing(h, r, reply); err != nil {
				t.Errorf("the second tokens: got %v, want them good", err)
			}
			if got := devices(h, p); len(got) != 2 || !got[0].RevokedAt.IsZero() || got[1].RevokedAt.IsZero() {
				t.Errorf("got %+v, want the newer device alone to live", got)
			}
			r.Poll(b.deviceCode).WantError(badRequest, "invalid_grant")
		})
	}
}

func TestLostReply_isMadeGoodNoSecondTimeAndNotLater(t *testing.T) {
	lose := losses["the connection breaks"]
	t.Run("twice", func(t *testing.T) {
		h := open(t)
		p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
		b := begin(r, nil)
		p.Approve(b.ref(), "")
		lose(h, r.PollCall(b.deviceCode))
		lose(h, r.PollCall(b.deviceCode))
		r.Poll(b.deviceCode).WantError(badRequest, "invalid_grant")
		for _, d := range devices(h, p) {
			if d.RevokedAt.IsZero() {
				t.Errorf("device %s lives, want it revoked", d.ID)
			}
		}
	})
	t.Run("later", func(t *testing.T) {
		h := open(t)
		p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
		b := begin(r, nil)
		p.Approve(b.ref(), "")
		lose(h, r.PollCall(b.deviceCode))
		h.advance(approval.RedeliveryWindow)
		r.Poll(b.deviceCode).WantError(badRequest, "invalid_grant")
	})
}

// TestLostReply_whenTheServerGivesUp: a drain ends the base context of every request.
// The client is still there, hears that it may ask again, and does.
func TestLostReply_whenTheServerGivesUp(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	b := begin(r, nil)
	p.Approve(b.ref(), "")
	ctx, stop := context.WithCancel(t.Context())
	hook := func() { stop() }
	h.store.onApply.Store(&hook)
	w := httptest.NewRecorder()
	serve(ctx, h, w, r.PollCall(b.deviceCode))
	h.store.onApply.Store(nil)
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "authorization_pending") {
		t.Errorf("got %d %s, want 503 authorization_pending", w.Code, w.Body)
	}
	r.Poll(b.deviceCode).Want(ok)
}

func TestLostReply_ofARefreshTakesTheTokenBeforeOnceMore(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
			first := signIn(r, p, F{"scope": offline})
			lose(h, r.Call(apitest.TokenPath, F{"grant_type": string(account.GrantRefresh), "refresh_token": first.S("refresh_token")}))
			again := r.Refresh(first.S("refresh_token")).Want(ok)
			if err := standing(h, r, again); err != nil {
				t.Errorf("got %v, want the device to stand", err)
			}
			r.Refresh(again.S("refresh_token")).Want(ok)
			r.Refresh(first.S("refresh_token")).WantError(badRequest, "invalid_grant")
		})
	}
}

// TestReply_thatWasReadIsNotLost: a client that closes the connection as soon as it
// has its tokens keeps them.
func TestReply_thatWasReadIsNotLost(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{Hold: hold})
	for range 20 {
		b := begin(r, nil)
		c := r.PollCall(b.deviceCode)
		c.Header["Connection"] = "close"
		poll := h.held(c)
		p.Approve(b.ref(), "")
		h.Answer(poll).Want(ok)
	}
	h.Until("all polls have ended", func() bool { return h.metric("nod_oauth_polls_total", "device_code", "collected") == 20 })
	for _, d := range devices(h, p) {
		if !d.RevokedAt.IsZero() {
			t.Errorf("device %s was revoked by %q, want it to live", d.ID, d.RevokedBy)
		}
	}
}

// TestPoll_noticesAClientThatLeft, and redeems nothing for it.
func TestPoll_noticesAClientThatLeft(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{Hold: hold})
	b := begin(r, nil)
	c := r.PollCall(b.deviceCode)
	var leave context.CancelFunc
	c.Ctx, leave = context.WithCancel(t.Context())
	poll := h.held(c)
	leave()
	if reply := h.Answer(poll); reply.Status != 0 {
		t.Errorf("got %d, want no answer", reply.Status)
	}
	h.Until("nobody sleeps", func() bool { return h.waits() == 0 })
	h.Until("the log says 499", func() bool { return strings.Contains(h.Log.String(), "status=499") })
	p.Approve(b.ref(), "")
	h.advance(time.Second)
	r.Poll(b.deviceCode).Want(ok)
}
