package phone_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

func TestInvitation_createsAPasskeyAndSignsIn_once(t *testing.T) {
	h := newHouse(t)
	p := h.handset()
	u := h.newUser("ada")
	secret := h.invite(u)
	if got := p.invited(secret).want(http.StatusOK).member("username"); got != "ada" {
		t.Errorf("invited: got %v, want ada", got)
	}
	done := p.enrol(secret).want(http.StatusOK)
	if got := done.member("redirect"); got != "/" {
		t.Errorf("redirect: got %v, want /", got)
	}
	p.get("/").want(http.StatusOK).wantText("Signed in as", "ada", "Nothing is waiting")

	stranger := h.handset()
	stranger.invited(secret).wantCode(http.StatusGone, "invitation_over").wantNoText(secret, "ada")
	stranger.enrol(secret).wantCode(http.StatusGone, "invitation_over")
	stranger.get("/").want(http.StatusOK).wantText("Sign in with a passkey")
}

func TestInvitation_thatCannotBeUsed_isGone(t *testing.T) {
	h := newHouse(t)
	p := h.handset()
	late, gone := h.newUser("late"), h.newUser("gone")
	tooLate, inactive := h.invite(late), h.invite(gone)
	_, err := h.directory.Deactivate(context.Background(), gone)
	must(t, err)
	h.clock.advance(account.InvitationLife - time.Minute)
	p.invited(tooLate).want(http.StatusOK)
	h.clock.advance(time.Minute)
	first := p.invited(tooLate)
	for name, secret := range map[string]string{"expired": tooLate, "inactive": inactive, "unknown": account.NewSecret().Reveal(), "empty": ""} {
		if got := p.invited(secret).wantCode(http.StatusGone, "invitation_over").text; got != first.text {
			t.Errorf("%s invitation: got %s, want what all others get, %s", name, got, first.text)
		}
		p.enrol(secret).wantCode(http.StatusGone, "invitation_over")
	}
}

func TestInvitation_lookedAt_saysWhoIsSignedOut(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	forEve, forAda := h.invite(h.newUser("eve")), h.invite(p.user)
	for name, c := range map[string]struct {
		phone      *handset
		invitation string
		want       any
	}{
		"somebody else": {p, forEve, "ada"},
		"herself":       {p, forAda, nil},
		"nobody":        {h.handset(), forEve, nil},
	} {
		if got := c.phone.invited(c.invitation).want(http.StatusOK).member("replaces"); got != c.want {
			t.Errorf("signed in is %s: got %v replaced, want %v", name, got, c.want)
		}
	}
	p.get("/").want(http.StatusOK).wantText("Signed in as", "ada") // to look changes nothing
}

// The page is one for everybody: what is behind the # does not come here, and a path
// of the secret's is none of ours.
func TestEnrolPage_knowsNoInvitation(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	secret := h.invite(h.newUser("grace"))
	crossSite := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}
	for _, who := range []*handset{p, h.handset()} {
		page := who.get("/enrol", crossSite...).want(http.StatusOK).wantText("Create a passkey", "enrol.").wantNoText("ada", "grace")
		if got := page.header.Get("Refresh"); got != "" {
			t.Errorf("refresh: got %q, want none: nobody has to be known here", got)
		}
		if got := page.header.Get("Set-Cookie"); got != "" {
			t.Errorf("cookie: got %q, want none", got)
		}
	}
	res, err := h.server.Client().Get(h.url + "/enrol/" + secret) // not held to the contract, which has no such path
	must(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("a path with the secret: got %d, want 404", res.StatusCode)
	}
}

// A redirect's Location may have a fragment (RFC 9110 section 10.2.2), which the
// browser keeps to itself like that of a link.
func TestRecover_putsItsSecretIntoNoPath(t *testing.T) {
	h := newHouse(t)
	codes := h.owner("ada").recoveryCodes()
	to := h.handset().recover("ada", codes[0]).want(http.StatusSeeOther).header.Get("Location")
	u := parsed(t, to)
	if u.Fragment == "" || strings.Contains(u.RequestURI(), u.Fragment) || u.RequestURI() != "/enrol" {
		t.Errorf("location: got %q, want /enrol with the secret as its fragment", to)
	}
}
