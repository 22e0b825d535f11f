package phone

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
	"github.com/nod-auth/nod/webauthn"
)

// The secret of an invitation is the fragment of its link (web.InvitationLink), so no
// GET has it: the page's script sends it in the body of each call.

// How often one address may do this in a minute. The page looks once when it opens,
// and an office of a few hundred people may share an address.
const (
	looksPerMinute  = 120
	enrolsPerMinute = 30
)

func (f *face) enrolment(c *gin.Context) error {
	frame, err := f.frame(c.Request.Context(), visitor{})
	if err != nil {
		return err
	}
	return f.show(c, http.StatusOK, web.EnrolPage{Frame: frame})
}

// lookAtInvitation says whom an invitation is for and uses nothing up. Who is signed
// in already is said when that will change. The call is the page's own, so the
// Strict cookie comes along wherever the link to the page was.
func (f *face) lookAtInvitation(c *gin.Context) error {
	if err := f.pace(c, "invitation", looksPerMinute); err != nil {
		return err
	}
	var in struct {
		Invitation string `json:"invitation"`
	}
	if err := wire.Decode(c, wire.BodyLimit, &in); err != nil {
		return err
	}
	found, invited, err := f.Ceremonies.Invited(c.Request.Context(), account.Secret(in.Invitation))
	if err != nil {
		return invitationOver(err)
	}
	out := struct {
		Username  string    `json:"username"`
		ExpiresAt time.Time `json:"expires_at"`
		Recovers  bool      `json:"recovers"`
		Replaces  string    `json:"replaces,omitempty"`
	}{Username: invited.Username, ExpiresAt: found.Expires, Recovers: found.Recovers}
	who, err := f.sessions.find(c)
	switch {
	case err == nil && who.User.ID != invited.ID:
		out.Replaces = who.User.Username
	case err != nil && !errors.Is(err, errSignedOut):
		return err
	}
	c.JSON(http.StatusOK, out)
	return nil
}

func (f *face) beginEnrol(c *gin.Context) error {
	if err := f.pace(c, "enrol", enrolsPerMinute); err != nil {
		return err
	}
	var in struct {
		Invitation string `json:"invitation"`
	}
	if err := wire.Decode(c, wire.BodyLimit, &in); err != nil {
		return err
	}
	options, _, err := f.Ceremonies.BeginEnrol(c.Request.Context(), account.Secret(in.Invitation))
	if err != nil {
		return invitationOver(err)
	}
	c.JSON(http.StatusOK, gin.H{"publicKey": options})
	return nil
}

func (f *face) enrol(c *gin.Context) error {
	var in struct {
		Invitation string          `json:"invitation"`
		Credential json.RawMessage `json:"credential"`
	}
	if err := wire.Decode(c, wire.WebAuthnLimit, &in); err != nil {
		return err
	}
	answer, err := credential[webauthn.Attestation](in.Credential)
	if err != nil {
		return err
	}
	ctx, secret := c.Request.Context(), account.Secret(in.Invitation)
	invited, err := f.Accounts.Invitation(ctx, secret.Hash())
	if err != nil && !errors.Is(err, approval.ErrNotFound) { // then the ceremony says what became of it
		return err
	}
	user, passkey, err := f.Ceremonies.Enrol(ctx, secret, answer, passkeyName(c.Request.UserAgent()), wire.Address(c))
	if err != nil {
		return invitationOver(err)
	}
	if invited.Recovers { // what was lost is still in the list
		return f.welcome(c, user, passkey, "/passkeys")
	}
	return f.welcome(c, user, passkey, "/")
}

// invitationOver answers alike for an invitation that never was, was used, or
// has run out: the remedy is the same. Other errors stay what they are.
func invitationOver(err error) error {
	over := errors.Is(err, approval.ErrNotFound) || errors.Is(err, approval.ErrExpired) || errors.Is(err, approval.ErrInactive)
	if !over {
		return err
	}
	return &wire.Error{
		Status: http.StatusGone, Code: codeInvitation, Cause: err,
		Message: "An invitation works once and only for a while. This one does not work any more.",
	}
}
