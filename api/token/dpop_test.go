package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

const tokenEndpoint = "https://nod.example/oauth/token"

// newProofBench makes DPoP proofs with a key of its own, which they carry.
func newProofBench(t testing.TB) *bench {
	t.Helper()
	b, _ := newBench(t)
	b.typ, b.extra = typProof, `,"jwk":`+publicJWK(b.private)
	return b
}

func publicJWK(private *ecdsa.PrivateKey) string {
	jwk, err := json.Marshal(jose.JSONWebKey{Key: &private.PublicKey})
	if err != nil {
		panic(err)
	}
	return string(jwk)
}

// proofWith is a proof whose claims differ in one place.
func (b *bench) proofWith(old, new string) string {
	if !strings.Contains(goodClaims, old) {
		panic("no " + old + " in the claims")
	}
	return b.sign(b.header(""), strings.Replace(goodClaims, old, new, 1))
}

func athOf(accessToken string) string {
	hash := sha256.Sum256([]byte(accessToken))
	return b64(hash[:])
}

func TestVerifyDPoP_proof(t *testing.T) {
	b := newProofBench(t)
	jkt, err := thumbprint(&b.private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	got, err := VerifyDPoP(b.good(), "POST", tokenEndpoint, "")
	want := Proof{JKT: jkt, JTI: "j-1", Nonce: "abcdefghABCDEFGH", IssuedAt: epoch}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	got, err = VerifyDPoP(b.proofWith(`"nonce":"abcdefghABCDEFGH",`, ""), "POST", tokenEndpoint, "")
	want.Nonce = ""
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("without nonce: %v (-want +got):\n%s", err, diff)
	}
}

// RFC 9449 section 4.2, figure 2: its key, its thumbprint (section 6.1, figure 9)
// and its signature.
func TestVerifyDPoP_exampleOfRFC9449(t *testing.T) {
	const proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik" +
		"VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR" +
		"nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE" +
		"QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIj" +
		"oiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwia" +
		"WF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg" +
		"4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	got, err := VerifyDPoP(proof, "POST", "https://server.example.com/token", "")
	if err != nil {
		t.Fatal(err)
	}
	if got.JKT != "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" || got.JTI != "-BwC3ESc6acc2lTc" || got.IssuedAt.Unix() != 1562262616 {
		t.Errorf("got %+v", got)
	}
}

func TestVerifyDPoP_methodAndURL(t *testing.T) {
	b := newProofBench(t)
	for _, test := range []struct {
		htm, htu string
		want     error
	}{
		{"POST", tokenEndpoint, nil},
		{"POST", "HTTPS://NOD.example:443/oauth/token", nil},
		{"POST", "https://nod.example:/oauth/token", nil},
		{"POST", "https://nod.example/oauth/token?a=b", nil},
		{"POST", "https://nod.example/oauth/token#frag", nil},
		{"POST", "https://nod.example/x/../oauth/./token", nil},
		{"POST", "https://nod.example/%6fauth/t%6Fken", nil},
		{"POST", "https://nod.example/x/%2e%2e/oauth/token", nil},
		{"GET", tokenEndpoint, ErrPurpose},
		{"post", tokenEndpoint, ErrPurpose},
		{"POST ", tokenEndpoint, ErrPurpose},
		{"POST", "https://nod.example/oauth/token/", ErrPurpose},
		{"POST", "https://nod.example//oauth/token", ErrPurpose},
		{"POST", "https://nod.example/oauth/Token", ErrPurpose},
		{"POST", "https://nod.example/oauth%2ftoken", ErrPurpose},
		{"POST", "https://nod.example/oauth/bc-authorize", ErrPurpose},
		{"POST", "https://nod.example", ErrPurpose},
		{"POST", "http://nod.example/oauth/token", ErrPurpose},
		{"POST", "http://nod.example:443/oauth/token", ErrPurpose},
		{"POST", "https://nod.example:8443/oauth/token", ErrPurpose},
		{"POST", "https://nod.example.evil/oauth/token", ErrPurpose},
		{"POST", "https://evil.example/?https://nod.example/oauth/token", ErrPurpose},
		{"POST", "https://nod.example@evil.example/oauth/token", ErrMalformed},
		{"POST", "https://user@nod.example/oauth/token", ErrMalformed},
		{"POST", "ftp://nod.example/oauth/token", ErrMalformed},
		{"POST", "//nod.example/oauth/token", ErrMalformed},
		{"POST", "/oauth/token", ErrMalformed},
		{"POST", "https:nod.example/oauth/token", ErrMalformed},
		{"POST", "https:///oauth/token", ErrMalformed},
		{"POST", "https://nod.example:99x/oauth/token", ErrMalformed},
		{"POST", "https://nod.example/%zz", ErrMalformed},
		{"POST", "https://nod.example/\x00", ErrMalformed},
		{"POST", "", ErrMalformed},
		{"", tokenEndpoint, ErrMalformed},
	} {
		htu, _ := json.Marshal(test.htu)
		claims := fmt.Sprintf(`{"jti":"j","iat":1782907200,"htm":%q,"htu":%s}`, test.htm, htu)
		proof, err := VerifyDPoP(b.sign(b.header(""), claims), "POST", tokenEndpoint, "")
		if !errors.Is(err, test.want) || (err == nil) != (proof.JKT != "") {
			t.Errorf("%s %s: got %+v, %v; want %v", test.htm, test.htu, proof, err, test.want)
		}
	}
}

// The server's own URL may be spelled in any way, too.
func TestVerifyDPoP_endpoint(t *testing.T) {
	b := newProofBench(t)
	for endpoint, want := range map[string]bool{
		"https://nod.example:443/oauth/token": true, "https://NOD.EXAMPLE/oauth/token?x=1": true,
		"/oauth/token": false, "": false, "https://": false,
	} {
		_, err := VerifyDPoP(b.good(), "POST", endpoint, "")
		known := errors.Is(err, ErrMalformed) || errors.Is(err, ErrPurpose) || errors.Is(err, ErrSignature)
		if want != (err == nil) || known {
			t.Errorf("%q: got %v, want it to do: %v, and no fault of the proof", endpoint, err, want)
		}
	}
	for _, here := range []string{"http://localhost:8080", "http://[::1]:80", "https://[2001:db8::1]"} {
		proof := b.proofWith(`"htu":"https://nod.example`, `"htu":"`+strings.TrimSuffix(here, ":80"))
		if _, err := VerifyDPoP(proof, "POST", here+"/oauth/token", ""); err != nil {
			t.Errorf("%s: %v", here, err)
		}
	}
}

func TestVerifyDPoP_accessToken(t *testing.T) {
	b := newProofBench(t)
	ath := func(value string) string { return b.proofWith(`"jti":"j-1"`, `"jti":"j-1","ath":`+value) }
	for name, test := range map[string]struct {
		proof, token string
		want         error
	}{
		"of the token":               {ath(`"` + athOf("at") + `"`), "at", nil},
		"of another token":           {ath(`"` + athOf("other") + `"`), "at", ErrPurpose},
		"of the empty token":         {ath(`"` + athOf("") + `"`), "at", ErrPurpose},
		"the token itself":           {ath(`"at"`), "at", ErrPurpose},
		"padded":                     {ath(`"` + athOf("at") + `="`), "at", ErrPurpose},
		"missing":                    {b.good(), "at", ErrMalformed},
		"empty":                      {ath(`""`), "at", ErrMalformed},
		"null":                       {ath(`null`), "at", ErrMalformed},
		"a number":                   {ath(`1`), "at", ErrMalformed},
		"a list":                     {ath(`["` + athOf("at") + `"]`), "at", ErrMalformed},
		"there, where no token came": {ath(`"` + athOf("at") + `"`), "", nil},
	} {
		if _, err := VerifyDPoP(test.proof, "POST", tokenEndpoint, test.token); !errors.Is(err, test.want) {
			t.Errorf("ath %s: got %v, want %v", name, err, test.want)
		}
	}
}

// hostileKeys bring keys that no proof may be verified with, and are signed with
// the private half where there is one.
func (b *bench) hostileKeys() []hostile {
	jwk := publicJWK(b.private)
	x, y := b64(b.private.X.FillBytes(make([]byte, 32))), b64(b.private.Y.FillBytes(make([]byte, 32)))
	scalar, err := b.private.Bytes()
	if err != nil {
		panic(err)
	}
	d := b64(scalar)
	minusY := b64(new(big.Int).Sub(elliptic.P256().Params().P, b.private.Y).FillBytes(make([]byte, 32)))
	short := b64(b.private.X.FillBytes(make([]byte, 32))[1:])
	rsaJWK, _ := json.Marshal(jose.JSONWebKey{Key: &b.rsaPrivate.PublicKey})
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		panic(err)
	}
	var list []hostile
	for _, test := range []struct {
		name, jwk string
		want      error
	}{
		{"null", `null`, ErrMalformed},
		{"text", `"` + x + `"`, ErrMalformed},
		{"a list", `[` + jwk + `]`, ErrMalformed},
		{"a set", `{"keys":[` + jwk + `]}`, ErrMalformed},
		{"empty", `{}`, ErrMalformed},
		{"private", jwk[:len(jwk)-1] + `,"d":"` + d + `"}`, ErrMalformed},
		{"private, somebody else's", jwk[:len(jwk)-1] + `,"d":"AAAA"}`, ErrMalformed},
		{"private, null", jwk[:len(jwk)-1] + `,"d":null}`, ErrMalformed},
		{"with a member of RSA keys", jwk[:len(jwk)-1] + `,"dp":"AQAB"}`, ErrMalformed},
		{"with a secret", jwk[:len(jwk)-1] + `,"k":"AAAA"}`, ErrMalformed},
		{"with x5c", jwk[:len(jwk)-1] + `,"x5c":[]}`, ErrMalformed},
		{"with x5u", jwk[:len(jwk)-1] + `,"x5u":"https://evil.example"}`, ErrMalformed},
		{"of RSA", string(rsaJWK), ErrMalformed},
		{"a secret", `{"kty":"oct","k":"AAAA"}`, ErrMalformed},
		{"of Ed25519", `{"kty":"OKP","crv":"Ed25519","x":"` + x + `"}`, ErrMalformed},
		{"of P-384", publicJWK(p384), ErrMalformed},
		{"of secp256k1", strings.Replace(jwk, "P-256", "secp256k1", 1), ErrMalformed},
		{"of p-256", strings.Replace(jwk, "P-256", "p-256", 1), ErrMalformed},
		{"of no curve", `{"kty":"EC","x":"` + x + `","y":"` + y + `"}`, ErrMalformed},
		{"of no type", `{"crv":"P-256","x":"` + x + `","y":"` + y + `"}`, ErrMalformed},
		{"without y", `{"kty":"EC","crv":"P-256","x":"` + x + `"}`, ErrMalformed},
		{"x twice", jwk[:len(jwk)-1] + `,"x":"` + x + `"}`, ErrMalformed},
		{"x a number", `{"kty":"EC","crv":"P-256","x":1,"y":"` + y + `"}`, ErrMalformed},
		{"x too short", `{"kty":"EC","crv":"P-256","x":"` + short + `","y":"` + y + `"}`, ErrMalformed},
		{"x with a zero more", `{"kty":"EC","crv":"P-256","x":"` + b64(b.private.X.FillBytes(make([]byte, 33))) + `","y":"` + y + `"}`, ErrMalformed},
		{"x padded", `{"kty":"EC","crv":"P-256","x":"` + x + `=","y":"` + y + `"}`, ErrMalformed},
		{"x and y swapped", `{"kty":"EC","crv":"P-256","x":"` + y + `","y":"` + x + `"}`, ErrMalformed},
		{"not on the curve", `{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + x + `"}`, ErrMalformed},
		{"at infinity", `{"kty":"EC","crv":"P-256","x":"` + b64(make([]byte, 32)) + `","y":"` + b64(make([]byte, 32)) + `"}`, ErrMalformed},
		{"y too large", `{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + b64([]byte(strings.Repeat("\xff", 32))) + `"}`, ErrMalformed},
		{"mirrored", `{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + minusY + `"}`, ErrSignature},
		{"another", publicJWK(other), ErrSignature},
		{"for encryption", jwk[:len(jwk)-1] + `,"use":"enc"}`, ErrMalformed},
		{"for another algorithm", jwk[:len(jwk)-1] + `,"alg":"ECDH-ES"}`, ErrMalformed},
	} {
		header := `{"alg":"ES256","typ":"dpop+jwt","jwk":` + test.jwk + `}`
		list = append(list, hostile{"jwk " + test.name, b.sign(header, goodClaims), test.want})
	}
	return append(list, hostile{"no jwk", b.sign(`{"alg":"ES256","typ":"dpop+jwt"}`, goodClaims), ErrMalformed})
}

// hostileProofs are signed by the key they bring.
func (b *bench) hostileProofs() []hostile {
	typ := func(value string) string {
		return b.sign(strings.Replace(b.header(""), `"dpop+jwt"`, value, 1), goodClaims)
	}
	list := []hostile{
		{"typ JWT", typ(`"JWT"`), ErrMalformed},
		{"typ of an access token", typ(`"at+jwt"`), ErrMalformed},
		{"typ null", typ(`null`), ErrMalformed},
		{"typ missing", b.sign(strings.Replace(b.header(""), `"typ":"dpop+jwt",`, "", 1), goodClaims), ErrMalformed},
		{"typ a list", typ(`["dpop+jwt"]`), ErrMalformed},
		{"longer than 4 KiB", b.proofWith(`{`, `{"x":"`+strings.Repeat("x", 4<<10)+`",`), ErrMalformed},
		{"two in one header", b.good() + ", " + b.good(), ErrMalformed},
		{"iat missing", b.proofWith(`"iat":1782907200,`, ""), ErrMalformed},
	}
	for _, old := range []string{`"jti":"j-1"`, `"htm":"POST"`, `"htu":"` + tokenEndpoint + `"`} {
		claim, _, _ := strings.Cut(old, ":")
		for about, value := range map[string]string{
			"null": claim + `:null`, "empty": claim + `:""`, "a number": claim + `:1`, "a list": claim + `:["POST"]`,
			"an object": claim + `:{}`, "twice": old + "," + old, "under another name": `"x":1`,
		} {
			list = append(list, hostile{claim + " " + about, b.proofWith(old, value), ErrMalformed})
		}
	}
	for about, value := range map[string]string{
		"jti with a NUL": `"jti":"a\u0000"`, "jti with a line end": `"jti":"a\r\nb"`,
		"jti of 256 bytes": `"jti":"` + strings.Repeat("x", 256) + `"`,
	} {
		list = append(list, hostile{about, b.proofWith(`"jti":"j-1"`, value), ErrMalformed})
	}
	for about, value := range map[string]string{
		"a number": `1`, "a list": `["n"]`, "with a line end": `"a\nb"`, "of 256 bytes": `"` + strings.Repeat("x", 256) + `"`,
	} {
		list = append(list, hostile{"nonce " + about, b.proofWith(`"nonce":"abcdefghABCDEFGH"`, `"nonce":`+value), ErrMalformed})
	}
	return list
}

func TestVerifyDPoP_hostileProofs(t *testing.T) {
	b := newProofBench(t)
	if _, err := VerifyDPoP(b.good(), "POST", tokenEndpoint, ""); err != nil {
		t.Fatalf("the proof all others are made from: %v", err)
	}
	for _, h := range slices.Concat(b.hostile(), b.hostileTimes(), b.hostileKeys(), b.hostileProofs()) {
		proof, err := VerifyDPoP(h.token, "POST", tokenEndpoint, "")
		if !errors.Is(err, h.want) || proof != (Proof{}) {
			t.Errorf("%s: got %+v, %v; want %v", h.name, proof, err, h.want)
		}
	}
}

// A JWT of one kind is none of another: all of these are genuine.
func TestTokens_ofAnotherKind(t *testing.T) {
	b, r := newBench(t)
	proofs := newProofBench(t)
	proofs.private, proofs.extra = b.private, `,"jwk":`+publicJWK(b.private)
	for name, compact := range map[string]string{
		"a DPoP proof":    proofs.good(),
		"an access token": b.sign(strings.Replace(b.header(""), `"JWT"`, `"at+jwt"`, 1), goodClaims),
	} {
		if _, err := VerifyAssertion(compact, &b.private.PublicKey); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s as an assertion: got %v, want ErrMalformed", name, err)
		}
		if _, err := r.Verify(t.Context(), compact, expectLogin()); err == nil {
			t.Errorf("%s as a result token: verified", name)
		}
	}
	for _, typ := range []string{"JWT", "at+jwt", TypRequest, TypClientAuthentication} {
		compact := b.sign(strings.Replace(b.header(""), `"JWT"`, `"`+typ+`"`, 1), goodClaims)
		if _, err := VerifyDPoP(compact, "POST", tokenEndpoint, ""); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s as a DPoP proof: got %v, want ErrMalformed", typ, err)
		}
	}
}

func FuzzVerifyDPoP(f *testing.F) {
	b := newProofBench(f)
	for _, h := range slices.Concat(b.hostile()[:20], b.hostileKeys()) {
		f.Add(h.token)
	}
	f.Add(b.good())
	f.Fuzz(func(t *testing.T, header string) {
		proof, err := VerifyDPoP(header, "POST", tokenEndpoint, "")
		checkProof(t, header, proof, err)
	})
}

// FuzzProofParts signs what it is given with the key it puts in the header, so that
// it gets past the signature.
func FuzzProofParts(f *testing.F) {
	b := newProofBench(f)
	f.Add("", goodClaims)
	f.Add(`,"kid":"x"`, `{"jti":"\ud83d\ude00","iat":1e3,"htm":"POST","htu":"https://nod.example:443/oauth/%74oken?x"}`)
	f.Fuzz(func(t *testing.T, extra, claims string) {
		header := b.sign(b.header(extra), claims)
		proof, err := VerifyDPoP(header, "POST", tokenEndpoint, "")
		checkProof(t, header, proof, err)
		if errors.Is(err, ErrSignature) {
			t.Errorf("got %v for a good signature", err)
		}
	})
}

func checkProof(t *testing.T, header string, proof Proof, err error) {
	t.Helper()
	if err != nil {
		known := errors.Is(err, ErrMalformed) || errors.Is(err, ErrSignature) || errors.Is(err, ErrPurpose)
		if !known || proof != (Proof{}) {
			t.Errorf("got %+v, %v", proof, err)
		}
		return
	}
	if len(proof.JKT) != 43 || proof.JTI == "" || len(proof.JTI) > maxNameBytes || len(header) > maxProofBytes || proof.IssuedAt.Unix() < 0 {
		t.Errorf("accepted %d bytes: %+v", len(header), proof)
	}
}

func FuzzCanonicalURL(f *testing.F) {
	for _, u := range []string{tokenEndpoint, "HTTP://h:80", "https://[::1]:443/a/../b", "https://h/%2f%41?q#f", "https://h:/"} {
		f.Add(u)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, ok := canonicalURL(text)
		if !ok {
			return
		}
		if again, ok := canonicalURL(once + "?query#fragment"); !ok || again != once {
			t.Errorf("%q became %q, then %q, %v", text, once, again, ok)
		}
	})
}

func BenchmarkVerifyDPoP(b *testing.B) {
	proof := newProofBench(b).good()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := VerifyDPoP(proof, "POST", tokenEndpoint, ""); err != nil {
			b.Fatal(err)
		}
	}
}
