package native

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// codeBody is what the three calls about a user's codes take. The members after
// Code are generate's own; those after Authorize are nod's, not the vendor's.
type codeBody struct {
	party
	Purpose string `json:"purpose"`
	Code    string `json:"code"`

	Authorize      bool   `json:"authorize"`
	DeviceName     string `json:"device_name"`
	BindingMessage string `json:"binding_message"`
	RequesterIP    string `json:"requester_ip"`
	RequesterAgent string `json:"requester_user_agent"`
	Audience       string `json:"audience"`
	Notify         *bool  `json:"notify"` // nil: as the client was registered

	kind approval.CodeKind // from the path
}

func readCode(c *gin.Context, into *codeBody) (err error) {
	if into.kind, err = kindOf(c); err != nil {
		return err
	}
	return readJSON(c, into)
}

// generated is what generate answers. All after IsAuthorized is nod's: the
// approval URL's handle can be reviewed and decided, never waited on, so that is
// what a QR code carries, and not the code.
type generated struct {
	Code         string    `json:"code"`
	ExpiresAt    time.Time `json:"expires_at"`
	IsAuthorized bool      `json:"is_authorized"`
	RequestID    string    `json:"request_id"`
	approvalLink
	MatchNumber string            `json:"match_number"`
	Push        approval.Delivery `json:"push"`
}

// approvalLink is what a QR code carries, and until when if it rotates.
type approvalLink struct {
	ApprovalURL          string    `json:"approval_url,omitempty"`
	ApprovalURLExpiresAt time.Time `json:"approval_url_expires_at,omitzero"`
}

func (f *face) linkOf(handle account.Secret, until time.Time) approvalLink {
	return approvalLink{f.PublicURL + "/a/" + handle.Reveal(), until}
}

func (f *face) generate(c *gin.Context, who *caller, in codeBody) (any, error) {
	ctx := c.Request.Context()
	purpose, err := purposeOf(in.Purpose)
	if err != nil {
		return nil, err
	}
	if in.Authorize && !who.by.May(account.CodesAuthorize) {
		return nil, forbidden("The client was not given the scope " + string(account.CodesAuthorize) + ", which authorize needs.")
	}
	if err := f.knownAudience(ctx, who, in.Audience); err != nil {
		return nil, err
	}
	u, err := f.known(ctx, who, in.party)
	if err != nil {
		return nil, err
	}
	notify := who.client.Notify
	if in.Notify != nil {
		notify = *in.Notify
	}
	ask := approval.Ask{
		Face: Face, Client: who.client, User: u, Purpose: purpose, Kind: in.kind, Audience: in.Audience, Notify: notify, With: who.nonce,
		Context: approval.Context{DeviceName: in.DeviceName, BindingMessage: in.BindingMessage, Address: in.RequesterIP, UserAgent: in.RequesterAgent},
	}
	if in.Authorize {
		ask.Vouch = &approval.Vouch{Decision: approval.Decision{By: approval.ByBackend, ClientID: who.by.ID, ClientName: who.by.Name}}
	}
	b, err := f.Service.Begin(ctx, ask)
	if err != nil {
		return nil, err
	}
	return f.generatedOf(b), nil
}

func (f *face) generatedOf(b approval.Begun) generated {
	push := approval.DeliveryNone
	if b.Prompted {
		push = approval.DeliveryQueued
	}
	return generated{
		Code: b.Code.Reveal(), ExpiresAt: b.Request.Expires, IsAuthorized: b.Request.State == approval.Approved,
		RequestID: b.Request.ID, approvalLink: f.linkOf(b.Handle, b.HandleUntil),
		MatchNumber: b.MatchNumber.Reveal(), Push: push,
	}
}

// knownAudience refuses an audience that is not a client of the namespace.
func (f *face) knownAudience(ctx context.Context, who *caller, id string) error {
	if id == "" || id == who.client.ID {
		return nil
	}
	if err := identifier("audience", id); err != nil {
		return err
	}
	audience, err := f.Accounts.Client(ctx, id)
	if err == nil && audience.NamespaceID != who.client.NamespaceID {
		err = clientNotFound
	}
	return instead(err, approval.ErrNotFound, clientNotFound)
}

// target reads whose codes, of which kind and for what.
func (f *face) target(ctx context.Context, who *caller, in codeBody) (approval.Target, error) {
	purpose, err := purposeOf(in.Purpose)
	if err != nil {
		return approval.Target{}, err
	}
	u, asked, err := f.subject(ctx, who, in.party)
	return approval.Target{
		NamespaceID: who.client.NamespaceID, UserID: u.ID, Asked: asked, Kind: in.kind, Purpose: purpose,
	}, err
}

func (f *face) authorize(c *gin.Context, who *caller, in codeBody) (any, error) {
	code, err := secretCode("code", in.Code)
	if err != nil {
		return nil, err
	}
	t, err := f.target(c.Request.Context(), who, in)
	if err != nil {
		return nil, err
	}
	r, err := f.Service.Authorize(c.Request.Context(), t, code, *who.by, who.nonce...)
	return struct {
		ExpiresAt    time.Time `json:"expires_at"`
		IsAuthorized bool      `json:"is_authorized"`
	}{r.Expires, true}, err
}

func (f *face) invalidateAll(c *gin.Context, who *caller, in codeBody) (any, error) {
	t, err := f.target(c.Request.Context(), who, in)
	if err == nil && t.UserID == "" {
		err = userNotFound
	}
	if err != nil {
		return nil, err
	}
	at, err := f.Service.InvalidateAll(c.Request.Context(), t, who.nonce...)
	return struct {
		DeletedAt time.Time `json:"deleted_at"`
	}{at}, err
}
