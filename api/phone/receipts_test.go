package phone_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/webauthn"
)

// receiptsPattern is the one GET that answers its owner with a file.
const receiptsPattern = "/phone/receipts/:id"

// asksToAgree is an app that wants a consent to a text.
func (h *house) asksToAgree(p *handset, payload string, change ...func(*approval.Ask)) approval.Begun {
	h.t.Helper()
	return h.begin(h.client, p.user, func(a *approval.Ask) {
		a.Purpose, a.Kind = approval.Transaction, approval.PollCode
		a.Context = approval.Context{Payload: payload, Nonce: "n-1"}
		for _, f := range change {
			f(a)
		}
	})
}

const invoice = "Pay 20.00 € to <b>Bob</b> & Söhne\n\tInvoice 17"

func TestTransaction_isShownToTheLetterAndApproved(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	p.register("https://push.example/1")
	for way, reach := range map[string]func(approval.Begun) ref{"scanned": scanned, "listed": listed, "pushed": h.pushed} {
		b := h.asksToAgree(p, invoice)
		p.get("/a/"+b.Handle.Reveal()).want(http.StatusOK).
			wantText("Approve this transaction?", "<span><bdi>Acme TV</bdi> asks you to agree to exactly this</span>",
				"Pay 20.00 € to &lt;b&gt;Bob&lt;/b&gt; &amp; Söhne\n\tInvoice 17</p>", "this is what you want").
			wantNoText("you can see the screen", "<dt>Kind", "The device says")
		card := p.call("/phone/requests/inspect", map[string]any{"ref": reach(b)}).want(http.StatusOK)
		if card.member("tx_payload") != invoice || card.member("tx_type") != "text" || card.member("purpose") != "approve a transaction" {
			t.Errorf("%s card: got %s, want the payload to the letter", way, card.text)
		}
		number := ""
		if way != "scanned" {
			p.beginApproval(reach(b), "").wantCode(http.StatusUnprocessableEntity, "number_needed")
			number = b.MatchNumber.Reveal()
		}
		p.approve(reach(b), number).want(http.StatusOK)
		p.get("/r/"+b.Request.ID).want(http.StatusOK).wantText("Approved", "You agreed to", "Invoice 17", `href="/phone/receipts/`+b.Request.ID)
	}
	p.get("/activity").want(http.StatusOK).wantText("You approved a transaction of Acme TV", "You agreed to “Pay 20.00 € to &lt;b&gt;Bob&lt;/b&gt; &amp; Söhne Invoice 17”")
}

func TestTransaction_forAnybody_isWhoeversApproves(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.asksToAgree(p, invoice, func(a *approval.Ask) { a.User.ID, a.User.Username = "", "" })
	p.get("/a/" + b.Handle.Reveal()).want(http.StatusOK).wantText("made out to nobody").wantNoText("signs it in")
	p.approve(scanned(b), "").want(http.StatusOK)
	if got := h.request(b.Request.ID).UserID; got != p.user.ID {
		t.Errorf("got a transaction of %q, want %q", got, p.user.ID)
	}
}

func TestTransaction_declined_leavesNoReceipt(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.asksToAgree(p, invoice)
	p.call("/phone/requests/decline", map[string]any{"ref": scanned(b)}).want(http.StatusOK)
	p.get("/r/"+b.Request.ID).want(http.StatusOK).wantText("Declined").wantNoText("Download receipt", "You agreed to", "Invoice 17")
	p.get("/phone/receipts/" + b.Request.ID).want(http.StatusNotFound).wantText("no such receipt")
	p.get("/activity").want(http.StatusOK).wantText("You declined a transaction of Acme TV").wantNoText("Download receipt")
}

func TestReceipt_isDownloadedByItsOwnerAlone(t *testing.T) {
	h := newHouse(t)
	p, eve := h.owner("ada"), h.owner("eve")
	b := h.ask(h.client, p.user, approval.Long)
	p.get("/phone/receipts/" + b.Request.ID).want(http.StatusNotFound) // nobody has decided
	p.approve(scanned(b), "").want(http.StatusOK)
	path := "/phone/receipts/" + b.Request.ID
	for _, page := range []string{"/r/" + b.Request.ID, "/activity"} {
		p.get(page).want(http.StatusOK).wantText(`<a href="` + path + `" download>Download receipt</a>`)
	}
	got := p.get(path).want(http.StatusOK)
	if name := got.header.Get("Content-Disposition"); name != `attachment; filename="nod-receipt-`+b.Request.ID+`.json"` {
		t.Errorf("got Content-Disposition %q", name)
	}
	agreed, err := webauthn.VerifyDocument([]byte(got.text))
	if err != nil || agreed.RequestID != b.Request.ID || agreed.UserID != p.user.ID || agreed.Context.DeviceName != "Living-room TV" {
		t.Errorf("got %+v, %v; want what ada approved", agreed.Agreed, err)
	}
	eve.get(path).want(http.StatusNotFound).wantNoText("Living-room")
	p.get("/phone/receipts/nothing").want(http.StatusNotFound)
	if text := h.handset().get(path).want(http.StatusOK).text; strings.Contains(text, "Living-room") || !strings.Contains(text, "Sign in") {
		t.Errorf("signed out: got %s, want to be asked to sign in", text)
	}

	must(t, h.directory.DeleteUser(context.Background(), p.user))
	p.get(path).wantNoText("Living-room") // no session any more
	if _, err := h.store.Receipt(context.Background(), b.Request.ID); err != nil {
		t.Errorf("after the user was deleted: got %v, want the receipt kept", err)
	}
}
