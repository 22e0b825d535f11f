package oauth

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/api/wire"
)

// cacheKeys lets verifiers keep the keys as long as the ring counts on.
var cacheKeys = fmt.Sprintf("public, max-age=%d", int(token.CacheFor.Seconds()))

// Keys publishes the signing keys of a ring (RFC 7517). They may be cached: the ring
// announces a new key longer before it signs.
func Keys(ring *token.Ring) wire.Handler {
	return func(c *gin.Context) error {
		keys, err := ring.JWKS(c.Request.Context())
		if err != nil {
			return err
		}
		forEverybody(c, cacheKeys)
		c.Data(http.StatusOK, "application/json", keys)
		return nil
	}
}

// forEverybody lets caches keep what is no secret, and pages of any site read it.
func forEverybody(c *gin.Context, cache string) {
	c.Header("Cache-Control", cache)
	c.Header("Cross-Origin-Resource-Policy", "cross-origin")
	c.Header("Access-Control-Allow-Origin", "*")
}
