package native

import (
	"context"
	"errors"
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

	Push            approval.Delivery `json:"push"`
	OpenedElsewhere bool              `json:"opened_elsewhere,omitempty"` // on a second phone
	approvalLink                      // of a request whose QR code rotates, while it is pending
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
	hold, err := f.watchHold(c.Request.Context(), w.RequestID)
	if err != nil {
		return err
	}
	leave, err := f.enter(c, place{"state " + approval.AddressGroup(w.Address), f.MaxWaitsPerAddress}, hold)
	if err != nil {
		return err
	}
	defer leave()
	return f.watch(c, w, since, hold)
}

func (f *face) watch(c *gin.Context, w approval.Watcher, since int64, hold time.Duration) error {
	st, err := f.Service.Watch(c.Request.Context(), w, since, hold)
	if err != nil {
		return err
	}
	out, err := f.statusOf(c.Request.Context(), st)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, out)
	return nil
}

// watchHold is how long a request's state is held: no longer than its QR code is
// shown, so that whoever shows it learns of the next one in time. It tells
// nothing about the request, not even whether there is one.
func (f *face) watchHold(ctx context.Context, requestID string) (time.Duration, error) {
	r, err := f.Service.Store.Find(ctx, approval.Key{ID: requestID})
	if errors.Is(err, approval.ErrNotFound) || err == nil && !r.Rotates {
		return maxWatch, nil
	}
	if err != nil {
		return 0, err
	}
	now, err := f.Service.Store.Now(ctx)
	_, until := f.Service.Codes.Rotating(r, now)
	return min(maxWatch, until.Sub(now)), err
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

// statusOf tells where a request stands, and how far its prompt got.
func (f *face) statusOf(ctx context.Context, st *approval.Status) (status, error) {
	r := st.Request
	out := status{
		RequestID: r.ID, State: stateWord(r), Version: r.Version, ExpiresAt: r.Expires, ApprovedAs: st.ApprovedBy,
		OpenedElsewhere: !r.AgainAt.IsZero(),
	}
	var err error
	if out.Push, err = f.Service.Prompted(ctx, r.ID); err != nil {
		return out, err
	}
	if r.Rotates && r.State == approval.Pending {
		now, err := f.Service.Store.Now(ctx)
		if err != nil {
			return out, err
		}
		out.approvalLink = f.linkOf(f.Service.Codes.Rotating(r, now))
	}
	return out, nil
}

// stateWord uses the contract's words: pending, opened, approved, denied, expired,
// canceled. Whether an approved one was collected yet is the collector's affair.
func stateWord(r approval.Request) string {
	switch {
	case r.State == approval.Pending && !r.OpenedAt.IsZero():
		return "opened"
	case r.State == approval.Redeemed:
		return string(approval.Approved)
	case r.State == approval.Lapsed:
		return string(approval.Expired)
	default:
		return string(r.State)
	}
}
