package oauth

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval/account"
)

// The error codes at a resource (RFC 6750 section 3.1).
const (
	codeInvalidToken      = "invalid_token"
	codeInsufficientScope = "insufficient_scope"
)

// userinfo tells who an access token is of (OpenID Connect Core section 5.3): sub,
// and preferred_username where the scope profile was granted.
func (f *face) userinfo(c *gin.Context) error {
	noStore(c)
	a, err := f.presented(c)
	if err != nil {
		return err
	}
	if !a.may(account.ScopeOpenID) {
		return challenge(c, http.StatusForbidden, a.scheme(), codeInsufficientScope,
			"The access token was not granted the scope openid.", `scope="openid"`)
	}
	f.Service.Used(c.Request.Context(), a.device.ID, a.device.LastSeen())
	who := struct {
		Subject  string `json:"sub"`
		Username string `json:"preferred_username,omitempty"`
	}{Subject: a.user.ID}
	if a.may(account.ScopeProfile) {
		who.Username = a.user.Username
	}
	c.JSON(http.StatusOK, who)
	return nil
}

// presented is the live access token that the call shows. One that is bound to a
// key is taken with a proof of that key alone, and one that is not is taken with
// none (RFC 9449 section 7.2).
func (f *face) presented(c *gin.Context) (access, error) {
	scheme, compact, err := credentials(c)
	if err != nil {
		return access{}, err
	}
	if scheme == tokenDPoP {
		if err := f.renewNonce(c); err != nil {
			return access{}, err
		}
	}
	a, err := f.access(c.Request.Context(), compact)
	if errors.Is(err, errDead) {
		said := challenge(c, http.StatusUnauthorized, scheme, codeInvalidToken, "The access token is not good, or not any more.")
		said.Cause = err
		return a, said
	}
	if err != nil {
		return a, err
	}
	return a, f.possessed(c, scheme, compact, a)
}

// possessed judges whether the call shows the key that the token is bound to.
func (f *face) possessed(c *gin.Context, scheme, compact string, a access) error {
	switch bound := a.jkt() != ""; {
	case scheme != a.scheme() && bound:
		return challenge(c, http.StatusUnauthorized, tokenDPoP, codeInvalidToken,
			"The access token is bound to a key: send it with the scheme DPoP and a proof.")
	case scheme != a.scheme():
		return challenge(c, http.StatusUnauthorized, tokenBearer, codeInvalidToken,
			"The access token is not bound to a key: send it with the scheme Bearer.")
	case !bound:
		return nil
	}
	jkt, err := f.proof(c, compact)
	switch {
	case err != nil:
		return err
	case jkt == "":
		return challenge(c, http.StatusUnauthorized, tokenDPoP, codeInvalidProof, "The DPoP proof is missing.")
	case jkt != a.jkt():
		return challenge(c, http.StatusUnauthorized, tokenDPoP, codeInvalidToken, "The DPoP proof is of another key than the access token's.")
	}
	return nil
}

// credentials takes the access token out of the Authorization header, the one place
// where it is looked for: bodies and queries end up in logs.
func credentials(c *gin.Context) (scheme, compact string, err error) {
	given := c.Request.Header.Values("Authorization")
	if len(given) > 1 {
		return "", "", challenge(c, http.StatusBadRequest, tokenBearer, codeInvalidRequest, "There must be one Authorization header.")
	}
	name, compact, _ := strings.Cut(strings.Join(given, ""), " ")
	for _, scheme := range []string{tokenBearer, tokenDPoP} {
		if strings.EqualFold(name, scheme) && compact != "" {
			return scheme, strings.TrimSpace(compact), nil
		}
	}
	// Whoever sent nothing has made no mistake yet (RFC 6750 section 3.1).
	h := c.Writer.Header()
	h.Add("WWW-Authenticate", tokenBearer+` realm="nod"`)
	h.Add("WWW-Authenticate", tokenDPoP+` algs="ES256"`)
	return "", "", oops(http.StatusUnauthorized, codeInvalidToken, "Send an access token in the Authorization header, as Bearer or DPoP.")
}

// challenge is an error at a resource: the header says it as well as the body (RFC
// 6750 section 3, RFC 9449 section 7.1).
func challenge(c *gin.Context, status int, scheme, code, description string, more ...string) *wire.Error {
	parts := append([]string{`error="` + code + `"`, `error_description="` + describe(description) + `"`}, more...)
	if scheme == tokenDPoP {
		parts = append(parts, `algs="ES256"`)
	}
	c.Header("WWW-Authenticate", scheme+" "+strings.Join(parts, ", "))
	return oops(status, code, description)
}

// renewNonce gives the caller the nonce of its next proof, whatever becomes of this
// call.
func (f *face) renewNonce(c *gin.Context) error {
	now, err := f.now(c.Request.Context())
	if err != nil {
		return err
	}
	c.Header(headerNonce, f.nonce(now))
	return nil
}
