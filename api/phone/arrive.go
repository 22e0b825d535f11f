package phone

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/web"
)

// A link on another site, in a mail or out of a camera application starts a
// cross-site navigation, and a Strict cookie stays at home (RFC 6265bis section
// 5.2). So somebody who is led here without a cookie is sent on, by a page of
// ours, to arrivePath and the path they wanted: that navigation is our own and
// has the cookie, if there is one. The page has no script to refuse, and the
// step cannot become a loop, because nothing under arrivePath sends anybody on
// without a session.
const arrivePath = "/arrive"

// ledHere says whether anything but a page of ours began this navigation. What
// browsers call a link from another application differs, so whatever is not
// ours counts. Browsers without Fetch Metadata get the sign-in page.
func ledHere(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Site") != "same-origin"
}

// arrive sends the browser to the same path, with its query, once more, as our own
// navigation.
// A redirect would not do: it counts to the navigation that another site began.
func (f *face) arrive(c *gin.Context, path string) error {
	path = arrivePath + web.LocalPath(path)
	c.Header("Refresh", "0;url="+path)
	return f.show(c, http.StatusOK, web.MessagePage{
		Title: "One moment", What: "nod looks whether you are signed in.", Do: "If nothing happens, continue here.",
		LinkText: "Continue", LinkPath: path,
	})
}

// arrived goes on to where the visitor wanted, or asks for a sign-in first.
func (f *face) arrived(c *gin.Context) error {
	next := c.Param("next")
	if query := c.Request.URL.RawQuery; query != "" {
		next += "?" + query
	}
	next = web.LocalPath(next)
	_, err := f.sessions.find(c)
	switch {
	case errors.Is(err, errSignedOut):
		return f.askToSignIn(c, next)
	case err != nil:
		return err
	}
	return seeOther(c, next)
}
