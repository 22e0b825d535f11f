package oauth_test

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
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// forgery is a JWT that no place may take.
type forgery struct{ name, compact string }

// forger makes them out of a good one. It knows all that is public. Where it has the
// signer's own key, because a client's tokens are the client's to make, what it
// forges is signed well and only its form is wrong; else a stranger's key signs.
type forger struct {
	header, claims string
	parts          []string
	sig            []byte
	key            *ecdsa.PrivateKey
	stranger       *ecdsa.PrivateKey
	rsa            *rsa.PrivateKey // a stranger's, too
	published      [][]byte        // keys, in every form that could be taken for an HMAC secret
}

func newForger(h *house, good string, own *ecdsa.PrivateKey) *forger {
	h.Helper()
	f := &forger{parts: strings.Split(good, "."), key: own}
	f.header, f.claims = string(unb64(f.parts[0])), string(unb64(f.parts[1]))
	f.sig = unb64(f.parts[2])
	f.stranger = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	f.rsa = strangersRSA
	f.published = [][]byte{[]byte(h.Do(Call{Path: "/oauth/jwks.json"}).Want(ok).Text)}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(f.published[0], &set); err != nil {
		h.Fatal(err)
	}
	keys := []any{}
	for _, k := range set.Keys {
		keys = append(keys, k.Key)
	}
	if own == nil {
		f.key = f.stranger
	} else {
		keys = append(keys, &own.PublicKey)
	}
	for _, k := range keys {
		der := must(x509.MarshalPKIXPublicKey(k))
		f.published = append(f.published, der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	return f
}

// strangersRSA is drawn once: that takes a tenth of a second.
var strangersRSA = must(rsa.GenerateKey(rand.Reader, 2048))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func unb64(text string) []byte { return must(base64.RawURLEncoding.DecodeString(text)) }

// signed is whatever header and claims are given, with a signature by anything.
func signed(header, claims string, by func(input []byte) []byte) string {
	input := b64([]byte(header)) + "." + b64([]byte(claims))
	return input + "." + b64(by([]byte(input)))
}

func es(key *ecdsa.PrivateKey, h func() hash.Hash) func([]byte) []byte {
	return func(input []byte) []byte {
		digest := h()
		digest.Write(input)
		r, s, err := ecdsa.Sign(rand.Reader, key, digest.Sum(nil))
		if err != nil {
			panic(err)
		}
		size := (key.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
}

func hs(secret []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(input)
		return mac.Sum(nil)
	}
}

func (f *forger) rs(pss bool) func([]byte) []byte {
	return func(input []byte) []byte {
		digest := sha256.Sum256(input)
		if pss {
			return must(rsa.SignPSS(rand.Reader, f.rsa, crypto.SHA256, digest[:], nil))
		}
		return must(rsa.SignPKCS1v15(nil, f.rsa, crypto.SHA256, digest[:]))
	}
}

// alg is the good header under another algorithm.
func (f *forger) alg(json string) string {
	return strings.Replace(f.header, `"alg":"ES256"`, `"alg":`+json, 1)
}

// with is the good header with another member.
func (f *forger) with(member string) string { return f.header[:len(f.header)-1] + "," + member + "}" }

// forgeries are at least forty.
func (f *forger) forgeries() []forgery {
	return slices.Concat(f.shapes(), f.algorithms(), f.headers(), f.bodies(), f.signatures())
}

// shapes are no compact JWS, or not in the one spelling.
func (f *forger) shapes() []forgery {
	h, c, s := f.parts[0], f.parts[1], f.parts[2]
	good := h + "." + c + "." + s
	// The last letter of 64 bytes carries four loose bits.
	loose := good[:len(good)-1] + string("BRhx"[strings.IndexByte("AQgw", good[len(good)-1])])
	return []forgery{
		{"one part", h},
		{"two parts", h + "." + c},
		{"four parts", good + ".AA"},
		{"a JWE", good + ".AA.AA"},
		{"dots", ".."},
		{"no header", "." + c + "." + s},
		{"no claims", h + ".." + s},
		{"no signature", h + "." + c + "."},
		{"no signature, and no dot", h + "." + c + "AAAA"},
		{"cut short", good[:len(good)-2]},
		{"a newline inside", h + ".\n" + c + "." + s},
		{"padding", h + "." + c + "." + s + "=="},
		{"the plain alphabet", h + "." + c + ".+/" + s[2:]},
		{"loose bits", loose},
		{"JSON", `{"protected":"` + h + `","payload":"` + c + `","signature":"` + s + `"}`},
		{"general JSON", `{"payload":"` + c + `","signatures":[{"protected":"` + h + `","signature":"` + s + `"}]}`},
		{"twice", good + "," + good},
		{"large", h + "." + c + strings.Repeat("A", 5<<10) + "." + s},
		{"larger than a body may be", h + "." + c + strings.Repeat("A", 17<<10) + "." + s},
	}
}

// algorithms are others than the one, or another's signature under its name.
func (f *forger) algorithms() []forgery {
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	_, ed := must2(ed25519.GenerateKey(rand.Reader))
	edSign := func(input []byte) []byte { return ed25519.Sign(ed, input) }
	own := es(f.key, sha256.New)
	list := []forgery{
		{"none", b64([]byte(f.alg(`"none"`))) + "." + f.parts[1] + "."},
		{"none, signed", signed(f.alg(`"none"`), f.claims, own)},
		{"nOnE, signed", signed(f.alg(`"nOnE"`), f.claims, own)},
		{"no alg", signed(strings.Replace(f.header, `"alg":"ES256",`, "", 1), f.claims, own)},
		{"alg null", signed(f.alg(`null`), f.claims, own)},
		{"alg a list", signed(f.alg(`["ES256"]`), f.claims, own)},
		{"alg in lower case", signed(f.alg(`"es256"`), f.claims, own)},
		{"alg twice", signed(f.with(`"alg":"none"`), f.claims, own)},
		{"ES256K", signed(f.alg(`"ES256K"`), f.claims, own)},
		{"ES384", signed(f.alg(`"ES384"`), f.claims, es(p384, crypto.SHA384.New))},
		{"ES384 as ES256", signed(f.header, f.claims, es(p384, crypto.SHA384.New))},
		{"RS256", signed(f.alg(`"RS256"`), f.claims, f.rs(false))},
		{"RS256 as ES256", signed(f.header, f.claims, f.rs(false))},
		{"PS256", signed(f.alg(`"PS256"`), f.claims, f.rs(true))},
		{"EdDSA", signed(f.alg(`"EdDSA"`), f.claims, edSign)},
		{"EdDSA as ES256", signed(f.header, f.claims, edSign)},
		{"ES256 as RS256", signed(f.alg(`"RS256"`), f.claims, own)},
		{"HS256 without a secret", signed(f.alg(`"HS256"`), f.claims, hs(nil))},
	}
	for i, secret := range f.published {
		list = append(list,
			forgery{fmt.Sprintf("HS256 with what is published, %d", i), signed(f.alg(`"HS256"`), f.claims, hs(secret))},
			forgery{fmt.Sprintf("HS256 as ES256 with what is published, %d", i), signed(f.header, f.claims, hs(secret))})
	}
	return list
}

func must2[A, B any](a A, b B, err error) (A, B) { return a, must(b, err) }

// headers bring a key, name one, or change what is signed.
func (f *forger) headers() []forgery {
	own := es(f.key, sha256.New)
	jwk := string(must(json.Marshal(jose.JSONWebKey{Key: &f.stranger.PublicKey})))
	foreign := es(f.stranger, sha256.New)
	plain := `{"alg":"ES256","typ":"JWT"}`
	list := []forgery{
		{"its own key in jwk", signed(strings.Replace(plain, "}", `,"jwk":`+jwk+"}", 1), f.claims, foreign)},
		{"its own private key in jwk", signed(strings.Replace(plain, "}", `,"jwk":`+strings.Replace(jwk, "}", `,"d":"AAAA"}`, 1)+"}", 1), f.claims, foreign)},
		{"a kid that climbs", signed(strings.Replace(plain, "}", `,"kid":"../../etc/passwd"}`, 1), f.claims, foreign)},
		{"a kid that quotes", signed(strings.Replace(plain, "}", `,"kid":"' OR 1=1 --"}`, 1), f.claims, foreign)},
		{"a kid that is none", signed(strings.Replace(plain, "}", `,"kid":null}`, 1), f.claims, foreign)},
		{"a kid with a NUL", signed(strings.Replace(plain, "}", `,"kid":"\u0000"}`, 1), f.claims, foreign)},
		{"the header a list", signed("["+f.header+"]", f.claims, own)},
		{"the header null", signed("null", f.claims, own)},
		{"the header a text", signed(`"ES256"`, f.claims, own)},
		{"the header cut short", signed(f.header[:len(f.header)-1], f.claims, own)},
		{"the header changed", b64([]byte(f.with(`"x":1`))) + "." + f.parts[1] + "." + f.parts[2]},
	}
	for _, member := range []string{
		`"jku":"https://evil.example/jwks"`, `"x5u":"https://evil.example/x"`, `"x5c":["MIIB"]`, `"x5t":"AAAA"`, `"x5t#S256":"AAAA"`,
		`"crit":["exp"]`, `"crit":null`, `"b64":false,"crit":["b64"]`, `"zip":"DEF"`, `"enc":"A128GCM"`, `"typ":"logout+jwt"`,
	} {
		header := f.with(member)
		if typ := strings.HasPrefix(member, `"typ"`); typ {
			header = `{"alg":"ES256",` + member + "}"
		}
		list = append(list, forgery{"with " + member, signed(header, f.claims, own)})
	}
	return list
}

// bodies are no claims, or not those that were signed.
func (f *forger) bodies() []forgery {
	own := es(f.key, sha256.New)
	says := func(claims string) string { return signed(f.header, claims, own) }
	list := []forgery{
		{"claims a list", says("[" + f.claims + "]")},
		{"claims null", says("null")},
		{"claims a text", says(`"claims"`)},
		{"claims empty", says("{}")},
		{"claims twice", says(f.claims + f.claims)},
		{"claims cut short", says(f.claims[:len(f.claims)-1])},
		{"claims of a nested token", says(strings.Join(f.parts, "."))},
		{"claims with a byte order mark", says("\ufeff" + f.claims)},
		{"claims that are not UTF-8", says(strings.Replace(f.claims, "{", "{\"x\":\"\xff\",", 1))},
		{"claims nested deep", says(strings.Repeat("[", 2000))},
		{"claims changed", f.parts[0] + "." + b64([]byte(strings.Replace(f.claims, "{", `{"x":1,`, 1))) + "." + f.parts[2]},
		{"claims respaced", f.parts[0] + "." + b64([]byte(f.claims+" ")) + "." + f.parts[2]},
	}
	for about, value := range map[string]string{
		"a text": `"1782907200"`, "a list": `[1]`, "an object": `{}`, "true": `true`, "negative": `-1`, "a fraction": `0.5`,
		"beyond all years": `1e300`, "beyond all numbers": `1e999`, "twice": `1,"iat":1`,
	} {
		list = append(list, forgery{"iat " + about, says(strings.Replace(f.claims, `"iat":`, `"iat":`+value+`,"was":`, 1))})
	}
	return list
}

// signatures are not of these bytes by this key, or not 64 bytes of it.
func (f *forger) signatures() []forgery {
	n := elliptic.P256().Params().N.Bytes()
	r, s := f.sig[:32:32], f.sig[32:64:64]
	der := func(input []byte) []byte {
		digest := sha256.Sum256(input)
		return must(ecdsa.SignASN1(rand.Reader, f.key, digest[:]))
	}
	flipped := bytes.Clone(f.sig)
	flipped[40] ^= 1
	list := []forgery{
		{"another's signature", signed(f.header, f.claims, es(f.stranger, sha256.New))},
		{"a signature over SHA-512", signed(f.header, f.claims, es(f.key, crypto.SHA512.New))},
		{"a signature as DER", signed(f.header, f.claims, der)},
	}
	for about, sig := range map[string][]byte{
		"of nothing": make([]byte, 64), "with r zero": append(make([]byte, 32), s...), "with s zero": append(r, make([]byte, 32)...),
		"with r the order": append(bytes.Clone(n), s...), "with s the order": append(r, n...), "of ones": bytes.Repeat([]byte{0xff}, 64),
		"with halves swapped": append(s, r...), "one byte short": f.sig[:63], "one byte long": append(bytes.Clone(f.sig), 0),
		"of one byte": {1}, "with one bit changed": flipped,
	} {
		list = append(list, forgery{"a signature " + about, f.parts[0] + "." + f.parts[1] + "." + b64(sig)})
	}
	return list
}
