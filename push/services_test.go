package push

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/nod-auth/nod/approval"
)

func TestAllow_takesTheEndpointsOfBrowsers(t *testing.T) {
	s := testServices(t)
	for _, endpoint := range []string{
		"https://fcm.googleapis.com/fcm/send/dpH5lCsTSSM:APA91bHqjZxM0VImWWqDRN7U0a3AycjUf4O-byuxb_wJsKRaKvV",
		"https://jmt17.google.com/fcm/send/dpH5lCsTSSM",
		"https://updates.push.services.mozilla.com/wpush/v2/gAAAAABe-_x",
		"https://web.push.apple.com/QGuQyavXutnMH9b4",
		"https://wns2-par02p.notify.windows.com/w/?token=BQYAAAD%2b%2fw8%3d",
		"HTTPS://FCM.GoogleAPIs.com/fcm/send/a",
		"https://fcm.googleapis.com:443/fcm/send/a",
	} {
		if err := s.Allow(endpoint); err != nil {
			t.Errorf("%s: got %v, want nil", endpoint, err)
		}
	}
}

// hostileEndpoints lead, or might be thought to lead, somewhere else.
var hostileEndpoints = []string{
	"",
	"/fcm/send/a",
	"//fcm.googleapis.com/a",
	"fcm.googleapis.com/a",
	"https:fcm.googleapis.com/a",
	"https:/fcm.googleapis.com/a",
	"https:///fcm.googleapis.com/a",
	"https://",
	"https:///a",
	"https://fcm.googleapis.com",
	"https://fcm.googleapis.com?a=/",
	"http://fcm.googleapis.com/a",
	"ftp://fcm.googleapis.com/a",
	"file:///etc/passwd",
	"javascript:alert(1)//fcm.googleapis.com/a",
	"gopher://fcm.googleapis.com/a",
	"https://localhost/a",
	"https://127.0.0.1/a",
	"https://127.1/a",
	"https://2130706433/a",
	"https://0x7f000001/a",
	"https://0x7f.0.0.0x1/a",
	"https://0177.0.0.1/a",
	"https://0/a",
	"https://169.254.169.254/latest/meta-data",
	"https://10.0.0.1/a",
	"https://[::1]/a",
	"https://[::ffff:127.0.0.1]/a",
	"https://[::ffff:7f00:1]/a",
	"https://[64:ff9b::7f00:1]/a",
	"https://[fe80::1%25eth0]/a",
	"https://[fd00::1]/a",
	"https://[fcm.googleapis.com]/a",
	"https://evil.example/a",
	"https://evil.example/fcm.googleapis.com/a",
	"https://evil.example/?https://fcm.googleapis.com/a",
	"https://fcm.googleapis.com.evil.example/a",
	"https://evilfcm.googleapis.com/a",
	"https://a.fcm.googleapis.com/a",
	"https://googleapis.com/a",
	"https://push.apple.com/a",
	"https://evilpush.apple.com/a",
	"https://notify.windows.com.evil.example/a",
	"https://.push.apple.com/a",
	"https://*.push.apple.com/a",
	"https://..push.apple.com/a",
	"https://web..push.apple.com/a",
	"https://-web.push.apple.com/a",
	"https://web_1.push.apple.com/a",
	"https://" + strings.Repeat("a", 64) + ".push.apple.com/a",
	"https://" + strings.Repeat("a.", 200) + "push.apple.com/a",
	"https://fcm.googleapis.com./a",
	"https://user@fcm.googleapis.com/a",
	"https://fcm.googleapis.com@evil.example/a",
	"https://fcm.googleapis.com:443@evil.example/a",
	"https://evil.example#@fcm.googleapis.com/a",
	"https://evil.example\\@fcm.googleapis.com/a",
	"https://evil.example\\.push.apple.com/a",
	"https:\\\\fcm.googleapis.com\\a",
	"https://evil.example%2f.push.apple.com/a",
	"https://evil.example%00.push.apple.com/a",
	"https://fcm%2egoogleapis%2ecom/a",
	"https://fcm.googleapis.com%20.evil.example/a",
	"https://fcm.googleapis.com\n.evil.example/a",
	"https://fcm.googleapis.com/a\r\nHost: evil.example",
	"https://fcm.googleapis.com/a b",
	"https://fcm.googleapis.com/\ta",
	" https://fcm.googleapis.com/a",
	"https://fcm.googleapis.com/a\x00",
	"https://fcm.googleapis.com/a#fragment",
	"https://fcm.googleapis.com/%zz",
	"https://fcm。googleapis。com/a",
	"https://ｆcm.googleapis.com/a",
	"https://fсm.googleapis.com/a", // a Cyrillic с
	"https://fcm.googleapis.com:/a",
	"https://fcm.googleapis.com:80/a",
	"https://fcm.googleapis.com:0443/a",
	"https://fcm.googleapis.com:+443/a",
	"https://fcm.googleapis.com:65979/a", // 443 in 16 bits
	"https://fcm.googleapis.com:443:443/a",
	"https://fcm.googleapis.com:22/a",
	"https://fcm.googleapis.com:https/a",
	"https://fcm.googleapis.com/" + strings.Repeat("a", 2048),
}

func TestAllow_refusesHostileEndpoints(t *testing.T) {
	s := testServices(t)
	if len(hostileEndpoints) < 40 {
		t.Fatalf("got %d endpoints, want 40 at least", len(hostileEndpoints))
	}
	for _, endpoint := range hostileEndpoints {
		err := s.Allow(endpoint)
		if invalid := (*approval.InvalidError)(nil); !errors.As(err, &invalid) || invalid.Field != "endpoint" {
			t.Errorf("%.80q: got %v, want an InvalidError on endpoint", endpoint, err)
		}
	}
}

func TestParseServices_entriesMeanWhatTheySay(t *testing.T) {
	s := testServices(t, "push.example.org", "alt.example.org:8443", "*.wild.example.org", "http://127.0.0.1:1234", "https://[2001:db8::1]/", "HTTP://Ntfy.Lan")
	for endpoint, want := range map[string]bool{
		"https://push.example.org/a":       true,
		"http://push.example.org/a":        false,
		"https://push.example.org:8443/a":  false,
		"https://alt.example.org:8443/a":   true,
		"https://alt.example.org/a":        false,
		"https://a.wild.example.org/a":     true,
		"https://a.b.wild.example.org/a":   true,
		"https://wild.example.org/a":       false,
		"http://127.0.0.1:1234/a":          true,
		"http://127.0.0.1:1235/a":          false,
		"https://127.0.0.1:1234/a":         false,
		"http://127.0.0.1/a":               false,
		"http://localhost:1234/a":          false,
		"https://[2001:db8::1]/a":          true,
		"https://[2001:DB8:0::1]:443/a":    true,
		"http://ntfy.lan/a":                true,
		"http://ntfy.lan:80/a":             true,
		"https://fcm.googleapis.com/a":     false,
		"https://web.push.apple.com:443/a": false,
	} {
		if got := s.Allow(endpoint) == nil; got != want {
			t.Errorf("%s: got %t, want %t", endpoint, got, want)
		}
	}
	if got, want := s.Ports(), []uint16{80, 443, 1234, 8443}; !slices.Equal(got, want) {
		t.Errorf("ports: got %v, want %v", got, want)
	}
}

func TestParseServices_defaultStandsForTheBrowsers(t *testing.T) {
	s := testServices(t, "default", "http://127.0.0.1:1234")
	for _, endpoint := range []string{"https://fcm.googleapis.com/a", "https://web.push.apple.com/a", "http://127.0.0.1:1234/a"} {
		if err := s.Allow(endpoint); err != nil {
			t.Errorf("%s: got %v, want nil", endpoint, err)
		}
	}
	if err := (Services{}).Allow("https://fcm.googleapis.com/a"); err == nil {
		t.Error("the zero Services allowed an endpoint")
	}
}

func TestParseServices_namesEveryFault(t *testing.T) {
	bad := []string{
		"", "*", "*.", "*.com", "a*.example.org", "**.example.org", "192.0.2.1", "[::1]", "example.org/path",
		"https://example.org/path", "ftp://example.org", "https://u@example.org", "https://example.org?q",
		"example.org:0", "example.org:99999", "example.org.", "exa mple.org", "https://*.example.org", "müller.example",
	}
	_, err := ParseServices(append(bad, "good.example.org"))
	if err == nil {
		t.Fatal("got no error")
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != len(bad) {
		t.Errorf("got %d faults, want %d:\n%v", got, len(bad), err)
	}
}

func FuzzAllow(f *testing.F) {
	for _, endpoint := range hostileEndpoints {
		f.Add(endpoint)
	}
	f.Add("https://web.push.apple.com/a?b=%2f")
	s, err := ParseServices(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, endpoint string) {
		if s.Allow(endpoint) != nil {
			return
		}
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "https" || u.User != nil || u.Fragment != "" || u.Port() != "" && u.Port() != "443" {
			t.Fatalf("allowed %q", endpoint)
		}
		host := strings.ToLower(u.Hostname())
		known := slices.ContainsFunc(DefaultServices, func(entry string) bool {
			below, wild := strings.CutPrefix(entry, "*")
			return host == entry || wild && strings.HasSuffix(host, below) && len(host) > len(below)
		})
		if !known {
			t.Fatalf("allowed %q, whose host is %q", endpoint, host)
		}
		if e, err := parseEndpoint(endpoint); err != nil || s.Allow(e.String()) != nil {
			t.Fatalf("%q is not allowed as %q any more", endpoint, e)
		}
	})
}

func testServices(t testing.TB, entries ...string) Services {
	t.Helper()
	s, err := ParseServices(entries)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
