package native

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval/account"
)

// OriginLister lists the origins of all clients.
type OriginLister interface {
	Origins(ctx context.Context) ([]string, error)
}

const (
	// originsFor is how long the list of origins is believed; a call's own client
	// is read afresh all the same.
	originsFor = 5 * time.Second
	// originsRetry is how soon an origin that is not listed may be looked for
	// again: a client that was just created works at once, and strangers cause at
	// most four reads a second.
	originsRetry = 250 * time.Millisecond
	// originsWithin bounds that read: every page's call waits for it.
	originsWithin = time.Second
	// preflightFor is how long a browser may keep a preflight's answer.
	preflightFor = "600" // seconds
)

// origins answers browsers that ask on behalf of other sites (Fetch standard,
// "CORS protocol"). There are no cookies on this face, so there is no
// credentials mode.
type origins struct {
	list OriginLister
	own  string

	mu    sync.Mutex
	known []string
	read  time.Time
}

func newOrigins(list OriginLister, own string) *origins { return &origins{list: list, own: own} }

// listed says whether any client has the origin.
func (o *origins) listed(ctx context.Context, origin string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	age := time.Since(o.read)
	found := slices.Contains(o.known, origin)
	if age < originsRetry || found && age < originsFor {
		return found
	}
	ctx, cancel := context.WithTimeout(ctx, originsWithin)
	defer cancel()
	o.read = time.Now()
	if known, err := o.list.Origins(ctx); err == nil {
		o.known = known
	} // otherwise what was known stays true for now
	return slices.Contains(o.known, origin)
}

// welcome lets pages of registered origins read the answer, errors that come
// before the client is known included. The call itself is judged by admit.
func (o *origins) welcome(c *gin.Context) {
	h := c.Writer.Header()
	h.Add("Vary", "Origin")
	origin := c.GetHeader("Origin")
	if origin == "" || origin == o.own || !o.listed(c.Request.Context(), origin) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Retry-After, X-Request-Id")
}

// admit refuses a page whose origin the client does not have. Programs send no
// Origin; nod's own pages may call for any client.
func (o *origins) admit(c *gin.Context, client account.Client) error {
	origin := c.GetHeader("Origin")
	if origin == "" || origin == o.own || slices.Contains(client.Origins, origin) {
		return nil
	}
	return o.refuse(c)
}

// admitListed is admit where the client is not known beforehand.
func (o *origins) admitListed(c *gin.Context) error {
	origin := c.GetHeader("Origin")
	if origin == "" || origin == o.own || o.listed(c.Request.Context(), origin) {
		return nil
	}
	return o.refuse(c)
}

func (o *origins) refuse(c *gin.Context) error {
	c.Writer.Header().Del("Access-Control-Allow-Origin")
	return forbidden("This origin is not registered with the client.")
}

// preflight answers OPTIONS for a path with these methods. It has no body and so
// no client: it allows what any client has.
func (o *origins) preflight(methods []string) gin.HandlerFunc {
	allowed := strings.Join(methods, ", ")
	return func(c *gin.Context) {
		h := c.Writer.Header()
		h.Add("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
		h.Set("Allow", allowed+", OPTIONS")
		origin := c.GetHeader("Origin")
		if origin != "" && o.listed(c.Request.Context(), origin) {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Methods", allowed)
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Client-ID")
			h.Set("Access-Control-Max-Age", preflightFor)
		}
		c.Status(http.StatusNoContent)
	}
}
