package approval

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sethvargo/go-diceware/diceware"
	"pgregory.net/rapid"

	"github.com/nod-auth/nod/approval/account"
)

func testCodes(t testing.TB) *Codes {
	t.Helper()
	c, err := NewCodes(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCodes_have_the_contract_s_form(t *testing.T) {
	c := testCodes(t)
	forms := map[CodeKind]*regexp.Regexp{
		Short:  regexp.MustCompile(`^[0-9]{6}$`),
		Long:   regexp.MustCompile(`^[A-Za-z0-9_-]{32}$`),
		Phrase: regexp.MustCompile(`^[a-z-]+( [a-z-]+){3}$`),
		// RFC 8628 section 6.1
		UserCode: regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`),
	}
	for kind, form := range forms {
		seen := map[string]bool{}
		for range 500 {
			code := c.Code(kind, uuid.NewString()).Reveal()
			if !form.MatchString(code) {
				t.Fatalf("%s: got %q", kind, code)
			}
			if KindOf(code) != kind {
				t.Fatalf("%s: %q is taken for %s", kind, code, KindOf(code))
			}
			seen[code] = true
		}
		if len(seen) < 490 { // 500 draws of 10^6: 0.12 collisions expected
			t.Errorf("%s: %d different codes of 500", kind, len(seen))
		}
	}
}

func TestCodes_long_carries_24_bytes(t *testing.T) {
	b, err := base64.RawURLEncoding.DecodeString(testCodes(t).Code(Long, "r").Reveal())
	if err != nil || len(b) != 24 {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
}

func TestCodes_polled_carry_256_bits(t *testing.T) {
	b, err := base64.RawURLEncoding.DecodeString(testCodes(t).Code(PollCode, "r").Reveal())
	if err != nil || len(b) != 32 {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
	if testCodes(t).Code(PollCode, "r") == testCodes(t).Code(PollCode, "s") {
		t.Error("codes of different requests agree")
	}
}

// A code of the standard faces is found whomever it is for, and only as what it is.
func TestCodes_of_the_standard_faces_are_bound_to_namespace_and_kind_alone(t *testing.T) {
	c := testCodes(t)
	for _, kind := range []CodeKind{PollCode, UserCode} {
		ref := c.Hash("n", "", kind, "BCDF-GHJK")
		if !bytes.Equal(ref, c.Hash("n", "u", kind, "BCDF-GHJK")) {
			t.Errorf("%s: it counts for whom", kind)
		}
		for name, other := range map[string][]byte{
			"namespace": c.Hash("m", "", kind, "BCDF-GHJK"), "kind": c.Hash("n", "", Phrase, "BCDF-GHJK"), "text": c.Hash("n", "", kind, "BCDF-GHJL"),
		} {
			if bytes.Equal(ref, other) {
				t.Errorf("%s: the %s does not count", kind, name)
			}
		}
	}
	if bytes.Equal(c.Hash("n", "", PollCode, "BCDF-GHJK"), c.Hash("n", "", UserCode, "BCDF-GHJK")) {
		t.Error("a user code is a device code")
	}
}

func TestKindOf_tells_what_was_typed(t *testing.T) {
	for text, want := range map[string]CodeKind{
		"BCDF-GHJK": UserCode, "bcdfghjk": UserCode, " bcdf ghjk ": UserCode, "BCDF–GHJK": UserCode, "BCDF.GHJK.": UserCode,
		"b-c-d-f-g-h-j-k": UserCode, "AEIOUAEI": UserCode, // no vowels in ours: it will not be found
		"123456": Short, "123 456": Short, "123-456": Short, "12345678": Long,
		"BCDF-GHJ1": Phrase, "acid bald cave duck": Phrase, "acid-bald-cave-duck": Phrase,
		"abcdefghijklmnopqrstuvwxyz012345": Long, "BCDFGHJ": Long, "": Long,
	} {
		if got := KindOf(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// The shortest phrase is longer than a user code, so that neither is taken for the
// other.
func TestKindOf_phrases_are_longer_than_user_codes(t *testing.T) {
	list, shortest := diceware.WordListEffLarge(), 100
	for n := range wordListSize {
		shortest = min(shortest, len(list.WordAt(dice(n))))
	}
	if got := phraseWords * shortest; got <= userCodeChars {
		t.Errorf("a phrase has %d letters at least, a user code %d", got, userCodeChars)
	}
}

func TestUserCodes_use_their_letters_evenly(t *testing.T) {
	c, n := testCodes(t), map[rune]int{}
	for range 1000 {
		for _, r := range c.Code(UserCode, uuid.NewString()).Reveal() {
			n[r]++
		}
	}
	if len(n) != len(userLetters)+1 || n['-'] != 1000 {
		t.Fatalf("got %d different characters, %d dashes; want %d letters and a dash in each", len(n), n['-'], len(userLetters))
	}
	for r, got := range n { // 8000 draws of 20: 400 expected, standard deviation 19.5
		if r != '-' && (got < 280 || got > 520) {
			t.Errorf("%c comes %d times, want about 400", r, got)
		}
	}
}

func TestCodes_depend_on_key_request_and_kind(t *testing.T) {
	c := testCodes(t)
	other, _ := NewCodes(bytes.Repeat([]byte{8}, 32))
	if c.Code(Long, "a") == c.Code(Long, "b") || c.Code(Long, "a") == other.Code(Long, "a") {
		t.Error("codes of different requests or keys agree")
	}
	if bytes.Equal(c.Hash("n", "u", Short, "123456"), c.Hash("n", "u2", Short, "123456")) ||
		bytes.Equal(c.Hash("n", "u", Short, "123456"), c.Hash("n", "u", Long, "123456")) ||
		bytes.Equal(c.Hash("n", "u", Short, "123456"), c.Hash("nu", "", Short, "123456")) {
		t.Error("hashes of different users, kinds or namespaces agree")
	}
}

func TestCodes_are_recognised_as_people_type_them(t *testing.T) {
	c := testCodes(t)
	for _, tc := range []struct {
		kind         CodeKind
		shown, typed string
	}{
		{Short, "123456", " 123 456\n"},
		{Short, "123456", "123-456"},
		{Phrase, "acid bald cave duck", "  ACID bald\tCave  duck "},
		{Phrase, "acid bald cave duck", "acidbaldcaveduck"},
		{Phrase, "acid yo-yo cave duck", "acid yo yo cave-duck"},
		{Long, "aB3_-x", "aB3_-x\n"},
		{UserCode, "BCDF-GHJK", "bcdfghjk"},
		{UserCode, "BCDF-GHJK", " b c d f – g h j k."},
		{UserCode, "BCDF-GHJK", "BCDF\u00a0GHJK\u200b"},
	} {
		if !bytes.Equal(c.Hash("n", "u", tc.kind, tc.shown), c.Hash("n", "u", tc.kind, tc.typed)) {
			t.Errorf("%s: %q is not recognised as %q", tc.kind, tc.typed, tc.shown)
		}
	}
	if bytes.Equal(c.Hash("n", "u", Long, "aB"), c.Hash("n", "u", Long, "ab")) {
		t.Error("the case of a long code does not count")
	}
}

func TestMatchNumber_of_a_short_code_is_the_code(t *testing.T) {
	c := testCodes(t)
	r := Request{ID: "r", CodeKind: Short}
	if c.MatchNumber(r) != c.Code(Short, "r") {
		t.Error("they differ")
	}
	r.CodeKind = Long
	if c.MatchNumber(r) == c.Code(Short, "r") {
		t.Error("a long code's number is the short code of the same id")
	}
}

func TestChoices_hold_the_number_among_three_in_order(t *testing.T) {
	c := testCodes(t)
	place := [3]int{}
	for range 600 {
		r := Request{ID: uuid.NewString(), CodeKind: Long}
		got := c.Choices(r)
		at := slices.Index(got, c.MatchNumber(r).Reveal())
		if len(got) != 3 || at < 0 || !slices.IsSorted(got) || got[0] == got[1] || got[1] == got[2] {
			t.Fatalf("got %v for %v", got, c.MatchNumber(r).Reveal())
		}
		if !slices.Equal(got, c.Choices(r)) {
			t.Fatal("a second look shows other numbers")
		}
		place[at]++
	}
	for i, n := range place { // 200 expected, standard deviation 11.5
		if n < 140 || n > 260 {
			t.Errorf("the number is in place %d %d times of 600", i, n)
		}
	}
}

func TestDice_covers_the_word_list(t *testing.T) {
	list := diceware.WordListEffLarge()
	seen := map[string]bool{}
	for n := range wordListSize {
		w := list.WordAt(dice(n))
		if w == "" {
			t.Fatalf("no word at %d (%d)", n, dice(n))
		}
		seen[w] = true
	}
	if len(seen) != wordListSize {
		t.Errorf("%d words, want %d", len(seen), wordListSize)
	}
}

func TestSecrets_never_print(t *testing.T) {
	s := account.NewSecret()
	text, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{s.String(), s.GoString(), s.LogValue().String(), string(text)} {
		if strings.Contains(got, s.Reveal()) {
			t.Errorf("got %q", got)
		}
	}
}

func TestRecord_differs_with_every_field_that_is_shown(t *testing.T) {
	base := inState(Pending)
	base.Context = Context{
		App: "a", Username: "u", DeviceName: "d", BindingMessage: "b", Address: "1", Place: "p", Country: "DE", UserAgent: "x", ExpectedSub: "e",
		Scopes: []account.ScopeText{{Scope: "s", Says: "w"}}, Details: []byte(`[{"type":"t"}]`),
	}
	ref := Record(base, "u1", Scanned, Approve)
	changed := map[string]func(*Request){
		"id":        func(r *Request) { r.ID += "x" },
		"face":      func(r *Request) { r.Face += "x" },
		"namespace": func(r *Request) { r.NamespaceID += "x" },
		"client":    func(r *Request) { r.ClientID += "x" },
		"audience":  func(r *Request) { r.Audience += "x" },
		"purpose":   func(r *Request) { r.Purpose += "x" },
		"app":       func(r *Request) { r.Context.App += "x" },
		"username":  func(r *Request) { r.Context.Username += "x" },
		"device":    func(r *Request) { r.Context.DeviceName += "x" },
		"message":   func(r *Request) { r.Context.BindingMessage += "x" },
		"address":   func(r *Request) { r.Context.Address += "x" },
		"place":     func(r *Request) { r.Context.Place += "x" },
		"country":   func(r *Request) { r.Context.Country += "x" },
		"agent":     func(r *Request) { r.Context.UserAgent += "x" },
		"expected":  func(r *Request) { r.Context.ExpectedSub += "x" },
		"scope":     func(r *Request) { r.Context.Scopes = []account.ScopeText{{Scope: "s2", Says: "w"}} },
		"words":     func(r *Request) { r.Context.Scopes = []account.ScopeText{{Scope: "s", Says: "w2"}} },
		"no scopes": func(r *Request) { r.Context.Scopes = nil },
		"details":   func(r *Request) { r.Context.Details = []byte(`[{"type":"u"}]`) },
		"expiry":    func(r *Request) { r.Expires = r.Expires.Add(1000) },
	}
	for name, change := range changed {
		r := base
		change(&r)
		if bytes.Equal(ref, Record(r, "u1", Scanned, Approve)) {
			t.Errorf("the record does not cover the %s", name)
		}
	}
	for name, other := range map[string][]byte{
		"user": Record(base, "u2", Scanned, Approve), "way": Record(base, "u1", Typed, Approve), "verdict": Record(base, "u1", Scanned, Decline),
	} {
		if bytes.Equal(ref, other) {
			t.Errorf("the record does not cover the %s", name)
		}
	}
	if !bytes.Equal(ref, Record(base, "u1", Scanned, Approve)) {
		t.Error("the record is not canonical")
	}
}

func TestCleanText_refuses_what_deceives_and_keeps_the_rest(t *testing.T) {
	for _, bad := range []string{"a\u202eb", "a\u2066b", "a\x00b", "a\nb", "a\u200bb", "\xff", "a\ufeffb", "a\U000e0041b", strings.Repeat("x", 65), "x" + strings.Repeat("\u0301", 4000)} {
		if _, err := CleanText("device_name", bad, MaxDeviceName); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	for _, good := range []string{"", "Living-room TV", "Fernseher im Wohnzimmer", "客厅电视", "👩‍👩‍👧 TV", "شاشة", "नमस्ते"} {
		if got, err := CleanText("device_name", good, MaxDeviceName); err != nil || got != good {
			t.Errorf("%q: got %q, %v", good, got, err)
		}
	}
	if got, _ := CleanText("x", "e\u0301", 5); got != "\u00e9" {
		t.Errorf("not normalised: %q", got)
	}
}

func TestCleanText_result_is_stable_and_safe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.String().Draw(t, "in")
		out, err := CleanText("f", in, MaxBindingMessage)
		if err != nil {
			return
		}
		for _, r := range out {
			if deceptive(r) {
				t.Fatalf("%q holds %U", out, r)
			}
		}
		if twice, err := CleanText("f", out, MaxBindingMessage); err != nil || twice != out {
			t.Fatalf("%q became %q, %v", out, twice, err)
		}
	})
}
