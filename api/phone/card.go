package phone

import (
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
)

// card is what a person is told before deciding: the frozen context, and beside
// it what nod sees right now.
func (f *face) card(view approval.View, who visitor) web.Review {
	r := view.Request
	if fromBackend(r) {
		view.WaitAddress = "" // of a server, which says nothing about the person
	}
	out := web.Review{
		RequestID: r.ID, Way: string(view.Ref.Way), Secret: view.Ref.Secret.Reveal(), Version: r.Version,
		AppName: r.Context.App, Username: r.Context.Username,
		WaitAddress: view.WaitAddress, WaitPlace: f.Service.Place(view.WaitAddress).Name,
		AskedAt: r.CreatedAt, ExpiresAt: r.Expires,
		DeviceName: r.Context.DeviceName, UserAgent: software(r.Context.UserAgent),
		Address: r.Context.Address, Place: r.Context.Place, BindingMessage: r.Context.BindingMessage,
		Network: f.network(view, who), OpenedElsewhere: openedElsewhere(r, who),
		Purpose: purposeWords[r.Purpose], Match: web.MatchNone,
		Backend: fromBackend(r), UserCode: view.UserCode, Scopes: scopes(r), Details: r.Context.Details,
		Payload: r.Context.Payload, PayloadType: r.Context.PayloadType,
	}
	if r.Face == Face { // the browser has no other name
		out.Own, out.DeviceName, out.UserAgent = true, out.UserAgent, ""
	}
	switch {
	case view.NeedsNumber:
		out.Match, out.Choices, out.TriesLeft = string(r.Match), view.Choices, view.TriesLeft
	case view.NeedsSeen:
		out.Match = web.MatchMessage
	}
	out.Warning = warning(view, out)
	return out
}

// fromBackend says whether a server asked that knows whom it asks: it polls for the
// answer, and no device shows anything to be typed.
func fromBackend(r approval.Request) bool {
	return r.CodeKind == approval.PollCode && r.TypedHash == nil
}

// scopes are what is asked for, in the words that were frozen.
func scopes(r approval.Request) []web.Scope {
	var out []web.Scope
	for _, s := range r.Context.Scopes {
		out = append(out, web.Scope{Scope: s.Scope, Says: s.Says})
	}
	return out
}

// network compares where the new device is with where this phone is. What the
// asker says of the device's address counts, because it is what was frozen; where
// nothing was said, the address that waits does.
func (f *face) network(view approval.View, who visitor) string {
	address, country := view.Request.Context.Address, view.Request.Context.Country
	if address == "" {
		address, country = view.WaitAddress, f.Service.Place(view.WaitAddress).Country
	}
	here := f.Service.Place(who.Address).Country
	switch {
	case address == "" || who.Address == "":
		return ""
	case approval.AddressGroup(address) == approval.AddressGroup(who.Address):
		return web.SameNetwork
	case country != "" && here != "" && country != here:
		return web.OtherCountry
	default:
		return ""
	}
}

// openedElsewhere says whether the request was opened on another phone than the
// visitor's, which is noted once it was, and true before that.
func openedElsewhere(r approval.Request, who visitor) bool {
	return !r.AgainAt.IsZero() || r.OpenedBy != "" && r.OpenedBy != who.Phone
}

// purposeWords are what approving does, as a phrase before "on Living-room TV?".
var purposeWords = map[approval.Purpose]string{
	approval.SignIn:        "sign in",
	approval.AddCredential: "add a passkey",
	approval.Transaction:   "approve a transaction",
}

// warning is the one sentence about what is unusual: the gravest, never two.
func warning(view approval.View, card web.Review) string {
	switch r := view.Request; {
	case card.OpenedElsewhere:
		return "This request was opened on another phone too. If that was not you, decline."
	case card.Network == web.OtherCountry:
		return "The device seems to be in another country than this phone. If you cannot say why, decline."
	case r.Purpose == approval.AddCredential:
		return "Whoever holds that device could then sign in as you again and again, until you delete its passkey."
	case !view.Ref.Way.Travelled() && untied(r):
		return "Nothing ties this request to a screen that you can see. Approve it only if you know where it comes from."
	case r.UserID == "" && r.Purpose == approval.Transaction:
		return "This transaction is made out to nobody. Approving it says that you are the one who agreed."
	case r.UserID == "" && view.UserCode == "": // where a code was typed that is as usual
		return "This device does not know yet who you are. Approving signs it in with your account."
	default:
		return ""
	}
}

// untied says whether nothing at all has to be the same here and there.
func untied(r approval.Request) bool {
	return r.Match == account.MatchNone || r.Match == account.MatchMessage && r.Context.BindingMessage == ""
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
		AppName: r.Context.App, Device: device(r.Context), Backend: fromBackend(r), Passkey: r.Purpose == approval.AddCredential,
	}
	if r.State == approval.Approved || r.State == approval.Redeemed {
		page.Scopes, page.Payload = scopes(r), r.Context.Payload
	}
	if d := r.Decision; d != nil && d.By == approval.ByPasskey && d.Way != "" {
		page.Receipt = receiptPath(r.ID)
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
