package wire

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// heldSlack is granted to a held reply after the hold, for the redemption and a
// slow reader.
const heldSlack = 10 * time.Second

// Held lifts the server's time-outs for this reply: it gives it hold and some slack
// to be written. Call it after the body was read: it lifts the read deadline too,
// which would otherwise end the watch for a client that leaves, and the request with
// it. The next request on the connection has the server's again.
func Held(c *gin.Context, hold time.Duration) {
	control := http.NewResponseController(c.Writer)
	// Not supported by a test's recorder, which cannot hang either.
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Now().Add(hold + heldSlack))
}
