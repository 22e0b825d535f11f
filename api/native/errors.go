package native

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// table is this face's vocabulary. A handler that means another thing by a word
// says so with instead.
var table = wire.Table{
	Render: render,
	Rows: []wire.Row{
		{Word: approval.ErrUnavailable, Status: http.StatusServiceUnavailable, Code: "service_unavailable",
			Message: "The service cannot answer right now. Nothing was decided; try again.", RetryAfter: time.Second},
		{Word: token.ErrUnknownKey, Status: http.StatusServiceUnavailable, Code: "service_unavailable",
			Message: "The service has no signing key right now. Try again.", RetryAfter: time.Second},
		{Word: approval.ErrTooMany, Status: http.StatusTooManyRequests, Code: "remote_session_maximum_retry_attempts",
			Message: "Too many wrong codes. Wait before trying again."},
		{Word: approval.ErrPending, Status: http.StatusBadRequest, Code: "remote_session_timeout",
			Message: "Nobody has decided yet. Wait again while the code lives."},
		{Word: approval.ErrDenied, Status: http.StatusForbidden, Code: "failed_to_authenticate",
			Message: "The request was declined or taken back."},
		{Word: approval.ErrExpired, Status: http.StatusBadRequest, Code: "verification_code_expired",
			Message: "The code has expired. Generate a new one."},
		{Word: approval.ErrNotFound, Status: http.StatusNotFound, Code: "verification_code_not_found",
			Message: "There is no such code for this user."},
		{Word: approval.ErrDecided, Status: http.StatusNotFound, Code: "verification_code_not_found",
			Message: "There is no such code for this user."},
		{Word: approval.ErrInactive, Status: http.StatusForbidden, Code: "account_deactivated",
			Message: "The user was deactivated."},
		{Word: approval.ErrMismatch, Status: http.StatusUnauthorized, Code: "invalid_credential",
			Message: "The passkey's answer is not valid here."},
		{Word: approval.ErrRotated, Status: http.StatusUnauthorized, Code: "invalid_credential",
			Message: "This QR code has been replaced by a newer one."},
		{Word: approval.ErrReplayed, Status: http.StatusUnauthorized, Code: "invalid_credential",
			Message: "This attempt was used before or took too long. Start again."},
		{Word: approval.ErrRevoked, Status: http.StatusUnauthorized, Code: "invalid_credential",
			Message: "The passkey or the client is no longer valid."},
		{Word: approval.ErrForbidden, Status: http.StatusForbidden, Code: "operation_not_allowed",
			Message: "This is not allowed."},
		{Word: approval.ErrExists, Status: http.StatusConflict, Code: "user_already_registered",
			Message: "The user or the passkey is registered already."},
		{Word: approval.ErrInvalid, Status: http.StatusBadRequest, Code: "request_validation_error",
			Message: "The request is not valid."},
	},
}

var (
	clientNotFound     = &wire.Error{Status: http.StatusNotFound, Code: "client_not_found", Message: "There is no such client."}
	userNotFound       = &wire.Error{Status: http.StatusNotFound, Code: "user_not_found", Message: "There is no such user."}
	credentialNotFound = &wire.Error{Status: http.StatusNotFound, Code: "credential_not_found", Message: "The user has no such credential."}
	phoneNotFound      = &wire.Error{Status: http.StatusNotFound, Code: "phone_not_found", Message: "The user has no such phone."}
	tooManyPhones      = &wire.Error{Status: http.StatusConflict, Code: "too_many_phones", Message: fmt.Sprintf("A user can have %d phones. Remove one first.", account.MaxPhones)}
	webhookNotFound    = &wire.Error{Status: http.StatusNotFound, Code: "webhook_not_found", Message: "There is no such webhook."}
	webhookDisabled    = &wire.Error{Status: http.StatusConflict, Code: "webhook_disabled", Message: "The webhook is disabled. Enable it first."}
	tooManyWebhooks    = &wire.Error{Status: http.StatusConflict, Code: "too_many_webhooks", Message: fmt.Sprintf("A namespace can have %d webhooks. Remove one first.", account.MaxWebhooks)}
	deviceNotFound     = &wire.Error{Status: http.StatusNotFound, Code: "device_not_found", Message: "The user has no such device."}
	notFound           = &wire.Error{Status: http.StatusNotFound, Code: "not_found", Message: "There is nothing at this path."}
	txNotFound         = &wire.Error{Status: http.StatusNotFound, Code: "transaction_not_found", Message: "There is no such transaction."}
	txExpired          = &wire.Error{Status: http.StatusBadRequest, Code: "transaction_expired", Message: "The transaction has run out. Create a new one."}
	txChanged          = &wire.Error{Status: http.StatusConflict, Code: "request_changed", Message: "The transaction is not the one that was signed. Nothing was decided; create a new one."}
	receiptNotFound    = &wire.Error{Status: http.StatusNotFound, Code: "receipt_not_found", Message: "There is no receipt of this request for this client. Only a passkey's approval leaves one: a decline, or a backend's word, does not."}
	keyNotFound        = &wire.Error{Status: http.StatusNotFound, Code: "not_found", Message: "There is no such key."}
	invalidCredential  = &wire.Error{Status: http.StatusUnauthorized, Code: "invalid_credential", Message: "The passkey's answer is not valid here."}
	inProgress         = &wire.Error{Status: http.StatusBadRequest, Code: "remote_session_in_progress", Message: "Nobody has decided yet."}
	usernameTaken      = &wire.Error{Status: http.StatusConflict, Code: "username_taken", Message: "The username is taken."}
	userActive         = &wire.Error{Status: http.StatusConflict, Code: "user_not_activated", Message: "The user is active already."}
	userInactive       = &wire.Error{Status: http.StatusConflict, Code: "user_not_deactivated", Message: "The user is not active."}
)

// instead answers reply where err is the word, keeping err for the log.
func instead(err, word error, reply *wire.Error) error {
	if err == nil || !errors.Is(err, word) {
		return err
	}
	said := *reply
	said.Cause = err
	return &said
}

// render writes the JSON; a 401 names the scheme, as RFC 9110 section 15.5.2
// demands.
func render(c *gin.Context, e *wire.Error) {
	if e.Status == http.StatusUnauthorized {
		c.Header("WWW-Authenticate", "Bearer")
	}
	wire.RenderJSON(c, e)
}

func tooManyRequests(wait time.Duration) *wire.Error {
	return &wire.Error{
		Status: http.StatusTooManyRequests, Code: "too_many_requests",
		Message: "Too many requests. Wait before trying again.", RetryAfter: wait,
	}
}
