package phone_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const (
	joinPath     = "/phone/join"
	joinWaitPath = "/phone/join/wait"
	makePath     = "/phone/join/passkey"

	laptopAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)

// laptop is a browser without a passkey that has asked for one.
type laptop struct {
	*handset
	shown reply
}

func (h *house) laptop() *laptop {
	h.t.Helper()
	l := &laptop{handset: h.handset()}
	l.ask()
	return l
}

func (l *laptop) ask() reply {
	l.t.Helper()
	l.shown = l.send(http.MethodPost, joinPath, "application/json", `{}`, "User-Agent", laptopAgent).want(http.StatusOK)
	return l.shown
}

func (l *laptop) id() string { l.t.Helper(); return l.shown.member("request_id").(string) }

// scanned and typed are how a phone gets to what the laptop shows.
func (l *laptop) scanned() ref {
	l.t.Helper()
	link := l.shown.member("url").(string)
	return ref{"way": "scanned", "secret": link[strings.LastIndex(link, "/")+1:]}
}

func (l *laptop) typed() ref {
	l.t.Helper()
	return ref{"way": "typed", "secret": l.shown.member("code").(string)}
}

// look asks where it stands, without waiting.
func (l *laptop) look() reply {
	l.t.Helper()
	return l.call(joinWaitPath, map[string]any{"since": 0})
}

func (l *laptop) wantState(want string) reply {
	l.t.Helper()
	got := l.look().want(http.StatusOK)
	if got.member("state") != want {
		l.t.Errorf("state: got %v, want %s", got.member("state"), want)
	}
	return got
}

// made is the answer of the laptop's authenticator.
func (l *laptop) made() json.RawMessage {
	l.t.Helper()
	begun := l.call(makePath+"/options", map[string]any{}).want(http.StatusOK)
	answer, err := l.keys.CreateJSON(l.house.url, []byte(begun.text))
	must(l.t, err)
	return answer
}

func (l *laptop) keep(made json.RawMessage) reply {
	l.t.Helper()
	return l.send(http.MethodPost, makePath, "application/json", fmt.Sprintf(`{"credential":%s}`, made), "User-Agent", laptopAgent)
}

// cookie is what the laptop waits with.
func (l *laptop) cookie() *http.Cookie {
	l.t.Helper()
	for _, c := range l.browser.Jar.Cookies(parsed(l.t, l.house.url)) {
		if c.Name == "nod-join" {
			return c
		}
	}
	l.t.Fatal("no cookie to wait with")
	return nil
}

func TestJoin_makesAPasskeyOfItsOwn(t *testing.T) {
	for _, way := range []string{"scanned", "typed"} {
		t.Run(way, func(t *testing.T) {
			h := newHouse(t)
			p := h.owner("ada")
			p.register("https://push.example/1")
			l := h.laptop()
			r := map[string]ref{"scanned": l.scanned(), "typed": l.typed()}[way]
			l.wantState("pending")
			p.call("/phone/requests/opened", map[string]any{"ref": r}).want(http.StatusNoContent)
			l.wantState("opened")
			l.call(makePath+"/options", map[string]any{}).wantCode(http.StatusConflict, "not_decided")
			p.approve(r, "").want(http.StatusOK)
			if got := l.wantState("approved"); got.member("approved_as") != "ada" || got.member("code") != nil || got.member("url") != nil {
				t.Errorf("approved: got %s, want as ada, and nothing more to show", got.text)
			}

			kept := l.keep(l.made()).want(http.StatusOK)
			if kept.member("name") != "Chrome on Linux" || kept.member("redirect") != "/passkeys" {
				t.Errorf("kept: got %s", kept.text)
			}
			l.get("/passkeys").want(http.StatusOK).wantText("Chrome on Linux", "this session") // signed in
			l.look().wantCode(http.StatusNotFound, "not_found")                                // and waits for nothing
			if got := h.request(l.id()); got.State != approval.Redeemed || got.UserID != p.user.ID {
				t.Errorf("request: got %s for %q, want redeemed for ada", got.State, got.UserID)
			}
			if got := len(h.keysOf(p.user)); got != 2 {
				t.Errorf("passkeys: got %d, want 2", got)
			}
			if got := h.notices(); !slices.Equal(got, []string{string(approval.NoticePasskeyAdded)}) {
				t.Errorf("told to ada's phones: got %q, want %s", got, approval.NoticePasskeyAdded)
			}
			p.get("/activity").want(http.StatusOK).wantText(
				"You looked at a new passkey on Chrome on Linux", "You approved a new passkey on Chrome on Linux", "A passkey was made: Chrome on Linux",
			)
			p.get("/r/"+l.id()).want(http.StatusOK).wantText(
				"It has its own passkey now", "Download receipt", "Undo deletes the passkey", "Report: this was not me")

			l.user = p.user // from now on it is a phone like any other
			b := h.ask(h.client, p.user, approval.Long)
			l.approve(scanned(b), "").want(http.StatusOK)
		})
	}
}

// joined is a laptop that somebody let in and that has made its passkey.
func (p *handset) joined() *laptop {
	p.t.Helper()
	l := p.house.laptop()
	p.approve(l.scanned(), "").want(http.StatusOK)
	l.keep(l.made()).want(http.StatusOK)
	l.user = p.user
	return l
}

func TestJoin_reportedOrUndoneAfterwards_endsThePasskey(t *testing.T) {
	for end, want := range map[string][]string{
		"report": {"Reported", "Whoever runs this service has been told"},
		"undo":   {"Approved, and taken back", "Report: this was not me"},
	} {
		t.Run(end, func(t *testing.T) {
			h := newHouse(t)
			p := h.owner("ada")
			_, own := p.letIn("Radio", "")
			l := p.joined()
			_, first := l.letIn("TV", "")
			_, second := l.letIn("Terminal", "")
			for range 2 {
				p.form("/phone/requests/"+end, "way", "listed", "secret", l.id(), "request", l.id()).wantLocation("/r/" + l.id())
			}
			page := p.get("/r/" + l.id()).want(http.StatusOK)
			page.wantText("The passkey that was made with it is deleted, and the 2 devices it let in are signed out.",
				"What was done with it in between is not undone", "passkeys and recovery codes").
				wantText(want...).wantNoText(">Undo<", "It has its own passkey now", "That is your last")
			h.wantRevoked(first, "passkey ended")
			h.wantRevoked(second, "passkey ended")
			if d, err := h.service.Store.Device(t.Context(), own); err != nil || !d.RevokedAt.IsZero() {
				t.Errorf("ada's own: revoked at %v, %v; want it signed in", d.RevokedAt, err)
			}
			l.get("/passkeys").want(http.StatusOK).wantText("Sign in") // its session has ended
			keys := h.keysOf(p.user)
			if keys[0].Status != account.PasskeyActive || keys[1].Status != account.PasskeyRevoked {
				t.Errorf("passkeys: ada's is %s, the laptop's %s; want only that revoked", keys[0].Status, keys[1].Status)
			}
			p.get("/activity").want(http.StatusOK).wantText("that a passkey was added, and it was deleted: Chrome on Linux",
				"A passkey was deleted, which signed out")
		})
	}
}

// Whoever has no other passkey keeps it, and is told how to go on.
func TestJoin_undoneFromTheLastPasskey(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	l := p.joined()
	keys := h.keysOf(p.user)
	l.form("/phone/passkeys/" + keys[0].ID + "/delete").want(http.StatusSeeOther)
	l.form("/phone/requests/undo", "request", l.id()).want(http.StatusConflict).
		wantText("This is your last passkey, so it stays", `href="/recover"`, ">Undo<")
	l.call("/phone/requests/undo", map[string]any{"request_id": l.id()}).wantCode(http.StatusConflict, "last_passkey")
	l.form("/phone/requests/report", "way", "listed", "secret", l.id()).wantLocation("/r/" + l.id())
	l.get("/r/"+l.id()).want(http.StatusOK).wantText("Reported", "If that is not yours", "delete it").wantNoText(">Undo<")
	if got := h.keysOf(p.user)[1].Status; got != account.PasskeyActive {
		t.Errorf("the laptop's passkey is %s, want it to stay", got)
	}
}

func TestJoin_cardSaysWhatNodSaw(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	l := h.laptop()
	page := p.get("/a/" + l.scanned()["secret"])
	own := page.want(http.StatusSeeOther).header.Get("Location") // the QR code rotates
	known, claimed, _ := strings.Cut(p.get(own).want(http.StatusOK).wantText(
		"Add a passkey on <bdi>Chrome on Linux</bdi>?", l.shown.member("code").(string), "Whoever holds that device could then sign in as you",
	).text, "The device says, unchecked")
	for _, want := range []string{"nod's own page", "127.0.0.1", "Hamburg, Germany", "Same network as this phone"} {
		if !strings.Contains(known, want) || strings.Contains(claimed, want) {
			t.Errorf("%q: want it among what nod knows itself", want)
		}
	}
	if !strings.Contains(claimed, "Chrome on Linux") {
		t.Error("what the browser calls itself: want it among what is unchecked")
	}
	card := p.call("/phone/requests/inspect", map[string]any{"ref": l.scanned()}).want(http.StatusOK)
	if card.member("own") != true || card.member("purpose") != "add a passkey" || card.member("match") != "none" {
		t.Errorf("card: got %s", card.text)
	}
	for range 3 {
		p.get(own)
	}
	l.wantState("pending") // looking changes nothing
}

func TestJoin_askingNamesAndPromptsNobody(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	p.register("https://push.example/1")
	l := h.laptop()
	p.get("/").want(http.StatusOK).wantNoText("Chrome on Linux")
	p.get("/r/" + l.id()).want(http.StatusNotFound)
	r := h.request(l.id())
	if r.UserID+r.NamespaceID+r.ClientID != "" || r.Purpose != approval.AddCredential || !r.Rotates {
		t.Errorf("request: got %+v, want one of nobody", r)
	}
	queued, err := h.store.Claim(context.Background(), approval.TopicPrompt, 100, time.Hour)
	must(t, err)
	if len(queued) != 0 {
		t.Errorf("prompts: got %d, want none", len(queued))
	}
	cookie := l.cookie()
	if strings.Contains(l.shown.text, cookie.Value) || strings.Contains(l.get("/join").want(http.StatusOK).text, cookie.Value) {
		t.Error("what proves whose request it is stands where a script or a camera reads it")
	}
}

func TestJoin_cookieInBothForms(t *testing.T) {
	for name, c := range map[string]struct{ public, cookie string }{
		"https":           {"https://nod.example", "__Host-nod-join"},
		"plain localhost": {"", "nod-join"},
	} {
		t.Run(name, func(t *testing.T) {
			h := houseAt(t, c.public)
			set := h.handset().call(joinPath, map[string]any{}).want(http.StatusOK).header.Get("Set-Cookie")
			for _, want := range []string{c.cookie + "=", "Path=/", "Max-Age=660", "HttpOnly", "SameSite=Strict"} {
				if !strings.Contains(set, want) {
					t.Errorf("cookie: got %q, want %s in it", set, want)
				}
			}
			if strings.Contains(set, "Secure") != (c.public != "") {
				t.Errorf("cookie: got %q, want Secure only over https", set)
			}
		})
	}
}

// Another browser has neither the cookie nor any use for what the screen shows.
func TestJoin_isNobodyElsesToCollect(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	l, other := h.laptop(), h.laptop()
	p.approve(l.scanned(), "").want(http.StatusOK)
	for name, value := range map[string]string{
		"no cookie": "", "the typed code": l.typed()["secret"], "the handle": l.scanned()["secret"], "the request's id": l.id(),
		"a session": p.browser.Jar.Cookies(parsed(t, h.url))[0].Value,
	} {
		stranger := h.handset()
		if value != "" {
			stranger.browser.Jar.SetCookies(parsed(t, h.url), []*http.Cookie{{Name: "nod-join", Value: value, Path: "/"}})
		}
		for _, path := range []string{joinWaitPath, makePath + "/options"} {
			if got := stranger.call(path, map[string]any{}); got.status != http.StatusNotFound {
				t.Errorf("%s, %s: got %d, want 404", name, path, got.status)
			}
		}
	}
	// An answer to one laptop's ceremony is no good in another's.
	made := l.made()
	p.approve(other.scanned(), "").want(http.StatusOK)
	other.keep(made).wantCode(http.StatusUnauthorized, "passkey_refused")
	if got := len(h.keysOf(p.user)); got != 1 {
		t.Errorf("passkeys: got %d, want 1", got)
	}
	// And the cookie signs nobody in.
	stranger := h.handset()
	stranger.browser.Jar.SetCookies(parsed(t, h.url), []*http.Cookie{{Name: "nod", Value: l.cookie().Value, Path: "/"}})
	stranger.call("/phone/requests/inspect", map[string]any{"ref": l.typed()}).want(http.StatusUnauthorized)
}

func TestJoin_declined_reported_undone_andTooLate(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	for name, c := range map[string]struct {
		end   func(*laptop)
		state string
		code  string
	}{
		"declined": {func(l *laptop) {
			p.call("/phone/requests/decline", map[string]any{"ref": l.scanned()}).want(http.StatusOK)
		}, "denied", "declined"},
		"reported": {func(l *laptop) {
			p.call("/phone/requests/report", map[string]any{"ref": l.scanned()}).want(http.StatusOK)
		}, "denied", "declined"},
		"undone": {func(l *laptop) {
			p.approve(l.typed(), "").want(http.StatusOK)
			p.form("/phone/requests/undo", "request", l.id()).wantLocation("/r/" + l.id())
		}, "canceled", "declined"},
		"run out": {func(*laptop) { h.clock.advance(10 * time.Minute) }, "expired", "expired"},
		"approved, not used": {func(l *laptop) {
			p.approve(l.scanned(), "").want(http.StatusOK)
			h.clock.advance(11 * time.Minute)
		}, "lapsed", "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			l := h.laptop()
			c.end(l)
			l.wantState(c.state)
			l.call(makePath+"/options", map[string]any{}).wantCode(http.StatusGone, c.code)
			if l.ask(); l.look().member("state") != "pending" {
				t.Error("another code: got none")
			}
		})
	}
	if got := len(h.keysOf(p.user)); got != 1 {
		t.Errorf("passkeys: got %d, want 1", got)
	}
}

func TestJoin_isBoundToTheTimeOfTheApproval(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	l := h.laptop()
	p.approve(l.scanned(), "").want(http.StatusOK)
	h.clock.advance(10*time.Minute + 30*time.Second) // of the minute's grace
	made := l.made()
	l.keep(made).want(http.StatusOK)

	late := h.laptop()
	p.approve(late.scanned(), "").want(http.StatusOK)
	h.clock.advance(10 * time.Minute)
	made = late.made()
	h.clock.advance(time.Minute)
	late.keep(made).wantCode(http.StatusGone, "expired")
	if got := len(h.keysOf(p.user)); got != 2 {
		t.Errorf("passkeys: got %d, want 2", got)
	}
}

func TestJoin_askedAgainGoesOnWithWhatIsNotOver(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	l := h.laptop()
	id, code := l.id(), l.typed()["secret"]
	if again := l.ask(); again.member("request_id") != id || again.member("code") != code {
		t.Errorf("loaded anew: got %s, want request %s with code %s", again.text, id, code)
	}
	p.approve(l.typed(), "").want(http.StatusOK)
	if again := l.ask(); again.member("request_id") != id || again.member("state") != "approved" {
		t.Errorf("loaded anew after the approval: got %s, want request %s, approved", again.text, id)
	}
	l.keep(l.made()).want(http.StatusOK)
	if again := l.ask(); again.member("request_id") == id {
		t.Errorf("asked once more: got %s, want another request", again.text)
	}
}

func TestJoin_signedInBrowserIsToldWhatChanges(t *testing.T) {
	h := newHouse(t)
	p, eve := h.owner("ada"), h.owner("eve")
	l := &laptop{handset: eve}
	l.get("/join").want(http.StatusOK).wantText("You are signed in as", "eve")
	l.ask()
	p.approve(l.scanned(), "").want(http.StatusOK)
	l.keep(l.made()).want(http.StatusOK)
	l.get("/").want(http.StatusOK).wantText("Signed in as", "ada")
	sessions, err := h.store.Sessions(context.Background(), eve.user.ID)
	must(t, err)
	if len(sessions) != 0 {
		t.Errorf("sessions of eve: got %d, want none", len(sessions))
	}
}
