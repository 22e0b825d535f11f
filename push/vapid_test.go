package push

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/nod-auth/nod/approval/account"
)

func TestVAPID_isReadAsItWasWritten(t *testing.T) {
	v, err := NewVAPID()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []account.Secret{v.Private(), v.Private() + "=", "\n" + v.Private() + "\n"} {
		got, err := ParseVAPID(text)
		if err != nil || got.Public() != v.Public() || got.Private() != v.Private() {
			t.Errorf("got %v, %v, want %v", got, err, v)
		}
	}
	point, err := base64.RawURLEncoding.DecodeString(v.Public())
	if err != nil || len(point) != 65 || point[0] != 4 {
		t.Errorf("public: got %x, %v, want an uncompressed point", point, err)
	}
}

// The pair of RFC 8291 appendix A's application server.
func TestParseVAPID_derivesThePublicKey(t *testing.T) {
	v, err := ParseVAPID("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
	const want = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
	if err != nil || v.Public() != want {
		t.Errorf("got %v, %v, want %s", v, err, want)
	}
}

func TestParseVAPID_refusesAndDoesNotRepeat(t *testing.T) {
	zero := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	for _, text := range []string{"", "c2hvcnQ", "not base64url!", zero, strings.Repeat("_", 43), strings.Repeat("A", 10_000)} {
		_, err := ParseVAPID(account.Secret(text))
		if err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%.50q: got %v", text, err)
		}
	}
}

func TestVAPID_printsThePublicHalf(t *testing.T) {
	v := newTestVAPID(t)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		if got := fmt.Sprintf(format, v); strings.Contains(got, v.Private().Reveal()) || strings.Contains(got, "PrivateKey") {
			t.Errorf("%s: got %s", format, got)
		}
	}
	if got := (VAPID{}).Private(); got != "" {
		t.Error("the zero VAPID has a private key")
	}
}

func TestCheckContact_wantsAnAddressOfTheOperator(t *testing.T) {
	for contact, want := range map[string]string{
		"mailto:push@example.org":         "",
		"https://example.org/contact":     "",
		"mailto:push@localhost":           "warning",
		"mailto:push@nod.local":           "warning",
		"https://192.0.2.1":               "warning",
		"https://[2001:db8::1]/":          "warning",
		"https://nod":                     "warning",
		"https://NOD.LOCAL/":              "warning",
		"":                                "error",
		"push@example.org":                "error",
		"mailto:":                         "error",
		"mailto:mailto:push@example.org":  "error",
		"mailto:Push <push@example.org>":  "error",
		"mailto:a@example.org,b@c.org":    "error",
		"http://example.org":              "error",
		"https://":                        "error",
		"https://user:word@example.org":   "error",
		"mailto:push@example.org\r\nX: y": "error",
	} {
		warning, err := checkContact(contact)
		got := ""
		if err != nil {
			got = "error"
		} else if warning != "" {
			got = "warning"
		}
		if got != want {
			t.Errorf("%q: got %q (%s, %v), want %q", contact, got, warning, err, want)
		}
	}
}

func newTestVAPID(t testing.TB) VAPID {
	t.Helper()
	v, err := NewVAPID()
	if err != nil {
		t.Fatal(err)
	}
	return v
}
