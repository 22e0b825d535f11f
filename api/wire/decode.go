package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
)

// The sizes of bodies (threats D4).
const (
	BodyLimit     int64 = 16 << 10 // bytes
	WebAuthnLimit int64 = 64 << 10 // bytes: attestation statements carry certificates
)

// Decode reads the whole body, at most limit bytes, as one JSON object into a
// struct. Members it does not know are ignored, anything after the object is
// refused. Its errors are *Error and never repeat the input:
//
//	400 missing_body, 400 request_validation_error, 400 bad_request (cut off),
//	413 and 415 request_validation_error
func Decode(c *gin.Context, limit int64, into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, limit))
	if err != nil {
		return unreadable(err, limit)
	}
	if len(body) == 0 {
		return &Error{Status: http.StatusBadRequest, Code: "missing_body", Message: "The request needs a JSON body."}
	}
	if kind, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || kind != "application/json" {
		return &Error{
			Status: http.StatusUnsupportedMediaType, Code: codeValidation,
			Message: "The body must be sent with Content-Type: application/json.",
		}
	}
	if !utf8.Valid(body) {
		return invalidBody("The body must be valid UTF-8.", nil)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return undecodable(err, into)
	}
	return nil
}

const codeValidation = "request_validation_error"

func unreadable(err error, limit int64) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Error{
			Status: http.StatusRequestEntityTooLarge, Code: codeValidation,
			Message: fmt.Sprintf("The body must not be larger than %d bytes.", limit), Cause: err,
		}
	}
	return &Error{Status: http.StatusBadRequest, Code: "bad_request", Message: "The body could not be read to its end.", Cause: err}
}

// undecodable names the member that has the wrong type. The decoder's own text
// is kept from the log too: it can quote a value.
func undecodable(err error, into any) error {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case !ok:
		return invalidBody("The body must be one JSON object.", errors.New("body: not JSON"))
	case wrong.Field == "":
		return invalidBody("The body must be one JSON object.", errors.New("body: not an object"))
	}
	field := member(reflect.TypeOf(into).Elem(), wrong.Field)
	return invalidBody(field+" has the wrong type.", fmt.Errorf("body: type of %s", field))
}

// member is a field's path without the embedded structs it starts with: those
// are ours and not the caller's.
func member(t reflect.Type, path string) string {
	first, rest, _ := strings.Cut(path, ".")
	if t.Kind() == reflect.Struct && rest != "" {
		if f, ok := t.FieldByName(first); ok && f.Anonymous {
			return member(f.Type, rest)
		}
	}
	return path
}

func invalidBody(message string, cause error) error {
	return &Error{Status: http.StatusBadRequest, Code: codeValidation, Message: message, Cause: cause}
}
