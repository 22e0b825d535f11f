package token

import (
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// encodeClaims writes JSON whose base64url has neither '-' nor '_', because one
// of the vendor's SDKs decodes tokens with the plain alphabet.
//
// Those two letters stand for the six-bit values 62 and 63. A byte below 0x80
// yields them only as the last of a group of three, when its low six bits are
// 62 or 63: '>', '?', '~' and DEL. So these, and every character outside ASCII,
// are written as \uXXXX, beyond the BMP as a surrogate pair (RFC 8259 section
// 7). encoding/json itself escapes '<', '>' and '&'.
func encodeClaims(claims any) ([]byte, error) {
	plain, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	// Characters to escape occur in JSON only inside strings, so the text can
	// be walked without parsing it.
	out := make([]byte, 0, len(plain)+len(plain)/8)
	for len(plain) > 0 {
		r, size := utf8.DecodeRune(plain)
		if mustEscape(r) {
			out = appendEscaped(out, r)
		} else {
			out = append(out, byte(r))
		}
		plain = plain[size:]
	}
	return out, nil
}

func mustEscape(r rune) bool {
	const del = 0x7f
	return r >= del || r == '~' || r == '?'
}

func appendEscaped(out []byte, r rune) []byte {
	if r1, r2 := utf16.EncodeRune(r); r1 != utf8.RuneError {
		return appendUnit(appendUnit(out, r1), r2)
	}
	return appendUnit(out, r)
}

func appendUnit(out []byte, unit rune) []byte {
	const hex = "0123456789abcdef"
	return append(out, '\\', 'u', hex[unit>>12&15], hex[unit>>8&15], hex[unit>>4&15], hex[unit&15])
}
