package native

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
)

// status is where a request stands, for the screen of the device that waits.
type status struct {
	RequestID  string    `json:"request_id"`
	State      string    `json:"state"`
	Version    int64     `json:"version"`
	ExpiresAt  time.Time `json:"expires_at"`
	ApprovedAs string    `json:"approved_as,omitempty"` // the username
}

// state tells whoever holds the code where its request stands, as soon as that is
// newer than ?since=. It never redeems. The code is in the Authorization header,
// because a URL ends up in logs.
func (f *face) state(c *gin.Context) error {
	if err := f.origins.admitListed(c); err != nil {
		return err
	}
	w := approval.Watcher{RequestID: canonical(c.Param("request_id")), Address: wire.Address(c)}
	if err := identifier("request_id", w.RequestID); err != nil {
		return err
	}
	scheme, code, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	if !strings.EqualFold(scheme, "Code") || code == "" {
		return tokenError("This call needs the request's code: Authorization: Code <code>.", nil)
	}
	var err error
	if w.Code, err = secretCode("code", code); err != nil {
		return err
	}
	since, err := sinceOf(c.Query("since"))
	if err != nil {
		return err
	}
	leave, err := f.enter(c, place{"state " + approval.AddressGroup(w.Address), f.MaxWaitsPerAddress}, maxWatch)
	if err != nil {
		return err
	}
	defer leave()
	st, err := f.Service.Watch(c.Request.Context(), w, since, maxWatch)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, statusOf(st))
	return nil
}

func sinceOf(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	since, err := strconv.ParseInt(text, 10, 64)
	if err != nil || since < 0 {
		return 0, invalid("since", "must be a version as this call answered it")
	}
	return since, nil
}

// statusOf uses the contract's words: pending, opened, approved, denied, expired,
// canceled. Whether an approved one was collected yet is the collector's affair.
func statusOf(st *approval.Status) status {
	r := st.Request
	word := string(r.State)
	switch {
	case r.State == approval.Pending && !r.OpenedAt.IsZero():
		word = "opened"
	case r.State == approval.Redeemed:
		word = string(approval.Approved)
	case r.State == approval.Lapsed:
		word = string(approval.Expired)
	}
	return status{r.ID, word, r.Version, r.Expires, st.ApprovedBy}
}
