package native_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/api/token"
)

// signer signs service tokens with any claims, under a second key that the app
// is given for it.
func signer(app *apitest.App) func(M) string {
	app.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(app, err)
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	must(app, err)
	_, err = app.Directory.AddClientKey(app.Context(), app.Client, public)
	must(app, err)
	part := func(v M) string {
		b, err := json.Marshal(v)
		must(app, err)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return func(claims M) string {
		input := part(M{"alg": "ES256", "typ": "JWT", "kid": ""}) + "." + part(claims)
		digest := sha256.Sum256([]byte(input))
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		must(app, err)
		signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		return input + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
}

func expect(r apitest.Reply) token.Expect {
	return token.Expect{Issuer: r.URL, Audience: r.S("client.id"), Typ: "JWT"}
}
