package wire

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

const (
	// readWithin is how long a client may take to send its body, writeWithin how
	// long the whole reply may take from the request's arrival (threats D4).
	readWithin  = 10 * time.Second
	writeWithin = 10 * time.Second
	// heldSlack is granted to a held reply after the hold, for the redemption and
	// a slow reader.
	heldSlack = 10 * time.Second
)

// Deadlines bounds each request on its own. The server has no WriteTimeout, for
// that would end the held ones.
func Deadlines(c *gin.Context) {
	now := time.Now()
	control := http.NewResponseController(c.Writer)
	// Not supported by a test's recorder, which cannot hang either.
	_ = control.SetReadDeadline(now.Add(readWithin))
	_ = control.SetWriteDeadline(now.Add(writeWithin))
}

// Held gives this reply hold and some slack to be written. Call it after the
// body was read: it lifts the read deadline too, which would otherwise end the
// watch for a client that leaves, and the request with it.
func Held(c *gin.Context, hold time.Duration) {
	control := http.NewResponseController(c.Writer)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Now().Add(hold + heldSlack))
}
