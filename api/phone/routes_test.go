package phone_test

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/phone"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/web"
)

// needNoSession are the routes that somebody signed out may use.
var needNoSession = []string{
	"/phone/signin/options", "/phone/signin", "/phone/signout",
	"/phone/enrol/look", "/phone/enrol/options", "/phone/enrol", "/recover",
	"/phone/join", "/phone/join/wait", "/phone/join/passkey/options", "/phone/join/passkey",
}

// paths are the house's routes of a method, with b in the place of parameters.
func (h *house) paths(method string, b approval.Begun, passkeyID string) map[string]string {
	h.t.Helper()
	phones, err := h.store.Phones(context.Background(), b.Request.UserID)
	must(h.t, err)
	approved, err := h.store.List(context.Background(), approval.Filter{UserID: b.Request.UserID, States: []approval.State{approval.Approved}}, 1)
	must(h.t, err)
	fill := strings.NewReplacer(
		":handle", b.Handle.Reveal(), "*next", "a/"+b.Handle.Reveal(),
		"/r/:id", "/r/"+b.Request.ID, "/passkeys/:id", "/passkeys/"+passkeyID,
		"/phones/:id", "/phones/"+phones[0].ID, "/receipts/:id", "/receipts/"+approved[0].ID,
	)
	out := map[string]string{}
	for _, r := range h.engine.Routes() {
		if r.Method == method {
			out[r.Path] = fill.Replace(r.Path)
		}
	}
	return out
}

// notPages are what a GET answers with that is no page of somebody's: JSON, which
// needs a session, and what everybody may have.
var notPages = map[string]int{
	"/phone/requests": http.StatusUnauthorized, "/phone/phones": http.StatusUnauthorized,
	"/sw.js": http.StatusOK, "/offline": http.StatusOK, "/enrol": http.StatusOK, "/recover": http.StatusOK, "/join": http.StatusOK,
}

// everything is a house with a request, a phone that is told and an owner's passkey.
func everything(t *testing.T) (*house, *handset, approval.Begun, string) {
	t.Helper()
	h := newHouse(t)
	p := h.owner("ada")
	p.register("https://push.example/1")
	p.approve(scanned(h.ask(h.client, p.user, approval.Long)), "").want(http.StatusOK) // leaves a receipt
	keys, err := h.store.Passkeys(context.Background(), p.user.ID)
	must(t, err)
	return h, p, h.ask(h.client, p.user, approval.Short), keys[0].ID
}

func TestGet_changesNothing(t *testing.T) {
	h, p, b, passkeyID := everything(t)
	ctx := context.Background()
	snapshot := func() (any, any, any) {
		events, err := h.store.Events(ctx, p.user.ID, 1000)
		must(t, err)
		keys, err := h.store.Passkeys(ctx, p.user.ID)
		must(t, err)
		return events, h.request(b.Request.ID), keys
	}
	events, request, keys := snapshot()
	routes := h.paths(http.MethodGet, b, passkeyID)
	if len(routes) < 13 {
		t.Fatalf("GET routes: got %d, want all of them", len(routes))
	}
	for pattern, path := range routes {
		for range 3 {
			if got := p.get(path).status; got >= 400 {
				t.Errorf("GET %s: got %d, want success", pattern, got)
			}
		}
		e, r, k := snapshot()
		if !reflect.DeepEqual(e, events) || !reflect.DeepEqual(r, request) || !reflect.DeepEqual(k, keys) {
			t.Errorf("GET %s changed something:\n%+v\n%+v\n%+v", pattern, e, r, k)
		}
	}
}

func TestPost_fromAnotherOrigin_isRefused(t *testing.T) {
	h, p, b, passkeyID := everything(t)
	hostile := map[string][]string{
		"cross-site": {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"same-site":  {"Sec-Fetch-Site", "same-site", "Origin", "http://sub.localhost"},
		"old":        {"Origin", "https://evil.example"},
		"opaque":     {"Sec-Fetch-Site", "cross-site", "Origin", "null"},
	}
	for pattern, path := range h.paths(http.MethodPost, b, passkeyID) {
		for name, header := range hostile {
			form := p.send(http.MethodPost, path, "application/x-www-form-urlencoded", "way=scanned&secret="+b.Handle.Reveal(), header...)
			if form.status != http.StatusForbidden {
				t.Errorf("%s form to %s: got %d, want 403", name, pattern, form.status)
			}
			p.send(http.MethodPost, path, "application/json", `{}`, header...).want(http.StatusForbidden)
		}
	}
	p.send(http.MethodPost, "/phone/requests/decline", "application/json", `{}`, hostile["old"]...).wantCode(http.StatusForbidden, "cross_origin")
	h.wantState(b.Request.ID, approval.Pending)
	p.get("/").want(http.StatusOK).wantText("Signed in as") // nor was anybody signed out
	ours := []string{"Sec-Fetch-Site", "same-origin", "Origin", "null"}
	p.send(http.MethodPost, "/phone/requests/decline", "application/x-www-form-urlencoded", "way=scanned&secret="+b.Handle.Reveal(), ours...).
		wantLocation("/r/" + b.Request.ID)
}

func TestSignedOut_postsAre401AndPagesAskForASignIn(t *testing.T) {
	h, p, b, passkeyID := everything(t)
	stranger := h.handset()
	for pattern, path := range h.paths(http.MethodPost, b, passkeyID) {
		if slices.Contains(needNoSession, pattern) {
			continue
		}
		form := stranger.form(path, "way", "scanned", "secret", b.Handle.Reveal(), "code", b.Code.Reveal(), "name", "x")
		if form.status != http.StatusUnauthorized {
			t.Errorf("form to %s: got %d, want 401", pattern, form.status)
		}
		call := stranger.call(path, map[string]any{"ref": scanned(b)})
		if call.status != http.StatusUnauthorized {
			t.Errorf("call of %s: got %d, want 401", pattern, call.status)
		}
		for _, r := range []reply{form, call} {
			r.wantNoText("Living-room TV", p.user.Username, b.Handle.Reveal())
		}
	}
	for pattern, path := range h.paths(http.MethodGet, b, passkeyID) {
		got := stranger.get(path)
		switch status := notPages[pattern]; status {
		case 0:
			got.want(http.StatusOK).wantText("Sign in with a passkey")
		case http.StatusUnauthorized:
			got.wantCode(status, "signed_out")
		default:
			got.want(status)
		}
		got.wantNoText("Living-room TV", "Row 7")
	}
	h.wantState(b.Request.ID, approval.Pending)
}

func TestReply_carriesTheStrictHeaders(t *testing.T) {
	h, p, b, passkeyID := everything(t)
	for pattern, path := range h.paths(http.MethodGet, b, passkeyID) {
		if notPages[pattern] == http.StatusUnauthorized || pattern == "/arrive/*next" || pattern == "/sw.js" || pattern == receiptsPattern {
			continue
		}
		got := p.get(path).want(http.StatusOK)
		for name, want := range map[string]string{
			"Content-Security-Policy": web.ContentSecurityPolicy, "Content-Type": "text/html; charset=utf-8",
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if value := got.header.Get(name); value != want {
				t.Errorf("GET %s, %s: got %q, want %q", pattern, name, value, want)
			}
		}
	}
}

func TestError_onAPage_saysWhatToDoAndNamesTheExchange(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	got := p.get("/a/unknown").want(http.StatusNotFound).wantText("scan its code again")
	id := got.header.Get("X-Request-Id")
	if id == "" {
		t.Fatal("X-Request-Id: got none")
	}
	got.wantText("Request " + id)
	if csp := got.header.Get("Content-Security-Policy"); csp != web.ContentSecurityPolicy {
		t.Errorf("policy of an error page: got %q", csp)
	}
}

func TestBody_thatCannotBeRead_isRefused(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	const secret = "hunter2-do-not-echo"
	big := `{"ref":{"way":"scanned","secret":"` + strings.Repeat("x", 17<<10) + `"}}`
	cases := []struct {
		path, contentType, body string
		status                  int
	}{
		{"/phone/requests/inspect", "application/json", big, http.StatusRequestEntityTooLarge},
		{"/phone/requests/inspect", "text/plain", `{}`, http.StatusUnsupportedMediaType},
		{"/phone/requests/inspect", "application/json", ``, http.StatusBadRequest},
		{"/phone/requests/inspect", "application/json", `{"ref":"` + secret + `"}`, http.StatusBadRequest},
		{"/phone/requests/inspect", "application/json", `{"ref":{}}`, http.StatusNotFound},
		{"/phone/requests/approve/options", "application/json", `{"ref":{"way":"pushed","secret":"` + secret + `"}}`, http.StatusNotFound},
		{"/phone/requests/approve", "application/json", `{"ref":{}}`, http.StatusBadRequest},
		{"/phone/requests/approve", "application/json", `{"credential":{"id":"` + secret + `"}}`, http.StatusBadRequest},
		{"/phone/signin", "application/json", `{"credential":"` + secret + `"}`, http.StatusBadRequest},
		{"/phone/enrol", "application/json", `{"invitation":"` + secret + `","credential":[]}`, http.StatusBadRequest},
		{"/phone/requests/decline", "application/json", `{"ref":{"way":"` + secret + `"}}`, http.StatusNotFound},
		{"/phone/requests/decline", "text/plain", secret, http.StatusUnsupportedMediaType},
		{"/phone/requests/decline", "application/x-www-form-urlencoded", "way=%zz" + secret, http.StatusBadRequest},
		{"/device", "application/x-www-form-urlencoded", "code=" + strings.Repeat("1", 17<<10), http.StatusRequestEntityTooLarge},
		{"/device", "multipart/form-data; boundary=x", "--x--", http.StatusUnsupportedMediaType},
		{"/device?code=123456", "application/x-www-form-urlencoded", "", http.StatusUnprocessableEntity},
	}
	for _, c := range cases {
		got := p.send(http.MethodPost, c.path, c.contentType, c.body)
		if got.status != c.status {
			t.Errorf("%s with %.40q: got %d, want %d", c.path, c.body, got.status, c.status)
		}
		got.wantNoText(secret, "json:", "unmarshal", "invalid URL escape")
	}
}

func TestCeremonies_arePacedByAddress(t *testing.T) {
	h := newHouse(t)
	p := h.handset()
	for path, body := range map[string]map[string]any{
		"/phone/signin/options": {}, "/phone/enrol/look": {"invitation": "x"}, "/phone/enrol/options": {"invitation": "x"},
	} {
		last := p.call(path, body)
		for range 200 {
			if last.status == http.StatusTooManyRequests {
				break
			}
			last = p.call(path, body)
		}
		last.wantCode(http.StatusTooManyRequests, "too_many_requests")
		if last.header.Get("Retry-After") == "" {
			t.Errorf("%s: got no Retry-After", path)
		}
	}
}

func TestStoreGone_isUnavailable(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Short)
	h.store.Close()
	got := p.call("/phone/requests/decline", map[string]any{"ref": scanned(b)}).wantCode(http.StatusServiceUnavailable, "unavailable")
	if got.header.Get("Retry-After") == "" {
		t.Error("Retry-After: got none")
	}
	p.get("/").want(http.StatusServiceUnavailable).wantText("not available just now", "Request ")
}

func TestMount_withoutAPart_isRefused(t *testing.T) {
	h := newHouse(t)
	broken := map[string]func(*phone.Config){
		"no public URL":       func(c *phone.Config) { c.PublicURL = "" },
		"relative public URL": func(c *phone.Config) { c.PublicURL = "/nod" },
		"broken public URL":   func(c *phone.Config) { c.PublicURL = "http://[::1" },
		"no pacer":            func(c *phone.Config) { c.Pacer = nil },
		"no ceremonies":       func(c *phone.Config) { c.Ceremonies = nil },
	}
	for name, breakIt := range broken {
		cfg := h.config
		breakIt(&cfg)
		if err := phone.Mount(gin.New(), cfg); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
}
