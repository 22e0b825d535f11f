package token

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestVerify_loginRoundTrips(t *testing.T) {
	c := newClock()
	r := openRing(t, &memStore{}, c)
	kid := currentKID(t, r, c.Now())
	claims, err := r.Verify(t.Context(), sign(t, r, kid, exampleLogin()), expectLogin())
	if err != nil {
		t.Fatal(err)
	}
	var got Login
	if err := claims.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(exampleLogin(), got); diff != "" || claims.KID != kid {
		t.Errorf("kid %s, want %s; claims (-want +got):\n%s", claims.KID, kid, diff)
	}
}

func TestVerify_expectations(t *testing.T) {
	b, r := newBench(t)
	claims := func(old, new string) string {
		if !strings.Contains(goodClaims, old) {
			t.Fatalf("no %s in the claims", old)
		}
		return b.sign(b.header(""), strings.Replace(goodClaims, old, new, 1))
	}
	typ := func(new string) string {
		return b.sign(strings.Replace(b.header(""), `"typ":"JWT",`, new, 1), goodClaims)
	}
	const iss, aud, exp, iat = `"iss":"https://nod.example",`, `"aud":"client-1",`, `"exp":1782907800,`, `"iat":1782907200,`
	for _, test := range []struct {
		name, token string
		want        error
	}{
		{"as it should be", b.good(), nil},
		{"typ in lower case", typ(`"typ":"jwt",`), nil},
		{"typ of an access token", typ(`"typ":"at+jwt",`), ErrPurpose},
		{"typ missing", typ(``), ErrPurpose},
		{"typ null", typ(`"typ":null,`), ErrPurpose},
		{"typ a number", typ(`"typ":1,`), ErrMalformed},
		{"iss missing", claims(iss, ""), ErrMalformed},
		{"iss of another", claims(iss, `"iss":"https://nod.example.evil",`), ErrPurpose},
		{"iss with a slash more", claims(iss, `"iss":"https://nod.example/",`), ErrPurpose},
		{"iss an array", claims(iss, `"iss":["https://nod.example"],`), ErrMalformed},
		{"aud missing", claims(aud, ""), ErrMalformed},
		{"aud null", claims(aud, `"aud":null,`), ErrMalformed},
		{"aud of another", claims(aud, `"aud":"client-2",`), ErrPurpose},
		{"aud empty", claims(aud, `"aud":"",`), ErrPurpose},
		{"aud a list with it", claims(aud, `"aud":["x","client-1"],`), nil},
		{"aud a list without it", claims(aud, `"aud":["x","client-2"],`), ErrPurpose},
		{"aud an empty list", claims(aud, `"aud":[],`), ErrPurpose},
		{"aud a number", claims(aud, `"aud":1,`), ErrMalformed},
		{"exp missing", claims(exp, ""), ErrMalformed},
		{"exp text", claims(exp, `"exp":"1782907800",`), ErrMalformed},
		{"exp now", claims(exp, `"exp":1782907200,`), ErrStale},
		{"exp in a second", claims(exp, `"exp":1782907201,`), nil},
		{"exp past", claims(exp, `"exp":1,`), ErrStale},
		{"iat missing", claims(iat, ""), nil},
		{"iat in the future", claims(iat, `"iat":1782907201,`), ErrStale},
		{"nbf now", claims(iat, `"nbf":1782907200,`), nil},
		{"nbf in the future", claims(iat, `"nbf":1782907201,`), ErrStale},
		{"kid missing", b.sign(`{"alg":"ES256","typ":"JWT"}`, goodClaims), ErrMalformed},
		{"kid empty", b.sign(`{"alg":"ES256","typ":"JWT","kid":""}`, goodClaims), ErrMalformed},
		{"kid unknown", b.sign(`{"alg":"ES256","typ":"JWT","kid":"../../etc/passwd"}`, goodClaims), ErrSignature},
		{"wrong and badly signed", claims(exp, `"exp":1,`) + "AAAA", ErrSignature},
	} {
		if _, err := r.Verify(t.Context(), test.token, expectLogin()); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}

func TestVerify_leewayAndNow(t *testing.T) {
	b, r := newBench(t)
	expires := time.Unix(1782907800, 0)
	for _, test := range []struct {
		now    time.Time
		leeway time.Duration
		want   error
	}{
		{expires.Add(-time.Nanosecond), 0, nil},
		{expires, 0, ErrStale},
		{expires, time.Second, nil},
		{expires.Add(time.Second), time.Second, ErrStale},
		{epoch.Add(-time.Second), 0, ErrStale},
		{epoch.Add(-time.Second), time.Second, nil},
	} {
		expect := expectLogin()
		expect.Now, expect.Leeway = test.now, test.leeway
		if _, err := r.Verify(t.Context(), b.good(), expect); !errors.Is(err, test.want) {
			t.Errorf("at %s with leeway %s: got %v, want %v", test.now, test.leeway, err, test.want)
		}
	}
}

func TestVerify_nothingExpected(t *testing.T) {
	b, r := newBench(t)
	for _, expect := range []Expect{
		{}, {Audience: "client-1", Typ: "JWT"}, {Issuer: "https://nod.example", Typ: "JWT"},
		{Issuer: "https://nod.example", Audience: "client-1"},
	} {
		if _, err := r.Verify(t.Context(), b.good(), expect); err == nil {
			t.Errorf("%+v: verified, want an error", expect)
		}
	}
}

func TestVerify_anyAudience(t *testing.T) {
	b, r := newBench(t)
	expect := expectLogin()
	expect.Audience, expect.AnyAud = "", true
	const aud = `"aud":"client-1"`
	for value, want := range map[string]error{
		aud: nil, `"aud":"client-2"`: nil, `"aud":["x","y"]`: nil, `"aud":[]`: nil,
		`"aud":null`: ErrMalformed, `"aud":1`: ErrMalformed, `"aud":{}`: ErrMalformed, `"x":1`: ErrMalformed,
	} {
		compact := b.sign(b.header(""), strings.Replace(goodClaims, aud, value, 1))
		if _, err := r.Verify(t.Context(), compact, expect); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", value, err, want)
		}
	}
}

func TestVerify_keyOfAnotherRing(t *testing.T) {
	b, _ := newBench(t)
	_, stranger := newBench(t)
	if _, err := stranger.Verify(t.Context(), b.good(), expectLogin()); !errors.Is(err, ErrSignature) {
		t.Errorf("got %v, want ErrSignature", err)
	}
}

// An outage is not a verdict on the token.
func TestVerify_unknownKIDWhileStoreFails(t *testing.T) {
	b, _ := newBench(t)
	store := &memStore{}
	r := openRing(t, store, newClock())
	down := errors.New("connection refused")
	store.change(func(s *memStore) { s.fail = down })
	for range 2 {
		if _, err := r.Verify(t.Context(), b.good(), expectLogin()); !errors.Is(err, down) || errors.Is(err, ErrSignature) {
			t.Errorf("got %v, want the store's error", err)
		}
	}
}

func TestVerify_unknownKIDWaitsNoLongerThanItsCaller(t *testing.T) {
	b, _ := newBench(t)
	store := &memStore{}
	r := openRing(t, store, newClock())
	r.reading <- struct{}{} // somebody reads, and the store is frozen
	defer r.unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Verify(ctx, b.good(), expectLogin()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	// What is known goes on meanwhile.
	sign(t, r, currentKID(t, r, epoch.Add(time.Hour)), exampleLogin())
}
