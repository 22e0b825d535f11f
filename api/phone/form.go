package phone

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
)

const formType = "application/x-www-form-urlencoded"

// readForm reads the body of a plain form, at most wire.BodyLimit bytes. What
// stands in the query is not part of it.
func readForm(c *gin.Context) (url.Values, error) {
	if c.ContentType() != formType {
		return nil, &wire.Error{
			Status: http.StatusUnsupportedMediaType, Code: codeInvalid, Message: "This was not sent by one of nod's forms.",
		}
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, wire.BodyLimit)
	err := c.Request.ParseForm()
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &wire.Error{
			Status: http.StatusRequestEntityTooLarge, Code: codeInvalid, Message: "That is longer than anything this form asks for.",
		}
	}
	if err != nil {
		return nil, &wire.Error{
			Status: http.StatusBadRequest, Code: codeInvalid, Message: "The form did not arrive whole.",
			Cause: errors.New("read form: cut off or not encoded"),
		}
	}
	return c.Request.PostForm, nil
}
