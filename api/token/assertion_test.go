package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestVerifyAssertion_claims(t *testing.T) {
	b, _ := newBench(t)
	claims := `{"iss":"tv","sub":"zoë","aud":["https://nod.example","x"],"jti":"j 1","iat":1782907200,"nbf":1.7829072e9,"exp":1782907800,"scope":"openid"}`
	want := Assertion{
		Issuer: "tv", Subject: "zoë", Audience: []string{"https://nod.example", "x"}, JTI: "j 1",
		IssuedAt: epoch, NotBefore: epoch, Expires: epoch.Add(10 * time.Minute), JSON: []byte(claims),
	}
	got, err := VerifyAssertion(b.sign(b.header(""), claims), &b.private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err = VerifyAssertion(b.sign(`{"alg":"ES256"}`, `{"iss":"tv","sub":null,"exp":null}`), &b.private.PublicKey)
	if diff := cmp.Diff(Assertion{Issuer: "tv", JSON: []byte(`{"iss":"tv","sub":null,"exp":null}`)}, got); diff != "" || err != nil {
		t.Errorf("only iss: %v (-want +got):\n%s", err, diff)
	}
}

// Rotation: any of the client's keys counts, and those of other curves do no harm.
func TestVerifyAssertion_keys(t *testing.T) {
	b, _ := newBench(t)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		keys []*ecdsa.PublicKey
		want error
	}{
		"its own among others":    {[]*ecdsa.PublicKey{nil, &p384.PublicKey, &other.PublicKey, &b.private.PublicKey}, nil},
		"another":                 {[]*ecdsa.PublicKey{&other.PublicKey}, ErrSignature},
		"one of another curve":    {[]*ecdsa.PublicKey{&p384.PublicKey}, ErrSignature},
		"one that is not there":   {[]*ecdsa.PublicKey{nil}, ErrSignature},
		"one of no curve":         {[]*ecdsa.PublicKey{{}}, ErrSignature},
		"none: nobody's to trust": {nil, ErrSignature},
	} {
		if a, err := VerifyAssertion(b.good(), test.keys...); !errors.Is(err, test.want) || (err != nil && a.JSON != nil) {
			t.Errorf("%s: got %+v, %v; want %v", name, a, err, test.want)
		}
	}
}

func TestVerifyAssertion_types(t *testing.T) {
	b, _ := newBench(t)
	for typ, want := range map[string]error{
		`"JWT"`: nil, `"jwt"`: nil, `null`: nil, `"client-authentication+jwt"`: nil, `"oauth-authz-req+JWT"`: nil,
		`"at+jwt"`: ErrMalformed, `"dpop+jwt"`: ErrMalformed, `"secevent+jwt"`: ErrMalformed, `"JWT "`: ErrMalformed,
		`"application/json"`: ErrMalformed, `1`: ErrMalformed, `["JWT"]`: ErrMalformed,
	} {
		compact := b.sign(strings.Replace(b.header(""), `"JWT"`, typ, 1), goodClaims)
		a, err := VerifyAssertion(compact, &b.private.PublicKey)
		if !errors.Is(err, want) {
			t.Errorf("typ %s: got %v, want %v", typ, err, want)
		}
		if says := strings.Contains(typ, "+"); want == nil && says != (a.Type != "") {
			t.Errorf("typ %s: read as %q", typ, a.Type)
		}
	}
}

// hostileAssertions are signed by the right key.
func (b *bench) hostileAssertions() []hostile {
	var list []hostile
	for _, old := range []string{`"iss":"https://nod.example"`, `"sub":"client-1"`, `"jti":"j-1"`} {
		claim, _, _ := strings.Cut(old, ":")
		for about, value := range map[string]string{
			"empty": `""`, "a number": `1`, "a list": `["a"]`, "an object": `{}`, "false": `false`, "with a NUL": `"a\u0000b"`,
			"with a line end": `"a\nb"`, "with an escape": `"\u001b[2J"`, "with a C1 control": `"\u0085"`,
			"of 256 bytes": `"` + strings.Repeat("x", 256) + `"`, "twice": `"a",` + claim + `:"a"`,
		} {
			claims := strings.Replace(goodClaims, old, claim+":"+value, 1)
			list = append(list, hostile{claim + " " + about, b.sign(b.header(""), claims), ErrMalformed})
		}
	}
	claims := func(old, new string) string {
		return b.sign(b.header(""), strings.Replace(goodClaims, old, new, 1))
	}
	return append(list, []hostile{
		{"no iss", claims(`"iss":"https://nod.example",`, ""), ErrMalformed},
		{"iss null", claims(`"iss":"https://nod.example"`, `"iss":null`), ErrMalformed},
		{"aud a number", claims(`"aud":"client-1"`, `"aud":5`), ErrMalformed},
		{"aud an object", claims(`"aud":"client-1"`, `"aud":{"a":"client-1"}`), ErrMalformed},
		{"aud lists in a list", claims(`"aud":"client-1"`, `"aud":[["client-1"]]`), ErrMalformed},
		{"aud twice", claims(`"aud":"client-1"`, `"aud":"client-1","aud":"client-1"`), ErrMalformed},
		{"no claims", b.sign(b.header(""), `{}`), ErrMalformed},
	}...)
}

func TestVerifyAssertion_hostileTokens(t *testing.T) {
	b, _ := newBench(t)
	if _, err := VerifyAssertion(b.good(), &b.private.PublicKey); err != nil {
		t.Fatalf("the token all others are made from: %v", err)
	}
	for _, h := range slices.Concat(b.hostile(), b.hostileTimes(), b.hostileAssertions()) {
		a, err := VerifyAssertion(h.token, &b.private.PublicKey)
		if !errors.Is(err, h.want) || a.JSON != nil {
			t.Errorf("%s: got %+v, %v; want %v", h.name, a, err, h.want)
		}
	}
}

// Whoever asks for the issuer gets one exactly where only the signature is left to
// look at.
func TestAssertionIssuer_hostileTokens(t *testing.T) {
	b, _ := newBench(t)
	for _, h := range slices.Concat(b.hostile(), b.hostileTimes(), b.hostileAssertions()) {
		iss, err := AssertionIssuer(h.token)
		if errors.Is(h.want, ErrSignature) && (iss != "https://nod.example" || err != nil) {
			t.Errorf("%s: got %q, %v; want the issuer", h.name, iss, err)
		}
		if errors.Is(h.want, ErrMalformed) && (iss != "" || !errors.Is(err, ErrMalformed)) {
			t.Errorf("%s: got %q, %v; want ErrMalformed", h.name, iss, err)
		}
	}
}

func FuzzVerifyAssertion(f *testing.F) {
	b, _ := newBench(f)
	for _, h := range slices.Concat(b.hostile()[:20], b.hostileAssertions()[:20]) {
		f.Add(h.token)
	}
	f.Add(b.good())
	f.Fuzz(func(t *testing.T, token string) {
		iss, unread := AssertionIssuer(token)
		a, err := VerifyAssertion(token, &b.private.PublicKey)
		if err == nil {
			b.checkAssertion(t, token, a)
		} else if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrSignature) {
			t.Errorf("got %v, want ErrMalformed or ErrSignature", err)
		}
		if errors.Is(err, ErrMalformed) != (unread != nil) || err == nil && iss != a.Issuer {
			t.Errorf("issuer %q, %v; assertion of %q, %v", iss, unread, a.Issuer, err)
		}
	})
}

// FuzzAssertionClaims signs what it is given, so that it gets past the signature.
func FuzzAssertionClaims(f *testing.F) {
	b, _ := newBench(f)
	f.Add(b.header(""), goodClaims)
	f.Add(`{"alg":"ES256"}`, `{"iss":"\ud83d\ude00","aud":[null],"exp":1e3}`)
	f.Fuzz(func(t *testing.T, header, claims string) {
		token := b.sign(header, claims)
		a, err := VerifyAssertion(token, &b.private.PublicKey)
		if err == nil {
			b.checkAssertion(t, token, a)
		} else if !errors.Is(err, ErrMalformed) {
			t.Errorf("got %v, want ErrMalformed", err)
		}
	})
}

func (b *bench) checkAssertion(t *testing.T, token string, a Assertion) {
	t.Helper()
	for _, name := range []string{a.Issuer, a.Subject, a.JTI} {
		if len(name) > maxNameBytes || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("accepted the name %q", name)
		}
	}
	for _, at := range []time.Time{a.IssuedAt, a.NotBefore, a.Expires} {
		if !at.IsZero() && (at.Unix() < 0 || at.Unix() > maxSeconds) {
			t.Errorf("accepted the time %s", at)
		}
	}
	if a.Issuer == "" || len(token) > maxTokenBytes {
		t.Errorf("accepted %d bytes: %+v", len(token), a)
	}
	again, err := VerifyAssertion(b.sign(`{"alg":"ES256"}`, string(a.JSON)), &b.private.PublicKey)
	a.Type = ""
	if diff := cmp.Diff(a, again); err != nil || diff != "" {
		t.Errorf("signed again: %v (-want +got):\n%s", err, diff)
	}
}
