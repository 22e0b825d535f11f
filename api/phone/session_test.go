package phone_test

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// cookie is the session cookie that a reply sets.
func cookie(t *testing.T, r reply) *http.Cookie {
	t.Helper()
	all := (&http.Response{Header: r.header}).Cookies()
	if len(all) != 1 {
		t.Fatalf("cookies: got %d, want 1", len(all))
	}
	return all[0]
}

func TestSignIn_comesBackToWhereItWasAsked(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Short)
	p.form("/phone/signout").wantLocation("/")
	path := "/a/" + b.Handle.Reveal()
	p.get(path).want(http.StatusOK).wantText("Sign in with a passkey", `data-next="`+path+`"`).wantNoText("Living-room TV", "ada")
	if got := p.signIn(path).want(http.StatusOK).member("redirect"); got != path {
		t.Errorf("redirect: got %v, want %s", got, path)
	}
	p.get(path).want(http.StatusOK).wantText("Living-room TV")
}

func TestSignIn_nextOnAnotherSite_leadsHome(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	for _, next := range []string{
		"https://evil.example/", "//evil.example", `/\evil.example`, `\\evil.example`, "/\t/evil.example", "javascript:alert(1)",
		"http:evil.example", "evil.example", "", "/%0d%0aLocation:x\r\n", "///evil.example",
	} {
		if got := p.signIn(next).want(http.StatusOK).member("redirect"); got != "/" {
			t.Errorf("redirect for next %q: got %v, want /", next, got)
		}
	}
	for _, path := range []string{"//evil.example", "/%5Cevil.example", "/%09/evil.example", "/%2Fevil.example"} {
		if got := p.get("/arrive" + path).wantHost(); got != "" {
			t.Errorf("arrive%s leads to %q, want our own origin", path, got)
		}
	}
}

// wantHost returns the host that the reply redirects to, "" for none or ours.
func (r reply) wantHost() string {
	r.t.Helper()
	to := r.header.Get("Location")
	if strings.HasPrefix(to, `/\`) || strings.HasPrefix(to, "//") {
		return to
	}
	u, err := url.Parse(to)
	must(r.t, err)
	return u.Host
}

func TestSignIn_withAnUnknownPasskey_isRefusedLikeABadOne(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	h.owner("eve")
	must(t, h.directory.DeleteUser(context.Background(), p.user))
	p.signIn("/").wantCode(http.StatusUnauthorized, "passkey_refused")
}

func TestCookie_inBothForms(t *testing.T) {
	for public, want := range map[string]http.Cookie{
		"":                        {Name: "nod", Secure: false},
		"https://nod.example":     {Name: "__Host-nod", Secure: true},
		"https://nod.example:444": {Name: "__Host-nod", Secure: true},
	} {
		h := houseAt(t, public)
		origin := h.url
		if public != "" {
			origin = public
		}
		p := h.handset()
		secret := h.invite(h.newUser("ada"))
		begun := p.call("/phone/enrol/options", map[string]any{"invitation": secret}).want(http.StatusOK)
		made, err := p.keys.CreateJSON(origin, []byte(begun.text))
		must(t, err)
		done := p.send(http.MethodPost, "/phone/enrol", "application/json", `{"invitation":"`+secret+`","credential":`+string(made)+`}`).want(http.StatusOK)
		got := cookie(t, done)
		if got.Name != want.Name || got.Secure != want.Secure {
			t.Errorf("%q: got cookie %s, secure %t; want %s, %t", public, got.Name, got.Secure, want.Name, want.Secure)
		}
		if !got.HttpOnly || got.SameSite != http.SameSiteStrictMode || got.Path != "/" || got.Domain != "" {
			t.Errorf("%q: got cookie %q, want HttpOnly, SameSite=Strict, Path=/ and no domain", public, got.Raw)
		}
		if want := int(account.SessionIdle.Seconds()); got.MaxAge != want {
			t.Errorf("%q: max age: got %d s, want %d s", public, got.MaxAge, want)
		}
		if len(got.Value) != 43 { // 256 bits in base64url
			t.Errorf("%q: secret: got %d characters, want 43", public, len(got.Value))
		}
	}
}

func TestSession_secretIsNotStored(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	secret := cookie(t, p.signIn("/").want(http.StatusOK)).Value
	if _, err := h.store.Session(context.Background(), account.Secret(secret).Hash()); err != nil {
		t.Fatalf("session by the secret's hash: got %v, want it", err)
	}
	files, err := filepath.Glob(filepath.Join(h.dir, "*"))
	must(t, err)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		must(t, err)
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("%s holds the session's secret", filepath.Base(file))
		}
	}
}

func TestSession_livesWhileItIsUsed(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	for range 3 { // 87 days with a look every 29
		h.clock.advance(account.SessionIdle - 24*time.Hour)
		again := p.get("/").want(http.StatusOK).wantText("Signed in as")
		if cookie(t, again).MaxAge != int(account.SessionIdle.Seconds()) {
			t.Error("cookie: not renewed with the session")
		}
	}
	h.clock.advance(account.SessionIdle)
	p.get("/").want(http.StatusOK).wantText("Sign in with a passkey").wantNoText("ada")
	p.get("/phone/requests").wantCode(http.StatusUnauthorized, "signed_out")
}

func TestSession_isTouchedOnceAnHour(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	hash := account.Secret(cookie(t, p.signIn("/")).Value).Hash()
	seen := func() time.Time {
		s, err := h.store.Session(context.Background(), hash)
		must(t, err)
		return s.SeenAt
	}
	first := seen()
	h.clock.advance(59 * time.Minute)
	if got := p.get("/").want(http.StatusOK); len(got.header["Set-Cookie"]) != 0 || !seen().Equal(first) {
		t.Errorf("after 59 minutes: got seen %s, want it untouched at %s", seen(), first)
	}
	h.clock.advance(2 * time.Minute)
	p.get("/").want(http.StatusOK)
	if got := seen(); got.Sub(first) < time.Hour {
		t.Errorf("after 61 minutes: got seen %s after the first, want over an hour", got.Sub(first))
	}
}

func TestSession_ends(t *testing.T) {
	ctx := context.Background()
	ends := map[string]func(*house, *handset){
		"when its owner signs out": func(_ *house, p *handset) { p.form("/phone/signout").wantLocation("/") },
		"when its owner is deactivated": func(h *house, p *handset) {
			_, err := h.directory.Deactivate(ctx, p.user)
			must(t, err)
		},
		"for good when its owner was deactivated for a while": func(h *house, p *handset) {
			u, err := h.directory.Deactivate(ctx, p.user)
			must(t, err)
			_, err = h.directory.Activate(ctx, u)
			must(t, err)
		},
		"with the passkey it began with": func(h *house, p *handset) {
			keys, err := h.store.Passkeys(ctx, p.user.ID)
			must(t, err)
			_, err = h.directory.RevokePasskey(ctx, p.user, keys[0], false)
			must(t, err)
		},
		"with its owner": func(h *house, p *handset) { must(t, h.directory.DeleteUser(ctx, p.user)) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			p := h.owner("ada")
			// The cookie as a thief would keep it: deleting it in the browser is not enough.
			stolen := cookie(t, p.signIn("/").want(http.StatusOK))
			end(h, p)
			p.browser.Jar.SetCookies(parsed(t, h.url), []*http.Cookie{stolen})
			p.get("/").want(http.StatusOK).wantText("Sign in with a passkey").wantNoText("Signed in as")
			p.get("/phone/requests").wantCode(http.StatusUnauthorized, "signed_out")
		})
	}
}

func TestSignIn_endsTheSessionBefore(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	first := cookie(t, p.signIn("/").want(http.StatusOK))
	p.signIn("/").want(http.StatusOK)
	if _, err := h.store.Session(context.Background(), account.Secret(first.Value).Hash()); err == nil {
		t.Error("first session: still there, want it ended")
	}
}

func TestSignOut_withoutASession_leadsHome(t *testing.T) {
	h := newHouse(t)
	h.handset().form("/phone/signout").wantLocation("/")
}

func TestArrival_fromAnotherSiteWithoutCookie_isSentOnOnce(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Short)
	path := "/a/" + b.Handle.Reveal()
	crossSite := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	sameOrigin := []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}

	elsewhere := h.handset() // the browser keeps the Strict cookie to itself
	first := elsewhere.get(path, crossSite...).want(http.StatusOK).wantText("One moment").wantNoText("Living-room TV", "ada")
	if got, want := first.header.Get("Refresh"), "0;url=/arrive"+path; got != want {
		t.Fatalf("refresh: got %q, want %q", got, want)
	}
	first.wantText(`href="/arrive` + path + `"`) // for whoever switched refreshing off
	// The navigation is ours now, and has the cookie if there is one.
	p.get("/arrive"+path, sameOrigin...).wantLocation(path)
	elsewhere.get("/arrive"+path, sameOrigin...).want(http.StatusOK).wantText("Sign in with a passkey", `data-next="`+path+`"`)
	// Even a browser that goes on calling it cross-site ends at the sign-in.
	if got := elsewhere.get("/arrive"+path, crossSite...).want(http.StatusOK).header.Get("Refresh"); got != "" {
		t.Errorf("refresh of the second step: got %q, want none", got)
	}
	p.get(path, crossSite...).want(http.StatusOK).wantText("Living-room TV")
	// A link out of another application is called "none" by some browsers.
	elsewhere.get(path, "Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate").want(http.StatusOK).wantText("One moment")
	elsewhere.get(path, sameOrigin...).want(http.StatusOK).wantText("Sign in with a passkey")
	elsewhere.get(path).want(http.StatusOK).wantText("Sign in with a passkey")
}

func parsed(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	must(t, err)
	return u
}
