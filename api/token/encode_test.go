package token

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEncodeClaims_escapes(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"plain", `"plain"`},
		{"~?>", `"\u007e\u003f\u003e"`},
		{"<&", `"\u003c\u0026"`},
		{"\x7f", `"\u007f"`},
		{"é", `"\u00e9"`},
		{"ß – €", `"\u00df \u2013 \u20ac"`},
		{"\u2028", `"\u2028"`},
		{"日本", `"\u65e5\u672c"`},
		{"😀", `"\ud83d\ude00"`},
		{"👩‍💻", `"\ud83d\udc69\u200d\ud83d\udcbb"`},
		{"\U0010ffff", `"\udbff\udfff"`},
		{"\uffff", `"\uffff"`},
		{"bad\xff", `"bad\ufffd"`},
		{"\x00\n\"\\", `"\u0000\n\"\\"`},
		{`\~`, `"\\\u007e"`},
	} {
		got, err := encodeClaims(test.in)
		if err != nil {
			t.Errorf("%q: %v", test.in, err)
		} else if string(got) != test.want {
			t.Errorf("%q: got %s, want %s", test.in, got, test.want)
		}
	}
}

// Every character survives, three times in a row and so in each of the three
// positions of a base64 group, and keeps away the two letters that one SDK
// cannot decode.
func TestEncodeClaims_everyCharacterRoundTrips(t *testing.T) {
	const block = 0x100
	for first := rune(0); first <= utf8.MaxRune; first += block {
		var in strings.Builder
		for r := first; r < first+block; r++ {
			if utf8.ValidRune(r) {
				in.WriteString(strings.Repeat(string(r), 3))
			}
		}
		text, err := encodeClaims(in.String())
		if err != nil {
			t.Fatalf("%U: %v", first, err)
		}
		var out string
		if err := json.Unmarshal(text, &out); err != nil || out != in.String() {
			t.Fatalf("%U to %U: got %q (%v), want %q", first, first+block-1, out, err, in.String())
		}
		if b64 := base64.RawURLEncoding.EncodeToString(text); strings.ContainsAny(b64, "-_") {
			t.Fatalf("%U to %U: base64url has letters of the URL alphabet", first, first+block-1)
		}
	}
}

func TestEncodeClaims_rawJSONAndKeysToo(t *testing.T) {
	got, err := encodeClaims(map[string]any{"ü": json.RawMessage(`{"x": "~é"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"\u00fc":{"x":"\u007e\u00e9"}}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
