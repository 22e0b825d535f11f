package e2e

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/push/virtual"
)

// What providers answer, and how it is said to an operator: a word of it, and
// what to do.
var providerFaults = []struct {
	name    string
	damage  func(h *household, app *virtual.App, browser *virtual.Subscription)
	app     string // what `nod push test` says of the application
	browser string // and of the browser
}{
	{"503", func(h *household, _ *virtual.App, _ *virtual.Subscription) {
		h.fcm.Fail(-1, virtual.Fault{Status: http.StatusServiceUnavailable})
		h.service.Fail(-1, virtual.Fault{Status: http.StatusServiceUnavailable})
	}, `503.*try again in a moment`, `503.*try again in a moment`},
	{"429", func(h *household, _ *virtual.App, _ *virtual.Subscription) {
		h.fcm.Fail(-1, virtual.Fault{Status: http.StatusTooManyRequests, RetryAfter: "30"})
		h.service.Fail(-1, virtual.Fault{Status: http.StatusTooManyRequests, RetryAfter: "30"})
	}, `429.*in 30s`, `429.*in 30s`},
	{"410", func(_ *household, app *virtual.App, browser *virtual.Subscription) {
		app.Uninstall()
		browser.Unsubscribe()
	}, `does not know this phone any more.*Remove it`, `does not know this phone any more.*Remove it`},
	{"refused connection", func(h *household, _ *virtual.App, _ *virtual.Subscription) {
		h.web.Close()
		h.firebase.Close()
	}, `connection refused.*try again`, `connection refused.*try again`},
}

func TestPushTest_saysWhatTheProviderAnswered(t *testing.T) {
	t.Parallel()
	type outcome struct {
		Kind   string `json:"kind"`
		Sent   bool   `json:"sent"`
		Answer string `json:"answer"`
	}
	for _, c := range providerFaults {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := startHousehold(t)
			user := h.backend.createUser(t, "alice")
			app, browser := h.installApp(t, user), h.subscribe(t, user)
			args := append([]string{"push", "test", "--user", user}, h.settings()...)

			var well []outcome
			h.cli(t, &well, args...)
			for _, o := range well {
				if !o.Sent || o.Answer == "" {
					t.Errorf("%s before: got %+v, want it sent", o.Kind, o)
				}
			}
			if got := receive(t, app, patience).Data["type"]; got != "test" {
				t.Errorf("type at the application: got %q, want test", got)
			}
			if got := readPayload(t, receive(t, browser, patience).Plaintext).Type; got != "test" {
				t.Errorf("type at the browser: got %q, want test", got)
			}

			c.damage(h, app, browser)
			stdout, stderr, code := h.run(t, args...)
			if code == 0 || !strings.Contains(stderr, "no phone of user alice was reached") {
				t.Errorf("exit status %d, %q; want one that says that nobody was reached", code, stderr)
			}
			t.Logf("%s%s", stdout, stderr)
			assertLine(t, stdout, `Phone.*fcm`, c.app)
			assertLine(t, stdout, `Browser.*webpush`, c.browser)
		})
	}
}

// assertLine checks that the line about one thing says what it should.
func assertLine(t *testing.T, text, about, says string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if regexp.MustCompile(about).MatchString(line) {
			if !regexp.MustCompile(says).MatchString(line) {
				t.Errorf("line about %s: got %q, want %q in it", about, line, says)
			}
			return
		}
	}
	t.Errorf("there is no line about %s:\n%s", about, text)
}

func TestDoctor_asksTheProviders(t *testing.T) {
	t.Parallel()
	h := startHousehold(t)
	doctor := func() (string, int) {
		stdout, stderr, code := h.run(t, append([]string{
			"doctor", "--push", "--push-contact", "mailto:push@example.org", "--listen", "127.0.0.1:" + h.port,
		}, h.settings()...)...)
		t.Logf("%s%s", stdout, stderr)
		return stdout, code
	}
	well, code := doctor()
	assertLine(t, well, `push webpush`, `^ok `)
	assertLine(t, well, `push fcm`, `^ok `)
	if code != 0 {
		t.Errorf("exit status when all is well: got %d, want 0", code)
	}

	h.fcm.Fail(-1, virtual.Fault{Status: http.StatusServiceUnavailable})
	ill, code := doctor()
	assertLine(t, ill, `push fcm`, `^wrong .*503`)
	if code != 1 {
		t.Errorf("exit status: got %d, want 1", code)
	}

	h.firebase.Close()
	down, _ := doctor()
	assertLine(t, down, `push fcm`, `^wrong .*connection refused`)

	h.firebase = serve(t, h.fcm)
	h.fcm.Fail(0, virtual.Fault{})
	h.writeAccount(t)
	if err := h.fcm.RotateKey(); err != nil {
		t.Fatal(err)
	}
	revoked, _ := doctor()
	assertLine(t, revoked, `^wrong +push`, `fcm-credentials-file: .*make a new key in the Firebase console`)
}

// Credentials that Firebase does not accept stop the start, in a sentence that
// names the setting; a Firebase that cannot be reached does not.
func TestStart_withFirebase(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(t *testing.T, p *providers)
		want string // "": it starts
	}{
		{"no such file", func(t *testing.T, p *providers) {
			if err := os.Remove(p.account); err != nil {
				t.Fatal(err)
			}
		}, `fcm-credentials-file \S+: no such file`},
		{"not a service account", func(t *testing.T, p *providers) {
			if err := os.WriteFile(p.account, []byte(`{"type": "authorized_user"}`), 0o600); err != nil {
				t.Fatal(err)
			}
		}, `fcm-credentials-file: .*service account`},
		{"a key that was revoked", func(t *testing.T, p *providers) {
			if err := p.fcm.RotateKey(); err != nil {
				t.Fatal(err)
			}
		}, `fcm-credentials-file: .*make a new key in the Firebase console`},
		{"a token service that is away", func(_ *testing.T, p *providers) { p.firebase.Close() }, ""},
		{"a token service that answers 503", func(_ *testing.T, p *providers) {
			p.fcm.FailTokens(-1, virtual.Fault{Status: http.StatusServiceUnavailable})
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := startProviders(t)
			c.do(t, p)
			s := newServer(t, p.settings()...)
			err := s.launch(context.WithoutCancel(t.Context()))
			switch {
			case c.want == "" && err != nil:
				t.Errorf("start: got %v, want none", err)
			case c.want != "" && err == nil:
				t.Error("it started, want a sentence")
			case c.want != "" && !regexp.MustCompile(c.want).MatchString(err.Error()):
				t.Errorf("start: got %v, want %s", err, c.want)
			case err != nil:
				t.Log(err)
			}
		})
	}
}

// The keys that browsers subscribe with are made once.
func TestPushKeys_stayTheSame(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	before := s.pushKey(t)
	s.kill(t)
	s.start(t)
	if got := s.pushKey(t); got != before || len(got) != 87 {
		t.Errorf("key after a restart: got %q, want %q, 65 bytes in base64url", got, before)
	}
}

// Who does not use Firebase does not wait for it.
func TestStart_withoutPush(t *testing.T) {
	p := startProviders(t)
	for _, c := range []struct {
		name  string
		flags []string
	}{{"without push", nil}, {"with Firebase", p.settings()}} {
		s := startServer(t, c.flags...)
		var took []time.Duration
		for range 5 {
			s.kill(t)
			begin := time.Now()
			s.start(t)
			took = append(took, time.Since(begin))
		}
		logTimes(t, "start "+c.name, took)
	}
	if got := p.fcm.TokenRequests(); got != 6 {
		t.Errorf("requests for access tokens: got %d, want one for each start with Firebase, 6", got)
	}
}
