package phone_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// backendAsks is a server of CIBA: it knows whom it asks, and shows a message
// where that person sees it.
func (h *house) backendAsks(c account.Client, u account.User, change ...func(*approval.Ask)) approval.Begun {
	h.t.Helper()
	return h.begin(c, u, func(a *approval.Ask) {
		a.Face, a.Kind, a.Audience, a.Life, a.Notify = "ciba", approval.PollCode, c.ID, 2*time.Minute, true
		a.Context = approval.Context{BindingMessage: "Transfer 4711 💶 振込"}
		for _, f := range change {
			f(a)
		}
	})
}

func TestBackend_asks_andTheMessageIsConfirmed(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	p.register("https://push.example/1")
	c := h.newClient(account.MatchMessage)
	for way, reach := range map[string]func(approval.Begun) ref{"listed": listed, "pushed": h.pushed} {
		b := h.backendAsks(c, p.user, withDetails)
		p.get("/r/"+b.Request.ID).want(http.StatusOK).
			wantText("<bdi>Acme TV</bdi> asks for your approval", `<p class="message"><bdi>Transfer 4711 💶 振込</bdi>`, "My device shows the same message",
				"Know who you are", "Payment initiation", "this is what you want").
			wantNoText("you can see the screen", "Nothing ties this request", "The device says", `<p class="code">`)
		card := p.call("/phone/requests/inspect", map[string]any{"ref": reach(b)}).want(http.StatusOK)
		if card.member("match") != "message" || card.member("backend") != true || card.member("user_code") != nil {
			t.Errorf("%s card: got %s, want a backend's, to be matched by its message", way, card.text)
		}
		for _, number := range []string{"", "no", b.MatchNumber.Reveal(), "SEEN"} {
			p.beginApproval(reach(b), number).wantCode(http.StatusUnprocessableEntity, "message_not_confirmed").wantNoText("tries_left", "number")
		}
		h.wantState(b.Request.ID, approval.Pending)
		p.approve(reach(b), approval.MessageSeen).want(http.StatusOK)
		if d := h.request(b.Request.ID).Decision; d == nil || !d.Matched {
			t.Errorf("%s decision: got %+v, want one that says that the message was seen", way, d)
		}
		p.get("/r/"+b.Request.ID).want(http.StatusOK).wantText("Approved", "The app goes on by itself", "It may").wantNoText("The device goes on")
	}
}

func TestBackend_withNothingToCompare_isWarnedOf(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.backendAsks(h.newClient(account.MatchMessage), p.user, func(a *approval.Ask) { a.Context.BindingMessage = "" })
	p.get("/r/" + b.Request.ID).want(http.StatusOK).wantText("Nothing ties this request").wantNoText("My device shows")
	p.approve(listed(b), "").want(http.StatusOK)
}

func TestBackend_withAMatchNumber_asksForIt(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.backendAsks(h.newClient(account.MatchType), p.user)
	p.get("/r/"+b.Request.ID).want(http.StatusOK).wantText("Number on the screen", `<p class="message">`).wantNoText("My device shows")
	p.beginApproval(listed(b), "").wantCode(http.StatusUnprocessableEntity, "number_needed")
	p.beginApproval(listed(b), approval.MessageSeen).wantCode(http.StatusUnprocessableEntity, "wrong_number")
	p.approve(listed(b), b.MatchNumber.Reveal()).want(http.StatusOK)
}

func TestBackend_isDeclinedWithoutConfirming(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.backendAsks(h.newClient(account.MatchMessage), p.user)
	p.form("/phone/requests/decline", "way", "listed", "secret", b.Request.ID).wantLocation("/r/" + b.Request.ID)
	h.wantState(b.Request.ID, approval.Denied)
	p.get("/activity").want(http.StatusOK).wantText("You were asked for your approval: a request of Acme TV", "You declined a request of Acme TV")
}
