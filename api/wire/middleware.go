package wire

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"
)

// Keys of what the middleware keeps in the gin context.
const (
	keyAddress   = "wire.address"
	keyRequestID = "wire.request_id"
	keyStatus    = "wire.status"
	keyNotes     = "wire.notes"
)

// RequestID names this exchange in the log and in the X-Request-Id header.
func RequestID(c *gin.Context) string { return c.GetString(keyRequestID) }

// Identify gives every request an id of its own. One sent by the caller is not
// believed: it could make two exchanges look like one.
func Identify(c *gin.Context) {
	id := rand.Text()[:16] // 80 bits
	c.Set(keyRequestID, id)
	c.Header("X-Request-Id", id)
}

// Note adds an attribute to the request's line in the access log. Never a secret.
func Note(c *gin.Context, attrs ...slog.Attr) {
	notes, _ := c.Get(keyNotes)
	list, _ := notes.([]slog.Attr)
	c.Set(keyNotes, append(list, attrs...))
}

// AccessLog writes one line for each request, with the error its handler
// returned. The route is its pattern: paths and queries may carry secrets.
func AccessLog(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		began := time.Now()
		c.Next()
		report(c, log, time.Since(began))
	}
}

// report is a function of its own so that a held call does not carry its frame.
func report(c *gin.Context, log *slog.Logger, took time.Duration) {
	status := cmp.Or(c.GetInt(keyStatus), c.Writer.Status())
	attrs := []slog.Attr{
		slog.String("method", c.Request.Method),
		slog.String("route", c.FullPath()),
		slog.Int("status", status),
		slog.Duration("took", took),
		slog.String("address", Address(c)),
		slog.String("request_id", RequestID(c)),
	}
	if notes, ok := c.Get(keyNotes); ok {
		attrs = append(attrs, notes.([]slog.Attr)...)
	}
	if last := c.Errors.Last(); last != nil {
		attrs = append(attrs, slog.Any("error", last.Err))
	}
	log.LogAttrs(c.Request.Context(), level(status), "request", attrs...)
}

// Recover turns a panic into an internal error, with its stack in the log.
func Recover(t Table, log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler { //nolint:errorlint // the server compares it so, too
				panic(cause)
			}
			log.ErrorContext(c.Request.Context(), "panic", "cause", cause, "request_id", RequestID(c), "stack", string(debug.Stack()))
			t.Fail(c, fmt.Errorf("panic: %v", cause))
		}()
		c.Next()
	}
}

// SecurityHeaders sets what every reply carries. Pages replace the policy with
// one that lets their own styles and scripts in; whoever may be cached says so
// itself. With https it asks browsers to stay with it for a year.
func SecurityHeaders(https bool) gin.HandlerFunc {
	return func(c *gin.Context) {
		h := c.Writer.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if https {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
	}
}
