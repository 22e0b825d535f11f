package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func exampleService() Service {
	return Service{
		ClientID: "ZXhhbXBsZQ-_==", Type: "codes.generate", Nonce: "abcdefghABCDEF09", IssuedAt: epoch,
		Username: "zoë~?>😀", Udata: "u", UserID: "5a1c0f6e-6a0e-4c6e-9a3b-0a4f6f3f7f10", PayloadHash: "47DEQpj8",
	}
}

func newServiceKey(t testing.TB) (PrivateKey, *ecdsa.PublicKey) {
	t.Helper()
	text, der, err := NewServiceKey()
	if err != nil {
		t.Fatal(err)
	}
	private, err := ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParsePublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	if !private.Public().Equal(public) {
		t.Fatal("the halves of a new key do not belong together")
	}
	return private, public
}

func signService(t testing.TB, private PrivateKey, s Service) string {
	t.Helper()
	token, err := SignService(private, s)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestVerifyService_roundTrips(t *testing.T) {
	private, public := newServiceKey(t)
	_, old := newServiceKey(t)
	got, err := VerifyService(signService(t, private, exampleService()), func(id string) ([]*ecdsa.PublicKey, error) {
		if id != exampleService().ClientID {
			t.Errorf("asked for the keys of %q, want %q", id, exampleService().ClientID)
		}
		return []*ecdsa.PublicKey{old, public}, nil // rotation: either counts
	}, "the hint does not count")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(exampleService(), got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestVerifyService_clientFromTheHint(t *testing.T) {
	private, public := newServiceKey(t)
	s := exampleService()
	s.ClientID = ""
	token := signService(t, private, s)
	keys := func(string) ([]*ecdsa.PublicKey, error) { return []*ecdsa.PublicKey{public}, nil }
	got, err := VerifyService(token, keys, "client-of-the-body")
	if err != nil || got.ClientID != "client-of-the-body" {
		t.Errorf("got client %q, %v; want the hint", got.ClientID, err)
	}
	for _, hint := range []string{"", "a b", "nul\x00", strings.Repeat("x", 256)} {
		if _, err := VerifyService(token, keys, hint); !errors.Is(err, ErrMalformed) {
			t.Errorf("hint %.20q: got %v, want ErrMalformed", hint, err)
		}
	}
}

func TestVerifyService_keysThatDoNotCount(t *testing.T) {
	private, _ := newServiceKey(t)
	_, other := newServiceKey(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	token := signService(t, private, exampleService())
	for name, keys := range map[string][]*ecdsa.PublicKey{
		"unknown client": nil, "another client's": {other}, "another curve": {&p384.PublicKey}, "nil": {nil},
	} {
		_, err := VerifyService(token, func(string) ([]*ecdsa.PublicKey, error) { return keys, nil }, "")
		if !errors.Is(err, ErrSignature) {
			t.Errorf("%s: got %v, want ErrSignature", name, err)
		}
	}
}

func TestVerifyService_lookupFails(t *testing.T) {
	private, _ := newServiceKey(t)
	down := errors.New("database is locked")
	_, err := VerifyService(signService(t, private, exampleService()),
		func(string) ([]*ecdsa.PublicKey, error) { return nil, down }, "")
	if !errors.Is(err, down) || errors.Is(err, ErrSignature) {
		t.Errorf("got %v, want the lookup's error", err)
	}
}

func TestParseService_headerAndClaims(t *testing.T) {
	b, _ := newBench(t)
	const header = `{"alg":"ES256","typ":"JWT"}`
	claims := func(old, new string) string {
		if !strings.Contains(goodClaims, old) {
			t.Fatalf("no %s in the claims", old)
		}
		return b.sign(header, strings.Replace(goodClaims, old, new, 1))
	}
	const scope, nonce, iat = `"type":"codes.generate"`, `"nonce":"abcdefghABCDEFGH"`, `"iat":1782907200`
	const client, username = `"client_id":"client-1"`, `"username":"zoe"`
	for _, test := range []struct {
		name, token string
		want        error
	}{
		{"node SDK's header", b.good(), nil},
		{"Go SDK's header", b.sign(`{"alg":"ES256","kid":"","typ":"JWT"}`, goodClaims), nil},
		{"kid null", b.sign(`{"alg":"ES256","kid":null,"typ":"JWT"}`, goodClaims), nil},
		{"typ missing", b.sign(`{"alg":"ES256"}`, goodClaims), nil},
		{"typ in lower case", b.sign(`{"alg":"ES256","typ":"jwt"}`, goodClaims), nil},
		{"typ of a DPoP proof", b.sign(`{"alg":"ES256","typ":"dpop+jwt"}`, goodClaims), ErrMalformed},
		{"typ empty", b.sign(`{"alg":"ES256","typ":""}`, goodClaims), ErrMalformed},
		{"unknown header member", b.sign(`{"alg":"ES256","typ":"JWT","x":{"y":[1]}}`, goodClaims), nil},
		{"unknown claim", claims(scope, scope+`,"x":{"y":[1]}`), nil},
		{"scope instead of type", claims(`"type"`, `"scope"`), nil},
		{"scope and type agree", claims(scope, scope+`,"scope":"codes.generate"`), nil},
		{"scope and type differ", claims(scope, scope+`,"scope":"users.create"`), ErrMalformed},
		{"scope null beside type", claims(scope, scope+`,"scope":null`), nil},
		{"neither scope nor type", claims(scope, `"x":1`), ErrMalformed},
		{"type empty", claims(scope, `"type":""`), ErrMalformed},
		{"two scopes", claims(scope, `"type":"codes.generate users.create"`), ErrMalformed},
		{"list of one scope", claims(scope, `"type":["codes.generate"]`), ErrMalformed},
		{"scope with an underscore", claims(scope, `"type":"credentials.force_add"`), nil},
		{"nonce missing", claims(nonce, `"x":1`), ErrMalformed},
		{"nonce of 15", claims(nonce, `"nonce":"abcdefghABCDEFG"`), ErrMalformed},
		{"nonce of 17", claims(nonce, `"nonce":"abcdefghABCDEFGHI"`), ErrMalformed},
		{"nonce with a hyphen", claims(nonce, `"nonce":"abcdefgh-BCDEFGH"`), ErrMalformed},
		{"nonce with a newline after", claims(nonce, `"nonce":"abcdefghABCDEFGH\n"`), ErrMalformed},
		{"nonce not ASCII", claims(nonce, `"nonce":"abcdefghABCDEFGé"`), ErrMalformed},
		{"nonce a number", claims(nonce, `"nonce":1234567890123456`), ErrMalformed},
		{"iat missing", claims(iat, `"x":1`), ErrMalformed},
		{"iat null", claims(iat, `"iat":null`), ErrMalformed},
		{"iat as a float", claims(iat, `"iat":1782907200.0`), nil},
		{"iat with an exponent", claims(iat, `"iat":1.7829072e9`), nil},
		{"iat with a fraction", claims(iat, `"iat":1782907200.5`), ErrMalformed},
		{"iat in milliseconds", claims(iat, `"iat":1782907200000`), ErrMalformed},
		{"iat true", claims(iat, `"iat":true`), ErrMalformed},
		{"client_id missing", claims(client, `"x":1`), nil},
		{"client_id null", claims(client, `"client_id":null`), nil},
		{"client_id twice", claims(client, client+`,"client_id":"client-2"`), ErrMalformed},
		{"client_id twice, once escaped", claims(client, client+`,"client\u005fid":"client-2"`), ErrMalformed},
		{"client_id twice, alike", claims(client, client+`,`+client), ErrMalformed},
		{"client_id in another case beside it", claims(client, client+`,"Client_ID":"client-2"`), nil},
		{"client_id a number", claims(client, `"client_id":1`), ErrMalformed},
		{"client_id with a NUL", claims(client, `"client_id":"a\u0000"`), ErrMalformed},
		{"client_id too long", claims(client, `"client_id":"`+strings.Repeat("x", 256)+`"`), ErrMalformed},
		{"username null", claims(username, `"username":null`), nil},
		{"username a number", claims(username, `"username":5`), ErrMalformed},
		{"username twice", claims(username, username+`,"username":"eve"`), ErrMalformed},
		{"udata an object", claims(username, `"udata":{}`), ErrMalformed},
		{"as long as allowed", b.ofLength(t, 4096), nil},
		{"a little longer", b.ofLength(t, 4098), ErrMalformed},
	} {
		u, err := ParseService(test.token)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
			continue
		}
		if test.want != nil {
			continue
		}
		s, err := u.Verify(&b.private.PublicKey)
		if err != nil || s.Type == "" || !s.IssuedAt.Equal(epoch) || (s.ClientID != "client-1" && s.ClientID != "") {
			t.Errorf("%s: got %+v, %v", test.name, s, err)
		}
	}
}

// ofLength pads the claims until the token has exactly n bytes.
func (b *bench) ofLength(t *testing.T, n int) string {
	t.Helper()
	for pad := range n {
		token := b.sign(b.header(""), goodClaims[:len(goodClaims)-1]+`,"x":"`+strings.Repeat("x", pad)+`"}`)
		if len(token) == n {
			return token
		}
		if len(token) > n {
			break
		}
	}
	t.Fatalf("no token of %d bytes", n)
	return ""
}

func TestFresh_window(t *testing.T) {
	const window = 300 * time.Second
	s := exampleService()
	for _, test := range []struct {
		after time.Duration
		want  error
	}{
		{0, nil}, {window, nil}, {window + 999*time.Millisecond, nil}, {window + time.Second, ErrStale},
		{-window, nil}, {-window - time.Millisecond, ErrStale}, {24 * time.Hour, ErrStale}, {-24 * time.Hour, ErrStale},
	} {
		if err := Fresh(s, epoch.Add(test.after), window); !errors.Is(err, test.want) {
			t.Errorf("%s after iat: got %v, want %v", test.after, err, test.want)
		}
	}
}

// A nonce forgotten before its token is stale could be used again.
func TestStaleFrom_isWhenFreshRefuses(t *testing.T) {
	s := exampleService()
	for _, window := range []time.Duration{0, time.Second, 1500 * time.Millisecond, 300 * time.Second} {
		at := s.StaleFrom(window)
		if err := Fresh(s, at.Add(-time.Nanosecond), window); err != nil {
			t.Errorf("window %s, just before: got %v, want fresh", window, err)
		}
		if err := Fresh(s, at, window); !errors.Is(err, ErrStale) {
			t.Errorf("window %s, at that instant: got %v, want ErrStale", window, err)
		}
	}
}

func TestSignService_fillsWhatIsEmpty(t *testing.T) {
	private, public := newServiceKey(t)
	before := time.Now().Truncate(time.Second)
	seen := map[string]bool{}
	for range 100 {
		u, err := ParseService(signService(t, private, Service{ClientID: "c", Type: "codes.generate"}))
		if err != nil {
			t.Fatal(err)
		}
		s, err := u.Verify(public)
		if err != nil {
			t.Fatal(err)
		}
		if s.IssuedAt.Before(before) || s.IssuedAt.After(time.Now()) {
			t.Errorf("issued at %s, want now", s.IssuedAt)
		}
		seen[s.Nonce] = true
	}
	if len(seen) != 100 {
		t.Errorf("100 tokens have %d nonces", len(seen))
	}
}

func TestSignService_noKey(t *testing.T) {
	if got, err := SignService(PrivateKey{}, exampleService()); err == nil {
		t.Errorf("got %s, want an error", got)
	}
}

func TestParseKeys_formsAndRefusals(t *testing.T) {
	private, der, err := NewServiceKey()
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384Public, _ := x509.MarshalPKIXPublicKey(&p384.PublicKey)
	p384Private, _ := x509.MarshalPKCS8PrivateKey(p384)
	crlf := []byte(strings.ReplaceAll("\n"+string(public)+"\n", "\n", "\r\n"))
	for name, data := range map[string][]byte{"DER": der, "PEM": public, "PEM with CRLF and space around": crlf} {
		if k, err := ParsePublicKey(data); err != nil || k == nil {
			t.Errorf("public %s: got %v", name, err)
		}
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "the private half": private, "another curve": p384Public,
		"two blocks": append(append([]byte{}, public...), public...), "cut short": public[:len(public)-30],
		"trailing bytes": append(append([]byte{}, der...), 0),
	} {
		if _, err := ParsePublicKey(data); !errors.Is(err, ErrBadKey) {
			t.Errorf("public %s: got %v, want ErrBadKey", name, err)
		}
	}
	for name, data := range map[string][]byte{"nothing": nil, "the public half": public, "DER of it": der, "another curve": p384Private} {
		if _, err := ParsePrivateKey(data); !errors.Is(err, ErrBadKey) {
			t.Errorf("private %s: got %v, want ErrBadKey", name, err)
		}
	}
}

func FuzzParseService(f *testing.F) {
	b, _ := newBench(f)
	for _, h := range b.hostile() {
		f.Add(h.token)
	}
	f.Add(b.good())
	f.Fuzz(func(t *testing.T, token string) {
		u, err := ParseService(token)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v, want ErrMalformed", err)
			}
			return
		}
		s, err := u.Verify(&b.private.PublicKey)
		if err != nil {
			return
		}
		if len(token) > maxServiceBytes || len(s.Nonce) != nonceLength || s.Type == "" || s.check() != nil {
			t.Errorf("accepted %+v", s)
		}
		again, err := ParseService(signService(t, PrivateKey{key: b.private}, s))
		if err != nil || cmp.Diff(again.claims, s) != "" {
			t.Errorf("signed again: got %+v, %v; want %+v", again.claims, err, s)
		}
	})
}

// FuzzServiceClaims signs what it is given, so that it gets past the signature.
func FuzzServiceClaims(f *testing.F) {
	b, _ := newBench(f)
	f.Add(b.header(""), goodClaims)
	f.Add(`{"alg":"ES256"}`, `{"client_id":null,"scope":"a.b","nonce":"0000000000000000","iat":1e3}`)
	f.Fuzz(func(t *testing.T, header, claims string) {
		s, err := VerifyService(b.sign(header, claims), b.keys, "hint")
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v, want ErrMalformed", err)
			}
			return
		}
		if s.ClientID == "" || s.check() != nil || s.IssuedAt.Unix() < 0 {
			t.Errorf("accepted %+v", s)
		}
	})
}

func BenchmarkVerifyService(b *testing.B) {
	private, public := newServiceKey(b)
	token := signService(b, private, exampleService())
	keys := []*ecdsa.PublicKey{public}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := VerifyService(token, func(string) ([]*ecdsa.PublicKey, error) { return keys, nil }, ""); err != nil {
			b.Fatal(err)
		}
	}
}
