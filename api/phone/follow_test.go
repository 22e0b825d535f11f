package phone_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const (
	followPath = "/phone/requests/follow"
	elsewhere  = "This request was opened on another phone too."
)

// follow holds the call of an open card on its own goroutine and returns once the
// server holds it. A call that is given up comes back with status 0.
func (p *handset) follow(ctx context.Context, r ref, since float64) <-chan reply {
	p.t.Helper()
	before := p.house.service.Hub.Sleeping()
	out := make(chan reply, 1)
	go func() {
		body := fmt.Sprintf(`{"ref":{"way":%q,"secret":%q},"since":%.0f}`, r["way"], r["secret"], since)
		got, err := p.try(ctx, http.MethodPost, followPath, "application/json", body)
		if err != nil {
			got = reply{t: p.t, text: err.Error()}
		}
		out <- got
	}()
	p.house.until("the call is held", func() bool { return p.house.service.Hub.Sleeping() > before })
	return out
}

func (h *house) answer(from <-chan reply) reply {
	h.t.Helper()
	select {
	case r := <-from:
		return r
	case <-time.After(patience):
		h.t.Fatal("no answer")
		return reply{}
	}
}

// look opens the card and says so, and returns the version that it knows.
func (p *handset) look(r ref) float64 {
	p.t.Helper()
	p.call("/phone/requests/inspect", map[string]any{"ref": r}).want(http.StatusOK)
	p.call("/phone/requests/opened", map[string]any{"ref": r}).want(http.StatusNoContent)
	return p.call(followPath, map[string]any{"ref": r}).want(http.StatusOK).member("version").(float64)
}

// again is another phone of the same owner.
func (p *handset) again() *handset {
	p.t.Helper()
	other := p.house.handset()
	other.user, other.keys = p.user, p.keys
	other.signIn("/").want(http.StatusOK)
	return other
}

func TestSecondOpener_isNoticedByBoth(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	other := p.again()
	b := h.ask(h.client, p.user, approval.Long)
	version := p.look(scanned(b))
	held := p.follow(t.Context(), scanned(b), version)
	p.get("/a/" + b.Handle.Reveal()).want(http.StatusOK).wantNoText(elsewhere)

	other.get("/a/" + b.Handle.Reveal()).want(http.StatusOK).wantText(elsewhere)
	card := other.call("/phone/requests/inspect", map[string]any{"ref": listed(b)}).want(http.StatusOK)
	if card.member("opened_elsewhere") != true {
		t.Errorf("second card: got %s, want opened_elsewhere", card.text)
	}
	other.look(listed(b))
	news := h.answer(held).want(http.StatusOK)
	if news.member("opened_elsewhere") != true || news.member("state") != "pending" || news.member("version") != version+1 {
		t.Errorf("first card: got %s, want to hear that it was opened elsewhere", news.text)
	}
	p.get("/a/" + b.Handle.Reveal()).want(http.StatusOK).wantText(elsewhere)
	p.get("/activity").want(http.StatusOK).wantText("Another phone or browser looked at a sign-in on Living-room TV (Acme TV) too")
	p.look(scanned(b)) // once is enough
	if got := h.request(b.Request.ID).Version; float64(got) != version+1 {
		t.Errorf("version: got %d, want %v: it was noticed once", got, version+1)
	}
}

func TestFollow_hearsHowItEnded(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	other := p.again()
	for name, c := range map[string]struct {
		end   func(approval.Begun)
		state string
	}{
		"approved": {func(b approval.Begun) { other.approve(scanned(b), "").want(http.StatusOK) }, "approved"},
		"declined": {func(b approval.Begun) {
			other.call("/phone/requests/decline", map[string]any{"ref": listed(b)}).want(http.StatusOK)
		}, "denied"},
		"collected": {func(b approval.Begun) { other.approve(scanned(b), ""); h.collect(b) }, "approved"},
		"taken back": {func(b approval.Begun) {
			_, err := h.service.InvalidateAll(context.Background(), approval.Target{
				NamespaceID: h.namespace.ID, UserID: p.user.ID, Kind: approval.Long, Purpose: approval.SignIn,
			})
			must(t, err)
		}, "canceled"},
	} {
		b := h.ask(h.client, p.user, approval.Long)
		held := p.follow(t.Context(), scanned(b), float64(b.Request.Version))
		c.end(b)
		got := h.answer(held).want(http.StatusOK)
		if got.member("state") != c.state || got.member("redirect") != "/r/"+b.Request.ID {
			t.Errorf("%s: got %s, want %s and where to go", name, got.text, c.state)
		}
		late := p.call(followPath, map[string]any{"ref": scanned(b), "since": b.Request.Version}).want(http.StatusOK)
		if late.member("state") != c.state {
			t.Errorf("%s, asked after it: got %s, want %s at once", name, late.text, c.state)
		}
	}
	b := h.ask(h.client, p.user, approval.Long)
	h.clock.advance(approval.DefaultLives[approval.Long])
	if got := p.call(followPath, map[string]any{"ref": scanned(b), "since": 1000}).want(http.StatusOK).member("state"); got != "expired" {
		t.Errorf("run out: got %v, want expired", got)
	}
}

func TestFollow_ofSomebodyElses_isRefused(t *testing.T) {
	h := newHouse(t)
	p, other := h.owner("ada"), h.owner("eve")
	b := h.ask(h.client, p.user, approval.Long)
	other.call(followPath, map[string]any{"ref": scanned(b)}).wantCode(http.StatusForbidden, "forbidden")
	other.call(followPath, map[string]any{"ref": listed(b)}).wantCode(http.StatusNotFound, "not_found")
	other.call(followPath, map[string]any{"ref": typed(b)}).wantCode(http.StatusNotFound, "not_found")
	p.call(followPath, map[string]any{"ref": scanned(b), "since": "soon"}).wantCode(http.StatusBadRequest, "request_validation_error")
}

func TestFollow_endsWhenTheServerDrains(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Long)
	held := p.follow(t.Context(), scanned(b), 1000)
	h.service.Hub.Drain()
	if got := h.answer(held).want(http.StatusOK).member("state"); got != "pending" {
		t.Errorf("state: got %v, want pending", got)
	}
}

func TestFollow_noticesAPhoneThatLeft(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Long)
	ctx, leave := context.WithCancel(t.Context())
	held := p.follow(ctx, scanned(b), 1000)
	leave()
	if got := h.answer(held); got.status != 0 {
		t.Errorf("got %d, want no answer", got.status)
	}
	h.until("nobody sleeps", func() bool { return h.service.Hub.Sleeping() == 0 })
}

func TestFollow_isHeldEightTimesForAnOwner(t *testing.T) {
	h := newHouse(t)
	p, other := h.owner("ada"), h.owner("eve")
	b := h.ask(h.client, p.user, approval.Long)
	var held []<-chan reply
	for range 8 {
		held = append(held, p.follow(t.Context(), scanned(b), 1000))
	}
	full := p.call(followPath, map[string]any{"ref": scanned(b), "since": 1000}).wantCode(http.StatusTooManyRequests, "too_many_requests")
	if full.header.Get("Retry-After") == "" {
		t.Error("Retry-After: got none")
	}
	held = append(held, other.follow(t.Context(), scanned(h.ask(h.client, other.user, approval.Long)), 1000))
	h.service.Hub.Drain()
	for _, one := range held {
		h.answer(one).want(http.StatusOK)
	}
	p.call(followPath, map[string]any{"ref": scanned(b), "since": 1000}).want(http.StatusOK) // there is room again
}

// timed is a connection that notes until when a reply may be written.
type timed struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func (w *timed) SetReadDeadline(t time.Time) error  { w.read = t; return nil }
func (w *timed) SetWriteDeadline(t time.Time) error { w.write = t; return nil }

func TestHeldCalls_setTheirOwnDeadline(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Long)
	h.push.Answer(true, "Taken.")
	h.service.Hub.Drain() // nothing is held for long here
	session := p.browser.Jar.Cookies(parsed(t, h.url))[0]
	for path, c := range map[string]struct {
		body string
		hold time.Duration
	}{
		followPath: {`{"ref":{"way":"scanned","secret":"` + b.Handle.Reveal() + `"},"since":1000}`, 25 * time.Second},
		"/phone/phones/" + p.register("https://push.example/1") + "/test": {`{}`, 10 * time.Second},
	} {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/json")
		r.AddCookie(session)
		w := &timed{ResponseRecorder: httptest.NewRecorder(), read: time.Now()}
		h.engine.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%s: got %d %s, want 200", path, w.Code, w.Body)
		}
		if left := time.Until(w.write); left < c.hold || !w.read.IsZero() {
			t.Errorf("%s: got %s to write and a read deadline %v, want over %s and none", path, left, w.read, c.hold)
		}
	}
}

func TestViewer_isNamedBySessionAndNotBySecret(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Long)
	p.look(scanned(b))
	name := h.request(b.Request.ID).OpenedBy
	secret := account.Secret(p.browser.Jar.Cookies(parsed(t, h.url))[0].Value)
	if name == "" || strings.Contains(name, secret.Reveal()) || strings.Contains(name, string(secret.Hash())) {
		t.Errorf("opened by: got %q, want a name that says nothing of the session", name)
	}
}
