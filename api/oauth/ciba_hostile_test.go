package oauth_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
)

// raw signs whatever header and claims it is given, as no library would.
func raw(b *bank, key *ecdsa.PrivateKey, header, claims string) string {
	b.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(header)) + "." + encode([]byte(claims))
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	b.must(err)
	signature := make([]byte, 64) // R and S, RFC 7518 section 3.4
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + encode(signature)
}

// hostile are JWTs that must be refused wherever one is taken. Most are signed by the
// right key over the right claims: only their form is wrong.
func hostile(b *bank, good M) map[string]string {
	b.Helper()
	text, err := json.Marshal(good)
	b.must(err)
	claims, header := string(text), `{"alg":"ES256","typ":"JWT"}`
	with := func(h string) string { return raw(b, b.key, h, claims) }
	says := func(c string) string { return raw(b, b.key, header, c) }
	compact := with(header)
	parts := strings.Split(compact, ".")
	_, stranger := b.newClient()
	return map[string]string{
		// who signed it, and how
		"another's key": raw(b, stranger, header, claims), "alg none": with(`{"alg":"none"}`), "alg None": with(`{"alg":"None"}`),
		"alg HS256": with(`{"alg":"HS256"}`), "alg RS256": with(`{"alg":"RS256"}`), "alg ES384": with(`{"alg":"ES384"}`),
		"alg es256": with(`{"alg":"es256"}`), "alg a list": with(`{"alg":["ES256"]}`), "no alg": with(`{"typ":"JWT"}`), "alg null": with(`{"alg":null}`),
		"alg twice":    with(`{"alg":"none","alg":"ES256"}`),
		"no signature": parts[0] + "." + parts[1] + ".", "another's signature": parts[0] + "." + parts[1] + "." + strings.Split(with(`{"alg":"ES256"}`), ".")[2],
		"a signature of nothing": parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86), "half a signature": compact[:len(compact)-43],
		// headers that bring a key or change what is signed
		"jwk": with(`{"alg":"ES256","jwk":{"kty":"EC"}}`), "jku": with(`{"alg":"ES256","jku":"https://evil.example"}`),
		"x5u": with(`{"alg":"ES256","x5u":"https://evil.example"}`), "x5c": with(`{"alg":"ES256","x5c":["MII"]}`),
		"crit": with(`{"alg":"ES256","crit":["exp"]}`), "b64": with(`{"alg":"ES256","b64":false,"crit":["b64"]}`), "zip": with(`{"alg":"ES256","zip":"DEF"}`),
		"an access token's typ": with(`{"alg":"ES256","typ":"at+jwt"}`), "a proof's typ": with(`{"alg":"ES256","typ":"dpop+jwt"}`), "typ a number": with(`{"alg":"ES256","typ":1}`),
		// the form
		"two parts": parts[0] + "." + parts[1], "four parts": compact + "." + parts[2], "five parts": compact + "..", "JSON": `{"payload":"e30","signature":"e30"}`,
		"padding": parts[0] + "==." + parts[1] + "." + parts[2], "a line break": parts[0] + ".\n" + parts[1] + "." + parts[2], "a space before it": " " + compact,
		"base64 with plus": parts[0] + "." + parts[1] + ".++//" + parts[2][4:], "dots alone": "..", "a word": "ada",
		"a long tail": compact + strings.Repeat("A", 4<<10),
		// the claims
		"no JSON": says("claims"), "a list": says("[" + claims + "]"), "nothing": says(""), "null": says("null"), "two objects": says(claims + claims),
		"a claim twice": says(strings.Replace(claims, "{", `{"iss":"somebody",`, 1)), "broken UTF-8": says(strings.Replace(claims, "{", "{\"x\":\"\xff\",", 1)),
		"iss a list": says(strings.Replace(claims, `"iss":`, `"iss":[],"was":`, 1)), "aud an object": says(strings.Replace(claims, `"aud":`, `"aud":{},"was":`, 1)),
		"exp a text": says(strings.Replace(claims, `"exp":`, `"exp":"9999999999","was":`, 1)), "exp beyond time": says(strings.Replace(claims, `"exp":`, `"exp":1e300,"was":`, 1)),
		"exp a fraction": says(strings.Replace(claims, `"exp":`, `"exp":9999999999.5,"was":`, 1)),
	}
}

func TestBackchannel_hostileTokens(t *testing.T) {
	b := openBank(t)
	idToken := M{"iss": b.URL, "aud": b.client.ID, "sub": b.ada.ID, "exp": ago(-60)}
	for place, c := range map[string]struct {
		good M
		p    params
	}{
		"request":          {b.signedRequest(), params{}},
		"login_hint_token": {b.hintToken(), params{"scope": "openid"}},
		"id_token_hint":    {idToken, params{"scope": "openid"}},
	} {
		list := hostile(b, c.good)
		if least := 40; len(list) < least {
			t.Errorf("%s: got %d hostile tokens, want %d", place, len(list), least)
		}
		for about, compact := range list {
			p := maps.Clone(c.p)
			p[place] = compact
			wantError(t, place+", "+about, b.sends(p), http.StatusBadRequest, "invalid_request")
		}
	}
	waiting, err := b.Service.Waiting(t.Context(), viewer(b.ada))
	b.must(err)
	if len(waiting) != 0 {
		t.Errorf("ada is asked: got %d questions, want 0", len(waiting))
	}
	if strings.Contains(b.Log.String(), "evil.example") {
		t.Error("log: repeats what a token said")
	}
}
