package client

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// A caller tells these apart with errors.Is.
var (
	// ErrDenied: the person declined, or the request was taken back.
	ErrDenied = errors.New("the sign-in was declined")

	// ErrExpired: nobody decided while the code lived.
	ErrExpired = errors.New("the code has run out")

	// ErrUnreachable: no answer, or only one that tells of trouble on the way or
	// at the server. Trying again later may help. Once a code is out this ends
	// no wait.
	ErrUnreachable = errors.New("the server cannot be reached")

	// ErrToken: the token is not one of the issuer's for this audience, or not any
	// more. The error that matches it says what is wrong, and nothing of what is in
	// the token.
	ErrToken = errors.New("invalid token")

	// ErrKeys: the issuer's keys cannot be had, and so nothing can be said about a
	// token.
	ErrKeys = errors.New("the issuer's keys cannot be had")
)

// Error is what a server answered, in its own words. It matches [ErrDenied],
// [ErrExpired] or [ErrUnreachable] where it means that.
type Error struct {
	Status      int           // of HTTP
	Code        string        // of RFC 6749 section 5.2 or of the native interface; "" for neither
	Description string        // for developers; written by the server, so not to be trusted as markup
	RetryAfter  time.Duration // 0: it said none
}

func (e *Error) Error() string {
	switch {
	case e.Code == "":
		return "status " + strconv.Itoa(e.Status)
	case e.Description == "":
		return fmt.Sprintf("status %d: %s", e.Status, e.Code)
	}
	return fmt.Sprintf("status %d: %s (%s)", e.Status, e.Code, e.Description)
}

// Is implements the matching of errors.Is.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrDenied:
		return e.Code == "access_denied" || e.Code == "failed_to_authenticate"
	case ErrExpired:
		return e.Code == "expired_token" || e.Code == "verification_code_expired"
	case ErrUnreachable:
		return e.passing()
	}
	return false
}

// passing says whether the same call may well succeed in a while, whatever the
// body says: trouble of the server or of a gateway, or too many calls.
func (e *Error) passing() bool {
	const (
		requestTimeout  = 408
		tooEarly        = 425
		tooManyRequests = 429
	)
	switch e.Status {
	case requestTimeout, tooEarly, tooManyRequests:
		return true
	}
	return e.Status >= 500
}
