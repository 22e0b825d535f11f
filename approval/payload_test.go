package approval

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzPayload_isKeptToTheByteOrRefused: nothing in between.
func FuzzPayload_isKeptToTheByteOrRefused(f *testing.F) {
	for _, seed := range []string{"Pay 20 €\nto Bob", "\u202e", "a\r\nb", "a\rb", "\x00", "\xff", "👨‍👩‍👧", strings.Repeat("a\u0301", 30)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		a := Ask{Purpose: Transaction, Context: Context{Payload: payload, Nonce: "n"}}
		got, err := a.clean()
		switch {
		case err != nil && !errors.Is(err, ErrInvalid):
			t.Errorf("%q: got %v, want %v", payload, err, ErrInvalid)
		case err != nil:
		case got.Payload != payload:
			t.Errorf("%q became %q", payload, got.Payload)
		case !utf8.ValidString(payload), len(payload) > MaxPayload, strings.ContainsAny(payload, "\x00\x1b\u202e\u2066\u200b\u2028"):
			t.Errorf("%q was taken", payload)
		}
	})
}
