package approval

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sethvargo/go-diceware/diceware"

	"github.com/nod-auth/nod/approval/account"
)

// CodeKind is the form of a code.
type CodeKind string

// The kinds of the native contract: six digits, 32 base64url characters, four
// words.
const (
	Short  CodeKind = "short"
	Long   CodeKind = "long"
	Phrase CodeKind = "phrase"
)

// The kinds of the standard faces: what a device polls with (device_code of RFC
// 8628, auth_req_id of CIBA), 256 bits, and the user code that a person types,
// eight of twenty letters (RFC 8628 section 6.1).
const (
	PollCode CodeKind = "poll"
	UserCode CodeKind = "user"
)

// CodeKinds lists the kinds of the native contract.
var CodeKinds = []CodeKind{Short, Long, Phrase}

// Known says whether k is a kind of the native contract.
func (k CodeKind) Known() bool { return slices.Contains(CodeKinds, k) }

// Guessable says whether a wrong code costs a try: a short code has 20 bits
// (10^6), a user code 34 (20^8) and a phrase 51 (7776^4), a long one 192 and a
// polled one 256.
func (k CodeKind) Guessable() bool { return k == Short || k == Phrase || k == UserCode }

// DefaultLives is how long a code of each kind lives (native contract, "Codes").
var DefaultLives = map[CodeKind]time.Duration{
	Short:  3 * time.Minute,
	Long:   10 * time.Minute,
	Phrase: 10 * time.Minute,

	PollCode: account.DefaultDeviceCodeLife,
}

const (
	shortDigits  = 6
	longBytes    = 24 // the contract's number
	longChars    = 32 // of base64url: 24 * 8 / 6
	phraseWords  = 4
	wordListSize = 7776 // 6^5, the EFF large list

	userLetters   = "BCDFGHJKLMNPQRSTVWXZ" // RFC 8628 section 6.1: no vowels, so no words; no digits to mistake
	userCodeChars = 8
)

// Codes derives and recognises codes and match numbers with one secret key.
//
// Each is a pseudorandom function (HMAC-SHA256) of the request's id, so none is
// stored: only a keyed hash of the code is, and with the database alone neither
// can be computed or tried. The same goes for some handles, see Prompt and
// Rotating. Safe for concurrent use.
type Codes struct{ key []byte }

// NewCodes takes a 32-byte key, derived from the master key.
func NewCodes(key []byte) (*Codes, error) {
	if len(key) != sha256.Size {
		return nil, fmt.Errorf("codes key: %d bytes, want %d", len(key), sha256.Size)
	}
	return &Codes{key: slices.Clone(key)}, nil
}

func (c *Codes) prf(label string, parts ...string) []byte {
	m := hmac.New(sha256.New, c.key)
	for _, p := range append([]string{label}, parts...) {
		var n [4]byte // length-prefixed: no two part lists run together
		binary.BigEndian.PutUint32(n[:], uint32(len(p)))
		m.Write(n[:])
		m.Write([]byte(p))
	}
	return m.Sum(nil)
}

// Code returns the code of a request, as it is shown.
func (c *Codes) Code(kind CodeKind, requestID string) account.Secret {
	b := c.prf("code", string(kind), requestID)
	switch kind {
	case Short:
		return account.Secret(digits(b))
	case Phrase:
		return account.Secret(words(b))
	case UserCode:
		return account.Secret(letters(b))
	case PollCode:
		return account.Secret(base64.RawURLEncoding.EncodeToString(b))
	default:
		return account.Secret(base64.RawURLEncoding.EncodeToString(b[:longBytes]))
	}
}

// MatchNumber is the six digits that tie the request to the screen that shows
// them. A short code is its own.
func (c *Codes) MatchNumber(r Request) account.Secret {
	if r.CodeKind == Short {
		return c.Code(Short, r.ID)
	}
	return account.Secret(digits(c.prf("match", r.ID)))
}

// Choices are three different numbers in ascending order, one of them the match
// number: the order says nothing.
func (c *Codes) Choices(r Request) []string {
	out := []string{c.MatchNumber(r).Reveal()}
	for i := 0; len(out) < 3; i++ {
		n := digits(c.prf("decoy", r.ID, fmt.Sprint(i)))
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// Hash is what is stored of a code. It is bound to the user and the kind, so
// that a code is only ever found inside one named user's own set. Codes of the
// standard faces are found without a user's name, whomever they are for.
func (c *Codes) Hash(namespaceID, userID string, kind CodeKind, text string) []byte {
	if kind == PollCode || kind == UserCode {
		userID = ""
	}
	return c.prf("hash", namespaceID, userID, string(kind), normalise(kind, text))
}

// Blind turns an identifier from outside (a name that may not exist, an
// address) into a budget key that says nothing about it.
func (c *Codes) Blind(label, text string) string {
	return label + ":" + base64.RawURLEncoding.EncodeToString(c.prf("blind", label, text)[:18])
}

// KindOf tells what somebody typed: six digits are short, eight letters a user
// code, words a phrase, anything else long. A phrase has at least twelve letters;
// a long code has no white space and always longChars characters.
func KindOf(text string) CodeKind {
	text = strings.TrimSpace(text)
	switch t := normalise(Short, text); {
	case len(t) == userCodeChars && strings.Trim(strings.ToUpper(t), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "":
		return UserCode
	case len(t) == shortDigits && strings.Trim(t, "0123456789") == "":
		return Short
	case strings.ContainsFunc(text, unicode.IsSpace), len(text) != longChars && strings.Contains(text, "-"):
		return Phrase
	default:
		return Long
	}
}

// normalise undoes what people do when they type: spaces and dashes in digits and
// letters, case and spacing in phrases. A long code is copied, never typed.
func normalise(kind CodeKind, text string) string {
	switch kind {
	case Short:
		return strings.Join(strings.FieldsFunc(text, separator), "")
	case Phrase:
		// without any separator: "words are space-insensitive"
		return strings.Join(strings.FieldsFunc(strings.ToLower(text), separator), "")
	case UserCode:
		return strings.Join(strings.FieldsFunc(strings.ToUpper(text), separator), "")
	default:
		return strings.TrimSpace(text)
	}
}

// separator is everything that no code is made of: spaces, dashes of any length,
// the full stop behind the sentence that a code was copied from.
func separator(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// digits reduces 64 random bits modulo 10^6; the bias is below 10^6/2^64, under
// one part in 10^13.
func digits(b []byte) string {
	return fmt.Sprintf("%0*d", shortDigits, binary.BigEndian.Uint64(b)%1_000_000)
}

// letters writes eight of userLetters as XXXX-XXXX, and n of them likewise in groups
// of four. Each is made of four bytes: 32 bits modulo 20, bias below 20/2^32.
func letters(b []byte) string { return grouped(b, userCodeChars) }

func grouped(b []byte, n int) string {
	out := make([]byte, 0, n+n/4)
	for i := range n {
		if i > 0 && i%4 == 0 {
			out = append(out, '-')
		}
		out = append(out, userLetters[binary.BigEndian.Uint32(b[i*4:])%uint32(len(userLetters))])
	}
	return string(out)
}

func words(b []byte) string {
	list := diceware.WordListEffLarge()
	out := make([]string, phraseWords)
	for i := range out {
		// 64 bits modulo 7776: bias below 10^-15
		n := int(binary.BigEndian.Uint64(b[i*8:]) % wordListSize)
		out[i] = list.WordAt(dice(n))
	}
	return strings.Join(out, " ")
}

// dice writes 0..7775 as the five throws the list is keyed by, 11111..66666.
func dice(n int) int {
	out := 0
	for range 5 {
		out = out*10 + n/1296 + 1 // 1296 = 6^4
		n = n % 1296 * 6
	}
	return out
}
