package phone_test

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/webauthn/virtual"
)

// vouch answers a ceremony for one purpose with a passkey that the owner has.
func (p *handset) vouch(path string) reply {
	p.t.Helper()
	begun := p.call(path+"/options", map[string]any{})
	if begun.status != http.StatusOK {
		return begun
	}
	to := map[string]string{"/phone/add": "/phone/add/vouch"}[path]
	if to == "" {
		to = path
	}
	return p.call(to, map[string]any{"credential": p.sign(begun)})
}

// recoveryCodes makes a set of recovery codes.
func (p *handset) recoveryCodes() []string {
	p.t.Helper()
	list, _ := p.vouch("/phone/recovery").want(http.StatusOK).member("codes").([]any)
	codes := make([]string, len(list))
	for i, code := range list {
		codes[i], _ = code.(string)
	}
	return codes
}

func (p *handset) recover(name, code string) reply {
	p.t.Helper()
	return p.form("/recover", "username", name, "code", code)
}

// notices are what the user's phones were told, by the last word of each.
func (h *house) notices() []string {
	h.t.Helper()
	ms, err := h.store.Claim(context.Background(), approval.TopicNotice, 100, time.Hour)
	must(h.t, err)
	var out []string
	for _, m := range ms {
		out = append(out, strings.Trim(string(m.Body), `"`))
	}
	return out
}

func TestRecover_onANewPhone(t *testing.T) {
	h := newHouse(t)
	lost := h.owner("ada")
	lost.register("https://push.example/1")
	lost.get("/recovery").want(http.StatusOK).wantText("You have none yet.")
	old := lost.recoveryCodes()
	codes := lost.recoveryCodes()
	form := regexp.MustCompile(`^([B-DF-HJ-NP-TV-XZ]{4}-){3}[B-DF-HJ-NP-TV-XZ]{4}$`)
	if len(codes) != 10 || slices.ContainsFunc(codes, func(c string) bool { return !form.MatchString(c) }) {
		t.Fatalf("codes: got %q, want ten of four by four letters", codes)
	}
	lost.get("/recovery").want(http.StatusOK).wantText("10 of 10 left.").wantNoText(codes...)

	fresh := h.handset()
	fresh.get("/").want(http.StatusOK).wantText(`<a href="/recover">Lost your phone?</a>`)
	fresh.get("/recover").want(http.StatusOK).wantText(`name="username"`, `name="code"`)
	fresh.recover("ada", old[0]).want(http.StatusUnprocessableEntity).wantText("do not belong together")
	to := fresh.recover(" ada ", strings.ToLower(strings.ReplaceAll(codes[4], "-", " "))).want(http.StatusSeeOther).header.Get("Location")
	invitation, ok := strings.CutPrefix(to, "/enrol#")
	if !ok {
		t.Fatalf("location: got %q, want where a passkey is made", to)
	}
	lost.get("/").want(http.StatusOK).wantText("Sign in with a passkey") // signed out everywhere
	fresh.get("/").want(http.StatusOK).wantText("Sign in with a passkey")
	if got := fresh.invited(invitation).want(http.StatusOK); got.member("username") != "ada" || got.member("recovers") != true {
		t.Errorf("invitation: got %s, want one of ada that recovers", got.text)
	}
	made := fresh.enrol(invitation).want(http.StatusOK)
	if got := made.member("redirect"); got != "/passkeys" {
		t.Errorf("afterwards: got %v, want the passkeys, to delete the lost one", got)
	}
	fresh.get("/recovery").want(http.StatusOK).wantText("9 of 10 left.")
	fresh.get("/activity").want(http.StatusOK).wantText("A recovery code was used", "New recovery codes were made", "A passkey was made")
	h.handset().recover("ada", codes[4]).want(http.StatusUnprocessableEntity)
	want := []string{"passkey_added", "recovery_code_used", "recovery_codes_made", "recovery_codes_made"}
	got := h.notices()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("phones were told %q, want %q", got, want)
	}
}

func TestRecover_theSameWordsForEverybody(t *testing.T) {
	h := newHouse(t)
	h.owner("ada").recoveryCodes()
	h.owner("bob") // has none
	page := func(name string) string {
		p := h.handset()
		got := p.recover(name, "BCDF-GHJK-LMNP-QRST").want(http.StatusUnprocessableEntity)
		typed := `value="` + name + `"`
		got.wantText(typed)
		return strings.ReplaceAll(got.text, typed, "")
	}
	now := regexp.MustCompile(` data-now="[^"]*"`)
	for _, name := range []string{"bob", "eve"} {
		if a, b := now.ReplaceAllString(page("ada"), ""), now.ReplaceAllString(page(name), ""); a != b {
			t.Errorf("%s: got\n%s\nwant what ada gets\n%s", name, b, a)
		}
	}
	h.handset().recover("ada", "").want(http.StatusUnprocessableEntity).wantText("Type your username and one of your recovery codes.")
	h.handset().recover("", "BCDF-GHJK-LMNP-QRST").want(http.StatusUnprocessableEntity)
}

func TestRecover_wrongCodes_sayHowLong(t *testing.T) {
	h := newHouse(t)
	codes := h.owner("ada").recoveryCodes()
	p := h.handset()
	for range 5 {
		p.recover("ada", "BCDF-GHJK-LMNP-QRST").want(http.StatusUnprocessableEntity)
	}
	over := p.recover("ada", codes[0]).want(http.StatusTooManyRequests).wantText("Your codes are still good", "try again in 2 minutes")
	if got := over.header.Get("Retry-After"); got != "120" {
		t.Errorf("Retry-After: got %q, want 120", got)
	}
	h.clock.advance(2 * time.Minute)
	p.recover("ada", codes[0]).want(http.StatusSeeOther)
}

func TestRecovery_needsAFreshAnswerForThisVeryPurpose(t *testing.T) {
	h := newHouse(t)
	p, eve := h.owner("ada"), h.owner("eve")
	present := func(path string, options reply) reply {
		return p.call(path, map[string]any{"credential": p.sign(options)})
	}
	uses := map[string]string{
		"/phone/recovery/options": "/phone/recovery", "/phone/add/options": "/phone/add/vouch", "/phone/invite/options": "/phone/invite",
		"/phone/signin/options": "/phone/signin",
	}
	for begin, own := range uses {
		for _, other := range uses {
			if other == own {
				continue
			}
			present(other, p.call(begin, map[string]any{}).want(http.StatusOK)).wantCode(http.StatusUnauthorized, "passkey_refused")
		}
	}
	b := h.ask(h.client, p.user, approval.Long)
	present("/phone/recovery", p.beginApproval(scanned(b), "").want(http.StatusOK)).wantCode(http.StatusUnauthorized, "passkey_refused")
	// What ada's passkey vouched for is no use in eve's session.
	begun := p.call("/phone/recovery/options", map[string]any{}).want(http.StatusOK)
	eve.call("/phone/recovery", map[string]any{"credential": p.sign(begun)}).wantCode(http.StatusUnauthorized, "passkey_refused")
	p.call("/phone/recovery", map[string]any{}).wantCode(http.StatusBadRequest, "invalid")
	p.get("/recovery").want(http.StatusOK).wantText("You have none yet.")
}

func TestAdd_oneMorePasskeyHere(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	p.register("https://push.example/1")
	p.get("/").want(http.StatusOK).wantText("One passkey is your only way in.")
	p.get("/passkeys").want(http.StatusOK).wantText(`<a href="/passkeys#add">Add another one</a> first.`)
	options := p.vouch("/phone/add").want(http.StatusOK)
	if _, err := p.keys.CreateJSON(h.url, []byte(options.text)); err == nil {
		t.Error("the authenticator that has a passkey makes another")
	}
	p.keys = virtual.New()
	made, err := p.keys.CreateJSON(h.url, []byte(options.text))
	must(t, err)
	answer := map[string]any{"credential": json.RawMessage(made)}
	added := p.call("/phone/add", answer).want(http.StatusOK)
	if added.member("redirect") != "/passkeys" || added.member("name") == "" {
		t.Errorf("got %s, want a name and the passkeys", added.text)
	}
	p.call("/phone/add", answer).wantCode(http.StatusUnauthorized, "ceremony_over")
	if got := h.keysOf(p.user); len(got) != 2 {
		t.Errorf("passkeys: got %d, want 2", len(got))
	}
	if got := h.notices(); !slices.Equal(got, []string{"passkey_added"}) {
		t.Errorf("phones were told %q, want of one passkey", got)
	}
	p.get("/").want(http.StatusOK).wantText("You have no recovery codes.")
	p.recoveryCodes()
	p.get("/").want(http.StatusOK).wantNoText("recovery codes", "only way in")
}

func TestInvite_anotherDevice(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	p.register("https://push.example/1")
	invited := p.vouch("/phone/invite").want(http.StatusOK)
	link, _ := invited.member("url").(string)
	secret, ok := strings.CutPrefix(link, h.url+"/enrol#")
	if !ok {
		t.Fatalf("link: got %q, want one of this server's", link)
	}
	until, err := time.Parse(time.RFC3339, invited.member("expires_at").(string))
	must(t, err)
	if left := until.Sub(h.clock.now()); left > 15*time.Minute || left < 14*time.Minute {
		t.Errorf("it is good for %s, want 15m0s", left)
	}
	other := h.handset()
	other.user = p.user
	if got := other.invited(secret).want(http.StatusOK); got.member("username") != "ada" || got.member("recovers") != false {
		t.Errorf("invitation: got %s, want one of ada for one more passkey", got.text)
	}
	made := other.enrol(secret).want(http.StatusOK)
	if got := made.member("redirect"); got != "/" {
		t.Errorf("afterwards: got %v, want the start page", got)
	}
	h.handset().invited(secret).wantCode(http.StatusGone, "invitation_over")
	p.get("/").want(http.StatusOK).wantText("Signed in as") // nobody was signed out
	if got := h.notices(); !slices.Equal(got, []string{"passkey_added"}) {
		t.Errorf("phones were told %q, want of one passkey", got)
	}

	_, late, _ := strings.Cut(p.vouch("/phone/invite").want(http.StatusOK).member("url").(string), "#")
	h.handset().invited(late).want(http.StatusOK)
	h.clock.advance(15 * time.Minute)
	h.handset().invited(late).wantCode(http.StatusGone, "invitation_over")
}

func TestVouch_isPaced(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	refused := 0
	for range 30 {
		if p.call("/phone/recovery/options", map[string]any{}).status == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused < 5 {
		t.Errorf("%d of 30 were refused, want all above 20 in a minute", refused)
	}
}

func TestRecover_signsOutWhatWasLetIn(t *testing.T) {
	h := newHouse(t)
	lost := h.owner("ada")
	codes := lost.recoveryCodes()
	_, tv := lost.letIn("Living-room TV", "")
	waiting := h.begin(h.client, lost.user, func(a *approval.Ask) { a.Context.DeviceName = "Radio" })
	lost.approve(scanned(waiting), "").want(http.StatusOK)

	fresh := h.handset()
	fresh.user = lost.user
	_, invitation, _ := strings.Cut(fresh.recover("ada", codes[0]).want(http.StatusSeeOther).header.Get("Location"), "#")
	h.wantRevoked(tv, "recovery")
	h.wantState(waiting.Request.ID, approval.Canceled)
	fresh.enrol(invitation).want(http.StatusOK)
	fresh.get("/devices").want(http.StatusOK).wantText("Signed out lately", "With a recovery code").wantNoText("Sign out everywhere")
	fresh.get("/activity").want(http.StatusOK).wantText(
		"A recovery code was used, which signed you out everywhere",
		"A recovery code was used, which signed out Living-room TV (Acme TV)",
		"A recovery code was used, which took back the approval of a sign-in on Radio (Acme TV)",
	)
}
