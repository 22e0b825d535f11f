package push

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/push/egress"
)

func TestRetryAfter_readsSecondsAndDates(t *testing.T) {
	now := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                                 0,
		"0":                                0,
		"7":                                7 * time.Second,
		" 120 ":                            2 * time.Minute,
		"-5":                               0,
		"1.5":                              0,
		"soon":                             0,
		"99999999":                         maxRetryAfter,
		"99999999999999999999":             maxRetryAfter,
		"9223372036854775807":              maxRetryAfter,
		"Thu, 01 Oct 2026 12:00:30 GMT":    30 * time.Second,
		"Thu, 01 Oct 2026 11:00:00 GMT":    0,
		"Fri, 01 Oct 2027 12:00:00 GMT":    maxRetryAfter,
		"Thursday, 01-Oct-26 12:00:30 GMT": 30 * time.Second,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: got %s, want %s", header, got, want)
		}
	}
}

func TestCollapseID_isATopic(t *testing.T) {
	topic := regexp.MustCompile(`^[A-Za-z0-9_-]{32}$`) // RFC 8030 section 5.4
	for _, id := range []string{"a", strings.Repeat("long", 100), "\x00"} {
		got := collapseID(id)
		if !topic.MatchString(got) || got != collapseID(id) || got == collapseID(id+"x") {
			t.Errorf("%q: got %q", id, got)
		}
	}
	if got := collapseID(""); got != "" {
		t.Errorf("got %q for no id, want none", got)
	}
}

func TestRemaining_isWhatIsLeft(t *testing.T) {
	for left, want := range map[time.Duration]time.Duration{
		time.Minute:         time.Minute,
		time.Nanosecond:     time.Nanosecond,
		60 * 24 * time.Hour: 28 * 24 * time.Hour,
	} {
		if got, err := remaining(Message{Left: left}); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", left, got, err, want)
		}
	}
	for _, left := range []time.Duration{0, -time.Hour} {
		if got, err := remaining(Message{Left: left}); err == nil {
			t.Errorf("%s: got %s, want an error", left, got)
		}
	}
}

func TestUnreached_triesAgainUnlessTheGuardRefused(t *testing.T) {
	secret := "https://web.push.apple.com/secret"
	fault := errors.New("connection refused")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context
		cause error
		is    error
		retry bool
	}{
		"a fault": {t.Context(), fault, fault, true},
		"the end": {ended, fault, context.Canceled, true},
		"refused": {t.Context(), egress.ErrRefused, egress.ErrRefused, false},
	} {
		got := unreached(c.ctx, &url.Error{Op: "Post", URL: secret, Err: c.cause})
		var again *RetryError
		if errors.As(got, &again) != c.retry || !errors.Is(got, c.is) || strings.Contains(got.Error(), "secret") {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// noRedirects is what egress gives, without the guard.
func noRedirects(t testing.TB) *http.Client {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
