package oauth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
)

const (
	headerProof = "DPoP"
	headerNonce = "DPoP-Nonce"

	// nonceLife is how long a nonce is good: longer than a held poll, and short
	// enough for a proof that was copied to be worth little (RFC 9449 section 8).
	nonceLife = 5 * time.Minute
	nonceTag  = 16 // bytes: 128 bits
)

// proof is the thumbprint of the key that a call shows (RFC 9449), "" when it shows
// none. A proof is good once, for this method and address, and only with a nonce of
// ours: the nonce says how old it is, whatever the client's clock says. With an
// access token, at a resource, it must be bound to that. The answer, whichever,
// carries the next nonce.
//
// Its errors are use_dpop_nonce and invalid_dpop_proof: 400, or at a resource 401
// with a challenge (section 7.1).
func (f *face) proof(c *gin.Context, accessToken string) (jkt string, err error) {
	headers := c.Request.Header.Values(headerProof)
	if len(headers) == 0 {
		return "", nil
	}
	ctx := c.Request.Context()
	now, err := f.now(ctx)
	if err != nil {
		return "", err
	}
	c.Header(headerNonce, f.nonce(now))
	bad := refusedProof(c, accessToken != "")
	if len(headers) > 1 {
		return "", bad(codeInvalidProof, "There must be one DPoP header.", nil)
	}
	p, err := token.VerifyDPoP(headers[0], c.Request.Method, f.Issuer+c.Request.URL.Path, accessToken)
	if err != nil {
		return "", bad(codeInvalidProof, "The DPoP proof is not one for this call: an ES256 JWT of type dpop+jwt with its "+
			"public key as jwk, jti, iat, htm and htu, and with an access token its hash as ath.", err)
	}
	made, ok := f.nonceMade(p.Nonce)
	if !ok || now.Sub(made).Abs() >= nonceLife {
		return "", bad(codeUseNonce, "Put the nonce of the DPoP-Nonce header into the proof and send it again.", nil)
	}
	return p.JKT, f.spendProof(ctx, p, made, bad)
}

// spendProof uses a proof up. It is remembered until its nonce is worth nothing.
func (f *face) spendProof(ctx context.Context, p token.Proof, made time.Time, bad proofError) error {
	err := f.Service.Spend(ctx, approval.Spend{
		Box: approval.BoxJWT, Key: "dpop " + p.JKT + " " + p.JTI, Until: made.Add(nonceLife),
	})
	if errors.Is(err, approval.ErrReplayed) {
		err = bad(codeInvalidProof, "The DPoP proof was used before. Sign a new one for each call.", err)
	}
	return err
}

// proofError makes an error about a proof.
type proofError func(code, description string, cause error) *wire.Error

// refusedProof is how errors about proofs look at this endpoint.
func refusedProof(c *gin.Context, resource bool) proofError {
	return func(code, description string, cause error) *wire.Error {
		e := oops(http.StatusBadRequest, code, description)
		e.Cause = cause
		if resource {
			e.Status = http.StatusUnauthorized
			c.Header("WWW-Authenticate", `DPoP error="`+code+`", algs="ES256"`)
		}
		return e
	}
}

// nonce is the server's time in whole seconds and a tag over it, so that every node
// knows one of any other without anybody keeping it.
func (f *face) nonce(now time.Time) string {
	made := binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(made, f.nonceTag(made)...))
}

// nonceMade is when we made a nonce; ok is false when we did not.
func (f *face) nonceMade(nonce string) (made time.Time, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(raw) != 8+nonceTag || !hmac.Equal(raw[8:], f.nonceTag(raw[:8])) {
		return time.Time{}, false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(raw)), 0), true
}

func (f *face) nonceTag(made []byte) []byte {
	m := hmac.New(sha256.New, f.NonceKey)
	m.Write([]byte("dpop nonce"))
	m.Write(made)
	return m.Sum(nil)[:nonceTag]
}
