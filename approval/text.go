package approval

import (
	"fmt"
	"net/netip"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"golang.org/x/text/unicode/norm"
)

// Longest texts that are shown to a decider, in graphemes: what fits the card
// without hiding anything (threats A6).
const (
	MaxDeviceName     = 64
	MaxBindingMessage = 128
	MaxUsername       = 128
	MaxName           = 64
	maxUserAgent      = 512 // bytes; longer ones are cut, nobody decides by them
)

// CleanText normalises a text to NFC and refuses, with an InvalidError, what
// could deceive a reader: control and invisible formatting characters (bidi
// overrides among them), broken UTF-8, and more than max graphemes. Nothing is
// silently dropped: what is shown is what was sent.
func CleanText(field, s string, max int) (string, error) {
	if !utf8.ValidString(s) {
		return "", &InvalidError{field, "must be valid UTF-8"}
	}
	s = norm.NFC.String(s)
	if uniseg.GraphemeClusterCount(s) > max {
		return "", &InvalidError{field, fmt.Sprintf("must not be longer than %d characters", max)}
	}
	// One grapheme may carry any number of combining marks; four bytes for each
	// of eight marks is more than any script needs.
	if len(s) > max*36 {
		return "", &InvalidError{field, "has too many combining marks"}
	}
	for _, r := range s {
		if deceptive(r) {
			return "", &InvalidError{field, "must not contain control or invisible formatting characters"}
		}
	}
	return s, nil
}

// deceptive covers Cc, Cf (bidi controls, zero width, tags), Zl, Zp, Co and Cs;
// the joiners that emoji and Indic scripts need are allowed.
func deceptive(r rune) bool {
	if r == '\u200c' || r == '\u200d' { // ZWNJ, ZWJ
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}

// clean validates everything a Context shows.
func (c Context) clean() (Context, error) {
	var err error
	if c.DeviceName, err = CleanText("device_name", c.DeviceName, MaxDeviceName); err != nil {
		return c, err
	}
	if c.BindingMessage, err = CleanText("binding_message", c.BindingMessage, MaxBindingMessage); err != nil {
		return c, err
	}
	if c.Address != "" {
		a, err := netip.ParseAddr(c.Address)
		if err != nil || a.Zone() != "" {
			return c, &InvalidError{"requester_ip", "must be an IPv4 or IPv6 address"}
		}
		c.Address = a.Unmap().String()
	}
	c.UserAgent = printable(c.UserAgent, maxUserAgent)
	return c, nil
}

// printable keeps the readable part of a text nobody decides by.
func printable(s string, max int) string {
	out := make([]rune, 0, min(len(s), max))
	size := 0
	for _, r := range s {
		if r == utf8.RuneError || deceptive(r) {
			continue
		}
		if size += utf8.RuneLen(r); size > max {
			break
		}
		out = append(out, r)
	}
	return string(out)
}
