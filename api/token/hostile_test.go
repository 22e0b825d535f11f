package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// bench is a forger's: it knows the public key, and for the tokens that must
// fail for another reason than their signature it may use the private one.
type bench struct {
	kid     string
	private *ecdsa.PrivateKey
	pem     []byte
	spki    []byte
	jwks    []byte

	rsaKID     string
	rsaPrivate *rsa.PrivateKey
	rsaPEM     []byte

	typ   string // of the tokens it makes
	extra string // more members of their header, each after a comma
}

// goodClaims pass as a result token, a service token, an assertion and a DPoP proof
// alike, so that one table serves all verifiers.
const goodClaims = `{"iss":"https://nod.example","aud":"client-1","exp":1782907800,"iat":1782907200,` +
	`"client_id":"client-1","type":"codes.generate","nonce":"abcdefghABCDEFGH","username":"zoe",` +
	`"sub":"client-1","jti":"j-1","htm":"POST","htu":"https://nod.example/oauth/token"}`

func newBench(t testing.TB) (*bench, *Ring) {
	t.Helper()
	store, c := &memStore{}, newClock()
	r := openRing(t, store, c)
	k, rs := r.snap.Load().keys[0], r.snap.Load().keys[1]
	jwks, err := r.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &bench{
		kid: k.kid, private: k.private.(*ecdsa.PrivateKey), pem: k.pem, spki: store.rows[0].Public, jwks: jwks,
		rsaKID: rs.kid, rsaPrivate: rs.private.(*rsa.PrivateKey), rsaPEM: rs.pem, typ: "JWT",
	}, r
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func (b *bench) header(extra string) string {
	return `{"alg":"ES256","typ":"` + b.typ + `","kid":"` + b.kid + `"` + b.extra + extra + `}`
}

func (b *bench) withAlg(alg string) string {
	return strings.Replace(b.header(""), `"ES256"`, alg, 1)
}

// sign signs whatever header and claims are given with ES256.
func (b *bench) sign(header, claims string) string {
	input := b64([]byte(header)) + "." + b64([]byte(claims))
	sig, err := es256{key: b.private}.SignPayload([]byte(input), jose.ES256)
	if err != nil {
		panic(err)
	}
	return input + "." + b64(sig)
}

// forge signs with any other means.
func (b *bench) forge(header string, signer func(input []byte) []byte) string {
	input := b64([]byte(header)) + "." + b64([]byte(goodClaims))
	return input + "." + b64(signer([]byte(input)))
}

func (b *bench) good() string { return b.sign(b.header(""), goodClaims) }

// resigned keeps header and claims of a good token and changes its signature.
func (b *bench) resigned(change func(sig []byte) []byte) string {
	i := strings.LastIndexByte(b.good(), '.')
	sig, _ := base64.RawURLEncoding.DecodeString(b.good()[i+1:])
	return b.good()[:i+1] + b64(change(sig))
}

func hs256(secret []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(input)
		return mac.Sum(nil)
	}
}

func ecdsaWith(curve elliptic.Curve, hash crypto.Hash, size int) func([]byte) []byte {
	return func(input []byte) []byte {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		h := hash.New()
		h.Write(input)
		r, s, err := ecdsa.Sign(rand.Reader, private, h.Sum(nil))
		if err != nil {
			panic(err)
		}
		out := make([]byte, 2*size)
		r.FillBytes(out[:size])
		s.FillBytes(out[size:])
		return out
	}
}

// rsaWith signs with the ring's own RSA key.
func (b *bench) rsaWith(hash crypto.Hash, pss bool) func([]byte) []byte {
	return func(input []byte) []byte {
		h := hash.New()
		h.Write(input)
		if pss {
			sig, _ := rsa.SignPSS(rand.Reader, b.rsaPrivate, hash, h.Sum(nil), nil)
			return sig
		}
		sig, _ := rsa.SignPKCS1v15(nil, b.rsaPrivate, hash, h.Sum(nil))
		return sig
	}
}

func ed25519Sign(input []byte) []byte {
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	return ed25519.Sign(private, input)
}

// withOwnJWK carries the forger's key in the header and is signed by it.
func (b *bench) withOwnJWK() string {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	jwk, _ := json.Marshal(jose.JSONWebKey{Key: &private.PublicKey, KeyID: b.kid})
	forger := bench{kid: b.kid, private: private, typ: b.typ, extra: b.extra}
	return forger.sign(b.header(`,"jwk":`+string(jwk)), goodClaims)
}

type hostile struct {
	name  string
	token string
	want  error
}

func (b *bench) hostile() []hostile {
	good := b.good()
	parts := strings.Split(good, ".")
	same := func(sig []byte) []byte { return sig }
	zero := func([]byte) []byte { return make([]byte, 64) }
	order := func([]byte) []byte {
		n := elliptic.P256().Params().N.Bytes()
		return append(append([]byte{}, n...), n...)
	}
	der := func(input []byte) []byte {
		digest := sha256.Sum256(input)
		sig, _ := ecdsa.SignASN1(rand.Reader, b.private, digest[:])
		return sig
	}
	// The last letter of 64 bytes carries four loose bits: A is 0, B is 1.
	loose := good[:len(good)-1] + string("BRhx"[strings.IndexByte("AQgw", good[len(good)-1])])
	return []hostile{
		{"empty", "", ErrMalformed},
		{"one part", parts[0], ErrMalformed},
		{"two parts", parts[0] + "." + parts[1], ErrMalformed},
		{"four parts", good + ".", ErrMalformed},
		{"five parts, as a JWE", good + ".AA.AA", ErrMalformed},
		{"no header", "." + parts[1] + "." + parts[2], ErrMalformed},
		{"no claims, detached", parts[0] + ".." + parts[2], ErrMalformed},
		{"leading space", " " + good, ErrMalformed},
		{"trailing newline", good + "\n", ErrMalformed},
		{"newline inside", good[:20] + "\r\n" + good[20:], ErrMalformed},
		{"padding", parts[0] + "." + parts[1] + "." + parts[2] + "==", ErrMalformed},
		{"plain base64 alphabet", parts[0] + "." + parts[1] + ".+/" + parts[2][2:], ErrMalformed},
		{"loose trailing bits", loose, ErrMalformed},
		{"too long", b.sign(b.header(""), goodClaims[:len(goodClaims)-1]+`,"x":"`+strings.Repeat("x", 16<<10)+`"}`), ErrMalformed},
		{"JSON serialization", `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`, ErrMalformed},
		{"header is text", b.sign("hello", goodClaims), ErrMalformed},
		{"header is an array", b.sign("["+b.header("")+"]", goodClaims), ErrMalformed},
		{"header is null", b.sign("null", goodClaims), ErrMalformed},
		{"header has alg twice", b.sign(b.header(`,"alg":"none"`), goodClaims), ErrMalformed},
		{"header has kid twice", b.sign(b.header(`,"kid":"x"`), goodClaims), ErrMalformed},
		{"kid is a number", b.sign(strings.Replace(b.header(""), `"`+b.kid+`"`, "5", 1), goodClaims), ErrMalformed},
		{"kid is an object", b.sign(strings.Replace(b.header(""), `"`+b.kid+`"`, `{"a":1}`, 1), goodClaims), ErrMalformed},
		{"alg none, no signature", b64([]byte(b.withAlg(`"none"`))) + "." + parts[1] + ".", ErrMalformed},
		{"alg none, ES256 signature", b.sign(b.withAlg(`"none"`), goodClaims), ErrMalformed},
		{"alg nOnE", b.sign(b.withAlg(`"nOnE"`), goodClaims), ErrMalformed},
		{"alg empty", b.sign(b.withAlg(`""`), goodClaims), ErrMalformed},
		{"alg null", b.sign(b.withAlg(`null`), goodClaims), ErrMalformed},
		{"alg is an array", b.sign(b.withAlg(`["ES256"]`), goodClaims), ErrMalformed},
		{"alg in lower case", b.sign(b.withAlg(`"es256"`), goodClaims), ErrMalformed},
		{"alg missing", b.sign(strings.Replace(b.header(""), `"alg":"ES256",`, "", 1), goodClaims), ErrMalformed},
		{"alg under another case", b.sign(strings.Replace(b.header(""), `"alg"`, `"ALG"`, 1), goodClaims), ErrMalformed},
		{"HS256 with the PEM as secret", b.forge(b.withAlg(`"HS256"`), hs256(b.pem)), ErrMalformed},
		{"HS256 with the DER as secret", b.forge(b.withAlg(`"HS256"`), hs256(b.spki)), ErrMalformed},
		{"HS256 with the JWKS as secret", b.forge(b.withAlg(`"HS256"`), hs256(b.jwks)), ErrMalformed},
		{"HS256 with the RSA PEM as secret", b.forge(b.withAlg(`"HS256"`), hs256(b.rsaPEM)), ErrMalformed},
		{"HS256 with an empty secret", b.forge(b.withAlg(`"HS256"`), hs256(nil)), ErrMalformed},
		{"HS256 under the name ES256", b.forge(b.header(""), hs256(b.pem)), ErrSignature},
		{"RS256", b.forge(b.withAlg(`"RS256"`), b.rsaWith(crypto.SHA256, false)), ErrMalformed},
		{"PS256", b.forge(b.withAlg(`"PS256"`), b.rsaWith(crypto.SHA256, true)), ErrMalformed},
		{"RS256 under the name ES256", b.forge(b.header(""), b.rsaWith(crypto.SHA256, false)), ErrSignature},
		{"ES384", b.forge(b.withAlg(`"ES384"`), ecdsaWith(elliptic.P384(), crypto.SHA384, 48)), ErrMalformed},
		{"ES512", b.forge(b.withAlg(`"ES512"`), ecdsaWith(elliptic.P521(), crypto.SHA512, 66)), ErrMalformed},
		{"ES256K", b.sign(b.withAlg(`"ES256K"`), goodClaims), ErrMalformed},
		{"EdDSA", b.forge(b.withAlg(`"EdDSA"`), ed25519Sign), ErrMalformed},
		{"EdDSA under the name ES256", b.forge(b.header(""), ed25519Sign), ErrSignature},
		{"own key in jwk", b.withOwnJWK(), ErrMalformed},
		{"jku", b.sign(b.header(`,"jku":"https://evil.example/jwks"`), goodClaims), ErrMalformed},
		{"x5u", b.sign(b.header(`,"x5u":"https://evil.example/x"`), goodClaims), ErrMalformed},
		{"x5c", b.sign(b.header(`,"x5c":["MIIB"]`), goodClaims), ErrMalformed},
		{"x5t", b.sign(b.header(`,"x5t":"AAAA"`), goodClaims), ErrMalformed},
		{"crit", b.sign(b.header(`,"crit":["exp"],"exp":1`), goodClaims), ErrMalformed},
		{"crit null", b.sign(b.header(`,"crit":null`), goodClaims), ErrMalformed},
		{"b64 false", b.sign(b.header(`,"b64":false,"crit":["b64"]`), goodClaims), ErrMalformed},
		{"zip", b.sign(b.header(`,"zip":"DEF"`), goodClaims), ErrMalformed},
		{"claims are text", b.sign(b.header(""), "hello"), ErrMalformed},
		{"claims are an array", b.sign(b.header(""), "["+goodClaims+"]"), ErrMalformed},
		{"claims are a nested token", b.sign(b.header(""), good), ErrMalformed},
		{"claims twice", b.sign(b.header(""), goodClaims+goodClaims), ErrMalformed},
		{"claims cut short", b.sign(b.header(""), goodClaims[:len(goodClaims)-1]), ErrMalformed},
		{"claims with a byte order mark", b.sign(b.header(""), "\ufeff"+goodClaims), ErrMalformed},
		{"claims not UTF-8", b.sign(b.header(""), strings.Replace(goodClaims, "zoe", "zo\xeb", 1)), ErrMalformed},
		{"iat twice", b.sign(b.header(""), strings.Replace(goodClaims, `{`, `{"iat":1782907200,`, 1)), ErrMalformed},
		{"iat twice, once escaped", b.sign(b.header(""), strings.Replace(goodClaims, `{`, `{"\u0069at":1,`, 1)), ErrMalformed},
		{"iat as text", b.sign(b.header(""), strings.Replace(goodClaims, `"iat":1782907200`, `"iat":"1782907200"`, 1)), ErrMalformed},
		{"iat beyond all years", b.sign(b.header(""), strings.Replace(goodClaims, `"iat":1782907200`, `"iat":1e400`, 1)), ErrMalformed},
		{"iat negative", b.sign(b.header(""), strings.Replace(goodClaims, `"iat":1782907200`, `"iat":-1`, 1)), ErrMalformed},
		{"nested ten thousand deep", b.sign(b.header(""), strings.Repeat("[", 10_001)), ErrMalformed},
		{"signature missing", parts[0] + "." + parts[1] + ".", ErrMalformed},
		{"signature zero", b.resigned(zero), ErrSignature},
		{"r zero", b.resigned(func(s []byte) []byte { return append(make([]byte, 32), s[32:]...) }), ErrSignature},
		{"s zero", b.resigned(func(s []byte) []byte { return append(s[:32:32], make([]byte, 32)...) }), ErrSignature},
		{"signature of the group order", b.resigned(order), ErrSignature},
		{"r the group order", b.resigned(func(s []byte) []byte { return append(order(s)[:32:32], s[32:]...) }), ErrSignature},
		{"s the group order", b.resigned(func(s []byte) []byte { return append(s[:32:32], order(s)[32:]...) }), ErrSignature},
		{"r and s too large", b.resigned(func([]byte) []byte { return bytes.Repeat([]byte{0xff}, 64) }), ErrSignature},
		{"r and s of 48 bytes", b.resigned(func(s []byte) []byte {
			pad := make([]byte, 16)
			return slices.Concat(pad, s[:32], pad, s[32:])
		}), ErrSignature},
		{"signature as DER", b.forge(b.header(""), der), ErrSignature},
		{"signature one byte short", b.resigned(func(s []byte) []byte { return same(s)[:63] }), ErrSignature},
		{"signature one byte long", b.resigned(func(s []byte) []byte { return append(s, 0) }), ErrSignature},
		{"signature halves swapped", b.resigned(func(s []byte) []byte { return append(s[32:64:64], s[:32]...) }), ErrSignature},
		{"signature with one bit changed", b.resigned(func(s []byte) []byte { s[40] ^= 1; return s }), ErrSignature},
		{"signature of another key", b.forge(b.header(""), ecdsaWith(elliptic.P256(), crypto.SHA256, 32)), ErrSignature},
		{"signature over SHA-512", b.forge(b.header(""), b.overSHA512), ErrSignature},
		{"claims changed", parts[0] + "." + b64([]byte(strings.Replace(goodClaims, "zoe", "eve", 1))) + "." + parts[2], ErrSignature},
		{"claims respaced", parts[0] + "." + b64([]byte(goodClaims+" ")) + "." + parts[2], ErrSignature},
		{"header changed", b64([]byte(b.header(`,"x":1`))) + "." + parts[1] + "." + parts[2], ErrSignature},
	}
}

func (b *bench) overSHA512(input []byte) []byte {
	digest := sha512.Sum512(input)
	r, s, _ := ecdsa.Sign(rand.Reader, b.private, digest[:])
	out := make([]byte, 64)
	r.FillBytes(out[:32])
	s.FillBytes(out[32:])
	return out
}

func (b *bench) keys(string) ([]*ecdsa.PublicKey, error) {
	return []*ecdsa.PublicKey{&b.private.PublicKey}, nil
}

func TestVerify_hostileTokens(t *testing.T) {
	b, r := newBench(t)
	if _, err := r.Verify(t.Context(), b.good(), expectLogin()); err != nil {
		t.Fatalf("the token all others are made from: %v", err)
	}
	for _, h := range slices.Concat(b.hostile(), b.hostileTimes()) {
		claims, err := r.Verify(t.Context(), h.token, expectLogin())
		if !errors.Is(err, h.want) || claims.JSON != nil {
			t.Errorf("%s: got %v, want %v", h.name, err, h.want)
		}
	}
}

// hostileTimes are refused by whoever reads more times than iat. All else about
// them is good.
func (b *bench) hostileTimes() []hostile {
	var list []hostile
	for _, claim := range []string{"exp", "nbf"} {
		for about, value := range map[string]string{
			"as text": `"1782907800"`, "with a fraction": `1782907800.5`, "beyond all years": `1e400`, "of year 10000": `253402300800`,
			"negative": `-1`, "true": `true`, "a list": `[1782907800]`, "an object": `{"seconds":1782907800}`, "twice": `1782907800,"` + claim + `":1`,
		} {
			claims := strings.Replace(goodClaims, `"`+claim+`":1782907800,`, "", 1)
			claims = strings.Replace(claims, `{`, `{"`+claim+`":`+value+`,`, 1)
			list = append(list, hostile{claim + " " + about, b.sign(b.header(""), claims), ErrMalformed})
		}
	}
	return list
}

func TestVerifyService_hostileTokens(t *testing.T) {
	b, _ := newBench(t)
	if _, err := VerifyService(b.good(), b.keys, ""); err != nil {
		t.Fatalf("the token all others are made from: %v", err)
	}
	for _, h := range b.hostile() {
		got, err := VerifyService(h.token, b.keys, "client-1")
		if !errors.Is(err, h.want) || got != (Service{}) {
			t.Errorf("%s: got %v, want %v", h.name, err, h.want)
		}
	}
}

// No error repeats what a stranger sent: it could be a secret, or a log forgery.
func TestHostileTokens_errorsEchoNothing(t *testing.T) {
	b, r := newBench(t)
	const mark = "MARKMARK"
	claims := strings.ReplaceAll(goodClaims, "client-1", mark+"\u0007")
	for _, token := range []string{
		mark, mark + "." + mark + "." + mark,
		b.sign(b.withAlg(`"`+mark+`"`), goodClaims),
		b.sign(strings.Replace(b.header(""), b.kid, mark, 1), goodClaims),
		b.sign(b.header(""), claims), b.sign(b.header(""), mark),
	} {
		_, err := r.Verify(t.Context(), token, expectLogin())
		_, serviceErr := VerifyService(token, b.keys, "")
		if text := fmt.Sprint(err, serviceErr); strings.Contains(text, mark) {
			t.Errorf("got %q, which repeats the token", text)
		}
	}
}
