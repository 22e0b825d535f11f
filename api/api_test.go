package api_test

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/nod-auth/nod/api"
	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/api/internal/contract"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"

	"context"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, change ...func(*apitest.Setup)) *apitest.House {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), freshdb.File(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return apitest.Open(t, s, change...)
}

func TestRoutes_areTheDocumentsOperations(t *testing.T) {
	h := open(t)
	routes, err := api.Routes(h.Config)
	if err != nil {
		t.Fatal(err)
	}
	param := regexp.MustCompile(`[:*]([a-z_]+)`)
	var served, documented []string
	for _, r := range routes {
		if r.Method != http.MethodOptions { // preflights belong to the Fetch standard, not to this document
			served = append(served, r.Method+" "+param.ReplaceAllString(r.Path, "{$1}"))
		}
	}
	for path, item := range h.Document.Spec.Paths.Map() {
		for method := range item.Operations() {
			for _, prefix := range contract.Prefixes(item) {
				documented = append(documented, method+" "+prefix+path)
			}
		}
	}
	slices.Sort(served)
	slices.Sort(documented)
	if diff := cmp.Diff(documented, served); diff != "" {
		t.Errorf("documented (-) and served (+) routes differ:\n%s", diff)
	}
}

func TestHealth_tellsWhetherToServe(t *testing.T) {
	var fault error
	h := open(t, func(s *apitest.Setup) {
		s.API.Ready = func(context.Context) error { return fault }
	})
	h.Do(apitest.Call{Path: "/livez"}).Want(http.StatusOK)
	h.Do(apitest.Call{Path: "/readyz"}).Want(http.StatusOK)
	if got := h.Do(apitest.Call{Path: "/readyz?verbose"}).Want(http.StatusOK).S("checks.store"); got != "ok" {
		t.Errorf("got store %q, want ok", got)
	}
	fault = errors.New("disk full on /dev/sda1")
	h.Do(apitest.Call{Path: "/livez"}).Want(http.StatusOK)
	r := h.Do(apitest.Call{Path: "/readyz?verbose"}).Want(http.StatusServiceUnavailable, "service_unavailable")
	if strings.Contains(r.Text, "sda1") {
		t.Errorf("the answer tells the error's text: %s", r.Text)
	}
	if !strings.Contains(h.Log.String(), "sda1") {
		t.Error("the log does not tell the error's text")
	}
}

func TestUnknownPaths_areJSONUnlessHTMLIsPreferred(t *testing.T) {
	h := open(t)
	browser := "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	for accept, kind := range map[string]string{
		"": "application/json", "*/*": "application/json", "application/json": "application/json", "text/plain": "application/json",
		browser: "text/html", "text/html;q=0.2, application/json;q=0.1": "text/html", "text/html;q=0": "application/json",
	} {
		for _, c := range []apitest.Call{
			{Path: "/nowhere"}, {Path: "/api/native/nowhere", Body: apitest.M{}}, {Path: "/scans", Body: apitest.M{}},
			{Path: "/credentials/password", Body: apitest.M{}}, {Path: "/livez/"}, {Path: "/codes/short/generate"}, {Method: "PATCH", Path: "/livez"},
		} {
			c.Header = map[string]string{"Accept": accept}
			r := h.Do(c)
			if got := r.Header.Get("Content-Type"); !strings.HasPrefix(got, kind) {
				t.Errorf("%s %s for Accept %q: got %s, want %s", c.Method, c.Path, accept, got, kind)
			}
			if kind == "application/json" && (r.JSON["code"] == nil || r.JSON["message"] == nil) {
				t.Errorf("%s: got %s, want code and message", c.Path, r.Text)
			}
		}
	}
	h.Do(apitest.Call{Path: "/nowhere"}).Want(http.StatusNotFound, "not_found")
	r := h.Do(apitest.Call{Path: "/authenticate/code/wait"}).Want(http.StatusMethodNotAllowed, "operation_not_allowed")
	if r.Header.Get("Allow") == "" {
		t.Error("405 without Allow")
	}
}

func TestHead_isGetWithoutABody(t *testing.T) {
	h := open(t)
	r := h.Do(apitest.Call{Method: http.MethodHead, Path: "/livez"}).Want(http.StatusOK)
	if r.Text != "" {
		t.Errorf("got body %q, want none", r.Text)
	}
}

func TestReplies_carrySecurityHeaders(t *testing.T) {
	h := open(t)
	for _, path := range []string{"/livez", "/nowhere", "/docs", "/certs"} {
		r := h.Do(apitest.Call{Path: path})
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: got %s %q, want %q", path, name, got, want)
			}
		}
		if csp := r.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: got policy %q", path, csp)
		}
		if r.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no X-Request-Id", path)
		}
	}
}

func TestRelatedOrigins_areThoseOutsideTheDomain(t *testing.T) {
	h := open(t, func(s *apitest.Setup) { s.API.RPID = "localhost" })
	h.NewApp(account.Client{Origins: []string{"https://shop.example", "http://app.localhost:3000", "http://localhost:4000", "https://a.example"}})
	var got struct{ Origins []string }
	h.Do(apitest.Call{Path: "/.well-known/webauthn"}).Want(http.StatusOK).Into(&got)
	if diff := cmp.Diff([]string{"https://a.example", "https://shop.example"}, got.Origins); diff != "" {
		t.Errorf("want (-) got (+):\n%s", diff)
	}
}

func TestKeys_arePublishedAtBothPaths(t *testing.T) {
	h := open(t)
	var set struct {
		Keys []struct{ Kid, Kty, Alg, D string }
	}
	r := h.Do(apitest.Call{Path: "/.well-known/jwks.json"}).Want(http.StatusOK)
	r.Into(&set)
	algs := make([]string, len(set.Keys))
	for i, k := range set.Keys {
		algs[i] = k.Kty + " " + k.Alg
		if k.D != "" || k.Kid == "" {
			t.Errorf("got %+v, want a public key with a name", k)
		}
	}
	slices.Sort(algs)
	if diff := cmp.Diff([]string{"EC ES256", "RSA RS256"}, algs); diff != "" {
		t.Errorf("want (-) got (+):\n%s", diff)
	}
	o := h.Do(apitest.Call{Path: "/oauth/jwks.json"}).Want(http.StatusOK)
	if o.Text != r.Text {
		t.Errorf("got %s at /oauth/jwks.json, want %s", o.Text, r.Text)
	}
	for _, name := range []string{"Content-Type", "Cache-Control", "Access-Control-Allow-Origin", "Cross-Origin-Resource-Policy"} {
		if got, want := o.Header.Get(name), r.Header.Get(name); got != want || got == "" {
			t.Errorf("%s: got %q at /oauth/jwks.json, want %q", name, got, want)
		}
	}
}

func TestDocs_workOffline(t *testing.T) {
	h := open(t)
	r := h.Do(apitest.Call{Path: "/docs", Header: map[string]string{"Accept": "text/html"}}).Want(http.StatusOK)
	for _, want := range []string{"/authenticate/code/wait", "codes.generate", "Generate a code", "approval_url", "/oauth/token", "client authentication", "user_code=FZDK-QWLN"} {
		if !strings.Contains(r.Text, want) {
			t.Errorf("the page does not mention %s", want)
		}
	}
	if loads := regexp.MustCompile(`(?:src|href)="(?:https?:)?//[^"]*"`).FindString(r.Text); loads != "" {
		t.Errorf("the page loads %s", loads)
	}
	if inline := regexp.MustCompile(`<script>|<style|style=|\son[a-z]+=`).FindString(r.Text); inline != "" {
		t.Errorf("the page has %s, which its policy refuses", inline)
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="(/[^"#]+)"`).FindAllStringSubmatch(r.Text, -1) {
		h.Do(apitest.Call{Path: m[1]}).Want(http.StatusOK)
	}
	if got := h.Do(apitest.Call{Path: "/docs/openapi.yaml"}).Want(http.StatusOK).Text; got != string(api.OpenAPI()) {
		t.Error("the document is another one")
	}
}

func TestNew_refusesWhatCannotWork(t *testing.T) {
	h := open(t)
	for name, spoil := range map[string]func(*api.Config){
		"no public URL":   func(c *api.Config) { c.PublicURL = "" },
		"a path":          func(c *api.Config) { c.PublicURL += "/nod" },
		"another scheme":  func(c *api.Config) { c.PublicURL = "ftp://localhost" },
		"no core":         func(c *api.Config) { c.Service = nil },
		"no signing keys": func(c *api.Config) { c.Ring = nil },
	} {
		c := h.Config
		spoil(&c)
		if _, err := api.New(c); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
