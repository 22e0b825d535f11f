package approval

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/rivo/uniseg"
	"golang.org/x/text/unicode/norm"

	"github.com/nod-auth/nod/approval/account"
)

// Longest texts that are shown to a decider, in graphemes: what fits the card
// without hiding anything (threats A6).
const (
	MaxDeviceName     = 64
	MaxBindingMessage = 128
	MaxUsername       = 128
	MaxName           = 64
	maxUserAgent      = 512  // bytes; longer ones are cut, nobody decides by them
	maxDetails        = 4096 // bytes of authorization_details: what a person can be asked to read
)

// CleanText normalises a text to NFC and refuses, with an InvalidError, what
// could deceive a reader: control characters, whatever cannot be seen (bidi
// overrides and blank letters among it), broken UTF-8, and more than max graphemes.
// Nothing is silently dropped: what is shown is what was sent.
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
	before := ' '
	for _, r := range s {
		if deceptive(r) || unseen(before, r) {
			return "", &InvalidError{field, "must not contain control or invisible formatting characters"}
		}
		before = r
	}
	return s, nil
}

// deceptive covers Cc, Cf (bidi controls, zero width, tags), Zl, Zp, Co and Cs, and
// what Unicode counts as a letter, a mark or a symbol though nothing is drawn: the
// Hangul fillers, say, or the Braille blank. The joiners that emoji, Persian and Indic
// scripts need are allowed, see unseen.
func deceptive(r rune) bool {
	if joiner(r) {
		return false
	}
	return r == '\u2800' || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs,
		unicode.Other_Default_Ignorable_Code_Point)
}

// unseen says whether r changes nothing of what is drawn behind before: a joiner where
// no script joins, a variation selector behind a letter that has no variants. With
// those, "ada" could be two people.
func unseen(before, r rune) bool {
	plain := unicode.In(before, unicode.Latin, unicode.Greek, unicode.Cyrillic)
	switch {
	case joiner(r):
		return plain || before < '\u0300' // spaces, digits, punctuation
	case unicode.Is(unicode.Variation_Selector, r):
		return plain || unicode.IsSpace(before)
	default:
		return false
	}
}

func joiner(r rune) bool { return r == '\u200c' || r == '\u200d' } // ZWNJ, ZWJ

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
	if c.ExpectedSub != "" {
		id, err := uuid.Parse(c.ExpectedSub)
		if err != nil {
			return c, &InvalidError{"expected_sub", "must be the sub of a token of this server"}
		}
		c.ExpectedSub = id.String()
	}
	c.UserAgent = printable(c.UserAgent, maxUserAgent)
	c.Details, err = cleanDetails(c.Details)
	return c, err
}

const detailsField = "authorization_details"

// cleanDetails compacts a JSON value that is shown to people and to programs. It
// refuses in it what CleanText refuses in a text, and a member that comes twice:
// one reader would take the first, another the last (RFC 8259 section 4).
func cleanDetails(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if len(raw) > maxDetails {
		return nil, &InvalidError{detailsField, fmt.Sprintf("must not be longer than %d bytes", maxDetails)}
	}
	var out bytes.Buffer
	if err := json.Compact(&out, raw); err != nil || !utf8.Valid(raw) {
		return nil, &InvalidError{detailsField, "must be JSON in UTF-8"}
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return out.Bytes(), cleanValue(d)
}

// cleanValue judges the next value of what is known to be JSON, down to its leaves.
func cleanValue(d *json.Decoder) error {
	opening, err := d.Token()
	if err != nil {
		return &InvalidError{detailsField, "must be JSON"}
	}
	switch t := opening.(type) {
	case string:
		return cleanLeaf(t)
	case json.Delim:
		seen := map[string]bool{}
		for d.More() {
			if t == '{' {
				name, _ := d.Token()
				key, _ := name.(string)
				if err := cleanLeaf(key); err != nil {
					return err
				}
				if seen[key] {
					return &InvalidError{detailsField, "must not have a member twice"}
				}
				seen[key] = true
			}
			if err := cleanValue(d); err != nil {
				return err
			}
		}
		_, _ = d.Token() // its end
	}
	return nil
}

func cleanLeaf(s string) error {
	if strings.ContainsFunc(s, deceptive) {
		return &InvalidError{detailsField, "must not contain control or invisible formatting characters"}
	}
	return nil
}

// asksFor says whether a scope is among what is asked for.
func (c Context) asksFor(scope string) bool {
	return slices.ContainsFunc(c.Scopes, func(s account.ScopeText) bool { return s.Scope == scope })
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
