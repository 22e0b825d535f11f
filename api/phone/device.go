package phone

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"unicode"

	"github.com/gin-gonic/gin"
	"golang.org/x/text/unicode/norm"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
)

// typedPerMinute bounds how often one address may submit the form or open a link
// with a code; wrong codes have a budget of their own (threats B1), counted where
// it cannot be lost.
const typedPerMinute = 60

// What is said of a code that leads nowhere. Whose it is, if anybody's, is not.
const (
	codeMissing = "Type the code that the device shows."
	codeUnknown = "No device is waiting for you with this code. Look at its screen and type it again."
	codeRanOut  = "This code has run out. Start again on the device, and type the new one."
)

// device asks for a code, or shows what the one in the link belongs to that a
// device had in its QR code (RFC 8628 section 3.3.1).
func (f *face) device(c *gin.Context, who visitor) error {
	switch code := asTyped(c.Query("user_code")); {
	case code == "":
		return f.askForCode(c, who, http.StatusOK, "")
	case readAhead(c.Request):
		return &wire.Error{
			Status: http.StatusForbidden, Code: codeReadAhead,
			Message: "A link with a code is read when somebody opens it, and not before.",
		}
	case approval.KindOf(code.Reveal()) != approval.UserCode: // no other code is ever in a link
		return f.askForCode(c, who, http.StatusUnprocessableEntity, codeUnknown)
	default:
		return f.answerCode(c, who, code)
	}
}

// readAhead says whether a browser fetches something that nobody asked to see yet
// (Sec-Purpose of the Fetch standard). A wrong code costs a try, which is for a
// person to spend; a fetch that is refused is done again when it is wanted.
func readAhead(r *http.Request) bool {
	return strings.Contains(cmp.Or(r.Header.Get("Sec-Purpose"), r.Header.Get("Purpose")), "prefetch")
}

// typed shows the card of the request whose code was typed.
func (f *face) typed(c *gin.Context, who visitor) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	code := asTyped(form.Get("code"))
	if code == "" {
		return f.askForCode(c, who, http.StatusUnprocessableEntity, codeMissing)
	}
	return f.answerCode(c, who, code)
}

// asTyped undoes what keyboards and other applications do to a code on its way:
// full-width letters, dashes of other lengths, characters that cannot be seen.
func asTyped(text string) account.Secret {
	plain := strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Pd, r):
			return '-'
		case unicode.Is(unicode.Cf, r):
			return -1
		default:
			return r
		}
	}, norm.NFKC.String(text))
	return account.Secret(strings.TrimSpace(plain))
}

// answerCode shows the card that a code leads to, or says why there is none and
// asks again.
func (f *face) answerCode(c *gin.Context, who visitor, code account.Secret) error {
	if err := f.pace(c, "device", typedPerMinute); err != nil {
		return err
	}
	err := f.review(c, who, approval.Ref{Way: approval.Typed, Secret: code})
	switch {
	case errors.Is(err, approval.ErrNotFound):
		return f.askForCode(c, who, http.StatusUnprocessableEntity, codeUnknown)
	case errors.Is(err, approval.ErrExpired):
		return f.askForCode(c, who, http.StatusUnprocessableEntity, codeRanOut)
	case errors.Is(err, approval.ErrTooMany):
		return f.tooManyCodes(c, who, err)
	}
	return err
}

// tooManyCodes says what the budget for wrong codes means to somebody typing.
func (f *face) tooManyCodes(c *gin.Context, who visitor, err error) error {
	wait := retryPaced
	if limit, ok := errors.AsType[*approval.LimitError](err); ok {
		wait = cmp.Or(limit.RetryAfter, wait)
	}
	wire.SetRetryAfter(c, &wire.Error{RetryAfter: wait})
	return f.askForCode(c, who, http.StatusTooManyRequests,
		"Too many codes were wrong, so no more are looked at for a while. Type it again in "+inWords(wait)+".")
}

func (f *face) askForCode(c *gin.Context, who visitor, status int, fault string) error {
	frame, err := f.frame(c.Request.Context(), who)
	if err != nil {
		return err
	}
	return f.show(c, status, web.DevicePage{Frame: frame, Error: fault})
}
