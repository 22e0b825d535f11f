package phone

import (
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
)

// card is what a person is told before deciding: the frozen context and nothing
// that came later.
func card(view approval.View, ref approval.Ref) web.Review {
	r := view.Request
	out := web.Review{
		RequestID: r.ID, Way: string(ref.Way), Secret: ref.Secret.Reveal(),
		AppName: r.Context.App, Username: r.Context.Username,
		AskedAt: r.CreatedAt, ExpiresAt: r.Expires,
		DeviceName: r.Context.DeviceName, UserAgent: software(r.Context.UserAgent),
		Address: r.Context.Address, BindingMessage: r.Context.BindingMessage,
		Purpose: purposeWords[r.Purpose], Match: web.MatchNone, Warning: warning(view, ref.Way),
	}
	if view.NeedsNumber {
		out.Match, out.Choices, out.TriesLeft = string(r.Match), view.Choices, view.TriesLeft
	}
	return out
}

// purposeWords are what approving does, as a phrase before "on Living-room TV?".
var purposeWords = map[approval.Purpose]string{
	approval.SignIn:        "sign in",
	approval.AddCredential: "add a passkey",
}

// warning is the one sentence about what is unusual: the gravest, never two.
func warning(view approval.View, way approval.Way) string {
	switch {
	case view.Request.Purpose == approval.AddCredential:
		return "Whoever holds that device could then sign in as you again and again, until you delete its passkey."
	case !way.Travelled() && view.Request.Match == account.MatchNone:
		return "Nothing ties this request to a screen that you can see. Approve it only if you know where it comes from."
	case view.Request.UserID == "":
		return "This device does not know yet who you are. Approving signs it in with your account."
	default:
		return ""
	}
}

// standing is the request's state at a time: what ran out may not have been
// told so yet.
func standing(r approval.Request, now time.Time) approval.State {
	switch {
	case r.State == approval.Pending && !now.Before(r.Expires):
		return approval.Expired
	case r.State == approval.Approved && !now.Before(r.Expires.Add(approval.CollectGrace)):
		return approval.Lapsed
	default:
		return r.State
	}
}

// result is how a request ended.
func result(r approval.Request, frame web.Frame, already bool) web.ResultPage {
	page := web.ResultPage{
		Frame: frame, RequestID: r.ID, State: string(standing(r, frame.Now)), Already: already,
		AppName: r.Context.App, Device: device(r.Context),
	}
	if r.Decision != nil {
		page.DecidedAt = r.Decision.At
	}
	return page
}

// device names the new device, by the best that is known of it.
func device(c approval.Context) string {
	switch {
	case c.DeviceName != "":
		return c.DeviceName
	case c.UserAgent != "":
		return software(c.UserAgent)
	default:
		return ""
	}
}

func waitingRequest(r approval.Request) web.WaitingRequest {
	return web.WaitingRequest{
		ID: r.ID, AppName: r.Context.App, Device: device(r.Context), AskedAt: r.CreatedAt, ExpiresAt: r.Expires,
	}
}
