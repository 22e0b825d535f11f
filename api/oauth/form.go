package oauth

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
)

// form is the parameters of one call, each there at most once.
type form struct{ values url.Values }

// get is a parameter's value; "" when it is not there, or empty, which is the same
// (RFC 6749 section 3.1).
func (in form) get(name string) string { return in.values.Get(name) }

// words are the words of a parameter that is a list, none twice, in the order
// given (RFC 6749 section 3.3).
func (in form) words(name string) []string {
	var out []string
	seen := make(map[string]bool)
	for word := range strings.SplitSeq(in.get(name), " ") {
		if word != "" && !seen[word] {
			seen[word] = true
			out = append(out, word)
		}
	}
	return out
}

// The sentences for what is no form. None repeats anything that was sent.
var (
	notAForm = badRequest("The parameters must be sent as a form in the body, with Content-Type: application/x-www-form-urlencoded. " +
		"JSON is not taken here.")
	brokenForm = badRequest("The body is not a form: name=value pairs, percent-encoded UTF-8, joined by &.")
	repeated   = badRequest("A parameter occurs more than once.")
	tooLarge   = oops(http.StatusRequestEntityTooLarge, codeInvalidRequest, "The form must not be larger than 16 KiB.")
	cutOff     = badRequest("The body could not be read to its end.")
)

// readForm reads the body whole, at most wire.BodyLimit (16 KiB), as one form
// (RFC 6749 appendix B). The query string is not looked at: secrets do not belong
// there. A parameter that occurs twice is refused, whichever it is (RFC 6749
// section 3.2); those that nobody asks for are ignored. Its errors are *wire.Error.
func readForm(c *gin.Context) (form, error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, wire.BodyLimit))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return form{}, tooLarge
		}
		said := *cutOff
		said.Cause = err
		return form{}, &said
	}
	kind, _, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return form{}, notAForm
	}
	return parseForm(string(body))
}

func parseForm(body string) (form, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return form{}, brokenForm // and not its text, which quotes the input
	}
	for name, given := range values {
		switch {
		case len(given) > 1:
			return form{}, repeated
		case !utf8.ValidString(name) || !utf8.ValidString(given[0]) || strings.ContainsRune(given[0], 0):
			return form{}, brokenForm
		}
	}
	return form{values}, nil
}
