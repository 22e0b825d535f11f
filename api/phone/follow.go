package phone

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
)

const (
	// followFor is how long a call is held: shorter than the 30 s after which
	// gateways on the way give up, like the native face's state.
	followFor = 25 * time.Second
	// followsPerUser is how many cards one person has open at once, on all phones.
	followsPerUser = 8
	// followRetry is what a call that found no place is told to wait: some card is
	// closed or asks again before.
	followRetry = 5 * time.Second
	// maxFollows is how many are held in all where no gate says otherwise.
	maxFollows = 10_000
)

// followed is where a request stands that somebody has the card of.
type followed struct {
	RequestID       string         `json:"request_id"`
	State           approval.State `json:"state"`
	Version         int64          `json:"version"`
	OpenedElsewhere bool           `json:"opened_elsewhere"`
	Redirect        string         `json:"redirect,omitempty"` // when there is nothing left to decide, and it was this person's
}

// follow holds the call of an open card until there is news: another phone opened
// the request too, it was decided there, it was taken back, it ran out. The body
// is read to its end first: only then is a phone that leaves noticed.
func (f *face) follow(c *gin.Context, who visitor) error {
	var in struct {
		about
		Since int64 `json:"since"`
	}
	if err := wire.Decode(c, wire.BodyLimit, &in); err != nil {
		return err
	}
	leave, ok := f.Gate.Enter("follow "+who.User.ID, followsPerUser)
	if !ok {
		return fmt.Errorf("follow: %w", &approval.LimitError{RetryAfter: followRetry})
	}
	defer leave()
	wire.Held(c, followFor)
	view, err := f.Service.Follow(c.Request.Context(), in.Ref.ref(), who.Viewer, in.Since, followFor)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, followedTo(view.Request, who))
	return nil
}

// followedTo says approved and expired of what went on or lapsed after that: it
// is all the same to whoever holds the card.
func followedTo(r approval.Request, who visitor) followed {
	out := followed{
		RequestID: r.ID, State: r.State, Version: r.Version,
		OpenedElsewhere: openedElsewhere(r, who),
	}
	// What was typed belongs to nobody until somebody has answered it.
	if r.State != approval.Pending && r.UserID == who.User.ID {
		out.Redirect = resultPath(r)
	}
	switch r.State {
	case approval.Redeemed:
		out.State = approval.Approved
	case approval.Lapsed:
		out.State = approval.Expired
	}
	return out
}
