package phone_test

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// withDetails asks for everything that an approval can allow.
func withDetails(a *approval.Ask) {
	a.Context.Scopes = []account.ScopeText{
		{Scope: "openid", Says: "know who you are"}, {Scope: "offline_access", Says: "stay signed in until you revoke it"},
	}
	a.Context.Details = json.RawMessage(`[{"type":"payment_initiation","amount":"12.00","creditorName":"Acme"}]`)
}

// deviceGrant is a device of RFC 8628: it asks without knowing whom.
func (h *house) deviceGrant(change ...func(*approval.Ask)) approval.Begun {
	h.t.Helper()
	return h.begin(h.client, account.User{}, func(a *approval.Ask) {
		a.Face, a.Kind, a.Typed, a.Audience, a.Life = "device", approval.PollCode, true, h.client.ID, 10*time.Minute
		a.Context.BindingMessage = ""
		for _, f := range change {
			f(a)
		}
	})
}

func userCode(b approval.Begun) ref { return ref{"way": "typed", "secret": b.UserCode.Reveal()} }

func linkTo(b approval.Begun) string { return "/device?user_code=" + b.UserCode.Reveal() }

func TestUserCode_howeverItIsSpelled_leadsToTheCard(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.deviceGrant(withDetails)
	code := b.UserCode.Reveal()
	plain := strings.ReplaceAll(code, "-", "")
	for _, spelled := range []string{
		code, plain, strings.ToLower(plain), " " + strings.ToLower(code) + " ", strings.Join(strings.Split(plain, ""), " "),
		strings.Replace(code, "-", "–", 1), plain[:4] + "\u00a0" + plain[4:],
	} {
		p.form("/device", "code", spelled).want(http.StatusOK).
			wantText("Approve with passkey", "Check that your device shows", code, "Know who you are", "Stay signed in until you revoke it",
				"Payment initiation", "Creditor name", "12.00", "ada", "with <bdi>Acme TV</bdi>?").
			wantNoText("does not know yet who you are", "Number on the screen")
	}
	p.approve(userCode(b), "").want(http.StatusOK)
	r := h.request(b.Request.ID)
	if r.State != approval.Approved || r.UserID != p.user.ID || r.Decision.Way != approval.Typed {
		t.Errorf("request: got %s for %q by %+v, want it approved for ada, typed", r.State, r.UserID, r.Decision)
	}
	p.get("/r/"+b.Request.ID).want(http.StatusOK).wantText("Approved", "Acme TV", "It may", "Know who you are")
}

func TestUserCode_inTheCardOfASoftwarePhone(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.deviceGrant(withDetails)
	card := p.call("/phone/requests/inspect", map[string]any{"ref": userCode(b)}).want(http.StatusOK)
	for name, want := range map[string]any{
		"user_code": b.UserCode.Reveal(), "match": "none", "purpose": "sign in", "backend": nil, "username": "",
		"scopes": []any{
			map[string]any{"scope": "openid", "says": "know who you are"},
			map[string]any{"scope": "offline_access", "says": "stay signed in until you revoke it"},
		},
		"authorization_details": []any{map[string]any{"type": "payment_initiation", "amount": "12.00", "creditorName": "Acme"}},
	} {
		if got := card.member(name); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	card.wantNoText(b.Code.Reveal(), "device_code")
}

func TestUserCodeLink_whileSignedOut_comesBackToTheCard(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.deviceGrant()
	p.form("/phone/signout").wantLocation("/")
	p.get(linkTo(b)).want(http.StatusOK).
		wantText("Sign in with a passkey", `data-next="`+linkTo(b)+`"`, "A device asks to be let in").wantNoText("Living-room TV", "Acme TV")
	if got := p.signIn(linkTo(b)).want(http.StatusOK).member("redirect"); got != linkTo(b) {
		t.Errorf("redirect: got %v, want %s", got, linkTo(b))
	}
	p.get(linkTo(b)).want(http.StatusOK).wantText("Living-room TV", b.UserCode.Reveal(), `data-way="typed"`)
	p.approve(userCode(b), "").want(http.StatusOK)
	p.get(linkTo(b)).want(http.StatusOK).wantText("Approved").wantNoText("Approve with passkey")
}

// TestUserCodeLink_fromACamera: another application begins the navigation, so the
// Strict cookie stays at home at first.
func TestUserCodeLink_fromACamera_arrivesWithItsCode(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.deviceGrant()
	foreign := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}
	first := h.handset().get(linkTo(b), foreign...).want(http.StatusOK).wantText("One moment", `href="/arrive`+linkTo(b)+`"`)
	if got, want := first.header.Get("Refresh"), "0;url=/arrive"+linkTo(b); got != want {
		t.Fatalf("refresh: got %q, want %q", got, want)
	}
	p.get("/arrive" + linkTo(b)).wantLocation(linkTo(b))
	h.handset().get("/arrive" + linkTo(b)).want(http.StatusOK).wantText(`data-next="` + linkTo(b) + `"`)
}

// TestUserCodeLink_changesNothing is the mistake of nebi#448, a GET that approves:
// here it does not even count as opened.
func TestUserCodeLink_changesNothing(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.deviceGrant()
	before := h.request(b.Request.ID)
	for range 3 {
		h.handset().get(linkTo(b)).want(http.StatusOK).wantText("Sign in with a passkey")
		p.get(linkTo(b)).want(http.StatusOK).wantText("Approve with passkey")
		p.get(linkTo(b) + "&approve=yes&number=seen").want(http.StatusOK).wantText("Approve with passkey")
	}
	if after := h.request(b.Request.ID); !reflect.DeepEqual(after, before) {
		t.Errorf("request: got %+v, want it as it was, %+v", after, before)
	}
	p.call("/phone/requests/opened", map[string]any{"ref": userCode(b)}).want(http.StatusNoContent)
	if got := h.request(b.Request.ID); got.OpenedVia != approval.Typed {
		t.Errorf("opened via: got %q, want typed", got.OpenedVia)
	}
}

func TestUserCodeLink_readAhead_costsNoTry(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.deviceGrant()
	for range 20 {
		p.get("/device?user_code=ZZZZ-ZZZZ", "Sec-Purpose", "prefetch;prerender").want(http.StatusForbidden).wantNoText("ZZZZ")
		p.get("/device?user_code=ZZZZ-ZZZZ", "Purpose", "prefetch").want(http.StatusForbidden)
	}
	p.get(linkTo(b)).want(http.StatusOK).wantText("Approve with passkey")
	p.get("/device", "Sec-Purpose", "prefetch").want(http.StatusOK) // a page like any other
}

func TestUserCodeLink_withAnotherKindOfCode_isNotLookedAt(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	short, phrase := h.ask(h.client, p.user, approval.Short), h.ask(h.client, p.user, approval.Phrase)
	for _, code := range []string{short.Code.Reveal(), phrase.Code.Reveal(), "x", strings.Repeat("A", 2000)} {
		p.get("/device?user_code="+strings.ReplaceAll(code, " ", "+")).want(http.StatusUnprocessableEntity).
			wantText("No device is waiting", `id="code"`).wantNoText("Approve with passkey", "Living-room TV")
	}
	p.form("/device", "code", short.Code.Reveal()).want(http.StatusOK).wantText("Approve with passkey")
}

func TestUserCode_thatLeadsNowhere_isSaidToBe(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	elsewhere, err := h.directory.Namespace(context.Background(), "elsewhere")
	must(t, err)
	ours := h.namespace
	h.namespace = elsewhere
	stranger := h.owner("eve")
	h.namespace = ours
	b, taken := h.deviceGrant(), h.deviceGrant()
	other := h.owner("grace")
	other.approve(userCode(taken), "").want(http.StatusOK)

	for name, c := range map[string]struct {
		phone *handset
		code  string
	}{
		"wrong":               {p, "BCDF-GHJK"},
		"of another world":    {stranger, b.UserCode.Reveal()},
		"another's by now":    {p, taken.UserCode.Reveal()},
		"of other characters": {p, "BCDF-GHJ1"},
	} {
		for _, r := range []reply{c.phone.form("/device", "code", c.code), c.phone.get("/device?user_code=" + c.code)} {
			if r.status != http.StatusUnprocessableEntity {
				t.Errorf("%s code: got %d, want 422", name, r.status)
			}
			r.wantText("No device is waiting for you with this code", `id="code"`, `aria-invalid="true"`).wantNoText(c.code, "Living-room TV")
		}
	}
	h.wantState(b.Request.ID, approval.Pending)
}

func TestUserCode_thatRanOut_asksForTheNewOne(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.deviceGrant()
	h.clock.advance(10*time.Minute + time.Second)
	for _, r := range []reply{p.form("/device", "code", b.UserCode.Reveal()), p.get(linkTo(b))} {
		r.want(http.StatusUnprocessableEntity).wantText("This code has run out", "type the new one", `id="code"`).wantNoText("Approve with passkey", b.UserCode.Reveal())
	}
}

// TestUserCode_tooManyWrong is keycloak#51275: guesses of user codes end.
func TestUserCode_tooManyWrong_saysHowLong(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.deviceGrant()
	for i := range 5 { // threats B1: 5 wrong ones in 2 minutes, by either way
		code := "BCDF-GHJ" + string("BCDFG"[i])
		if i%2 == 0 {
			p.form("/device", "code", code).want(http.StatusUnprocessableEntity)
		} else {
			p.get("/device?user_code=" + code).want(http.StatusUnprocessableEntity)
		}
	}
	for _, r := range []reply{p.form("/device", "code", b.UserCode.Reveal()), p.get(linkTo(b))} {
		r.want(http.StatusTooManyRequests).wantText(limitedText, "again in 2 minutes", `id="code"`)
		if got := r.header.Get("Retry-After"); got == "" || got == "0" {
			t.Errorf("Retry-After: got %q, want some seconds", got)
		}
	}
	h.clock.advance(2*time.Minute + time.Second)
	p.get(linkTo(b)).want(http.StatusOK).wantText("Approve with passkey")
	h.wantState(b.Request.ID, approval.Pending)
}

func TestUserCode_declined_isTheEndOfIt(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.deviceGrant()
	p.form("/phone/requests/decline", "way", "typed", "secret", b.UserCode.Reveal()).wantLocation("/r/" + b.Request.ID)
	p.get("/r/"+b.Request.ID).want(http.StatusOK).wantText("Declined", "Nothing was shared.").wantNoText("It may")
	h.wantState(b.Request.ID, approval.Denied)
	p.get(linkTo(b)).want(http.StatusOK).wantText("Declined").wantNoText("Approve with passkey")
}

func TestLinks_areOpenedOnlySoOften(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.deviceGrant()
	last := p.get(linkTo(b))
	for range 100 {
		if last.status == http.StatusTooManyRequests {
			break
		}
		last = p.get(linkTo(b))
	}
	last.want(http.StatusTooManyRequests).wantText("Wait a moment", "Try again in ")
}
