package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
)

// Handler answers one request. It either writes a reply and returns nil, or
// writes nothing and returns an error for the face's Table.
type Handler func(*gin.Context) error

// Error is a reply that is not a success.
type Error struct {
	Status     int
	Code       string         // one word of the face's vocabulary
	Message    string         // a sentence for the caller: what is wrong, what to do next
	RetryAfter time.Duration  // sent as Retry-After in whole seconds, rounded up; 0: not sent
	Extra      map[string]any // further members of the JSON body
	Cause      error          // for the log, never sent
}

// Error is the text for the log.
func (e *Error) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("%d %s", e.Status, e.Code)
	}
	return fmt.Sprintf("%d %s: %v", e.Status, e.Code, e.Cause)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Row is what a face says for one error word.
type Row struct {
	Word       error
	Status     int
	Code       string
	Message    string
	RetryAfter time.Duration
}

// Table is a face's vocabulary. The first row whose word the error matches
// counts; an error that matches none is an internal error.
type Table struct {
	Rows []Row
	// Render writes the reply; nil: RenderJSON.
	Render func(*gin.Context, *Error)
}

// StatusClientClosed is what the log says of a client that left before its
// answer. It is never sent.
const StatusClientClosed = 499

// Adapt makes a Handler a gin handler. It is the one place that renders an error.
func (t Table) Adapt(h Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := h(c); err != nil {
			t.Fail(c, err)
		}
	}
}

// Fail ends the request with the reply for err, for middleware.
func (t Table) Fail(c *gin.Context, err error) {
	_ = c.Error(err) // the access log prints it
	c.Abort()
	if c.Request.Context().Err() != nil && errors.Is(err, context.Canceled) {
		c.Set(keyStatus, StatusClientClosed) // and answered all the same, in case the server itself gave up
	}
	if c.Writer.Written() {
		return
	}
	e := t.Translate(err)
	if t.Render == nil {
		RenderJSON(c, e)
		return
	}
	t.Render(c, e)
}

// Translate finds the reply for err. An *Error stands for itself; the details of
// the core's LimitError and InvalidError are carried over.
func (t Table) Translate(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", approval.ErrUnavailable, err)
	}
	for _, row := range t.Rows {
		if errors.Is(err, row.Word) {
			return detail(row, err)
		}
	}
	return &Error{
		Status: http.StatusInternalServerError, Code: "internal_server_error",
		Message: "Something went wrong on this side. The request id helps its operator to find out what.", Cause: err,
	}
}

func detail(row Row, err error) *Error {
	e := &Error{Status: row.Status, Code: row.Code, Message: row.Message, RetryAfter: row.RetryAfter, Cause: err}
	if limit, ok := errors.AsType[*approval.LimitError](err); ok && limit.RetryAfter > 0 {
		e.RetryAfter = limit.RetryAfter
	}
	if invalid, ok := errors.AsType[*approval.InvalidError](err); ok {
		e.Message = fmt.Sprintf("%s %s.", invalid.Field, invalid.Reason)
	}
	return e
}

// RenderJSON writes {"code", "message"} and the extra members.
func RenderJSON(c *gin.Context, e *Error) {
	SetRetryAfter(c, e)
	body := maps.Clone(e.Extra)
	if body == nil {
		body = make(map[string]any, 2)
	}
	body["code"], body["message"] = e.Code, e.Message
	c.JSON(e.Status, body)
}

// SetRetryAfter writes the header when the error has one, for renderers.
func SetRetryAfter(c *gin.Context, e *Error) {
	if e.RetryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
}

// level is how loudly the log speaks of a status.
func level(status int) slog.Level {
	if status >= http.StatusInternalServerError {
		return slog.LevelError
	}
	return slog.LevelInfo
}
