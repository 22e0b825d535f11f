package approval_test

import (
	"errors"
	"testing"

	"github.com/nod-auth/nod/approval"
)

// What is drawn as nothing makes two names of one, or a name that is not there
// (threats A6).
func TestCleanText_what_cannot_be_seen(t *testing.T) {
	for about, c := range map[string]struct {
		text    string
		refused bool
	}{
		"Hangul filler alone":                 {"\u3164", true},
		"Hangul filler behind a name":         {"ada\u3164", true},
		"half-width Hangul filler":            {"\uffa0ada", true},
		"Hangul filler of old syllables":      {"ada\u115f", true},
		"grapheme joiner":                     {"ad\u034fa", true},
		"Braille blank":                       {"\u2800\u2800", true},
		"Khmer inherent vowel":                {"ada\u17b4", true},
		"joiner behind Latin":                 {"ada\u200d", true},
		"joiner behind accented Latin":        {"ad\u1ea1\u200c", true},
		"joiner behind Greek":                 {"\u03b1\u200d", true},
		"joiner behind Cyrillic":              {"\u0430\u200d", true},
		"joiner behind a digit":               {"7\u200c", true},
		"joiner alone":                        {"\u200d", true},
		"joiners behind a space":              {"ada \u200d\u200d", true},
		"variation selector behind Latin":     {"ada\ufe0f", true},
		"variation selector alone":            {"\ufe0e", true},
		"ideographic selector behind Latin":   {"ada\U000e0100", true},
		"joiner in Persian":                   {"\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", false},
		"joiner in Hindi":                     {"\u0915\u094d\u200d\u0937", false},
		"joiner at the end of Hindi":          {"\u0915\u094d\u200d", false},
		"family":                              {"\U0001f469\u200d\U0001f469\u200d\U0001f467 TV", false},
		"heart in colour":                     {"\u2764\ufe0f", false},
		"rainbow flag":                        {"\U0001f3f3\ufe0f\u200d\U0001f308", false},
		"keycap":                              {"Room 1\ufe0f\u20e3", false},
		"copyright sign in colour":            {"TV\u00a9\ufe0f", false},
		"ideograph with a variant":            {"\u845b\U000e0100", false},
		"Korean":                              {"\uac70\uc2e4 TV", false},
		"Braille that has dots":               {"\u2801\u2803", false},
		"mark that has no letter of its own":  {"x\u0323\u0301", false},
		"Khmer":                               {"\u1781\u17d2\u1798\u17c2\u179a", false},
		"Mongolian with a variation selector": {"\u182d\u180b", false},
	} {
		_, err := approval.CleanText("device_name", c.text, approval.MaxDeviceName)
		if refused := errors.Is(err, approval.ErrInvalid); refused != c.refused || err != nil && !refused {
			t.Errorf("%s, %+q: got %v, want it refused: %t", about, c.text, err, c.refused)
		}
	}
}
