package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/web"
)

// shared serves what belongs to no face.
type shared struct{ Config }

// table is the vocabulary of what belongs to no face. Nothing here reports more
// of the core's words than these.
func (s shared) table() wire.Table {
	return wire.Table{
		Render: s.render,
		Rows: []wire.Row{{
			Word: approval.ErrUnavailable, Status: http.StatusServiceUnavailable, Code: "service_unavailable",
			Message: "The service cannot answer right now. Try again.", RetryAfter: retryUnready,
		}},
	}
}

// render answers a program with JSON and a person with a page.
func (s shared) render(c *gin.Context, e *wire.Error) {
	c.Header("Vary", "Accept")
	if !wire.PrefersHTML(c.GetHeader("Accept")) {
		wire.RenderJSON(c, e)
		return
	}
	wire.SetRetryAfter(c, e)
	c.Header("Content-Type", "text/html; charset=utf-8")
	c.Header("Content-Security-Policy", web.ContentSecurityPolicy)
	c.Status(e.Status)
	page := web.MessagePage{Title: title(e.Status), What: e.Message, Do: advice(e.Status), RequestID: wire.RequestID(c)}
	if err := s.Pages.Render(c.Writer, page); err != nil {
		_ = c.Error(err)
	}
}

// advice is what to do next; "" leaves it to the page.
func advice(status int) string {
	if status == http.StatusNotFound {
		return "Check the address, or go to the start page."
	}
	return ""
}

func title(status int) string {
	switch status {
	case http.StatusNotFound:
		return "Nothing here"
	case http.StatusMethodNotAllowed:
		return "Not like this"
	case http.StatusServiceUnavailable:
		return "Not available right now"
	default:
		return "Something went wrong"
	}
}

func (s shared) noRoute(*gin.Context) error {
	return &wire.Error{Status: http.StatusNotFound, Code: "not_found", Message: "There is nothing at this address."}
}

func (s shared) noMethod(*gin.Context) error {
	return &wire.Error{
		Status: http.StatusMethodNotAllowed, Code: "operation_not_allowed",
		Message: "This address does not take this method.",
	}
}

// relatedOrigins lists the clients' origins outside the RP ID's domain, where
// browsers let its passkeys be used all the same (WebAuthn L3 section 5.11.1).
func (s shared) relatedOrigins(c *gin.Context) error {
	all, err := s.Accounts.Origins(c.Request.Context())
	if err != nil {
		return err
	}
	related := make([]string, 0, len(all))
	for _, origin := range all {
		if !within(origin, s.RPID) && !slices.Contains(related, origin) {
			related = append(related, origin)
		}
	}
	slices.Sort(related)
	c.JSON(http.StatusOK, gin.H{"origins": related})
	return nil
}

// within says whether the origin's host is the domain or below it.
func within(origin, domain string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return true // not an origin: nothing to publish
	}
	host := u.Hostname()
	return host == domain || strings.HasSuffix(host, "."+domain)
}
