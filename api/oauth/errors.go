package oauth

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
)

// The error codes of the protocols: RFC 6749 section 5.2, RFC 8628 section 3.5,
// RFC 9396 section 5, RFC 9449 sections 5 and 8.
const (
	codeInvalidRequest     = "invalid_request"
	codeInvalidClient      = "invalid_client"
	codeInvalidGrant       = "invalid_grant"
	codeInvalidScope       = "invalid_scope"
	codeUnauthorizedClient = "unauthorized_client"
	codeUnsupportedGrant   = "unsupported_grant_type"
	codePending            = "authorization_pending"
	codeSlowDown           = "slow_down"
	codeDenied             = "access_denied"
	codeExpired            = "expired_token"
	codeUnavailable        = "temporarily_unavailable"
	codeServerError        = "server_error"
	codeInvalidDetails     = "invalid_authorization_details"
	codeInvalidProof       = "invalid_dpop_proof"
	codeUseNonce           = "use_dpop_nonce"
)

// retryUnavailable is what a client is told to wait when the truth cannot be
// reached: less than the advertised interval, so that nobody polls more often for it.
const retryUnavailable = 2 * time.Second

// words is the face's vocabulary. An endpoint that means another thing by a word
// says so with instead.
var words = wire.Table{
	Render: render,
	Rows: []wire.Row{
		{Word: approval.ErrUnavailable, Status: http.StatusServiceUnavailable, Code: codeUnavailable,
			Message: "The service cannot answer right now. Nothing was decided; try again.", RetryAfter: retryUnavailable},
		{Word: token.ErrUnknownKey, Status: http.StatusServiceUnavailable, Code: codeUnavailable,
			Message: "The service has no signing key right now. Try again.", RetryAfter: retryUnavailable},
		{Word: approval.ErrTooMany, Status: http.StatusTooManyRequests, Code: codeSlowDown,
			Message: "Too many requests. Wait before trying again.", RetryAfter: interval},
		{Word: approval.ErrPending, Status: http.StatusBadRequest, Code: codePending,
			Message: "Nobody has decided yet. Ask again."},
		{Word: approval.ErrDenied, Status: http.StatusBadRequest, Code: codeDenied,
			Message: "The request was declined or taken back."},
		{Word: approval.ErrExpired, Status: http.StatusBadRequest, Code: codeExpired,
			Message: "The code has expired. Start again."},
		{Word: approval.ErrInactive, Status: http.StatusBadRequest, Code: codeDenied,
			Message: "The user was deactivated."},
		{Word: approval.ErrNotFound, Status: http.StatusBadRequest, Code: codeInvalidGrant,
			Message: "There is no such code or token for this client, or it was used before."},
		{Word: approval.ErrMismatch, Status: http.StatusBadRequest, Code: codeInvalidGrant,
			Message: "This is bound to another DPoP key. Send a proof of that key."},
		{Word: approval.ErrReplayed, Status: http.StatusBadRequest, Code: codeInvalidGrant,
			Message: "This was used before."},
		{Word: approval.ErrRevoked, Status: http.StatusBadRequest, Code: codeInvalidGrant,
			Message: "This was revoked."},
		{Word: approval.ErrDecided, Status: http.StatusBadRequest, Code: codeInvalidGrant,
			Message: "The request was decided already."},
		{Word: approval.ErrRotated, Status: http.StatusBadRequest, Code: codeInvalidGrant,
			Message: "This was replaced by a newer one."},
		{Word: approval.ErrForbidden, Status: http.StatusBadRequest, Code: codeUnauthorizedClient,
			Message: "This client may not do this."},
		{Word: approval.ErrExists, Status: http.StatusBadRequest, Code: codeInvalidRequest,
			Message: "This exists already."},
		{Word: approval.ErrInvalid, Status: http.StatusBadRequest, Code: codeInvalidRequest,
			Message: "The request is not valid."},
	},
}

// oops is a reply that is not a success. The description is a sentence for whoever
// writes the client and repeats nothing that was sent.
func oops(status int, code, description string) *wire.Error {
	return &wire.Error{Status: status, Code: code, Message: description}
}

// badRequest is the most common one.
func badRequest(description string) *wire.Error {
	return oops(http.StatusBadRequest, codeInvalidRequest, description)
}

// missing says that a parameter has to be there.
func missing(name string) *wire.Error { return badRequest("The parameter " + name + " is missing.") }

// instead answers with reply where err is the word, keeping err for the log and
// the sentence of an InvalidError, which says what is wrong.
func instead(err, word error, reply *wire.Error) error {
	if err == nil || !errors.Is(err, word) {
		return err
	}
	said := *reply
	said.Cause = err
	if invalid, ok := errors.AsType[*approval.InvalidError](err); ok {
		said.Message = invalid.Field + " " + invalid.Reason + "."
	}
	return &said
}

// render writes {"error", "error_description"} (RFC 6749 section 5.2) and the extra
// members.
func render(c *gin.Context, e *wire.Error) {
	wire.SetRetryAfter(c, e)
	noStore(c)
	body := maps.Clone(e.Extra)
	if body == nil {
		body = make(map[string]any, 2)
	}
	body["error"], body["error_description"] = e.Code, describe(e.Message)
	if e.Status == http.StatusInternalServerError {
		body["error"] = codeServerError
	}
	c.JSON(e.Status, body)
}

// describe keeps to the characters that RFC 6749 section 5.2 allows in an
// error_description: printable ASCII without quote and backslash.
func describe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s)
}

// noStore keeps answers with secrets out of caches (RFC 6749 section 5.1).
func noStore(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Header("Pragma", "no-cache")
}
