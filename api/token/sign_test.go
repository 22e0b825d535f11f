package token

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestSign_sameClaimsSameToken(t *testing.T) {
	store, c := &memStore{}, newClock()
	a := openRing(t, store, c)
	kid := currentKID(t, a, c.Now())
	want := sign(t, a, kid, exampleLogin())
	c.advance(59 * time.Second)
	for name, r := range map[string]*Ring{"same node": a, "another node": openRing(t, store, c)} {
		if got := sign(t, r, kid, exampleLogin()); got != want {
			t.Errorf("%s redelivers\n got %s\nwant %s", name, got, want)
		}
	}
	other := exampleLogin()
	other.ID = "another"
	if sign(t, a, kid, other) == want {
		t.Error("other claims gave the same token")
	}
}

func TestSign_headerAndClaimsOnTheWire(t *testing.T) {
	c := newClock()
	r := openRing(t, &memStore{}, c)
	kid := currentKID(t, r, c.Now())
	parts := strings.Split(sign(t, r, kid, exampleLogin()), ".")
	if strings.ContainsAny(parts[0]+parts[1], "-_=") {
		t.Errorf("header and claims need the URL alphabet: %s.%s", parts[0], parts[1])
	}
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	if want := `{"alg":"ES256","kid":"` + kid + `","typ":"JWT"}`; string(header) != want {
		t.Errorf("header: got %s, want %s", header, want)
	}
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	want := `{"iss":"https://nod.example","sub":"5a1c0f6e-6a0e-4c6e-9a3b-0a4f6f3f7f10",` +
		`"sid":"0b8c7a52-3b5a-4b0e-8a86-1f2a0c9f3d11","nid":"00112233aabbccdd","aud":"client-1","action":"login",` +
		`"iat":1782907200,"exp":1782907800,"jti":"9f3d2a10-1111-4222-8333-444455556666",` +
		`"udata":"zo\u00eb\u007e\u003f\u003e\ud83d\ude00@example.org",` +
		`"amr":["hwk","user"],"acr":"phr","auth_time":1782907200}`
	if string(claims) != want {
		t.Errorf("claims:\n got %s\nwant %s", claims, want)
	}
}

func TestSign_kidOfAnotherNode(t *testing.T) {
	store, c := &memStore{}, newClock()
	a, b := openRing(t, store, c), openRing(t, store, c)
	// A stranger's made-up kid has used up the look that is open to all.
	if _, err := a.PEM(t.Context(), "made-up"); !errors.Is(err, ErrUnknownKey) {
		t.Fatalf("made-up kid: got %v, want ErrUnknownKey", err)
	}
	kid := addKey(t, b, epoch.Add(time.Minute))
	if got, want := sign(t, a, kid, exampleLogin()), sign(t, b, kid, exampleLogin()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSign_unknownKIDReadsTheStoreOnceASecond(t *testing.T) {
	store, c := &memStore{}, newClock()
	r := openRing(t, store, c)
	before := store.readCount()
	for range 100 {
		if _, err := r.Sign(t.Context(), "made-up", "JWT", exampleLogin()); !errors.Is(err, ErrUnknownKey) {
			t.Fatalf("got %v, want ErrUnknownKey", err)
		}
	}
	if got := store.readCount() - before; got != 1 {
		t.Errorf("100 unknown kids in one instant: got %d reads, want 1", got)
	}
	c.advance(time.Second)
	_, _ = r.Sign(t.Context(), "made-up", "JWT", exampleLogin())
	if got := store.readCount() - before; got != 2 {
		t.Errorf("a second later: got %d reads, want 2", got)
	}
	c.advance(-time.Hour)
	_, _ = r.Sign(t.Context(), "made-up", "JWT", exampleLogin())
	if got := store.readCount() - before; got != 3 {
		t.Errorf("after the clock stepped back: got %d reads, want 3", got)
	}
}

// An outage never looks like a verdict about the kid.
func TestSign_unknownKIDWhileStoreFails(t *testing.T) {
	store, c := &memStore{}, newClock()
	r := openRing(t, store, c)
	down := errors.New("connection refused")
	store.change(func(s *memStore) { s.fail = down })
	for range 2 {
		_, err := r.Sign(t.Context(), "other", "JWT", exampleLogin())
		if !errors.Is(err, down) || errors.Is(err, ErrUnknownKey) {
			t.Errorf("got %v, want the store's error", err)
		}
	}
}

func TestSign_privateHalfGone(t *testing.T) {
	store, c := &memStore{}, newClock()
	r := openRing(t, store, c)
	old := currentKID(t, r, c.Now())
	token := sign(t, r, old, exampleLogin())
	addKey(t, r, epoch)
	store.change(func(s *memStore) { s.rows[0].Sealed = nil })
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Sign(t.Context(), old, "JWT", exampleLogin()); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("sign: got %v, want ErrUnknownKey", err)
	}
	if _, err := r.Verify(t.Context(), token, expectLogin()); err != nil {
		t.Errorf("verify: got %v, want the public half to live on", err)
	}
}

func TestSign_unmarshalableClaims(t *testing.T) {
	c := newClock()
	r := openRing(t, &memStore{}, c)
	if got, err := r.Sign(t.Context(), currentKID(t, r, c.Now()), "JWT", make(chan int)); err == nil {
		t.Errorf("got %s, want an error", got)
	}
}

// A read that was begun for one caller serves all, and outlives the caller.
func TestSign_callerLeavesDuringTheRead(t *testing.T) {
	store, c := &memStore{}, newClock()
	a, b := openRing(t, store, c), openRing(t, store, c)
	kid := addKey(t, b, epoch)
	ctx, leave := context.WithCancel(t.Context())
	store.change(func(s *memStore) { s.inRead = leave })
	if _, err := a.Sign(ctx, kid, "JWT", exampleLogin()); err != nil {
		t.Errorf("got %v, want the read to end", err)
	}
	if ctx.Err() == nil {
		t.Error("the store was not read")
	}
}

func BenchmarkSign(b *testing.B) {
	c := newClock()
	r := openRing(b, &memStore{}, c)
	kid, login := currentKID(b, r, c.Now()), exampleLogin()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Sign(b.Context(), kid, "JWT", login); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	c := newClock()
	r := openRing(b, &memStore{}, c)
	token := sign(b, r, currentKID(b, r, c.Now()), exampleLogin())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Verify(b.Context(), token, expectLogin()); err != nil {
			b.Fatal(err)
		}
	}
}
