package phone

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
)

// faceKeycloak is the face of requests that Keycloak has begun (package oauth). It is
// told of the verdict at once and nobody collects, so there is nothing to take back.
const faceKeycloak = "keycloak"

// reports counts what people say was not them: a number that should not grow.
func newReports(to prometheus.Registerer) prometheus.Counter {
	n := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "nod_requests_reported_total",
		Help: "Requests whose person said that they did not start them.",
	})
	if to != nil {
		to.MustRegister(n)
	}
	return n
}

// report is a plain form and a call. Saying it twice is once.
func (f *face) report(c *gin.Context, who visitor) error {
	asForm := !sendsJSON(c)
	ref, err := declined(c, asForm)
	if err != nil {
		return err
	}
	r, first, err := f.Service.Report(c.Request.Context(), ref, who.Viewer)
	if first {
		f.reports.Inc()
		f.Log.WarnContext(c.Request.Context(), "a person says that a request was not theirs",
			"request", r.ID, "user", r.UserID, "client", r.ClientID, "face", r.Face, "state", r.State,
			"asked_from", r.Context.Address, "request_id", wire.RequestID(c))
	}
	return f.settled(c, who, r, asForm, err)
}

// undo takes back an approval. It is a plain form and a call; doing it twice is once.
func (f *face) undo(c *gin.Context, who visitor) error {
	asForm := !sendsJSON(c)
	var in struct {
		Request string `json:"request_id"`
	}
	if asForm {
		form, err := readForm(c)
		if err != nil {
			return err
		}
		in.Request = form.Get("request")
	} else if err := wire.Decode(c, wire.BodyLimit, &in); err != nil {
		return err
	}
	ctx := c.Request.Context()
	view, err := f.Service.Inspect(ctx, approval.Ref{Way: approval.Listed, Secret: account.Secret(in.Request)}, who.Viewer)
	r := view.Request
	switch {
	case err != nil:
	case r.Face == faceKeycloak:
		err = &approval.DecidedError{State: r.State}
	default:
		r, err = f.Service.Undo(ctx, r.ID, who.Viewer)
	}
	if errors.Is(err, approval.ErrForbidden) {
		return f.lastPasskey(c, who, r, asForm, err)
	}
	return f.settled(c, who, r, asForm, err)
}

// lastPasskey says that nothing was undone, because nobody could sign in any more.
func (f *face) lastPasskey(c *gin.Context, who visitor, r approval.Request, asForm bool, cause error) error {
	if !asForm {
		return &wire.Error{
			Status: http.StatusConflict, Code: codeLastPasskey, Cause: cause,
			Message: "The passkey that was made with it is your last one, so it stays. Add another one first.",
		}
	}
	ctx := c.Request.Context()
	frame, err := f.frame(ctx, who)
	if err != nil {
		return err
	}
	page, err := f.ending(ctx, who, r, frame, false)
	if err != nil {
		return err
	}
	page.LastPasskey = true
	return f.show(c, http.StatusConflict, page)
}

// settled answers with where the request stands now, or how it had ended before.
func (f *face) settled(c *gin.Context, who visitor, r approval.Request, asForm bool, err error) error {
	switch {
	case err == nil && asForm:
		return seeOther(c, resultPath(r))
	case err == nil:
		return sayDecided(c, r)
	case asForm && r.ID != "" && (errors.Is(err, approval.ErrDecided) || errors.Is(err, approval.ErrExpired)):
		return f.tooLate(c, who, r)
	default:
		return err
	}
}

// ending is the page about a request that has ended, with what can be done about it.
func (f *face) ending(ctx context.Context, who visitor, r approval.Request, frame web.Frame, already bool) (web.ResultPage, error) {
	page := result(r, frame, already)
	signedOut, err := f.signedOut(ctx, r)
	if err != nil {
		return page, err
	}
	added, err := f.Service.Added(ctx, who.User, r)
	if err != nil {
		return page, err
	}
	page.State = ended(page.State, r, signedOut)
	if added.Deleted() {
		page.State, page.Deleted = deleted[page.State], deletions(added)
	}
	page.After = web.After{
		Undo:   undoable(page.State, r) || page.State == string(approval.Redeemed) && len(added.Passkeys) > 0,
		Report: r.EndedBy != approval.ByReport && reportable[page.State],
	}
	if r.EndedBy != approval.ByReport {
		return page, nil
	}
	if page.After.MutedUntil, err = f.Service.Muted(ctx, who.User.ID); err != nil {
		return page, err
	}
	same, err := f.Directory.SameSource(ctx, who.User, r)
	if err == nil {
		page.After.Same, err = f.deviceLines(ctx, same)
	}
	return page, err
}

// signedOut says whether what the request signed in has ended.
func (f *face) signedOut(ctx context.Context, r approval.Request) (bool, error) {
	if r.State != approval.Redeemed || r.Purpose != approval.SignIn && r.Purpose != approval.Direct {
		return false, nil
	}
	d, err := f.Service.Store.Device(ctx, r.Grant.SID)
	if errors.Is(err, approval.ErrNotFound) { // of the version before, or long gone
		return true, nil
	}
	return !d.RevokedAt.IsZero(), err
}

// ended is the state as the result page knows it: what the person did about it counts
// for more than how it had ended.
func ended(state string, r approval.Request, signedOut bool) string {
	// It had been approved, or nobody could report it; and of that Keycloak was told.
	told := r.Face == faceKeycloak && (r.State == approval.Canceled || r.State == approval.Lapsed)
	switch {
	case r.EndedBy == approval.ByReport && r.State != approval.Redeemed && !told:
		return "reported"
	case r.EndedBy == approval.ByReport && signedOut:
		return "reported ended"
	case r.EndedBy == approval.ByReport:
		return "reported late"
	case r.State == approval.Canceled && r.EndedBy == approval.ByOwner:
		return "undone"
	case signedOut:
		return "ended"
	case r.Face == faceKeycloak && state == "lapsed":
		return "redeemed" // Keycloak collects nothing, so that it lapses with its answer given
	default:
		return state
	}
}

// deleted is what a state is called once the passkey that was made is.
var deleted = map[string]string{"redeemed": "deleted", "reported late": "reported deleted"}

// deletions counts what was deleted with a passkey, and signed out with that.
func deletions(a approval.Added) (n web.Deletions) {
	for _, p := range a.Passkeys {
		if p.Status == account.PasskeyRevoked {
			n.Passkeys++
		}
	}
	for _, d := range a.Devices {
		if d.RevokedBy == string(approval.ByPasskeyEnded) {
			n.Devices++
		}
	}
	return n
}

// undoable says whether an approval can be taken back: until it was collected any can,
// after that what signed something in, or (see ending) made a passkey that is known.
func undoable(state string, r approval.Request) bool {
	if r.Face == faceKeycloak {
		return false
	}
	switch approval.State(state) {
	case approval.Approved:
		return true
	case approval.Redeemed:
		return r.Purpose == approval.SignIn || r.Purpose == approval.Direct
	default:
		return false
	}
}

// reportable are the ends of a request about which somebody may still say that it was
// not theirs.
var reportable = map[string]bool{
	"approved": true, "redeemed": true, "denied": true, "expired": true, "lapsed": true, "undone": true, "ended": true,
	"deleted": true,
}

// tooLate shows how the request had ended before this answer came.
func (f *face) tooLate(c *gin.Context, who visitor, r approval.Request) error {
	ctx := c.Request.Context()
	frame, err := f.frame(ctx, who)
	if err != nil {
		return err
	}
	page, err := f.ending(ctx, who, r, frame, r.State != approval.Pending)
	if err != nil {
		return err
	}
	return f.show(c, http.StatusConflict, page)
}
