package doctor

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// server answers /livez as nod does, and whatever else h says before.
func server(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
	t.Cleanup(s.Close)
	return s
}

func alive(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, `{"status":"ok"}`) }

// one returns the finding about something, which there is once.
func one(t *testing.T, found []Finding, about string) Finding {
	t.Helper()
	var of []Finding
	for _, f := range found {
		if f.About == about {
			of = append(of, f)
		}
	}
	if len(of) != 1 {
		t.Fatalf("%s: got %d findings in %+v, want 1", about, len(of), found)
	}
	return of[0]
}

func judge(t *testing.T, about string, got Finding, level Level, says string) {
	t.Helper()
	if text := got.Says + " " + got.Do; got.Level != level || !strings.Contains(text, says) {
		t.Errorf("%s: got %s, %q; want %s with %q", about, got.Level, text, level, says)
	}
	if got.Level == Wrong && got.Do == "" && !strings.Contains(got.Says, ";") {
		t.Errorf("%s: %q does not say what to do", about, got.Says)
	}
}

func TestReached_says_what_stands_at_the_public_url(t *testing.T) {
	plain := server(t, alive)
	plain.Start()
	untrusted := server(t, alive)
	untrusted.StartTLS()
	status := func(code int) string {
		s := server(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
		})
		s.Start()
		return s.URL
	}
	for about, c := range map[string]struct {
		url   string
		level Level
		says  string
	}{
		"a nod":                      {plain.URL, OK, "leads to the server"},
		"plain HTTP in place of TLS": {strings.Replace(plain.URL, "http:", "https:", 1), Wrong, "speaks no TLS"},
		"an unknown authority":       {untrusted.URL, Wrong, "a certificate that is not accepted"},
		"a redirect":                 {status(http.StatusMovedPermanently), Wrong, "redirects (status 301)"},
		"a gateway without a nod":    {status(http.StatusBadGateway), Wrong, "the proxy at"},
		"something else":             {status(http.StatusNotFound), Wrong, "something else is there"},
		"nobody":                     {"http://127.0.0.1:1", Look, "nobody answers at http://127.0.0.1:1 ("},
	} {
		x := &exam{public: c.url}
		x.reached(t.Context(), x.fetch(t.Context()))
		got := one(t, x.found, aboutHTTPS)
		judge(t, about, got, c.level, c.says)
		if strings.Contains(got.Says, "livez\"") {
			t.Errorf("%s: %q repeats what was asked", about, got.Says)
		}
	}
}

func TestClock_is_compared_with_the_public_server(t *testing.T) {
	for off, want := range map[time.Duration]Level{
		0: OK, time.Second: OK, 10 * time.Second: Look, -10 * time.Second: Look, time.Minute: Wrong, -time.Hour: Wrong,
	} {
		s := server(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
			alive(w, r)
		})
		s.Start()
		x := &exam{public: s.URL}
		x.reached(t.Context(), x.fetch(t.Context()))
		if got := one(t, x.found, aboutClock); got.Level != want {
			t.Errorf("a clock that is %s off: got %s, %q; want %s", off, got.Level, got.Says, want)
		}
	}
}

func TestClock_before_the_program_was_written(t *testing.T) {
	built := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	x := &exam{Patient: Patient{Built: built}}
	x.clock(built.Add(time.Hour))
	if len(x.found) != 0 {
		t.Errorf("an hour later: got %+v, want nothing", x.found)
	}
	x.clock(time.Unix(0, 0))
	judge(t, "in 1970", one(t, x.found, aboutClock), Wrong, "1970-01-01 00:00:00, before this program was written")
}

// installation is a data folder in which a server at the URL ran.
func installation(t *testing.T, publicURL string) config.Config {
	t.Helper()
	c := config.Default()
	c.Listen, c.PublicURL, c.Data = "127.0.0.1:0", publicURL, filepath.Join(t.TempDir(), "data")
	s, err := app.New(t.Context(), c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAddress_judges_whether_passkeys_can_be_used(t *testing.T) {
	c := installation(t, "https://nod.example.com")
	for about, s := range map[string]struct {
		url, rpID string
		level     Level
		says      string
	}{
		"as the server ran":     {"", "", OK, "belong to nod.example.com and can be used at https://nod.example.com"},
		"below it":              {"https://a.nod.example.com", "", OK, "can be used"},
		"another domain":        {"https://nod.example.org", "", Wrong, "Use a --public-url at nod.example.com or below it"},
		"a name that ends so":   {"https://badnod.example.com", "", Wrong, "browsers do not offer them at"},
		"another rp-id":         {"https://nod.example.com", "example.com", Wrong, "Start with --rp-id nod.example.com"},
		"this machine's name":   {"http://localhost:8080", "", Wrong, "browsers do not offer them at"},
		"the same rp-id, again": {"https://nod.example.com", "nod.example.com", OK, "can be used"},
	} {
		p := Patient{Config: c}
		p.Config.PublicURL, p.Config.RPID = s.url, s.rpID
		x := &exam{Patient: p}
		x.database(t.Context())
		x.address(t.Context())
		judge(t, about, one(t, x.found, aboutPasskeys), s.level, s.says)
		if err := x.core.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestProxy_that_is_not_trusted_is_worth_a_look(t *testing.T) {
	behind := config.Default()
	behind.PublicURL = "https://nod.example.com"
	x := &exam{Patient: Patient{Config: behind}}
	x.address(t.Context())
	judge(t, "behind a proxy", one(t, x.found, aboutProxy), Look, "--trusted-proxies")

	behind.PublicURL = ""
	x = &exam{Patient: Patient{Config: behind}}
	x.address(t.Context())
	for _, f := range x.found {
		if f.About == aboutProxy {
			t.Errorf("on this machine alone: got %+v, want nothing", f)
		}
	}
}
