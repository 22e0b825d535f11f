package phone_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func TestScanned_approvedByPasskey_letsTheDeviceIn(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Short)

	p.get("/a/"+b.Handle.Reveal()).want(http.StatusOK).
		wantText("Acme TV", "Living-room TV", "Row 7, seat 12", "203.0.113.7", "Chrome on BRAVIA 4K GB", "ada", "you can see the screen").
		wantNoText("Number on the screen")
	p.call("/phone/requests/opened", map[string]any{"ref": scanned(b)}).want(http.StatusNoContent)
	if got := h.request(b.Request.ID); got.OpenedVia != approval.Scanned {
		t.Errorf("opened via: got %q, want scanned", got.OpenedVia)
	}
	done := p.approve(scanned(b), "").want(http.StatusOK)
	if got, want := done.member("redirect"), "/r/"+b.Request.ID; got != want {
		t.Errorf("redirect: got %v, want %s", got, want)
	}
	if got := done.member("state"); got != "approved" {
		t.Errorf("state: got %v, want approved", got)
	}
	got, err := h.collect(b)
	must(t, err)
	if got.Grant.Subject == "" || got.Grant.Username != "ada" {
		t.Errorf("grant: got %q for %q, want one for ada", got.Grant.Subject, got.Grant.Username)
	}
	p.get("/r/" + b.Request.ID).want(http.StatusOK).wantText("Approved")
	// The link has done its work: it leads to the result, not to another card.
	p.get("/a/" + b.Handle.Reveal()).want(http.StatusOK).wantText("Approved").wantNoText("Approve with passkey")
}

func TestInspect_byASoftwarePhone_givesTheCardAndNoCode(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Long)
	card := p.call("/phone/requests/inspect", map[string]any{"ref": scanned(b)}).want(http.StatusOK)
	for name, want := range map[string]any{
		"request_id": b.Request.ID, "way": "scanned", "app": "Acme TV", "device": "Living-room TV", "username": "ada", "match": "none", "purpose": "sign in",
	} {
		if got := card.member(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if got, _ := card.member("ref").(map[string]any); got["way"] != "scanned" || got["secret"] != b.Handle.Reveal() {
		t.Errorf("ref: got %v, want the one it came with", got)
	}
	card.wantNoText(b.Code.Reveal(), b.MatchNumber.Reveal())
	p.approve(scanned(b), "").want(http.StatusOK)
	p.call("/phone/requests/inspect", map[string]any{"ref": scanned(b)}).wantCode(http.StatusConflict, "already_decided")
}

func TestTyped_inAnyGrouping_leadsToTheCard(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	for _, kind := range approval.CodeKinds {
		b := h.ask(h.client, p.user, kind)
		code := b.Code.Reveal()
		if kind == approval.Short {
			code = code[:3] + " " + code[3:]
		}
		p.form("/device", "code", code).want(http.StatusOK).
			wantText("Approve with passkey", `data-way="typed"`).wantNoText("Number on the screen")
		p.approve(typed(b), "").want(http.StatusOK)
		h.wantState(b.Request.ID, approval.Approved)
	}
}

func TestTyped_wrongCodes_areSaidToBeAndThenPaced(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Short)
	wrong := otherNumber(b.Code)
	p.form("/device", "code", "  ").want(http.StatusUnprocessableEntity).wantText("Type the code")
	for range 5 { // threats B1: 5 wrong ones in 2 minutes
		p.form("/device", "code", wrong).want(http.StatusUnprocessableEntity).wantText("No device is waiting").wantNoText(wrong)
	}
	limited := p.form("/device", "code", b.Code.Reveal()).want(http.StatusTooManyRequests).wantText(limitedText)
	if limited.header.Get("Retry-After") == "" {
		t.Error("Retry-After: got none")
	}
	h.wantState(b.Request.ID, approval.Pending)
	// The QR code works all the same: guesses lock nobody out (threats B5).
	p.approve(scanned(b), "").want(http.StatusOK)
}

const limitedText = "Too many codes were wrong"

func TestListed_withTheRightNumber_isApproved(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Long)
	p.get("/").want(http.StatusOK).wantText("Living-room TV", "/r/"+b.Request.ID)
	p.get("/phone/requests").want(http.StatusOK).wantText(b.Request.ID, "Living-room TV", "Acme TV")
	p.get("/r/"+b.Request.ID).want(http.StatusOK).wantText("Number on the screen", "3 tries left").wantNoText(b.MatchNumber.Reveal())

	missing := p.beginApproval(listed(b), "").wantCode(http.StatusUnprocessableEntity, "number_needed")
	if got := missing.member("tries_left"); got != 3.0 {
		t.Errorf("tries left after no number: got %v, want 3", got)
	}
	wrong := p.beginApproval(listed(b), otherNumber(b.MatchNumber)).wantCode(http.StatusUnprocessableEntity, "wrong_number")
	wrong.wantText("That is not the number on the screen. 2 tries left.")
	if got := wrong.member("tries_left"); got != 2.0 {
		t.Errorf("tries left: got %v, want 2", got)
	}
	h.wantState(b.Request.ID, approval.Pending)
	p.approve(listed(b), b.MatchNumber.Reveal()).want(http.StatusOK)
	h.wantState(b.Request.ID, approval.Approved)
	p.get("/phone/requests").want(http.StatusOK).wantText(`"requests":[]`)
}

func TestListed_threeWrongNumbers_decline(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Long)
	for _, left := range []string{"2 tries left", "1 try left"} {
		p.beginApproval(listed(b), otherNumber(b.MatchNumber)).wantCode(http.StatusUnprocessableEntity, "wrong_number").wantText(left)
	}
	p.beginApproval(listed(b), otherNumber(b.MatchNumber)).wantCode(http.StatusForbidden, "declined").wantText("Nothing was shared.")
	h.wantState(b.Request.ID, approval.Denied)
	p.beginApproval(listed(b), b.MatchNumber.Reveal()).wantCode(http.StatusConflict, "already_decided")
	p.get("/r/" + b.Request.ID).want(http.StatusOK).wantText("Declined")
}

func TestListed_picked(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	picky := h.newClient(account.MatchPick)
	ask := func() (approval.Begun, []string) {
		b := h.ask(picky, p.user, approval.Long)
		card := p.call("/phone/requests/inspect", map[string]any{"ref": listed(b)}).want(http.StatusOK)
		var choices []string
		for _, c := range card.member("choices").([]any) {
			choices = append(choices, c.(string))
		}
		if len(choices) != 3 || !strings.Contains(fmt.Sprint(choices), b.MatchNumber.Reveal()) {
			t.Fatalf("choices: got %v, want three with the right one", choices)
		}
		return b, choices
	}
	b, _ := ask()
	p.approve(listed(b), b.MatchNumber.Reveal()).want(http.StatusOK)

	b, choices := ask()
	for _, c := range choices {
		if c != b.MatchNumber.Reveal() {
			p.beginApproval(listed(b), c).wantCode(http.StatusForbidden, "declined")
			break
		}
	}
	h.wantState(b.Request.ID, approval.Denied)
}

func TestListed_withoutMatching_asksForNoNumberAndWarns(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.newClient(account.MatchNone), p.user, approval.Long)
	p.get("/r/" + b.Request.ID).want(http.StatusOK).wantText("Take care.").wantNoText("Number on the screen")
	p.approve(listed(b), "").want(http.StatusOK)
}

func TestDecline_asForm_leadsToTheResult(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	for _, r := range []func(approval.Begun) ref{scanned, typed, listed} {
		b := h.ask(h.client, p.user, approval.Short)
		decline := func() reply {
			return p.form("/phone/requests/decline", "way", r(b)["way"], "secret", r(b)["secret"])
		}
		decline().wantLocation("/r/" + b.Request.ID)
		p.get("/r/"+b.Request.ID).want(http.StatusOK).wantText("Declined", "Nothing was shared.")
		decline().wantLocation("/r/" + b.Request.ID) // twice is no conflict
		if _, err := h.collect(b); !errors.Is(err, approval.ErrDenied) {
			t.Errorf("collect: got %v, want %v", err, approval.ErrDenied)
		}
	}
}

func TestDecline_asCall_answersJSON(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Short)
	got := p.call("/phone/requests/decline", map[string]any{"ref": scanned(b)}).want(http.StatusOK)
	if got.member("state") != "denied" || got.member("request_id") != b.Request.ID {
		t.Errorf("answer: got %s, want the denied request", got.text)
	}
}

func TestSecondVerdict_losesAndIsToldWhich(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	approved := h.ask(h.client, p.user, approval.Long)
	begun := p.beginApproval(scanned(approved), "").want(http.StatusOK)
	p.approve(scanned(approved), "").want(http.StatusOK)

	late := p.call("/phone/requests/approve", map[string]any{"ref": scanned(approved), "credential": p.sign(begun)})
	late.wantCode(http.StatusConflict, "already_decided").wantText("already approved")
	if got := late.member("state"); got != "approved" {
		t.Errorf("state: got %v, want approved", got)
	}
	p.form("/phone/requests/decline", "way", "scanned", "secret", approved.Handle.Reveal()).
		want(http.StatusConflict).wantText("Approved", "your answer changed nothing")
	p.call("/phone/requests/decline", map[string]any{"ref": scanned(approved)}).wantCode(http.StatusConflict, "already_decided")
	h.wantState(approved.Request.ID, approval.Approved)

	declined := h.ask(h.client, p.user, approval.Long)
	begun = p.beginApproval(scanned(declined), "").want(http.StatusOK)
	p.call("/phone/requests/decline", map[string]any{"ref": scanned(declined)}).want(http.StatusOK)
	p.call("/phone/requests/approve", map[string]any{"ref": scanned(declined), "credential": p.sign(begun)}).
		wantCode(http.StatusConflict, "already_decided").wantText("already declined")
	h.wantState(declined.Request.ID, approval.Denied)
}

func TestExpired_cardBecomesAResult(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Short)
	begun := p.beginApproval(scanned(b), "").want(http.StatusOK)
	h.clock.advance(approval.DefaultLives[approval.Short] + time.Second)
	for _, path := range []string{"/a/" + b.Handle.Reveal(), "/r/" + b.Request.ID} {
		p.get(path).want(http.StatusOK).wantText("This request has run out").wantNoText("Approve with passkey")
	}
	p.form("/device", "code", b.Code.Reveal()).want(http.StatusUnprocessableEntity).wantText("This code has run out")
	p.call("/phone/requests/inspect", map[string]any{"ref": scanned(b)}).wantCode(http.StatusGone, "expired")
	p.call("/phone/requests/opened", map[string]any{"ref": scanned(b)}).wantCode(http.StatusGone, "expired")
	p.beginApproval(scanned(b), "").wantCode(http.StatusGone, "expired")
	late := p.call("/phone/requests/approve", map[string]any{"ref": scanned(b), "credential": p.sign(begun)})
	if late.status < 400 || late.status > 499 {
		t.Errorf("late approve: got %d, want a refusal", late.status)
	}
	p.form("/phone/requests/decline", "way", "scanned", "secret", b.Handle.Reveal()).want(http.StatusConflict).wantText("This request has run out")
	if got := h.request(b.Request.ID).Decision; got != nil {
		t.Errorf("decision: got %+v, want none", got)
	}
}

func TestProof_madeForSomethingElse_isRefused(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	one, other := h.ask(h.client, p.user, approval.Long), h.ask(h.client, p.user, approval.Long)
	approve := func(r ref, options reply) reply {
		return p.call("/phone/requests/approve", map[string]any{"ref": r, "credential": p.sign(options)})
	}
	approve(scanned(other), p.beginApproval(scanned(one), "").want(http.StatusOK)).wantCode(http.StatusUnauthorized, "passkey_refused")
	approve(typed(one), p.beginApproval(scanned(one), "").want(http.StatusOK)).wantCode(http.StatusUnauthorized, "passkey_refused")
	approve(scanned(one), p.call("/phone/signin/options", map[string]any{}).want(http.StatusOK)).wantCode(http.StatusUnauthorized, "passkey_refused")
	p.call("/phone/signin", map[string]any{"credential": p.sign(p.beginApproval(scanned(one), "").want(http.StatusOK))}).
		wantCode(http.StatusUnauthorized, "passkey_refused")
	h.wantState(one.Request.ID, approval.Pending)
	h.wantState(other.Request.ID, approval.Pending)
}

func TestApprove_withoutUserVerification_isRefused(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Long)
	p.keys.Unverified = true
	p.approve(scanned(b), "").wantCode(http.StatusUnauthorized, "passkey_refused")
	h.wantState(b.Request.ID, approval.Pending)
	p.keys.Unverified = false
	p.approve(scanned(b), "").want(http.StatusOK)
}

func TestOtherUser_seesNothingAndChangesNothing(t *testing.T) {
	h := newHouse(t)
	p, other := h.owner("ada"), h.owner("eve")
	b := h.ask(h.client, p.user, approval.Short)
	before := h.request(b.Request.ID)

	other.get("/a/"+b.Handle.Reveal()).want(http.StatusForbidden).wantNoText("Living-room TV", "ada")
	other.get("/r/"+b.Request.ID).want(http.StatusNotFound).wantNoText("Living-room TV", "ada")
	other.beginApproval(scanned(b), "").wantCode(http.StatusForbidden, "forbidden")
	other.beginApproval(listed(b), b.MatchNumber.Reveal()).wantCode(http.StatusNotFound, "not_found")
	other.beginApproval(typed(b), "").wantCode(http.StatusNotFound, "not_found")
	for _, r := range []ref{scanned(b), listed(b), typed(b)} {
		for _, path := range []string{"inspect", "opened", "decline"} {
			got := other.call("/phone/requests/"+path, map[string]any{"ref": r})
			if got.status != http.StatusForbidden && got.status != http.StatusNotFound {
				t.Errorf("%s of somebody else's, %s: got %d, want 403 or 404", path, r["way"], got.status)
			}
		}
	}
	// A proof that the right person made does not help the wrong one either.
	credential := p.sign(p.beginApproval(scanned(b), "").want(http.StatusOK))
	other.call("/phone/requests/approve", map[string]any{"ref": scanned(b), "credential": credential}).wantCode(http.StatusUnauthorized, "passkey_refused")
	after := h.request(b.Request.ID)
	if after.Version != before.Version || after.State != approval.Pending {
		t.Errorf("request: got version %d, %s; want version %d, pending", after.Version, after.State, before.Version)
	}
}

func TestOtherUser_thanTheOneExpected_seesNothingAndChangesNothing(t *testing.T) {
	h := newHouse(t)
	p, other := h.owner("ada"), h.owner("eve")
	b := h.begin(h.client, account.User{}, func(a *approval.Ask) {
		a.Kind, a.Typed, a.Context.ExpectedSub = approval.PollCode, true, p.user.ID
	})
	before := h.request(b.Request.ID)
	byCode := ref{"way": "typed", "secret": b.UserCode.Reveal()}
	other.get("/a/"+b.Handle.Reveal()).want(http.StatusForbidden).wantNoText("Living-room TV", "ada")
	for _, r := range []ref{scanned(b), byCode} {
		other.beginApproval(r, "").wantCode(http.StatusForbidden, "forbidden")
		for _, path := range []string{"inspect", "opened", "decline"} {
			other.call("/phone/requests/"+path, map[string]any{"ref": r}).wantCode(http.StatusForbidden, "forbidden")
		}
	}
	if after := h.request(b.Request.ID); after.Version != before.Version || after.State != approval.Pending {
		t.Errorf("request: got version %d, %s; want version %d, pending", after.Version, after.State, before.Version)
	}
	p.approve(byCode, "").want(http.StatusOK)
	h.wantState(b.Request.ID, approval.Approved)
}

func TestOtherNamespace_findsNothing(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	elsewhere, err := h.directory.Namespace(context.Background(), "elsewhere")
	must(t, err)
	ours := h.namespace
	h.namespace = elsewhere
	stranger := h.owner("ada")
	h.namespace = ours
	b := h.ask(h.client, p.user, approval.Short)
	for _, path := range []string{"/a/" + b.Handle.Reveal(), "/r/" + b.Request.ID} {
		stranger.get(path).want(http.StatusNotFound)
	}
	for _, r := range []ref{scanned(b), listed(b), typed(b)} {
		stranger.beginApproval(r, b.MatchNumber.Reveal()).wantCode(http.StatusNotFound, "not_found")
		stranger.call("/phone/requests/decline", map[string]any{"ref": r}).wantCode(http.StatusNotFound, "not_found")
	}
	h.wantState(b.Request.ID, approval.Pending)
}

func TestUnknownUser_isBoundByWhoeverScansAndApproves(t *testing.T) {
	h := newHouse(t)
	p, other := h.owner("ada"), h.owner("eve")
	b := h.ask(h.client, account.User{}, approval.Long)
	p.get("/a/" + b.Handle.Reveal()).want(http.StatusOK).wantText("Take care.")
	p.approve(scanned(b), "").want(http.StatusOK)
	p.get("/r/" + b.Request.ID).want(http.StatusOK).wantText("Approved")
	other.get("/r/" + b.Request.ID).want(http.StatusNotFound)
	if got := h.request(b.Request.ID).UserID; got != p.user.ID {
		t.Errorf("user: got %q, want %q", got, p.user.ID)
	}
}
