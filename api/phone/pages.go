package phone

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
)

func (f *face) askToSignIn(c *gin.Context, next string) error {
	frame, err := f.frame(c.Request.Context(), visitor{})
	if err != nil {
		return err
	}
	page := web.SignInPage{Frame: frame, Next: next}
	switch {
	case strings.HasPrefix(next, "/device?"):
		page.Reason = "A device asks to be let in. Sign in to see which."
	case strings.HasPrefix(next, "/a/"), strings.HasPrefix(next, "/r/"): // a device, an app, a text to agree to
		page.Reason = "A request waits for your answer. Sign in to see it."
	}
	return f.show(c, http.StatusOK, page)
}

func (f *face) home(c *gin.Context, who visitor) error {
	list, err := f.waitingRequests(c, who)
	if err != nil {
		return err
	}
	nudge, err := f.nudge(c, who)
	if err != nil {
		return err
	}
	frame, err := f.frame(c.Request.Context(), who)
	if err != nil {
		return err
	}
	return f.show(c, http.StatusOK, web.HomePage{Frame: frame, Requests: list, PushKey: f.pushKey(), Nudge: nudge})
}

func (f *face) waiting(c *gin.Context, who visitor) error {
	list, err := f.waitingRequests(c, who)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, gin.H{"requests": list})
	return nil
}

func (f *face) waitingRequests(c *gin.Context, who visitor) ([]web.WaitingRequest, error) {
	found, err := f.Service.Waiting(c.Request.Context(), who.Viewer)
	if err != nil {
		return nil, err
	}
	list := make([]web.WaitingRequest, len(found))
	for i, r := range found {
		list[i] = waitingRequest(r)
	}
	return list, nil
}

// linked shows what a QR code or a notification led to.
func (f *face) linked(c *gin.Context, who visitor) error {
	return f.review(c, who, f.Service.Arrived(account.Secret(c.Param("handle"))))
}

func (f *face) listed(c *gin.Context, who visitor) error {
	return f.review(c, who, approval.Ref{Way: approval.Listed, Secret: account.Secret(c.Param("id"))})
}

// review shows the card, or how the request ended; ErrExpired where a code was
// typed, so that another can be. Where a QR code that rotates was scanned in time,
// the page moves to an address that lasts as long as the request does, so that it
// can be loaded again.
func (f *face) review(c *gin.Context, who visitor, ref approval.Ref) error {
	ctx := c.Request.Context()
	view, err := f.Service.Inspect(ctx, ref, who.Viewer)
	if err != nil {
		return err
	}
	if view.Ref != ref {
		return seeOther(c, "/a/"+view.Ref.Secret.Reveal())
	}
	frame, err := f.frame(ctx, who)
	if err != nil {
		return err
	}
	switch state := standing(view.Request, frame.Now); {
	case state == approval.Pending:
		return f.show(c, http.StatusOK, web.ReviewPage{Frame: frame, Card: f.card(view, who)})
	case state == approval.Expired && ref.Way == approval.Typed:
		return approval.ErrExpired
	default:
		page, err := f.ending(ctx, who, view.Request, frame, false)
		if err != nil {
			return err
		}
		return f.show(c, http.StatusOK, page)
	}
}
