package phone_test

import (
	"context"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// prompt is the handle that a notification carries.
func (h *house) prompt(b approval.Begun) string {
	return h.service.Codes.Prompt(b.Request.ID).Reveal()
}

func (h *house) pushed(b approval.Begun) ref { return ref{"way": "pushed", "secret": h.prompt(b)} }

func TestPushed_withTheRightNumber_isApproved(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	p.register("https://push.example/1")
	b := h.begin(h.client, p.user, func(a *approval.Ask) { a.Notify = true })
	if !b.Prompted || h.reach.Told() == 0 {
		t.Fatalf("prompted: got %t, want a prompt", b.Prompted)
	}
	p.get("/a/"+h.prompt(b)).want(http.StatusOK).wantText("Number on the screen", `data-way="pushed"`, "3 tries left").wantNoText(b.MatchNumber.Reveal())
	card := p.call("/phone/requests/inspect", map[string]any{"ref": h.pushed(b)}).want(http.StatusOK)
	if card.member("match") != "type" || card.member("way") != "pushed" {
		t.Errorf("card: got %s, want a pushed one that asks for the number", card.text)
	}

	missing := p.beginApproval(h.pushed(b), " ").wantCode(http.StatusUnprocessableEntity, "number_needed")
	if got := missing.member("tries_left"); got != 3.0 {
		t.Errorf("tries left after no number: got %v, want 3", got)
	}
	h.wantState(b.Request.ID, approval.Pending)
	wrong := p.beginApproval(h.pushed(b), otherNumber(b.MatchNumber)).wantCode(http.StatusUnprocessableEntity, "wrong_number")
	if got := wrong.member("tries_left"); got != 2.0 {
		t.Errorf("tries left: got %v, want 2", got)
	}
	h.wantState(b.Request.ID, approval.Pending)
	p.approve(h.pushed(b), b.MatchNumber.Reveal()).want(http.StatusOK)
	if got := h.request(b.Request.ID).Decision; got == nil || got.Way != approval.Pushed || !got.Matched {
		t.Errorf("decision: got %+v, want one that was pushed and matched", got)
	}
	p.get("/a/" + h.prompt(b)).want(http.StatusOK).wantText("Approved")
}

func TestPushed_threeWrongNumbers_decline(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Long)
	for range 2 {
		p.beginApproval(h.pushed(b), otherNumber(b.MatchNumber)).wantCode(http.StatusUnprocessableEntity, "wrong_number")
	}
	p.beginApproval(h.pushed(b), otherNumber(b.MatchNumber)).wantCode(http.StatusForbidden, "declined")
	h.wantState(b.Request.ID, approval.Denied)
}

func TestPushed_pickedWrong_declinesAtOnce(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	picky := h.newClient(account.MatchPick)
	right, wrong := h.ask(picky, p.user, approval.Long), h.ask(picky, p.user, approval.Long)
	card := p.call("/phone/requests/inspect", map[string]any{"ref": h.pushed(right)}).want(http.StatusOK)
	if got, _ := card.member("choices").([]any); len(got) != 3 {
		t.Errorf("choices: got %v, want three", got)
	}
	p.beginApproval(h.pushed(right), "").wantCode(http.StatusUnprocessableEntity, "number_needed")
	p.approve(h.pushed(right), right.MatchNumber.Reveal()).want(http.StatusOK)
	p.beginApproval(h.pushed(wrong), otherNumber(wrong.MatchNumber)).wantCode(http.StatusForbidden, "declined")
	h.wantState(wrong.Request.ID, approval.Denied)
}

func TestPushed_numberGivenForAnotherWay_isNoProof(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Long)
	credential := p.sign(p.beginApproval(scanned(b), "").want(http.StatusOK))
	p.call("/phone/requests/approve", map[string]any{"ref": h.pushed(b), "credential": credential}).
		wantCode(http.StatusUnauthorized, "passkey_refused")
	h.wantState(b.Request.ID, approval.Pending)
}

func TestPushed_toSomebodyElse_isForbidden(t *testing.T) {
	h := newHouse(t)
	p, other := h.owner("ada"), h.owner("eve")
	b := h.ask(h.client, p.user, approval.Long)
	before := h.request(b.Request.ID)
	other.get("/a/"+h.prompt(b)).want(http.StatusForbidden).wantNoText("Living-room TV", "ada")
	for _, path := range []string{"inspect", "opened", "follow", "approve/options", "decline"} {
		other.call("/phone/requests/"+path, map[string]any{"ref": h.pushed(b), "number": b.MatchNumber.Reveal()}).
			wantCode(http.StatusForbidden, "forbidden")
	}
	if after := h.request(b.Request.ID); !reflect.DeepEqual(after, before) {
		t.Errorf("request: got %+v, want %+v", after, before)
	}
}

func TestPromptsHandle_isGoodForNothingElse(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Long)
	for _, r := range []ref{
		{"way": "scanned", "secret": h.prompt(b)}, {"way": "typed", "secret": h.prompt(b)}, {"way": "listed", "secret": h.prompt(b)},
		{"way": "pushed", "secret": b.Handle.Reveal()}, {"way": "pushed", "secret": b.Request.ID}, {"way": "pushed", "secret": b.Code.Reveal()},
	} {
		p.beginApproval(r, b.MatchNumber.Reveal()).wantCode(http.StatusNotFound, "not_found")
	}
	spoiled := []byte(h.prompt(b))
	spoiled[10] ^= 1
	p.get("/a/" + string(spoiled)).want(http.StatusNotFound)
	h.wantState(b.Request.ID, approval.Pending)
}

func TestPrompt_opened_changesNothing(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Long)
	snapshot := func() (approval.Request, []approval.Event) {
		events, err := h.store.Events(context.Background(), p.user.ID, 1000)
		must(t, err)
		return h.request(b.Request.ID), events
	}
	request, events := snapshot()
	for range 3 {
		p.get("/a/" + h.prompt(b)).want(http.StatusOK)
		h.handset().get("/a/" + h.prompt(b)).want(http.StatusOK).wantText("Sign in with a passkey").wantNoText("Living-room TV")
	}
	if r, e := snapshot(); !reflect.DeepEqual(r, request) || !reflect.DeepEqual(e, events) {
		t.Errorf("got %+v, %+v; want it as it was", r, e)
	}
}

// turning is a request whose QR code rotates.
func turning(h *house, p *handset) approval.Begun {
	return h.ask(h.addClient(account.Client{Match: account.MatchType, RotateQR: true}), p.user, approval.Long)
}

func TestRotatingQR_scannedInTime_isExchanged(t *testing.T) {
	h := newHouse(t)
	p, other := h.owner("ada"), h.owner("eve")
	b := turning(h, p)
	card := p.call("/phone/requests/inspect", map[string]any{"ref": scanned(b)}).want(http.StatusOK)
	given, _ := card.member("ref").(map[string]any)
	own := ref{"way": "scanned", "secret": given["secret"].(string)}
	if own["secret"] == b.Handle.Reveal() || given["way"] != "scanned" {
		t.Fatalf("ref: got %v, want another than the QR code's", given)
	}
	p.get("/a/" + b.Handle.Reveal()).wantLocation("/a/" + own["secret"])
	h.clock.advance(2 * approval.RotateEvery)

	p.get("/a/"+own["secret"]).want(http.StatusOK).wantText("Living-room TV", own["secret"]).wantNoText(b.Handle.Reveal(), "Number on the screen")
	other.get("/a/" + own["secret"]).want(http.StatusNotFound)
	other.beginApproval(own, "").wantCode(http.StatusNotFound, "not_found")
	p.approve(own, "").want(http.StatusOK)
	h.wantState(b.Request.ID, approval.Approved)
}

func TestRotatingQR_replaced_isRefused(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := turning(h, p)
	h.clock.advance(approval.RotateEvery + 6*time.Second) // it is taken for five more
	p.get("/a/" + b.Handle.Reveal()).want(http.StatusUnauthorized).wantText("Scan the newer QR code").wantNoText("Living-room TV")
	for _, path := range []string{"inspect", "opened", "follow", "approve/options", "decline"} {
		p.call("/phone/requests/"+path, map[string]any{"ref": scanned(b)}).wantCode(http.StatusUnauthorized, "qr_replaced")
	}
	h.wantState(b.Request.ID, approval.Pending)
	fresh, _ := h.service.Codes.Rotating(h.request(b.Request.ID), h.clock.now())
	p.approve(ref{"way": "scanned", "secret": fresh.Reveal()}, "").want(http.StatusOK)
}
