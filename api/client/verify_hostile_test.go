package client_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/nod-auth/nod/api/client"
)

// None of these opens anything, and of none does the refusal repeat a part.
func TestVerify_hostile_tokens(t *testing.T) {
	p := newPublisher(t)
	now := time.Now().Unix()
	good := p.token(nil)
	part := strings.Split(good, ".")
	claims := asJSON(claimsOf(nil))
	stranger := newKey(t, elliptic.P256())
	strangersJWK := asJSON(jose.JSONWebKey{Key: &stranger.PublicKey})
	header := func(text string) string { return sign(t, p.key, text, claims) }
	with := func(name string, value any) string { return p.token(map[string]any{name: value}) }
	cases := map[string]string{
		"nothing":                       "",
		"a word":                        "token",
		"one part":                      part[0],
		"two parts":                     part[0] + "." + part[1],
		"four parts":                    good + ".",
		"five parts":                    good + ".x.y",
		"no signature":                  part[0] + "." + part[1] + ".",
		"no claims":                     part[0] + ".." + part[2],
		"another's claims":              part[0] + "." + b64([]byte(asJSON(claimsOf(map[string]any{"sub": "u-2"})))) + "." + part[2],
		"JSON serialization":            `{"protected":"` + part[0] + `","payload":"` + part[1] + `","signature":"` + part[2] + `"}`,
		"a space before":                " " + good,
		"padding":                       good + "==",
		"too long":                      p.token(map[string]any{"x": strings.Repeat("x", 20<<10)}),
		"alg none":                      b64([]byte(`{"alg":"none","typ":"at+jwt","kid":"k-1"}`)) + "." + part[1] + ".",
		"alg none, signed":              header(`{"alg":"none","typ":"at+jwt","kid":"k-1"}`),
		"alg HS256 with the public key": hs256(t, p.key, claims),
		"alg RS256":                     rs256(t, claims),
		"alg EdDSA":                     eddsa(t, claims),
		"alg ES384":                     header(`{"alg":"ES384","typ":"at+jwt","kid":"k-1"}`),
		"no alg":                        header(`{"typ":"at+jwt","kid":"k-1"}`),
		"no kid":                        header(`{"alg":"ES256","typ":"at+jwt"}`),
		"an empty kid":                  header(`{"alg":"ES256","typ":"at+jwt","kid":""}`),
		"a kid that is a path":          header(`{"alg":"ES256","typ":"at+jwt","kid":"../../k-1"}`),
		"a kid that is a number":        header(`{"alg":"ES256","typ":"at+jwt","kid":1}`),
		"another's kid":                 sign(t, stranger, `{"alg":"ES256","typ":"at+jwt","kid":"k-2"}`, claims),
		"a stranger's signature":        sign(t, stranger, accessHeader, claims),
		"a key in the header":           sign(t, stranger, `{"alg":"ES256","typ":"at+jwt","kid":"k-1","jwk":`+strangersJWK+`}`, claims),
		"its own key, in the header":    header(`{"alg":"ES256","typ":"at+jwt","kid":"k-1","jwk":` + asJSON(jwk("k-1", p.key)) + `}`),
		"a URL of keys":                 sign(t, stranger, `{"alg":"ES256","typ":"at+jwt","kid":"k-9","jku":"https://evil.example.com/keys"}`, claims),
		"critical extensions":           header(`{"alg":"ES256","typ":"at+jwt","kid":"k-1","crit":["exp"],"exp":1}`),
		"a header that is a list":       header(`["ES256"]`),
		"claims that are a list":        sign(t, p.key, accessHeader, `[1]`),
		"claims that are text":          sign(t, p.key, accessHeader, `hello`),
		"an ID token":                   sign(t, p.key, `{"alg":"ES256","typ":"JWT","kid":"k-1"}`, asJSON(claimsOf(map[string]any{"at_hash": "x"}))),
		"another action":                sign(t, p.key, `{"alg":"ES256","typ":"JWT","kid":"k-1"}`, asJSON(claimsOf(map[string]any{"action": "transaction"}))),
		"a proof":                       header(`{"alg":"ES256","typ":"dpop+jwt","kid":"k-1"}`),
		"a logout token":                header(`{"alg":"ES256","typ":"logout+jwt","kid":"k-1"}`),
		"no typ":                        header(`{"alg":"ES256","kid":"k-1"}`),
		"another issuer":                with("iss", "https://evil.example.com"),
		"the issuer with a slash":       with("iss", issuer+"/"),
		"no issuer":                     with("iss", nil),
		"a list of issuers":             with("iss", []string{issuer}),
		"another audience":              with("aud", "other"),
		"an audience that begins alike": with("aud", audience+"2"),
		"no audience":                   with("aud", nil),
		"an empty list of audiences":    with("aud", []string{}),
		"nobody":                        with("sub", nil),
		"expired":                       with("exp", now-1),
		"expires now":                   with("exp", now),
		"no end":                        with("exp", nil),
		"an end in words":               with("exp", "tomorrow"),
		"not yet":                       with("nbf", now+60),
		"bound to a key":                with("cnf", map[string]string{"jkt": "x"}),
		"bound to a certificate":        with("cnf", map[string]string{"x5t#S256": "x"}),
	}
	if len(cases) < 40 {
		t.Fatalf("%d hostile tokens, want 40", len(cases))
	}
	v := p.verifier()
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for name, token := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := v.Verify(t.Context(), token)
			if !errors.Is(err, client.ErrToken) || got != nil {
				t.Fatalf("got %v, %v; want ErrToken", got, err)
			}
			for _, secret := range []string{"u-1", "evil", "k-1", "d-1"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the refusal repeats %q: %v", secret, err)
				}
			}
		})
	}
}

func hs256(t *testing.T, key *ecdsa.PrivateKey, claims string) string {
	t.Helper()
	public, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	input := b64([]byte(`{"alg":"HS256","typ":"at+jwt","kid":"k-1"}`)) + "." + b64([]byte(claims))
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

func rs256(t *testing.T, claims string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return joseSigned(t, jose.RS256, key, claims)
}

func eddsa(t *testing.T, claims string) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return joseSigned(t, jose.EdDSA, key, claims)
}

func joseSigned(t *testing.T, alg jose.SignatureAlgorithm, key any, claims string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: "k-1"}}, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	out, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}
