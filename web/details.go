package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
)

// detail is one value of authorization_details (RFC 9396), as it is read by a
// person: a member or an item, with its own members or items, or plain text.
type detail struct {
	Name   string // of a member, as it was sent
	Label  string // the same in words; empty for an item of a list
	Text   string // a plain value
	Parts  []detail
	Listed bool // the parts are items, not members
}

// Nested says whether the value needs rows of its own, instead of a place beside its
// label.
func (d detail) Nested() bool {
	hasParts := func(part detail) bool { return part.Parts != nil }
	return len(d.Parts) > 0 && !d.Listed || slices.ContainsFunc(d.Parts, hasParts)
}

// readDetails takes authorization_details apart: one entry each, its type as the
// label. Nothing is left out or put in another order but that; what is not JSON is
// shown as it came.
func readDetails(raw json.RawMessage) []detail {
	if len(raw) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // as it was sent, to the last digit
	all, err := readDetail(d)
	if _, end := d.Token(); err != nil || !errors.Is(end, io.EOF) {
		return []detail{{Text: string(raw)}}
	}
	if !all.Listed || len(all.Parts) == 0 {
		return []detail{titled(all)}
	}
	for i, each := range all.Parts {
		all.Parts[i] = titled(each)
	}
	return all.Parts
}

// titled makes the member "type" of an entry its label, if there is exactly one:
// who names two means to deceive, so both stay where they are.
func titled(d detail) detail {
	isType := func(member detail) bool { return member.Name == "type" }
	i := slices.IndexFunc(d.Parts, isType)
	if d.Listed || i < 0 || d.Parts[i].Parts != nil || slices.ContainsFunc(d.Parts[i+1:], isType) {
		return d
	}
	d.Label = inWords(d.Parts[i].Text)
	d.Parts = slices.Delete(d.Parts, i, i+1)
	return d
}

// readDetail reads the next value, however deep it goes: what it comes from is
// bounded before it gets here.
func readDetail(d *json.Decoder) (detail, error) {
	token, err := d.Token()
	if err != nil {
		return detail{}, err
	}
	switch token := token.(type) {
	case json.Delim:
		return readParts(d, token == '[')
	case bool:
		if token {
			return detail{Text: "yes"}, nil
		}
		return detail{Text: "no"}, nil
	case json.Number:
		return detail{Text: token.String()}, nil
	case string:
		return detail{Text: cmp.Or(token, "(empty)")}, nil
	default: // null
		return detail{Text: "(nothing)"}, nil
	}
}

// readParts reads the members of an object or the items of a list to its end.
func readParts(d *json.Decoder, listed bool) (detail, error) {
	out := detail{Listed: listed}
	for d.More() {
		var name string
		if !listed {
			token, err := d.Token()
			if err != nil {
				return out, err
			}
			name, _ = token.(string) // the decoder takes nothing else for a name
		}
		part, err := readDetail(d)
		if err != nil {
			return out, err
		}
		if !listed {
			part.Name, part.Label = name, cmp.Or(inWords(name), "(no name)")
		}
		out.Parts = append(out.Parts, part)
	}
	if out.Parts == nil {
		out.Text, out.Listed = "(nothing)", false
	}
	_, err := d.Token()
	return out, err
}

// inWords writes an identifier (creditorName, credit_limit) as the words it is
// made of: "Creditor name". What is none, like a URL, stays as it is.
func inWords(name string) string {
	if strings.ContainsFunc(name, notInIdentifier) {
		return name
	}
	var b strings.Builder
	var before rune
	runes := []rune(name)
	for i, r := range runes {
		begins := unicode.IsUpper(r) && (unicode.IsLower(before) || unicode.IsDigit(before))
		switch {
		case r == '_' || r == '-':
			r = ' '
		case begins && i+1 < len(runes) && unicode.IsUpper(runes[i+1]): // an abbreviation stays one: debtorIBAN
			b.WriteRune(' ')
		case begins:
			b.WriteRune(' ')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
		before = r
	}
	return capital(strings.Join(strings.Fields(b.String()), " "))
}

func notInIdentifier(r rune) bool {
	return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-'
}
