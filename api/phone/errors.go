package phone

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/web"
	"github.com/nod-auth/nod/webauthn"
)

// The codes of this face's errors.
const (
	codeSignedOut     = "signed_out"
	codeCrossOrigin   = "cross_origin"
	codeNotFound      = "not_found"
	codeNotDecided    = "not_decided"
	codeDeclined      = "declined"
	codeExpired       = "expired"
	codeDecided       = "already_decided"
	codeRefused       = "passkey_refused"
	codeForbidden     = "forbidden"
	codeInactive      = "account_inactive"
	codeRevoked       = "no_longer_valid"
	codeSuspended     = "passkey_stopped"
	codeReplayed      = "ceremony_over"
	codeRotated       = "qr_replaced"
	codeExists        = "already_exists"
	codeInvalid       = "invalid"
	codeTooMany       = "too_many_requests"
	codeUnavailable   = "unavailable"
	codeWrongNumber   = "wrong_number"
	codeNumberNeeded  = "number_needed"
	codeMessageUnseen = "message_not_confirmed"
	codeInvitation    = "invitation_over"
	codeChanged       = "request_changed"
	codeReadAhead     = "read_ahead"
	codePhones        = "too_many_phones"
	codeReceipt       = "receipt_not_found"
	codeLastPasskey   = "last_passkey"
)

const (
	retryPaced       = time.Minute     // the longest window that counts here, when the limit itself does not say
	retryUnavailable = 2 * time.Second // a store that restarts is back within seconds
)

// rows are the core's error words in the words of this face.
var rows = []wire.Row{
	{Word: approval.ErrNotFound, Status: http.StatusNotFound, Code: codeNotFound,
		Message: "There is nothing here for you. It may be over, or meant for somebody else."},
	{Word: approval.ErrPending, Status: http.StatusConflict, Code: codeNotDecided,
		Message: "Nobody has decided this yet."},
	{Word: approval.ErrDenied, Status: http.StatusGone, Code: codeDeclined,
		Message: "This was declined or canceled. Nothing was shared."},
	{Word: approval.ErrExpired, Status: http.StatusGone, Code: codeExpired,
		Message: "This request has run out. Nothing was shared. Start again on the device."},
	{Word: approval.ErrDecided, Status: http.StatusConflict, Code: codeDecided,
		Message: "This has already been decided. Your answer changed nothing."},
	{Word: approval.ErrMismatch, Status: http.StatusUnauthorized, Code: codeRefused,
		Message: "That passkey was not accepted. Nothing has changed, and you can try again."},
	{Word: approval.ErrForbidden, Status: http.StatusForbidden, Code: codeForbidden,
		Message: "This is meant for somebody else. Nothing has changed."},
	{Word: approval.ErrInactive, Status: http.StatusForbidden, Code: codeInactive,
		Message: "This account is switched off. Ask whoever runs this service."},
	{Word: approval.ErrRevoked, Status: http.StatusUnauthorized, Code: codeRevoked,
		Message: "That passkey, or the app that asks, is no longer valid here. Nothing was shared."},
	{Word: approval.ErrReplayed, Status: http.StatusUnauthorized, Code: codeReplayed,
		Message: "That took too long, or was sent twice. Nothing has changed, and you can try again."},
	{Word: approval.ErrRotated, Status: http.StatusUnauthorized, Code: codeRotated,
		Message: "This QR code has been replaced by a newer one, so that a picture of it is good for nothing. Scan the one the screen shows now."},
	{Word: approval.ErrExists, Status: http.StatusConflict, Code: codeExists,
		Message: "That passkey is known here already. Sign in with it."},
	{Word: approval.ErrInvalid, Status: http.StatusUnprocessableEntity, Code: codeInvalid,
		Message: "Something in what you entered cannot be used. Change it and try again."},
	{Word: approval.ErrTooMany, Status: http.StatusTooManyRequests, Code: codeTooMany, RetryAfter: retryPaced,
		Message: "That was too often. Wait a moment, then try again."},
	{Word: approval.ErrUnavailable, Status: http.StatusServiceUnavailable, Code: codeUnavailable, RetryAfter: retryUnavailable,
		Message: "nod cannot reach its records just now. Nothing was decided. Try again in a moment."},
}

// spelled lets the core's errors that carry details say them.
func spelled(h wire.Handler) wire.Handler {
	return func(c *gin.Context) error {
		err := h(c)
		if _, ok := errors.AsType[*wire.Error](err); ok {
			return err // it says everything itself
		}
		if errors.Is(err, webauthn.ErrSuspended) {
			return &wire.Error{
				Status: http.StatusUnauthorized, Code: codeSuspended, Cause: err,
				Message: "This passkey was stopped, because there may be a copy of it. Nothing was shared. " +
					"Sign in with another one, use a recovery code, or ask whoever runs this service for an invitation.",
			}
		}
		if decided, ok := errors.AsType[*approval.DecidedError](err); ok {
			return alreadyDecided(decided.State, err)
		}
		if wrong, ok := errors.AsType[*approval.MismatchError](err); ok {
			return wrongNumber(wrong.Left, err)
		}
		if _, ok := errors.AsType[*approval.ChangedError](err); ok {
			return &wire.Error{
				Status: http.StatusConflict, Code: codeChanged, Cause: err,
				Message: "This request is not what you were shown any more, so nothing was decided. If you still need it, start again on the device.",
			}
		}
		return err
	}
}

// alreadyDecided tells the loser of a race which verdict was first.
func alreadyDecided(state approval.State, cause error) error {
	e := &wire.Error{
		Status: http.StatusConflict, Code: codeDecided, Cause: cause,
		Extra: map[string]any{"state": state},
	}
	switch state {
	case approval.Approved, approval.Redeemed:
		e.Message = "This was already approved. Your answer changed nothing."
	case approval.Denied:
		e.Message = "This was already declined. Nothing was shared."
	default:
		e.Message = "This request was canceled. Nothing was shared."
	}
	return e
}

// wrongNumber says how many tries are left; with none the request was declined.
func wrongNumber(left int, cause error) error {
	if left <= 0 {
		return &wire.Error{
			Status: http.StatusForbidden, Code: codeDeclined, Cause: cause,
			Message: "That was not the number on the screen, so the request was declined. Nothing was shared.",
			Extra:   map[string]any{"tries_left": 0},
		}
	}
	return &wire.Error{
		Status: http.StatusUnprocessableEntity, Code: codeWrongNumber, Cause: cause,
		Message: fmt.Sprintf("That is not the number on the screen. %s left.", tries(left)),
		Extra:   map[string]any{"tries_left": left},
	}
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

// titles head the page of an error; what has none is named by the layout.
var titles = map[string]string{
	codeSignedOut:   "You are signed out",
	codeCrossOrigin: "This came from another site",
	codeNotFound:    "Nothing to see here",
	codeExpired:     "This request has run out",
	codeDecided:     "This has already been decided",
	codeForbidden:   "This is for somebody else",
	codeInactive:    "This account is switched off",
	codeRotated:     "Scan the newer QR code",
	codeTooMany:     "Wait a moment",
	codeUnavailable: "nod is not available just now",
}

// advice is the sentence after the message where the message leaves open what
// to do.
var advice = map[string]string{
	codeSignedOut:   "Your answer was not sent. Go to the start page and sign in.",
	codeNotFound:    "If a device is waiting for you, scan its code again or look at the start page.",
	codeForbidden:   "If the device should sign in as you, start again on the device with your own name.",
	codeInactive:    "Until then no device can be let in with it.",
	codeCrossOrigin: "Nothing was changed.",
	codeRotated:     "If signing in took you a while, that is all that happened: you are signed in now, so scan again. If somebody sent you this link, leave it alone.",
	codeUnavailable: "Nothing is lost.",
}

// renderError shows an error as a page.
func (f *face) renderError(c *gin.Context, e *wire.Error) {
	wire.SetRetryAfter(c, e)
	do := cmp.Or(advice[e.Code], "Go to the start page and try again.")
	if e.Code == codeTooMany {
		do = "Nothing is lost. Try again in " + inWords(e.RetryAfter) + "."
	}
	page := web.MessagePage{
		Title: titles[e.Code], What: e.Message, Do: do,
		RequestID: wire.RequestID(c),
	}
	if err := f.show(c, e.Status, page); err != nil {
		_ = c.Error(err)
	}
}

// inWords is how long somebody has to wait, not a second too short.
func inWords(wait time.Duration) string {
	n, unit := int(math.Ceil(wait.Minutes())), "minute"
	if wait < 100*time.Second {
		n, unit = max(1, int(math.Ceil(wait.Seconds()))), "second"
	}
	if n > 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}
