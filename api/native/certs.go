package native

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/token"
)

// maxKID is in bytes: a kid is an RFC 7638 thumbprint, 43 characters.
const maxKID = 128

// certs answers a public key as text, because the SDKs hand it to a PEM reader.
// It never reads a token: they send an old one along.
func (f *face) certs(c *gin.Context) error {
	kid := c.Query("kid")
	if len(kid) > maxKID {
		return keyNotFound
	}
	pem, err := f.Ring.PEM(c.Request.Context(), kid)
	if err != nil {
		return instead(err, token.ErrUnknownKey, keyNotFound)
	}
	c.Data(http.StatusOK, "text/plain; charset=utf-8", pem)
	return nil
}
