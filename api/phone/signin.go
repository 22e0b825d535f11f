package phone

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
	"github.com/nod-auth/nod/webauthn"
)

// How many ceremonies one address may begin in a minute. A sign-in page begins
// one when it opens and one every 90 s; an office of a few hundred people may
// share an address.
const (
	signInsPerMinute = 120
	enrolsPerMinute  = 30
)

func (f *face) beginSignIn(c *gin.Context) error {
	if err := f.pace(c, "signin", signInsPerMinute); err != nil {
		return err
	}
	options, err := f.Ceremonies.BeginSignIn(c.Request.Context())
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, gin.H{"publicKey": options})
	return nil
}

func (f *face) signIn(c *gin.Context) error {
	var in struct {
		Credential json.RawMessage `json:"credential"`
		Next       string          `json:"next"`
	}
	if err := wire.Decode(c, wire.WebAuthnLimit, &in); err != nil {
		return err
	}
	answer, err := credential[webauthn.Assertion](in.Credential)
	if err != nil {
		return err
	}
	user, passkey, err := f.Ceremonies.SignIn(c.Request.Context(), answer, wire.Address(c))
	if errors.Is(err, approval.ErrNotFound) {
		// Nobody learns which passkeys are known here (threats B4).
		err = fmt.Errorf("%w: unknown passkey", approval.ErrMismatch)
	}
	if err != nil {
		return err
	}
	return f.welcome(c, user, passkey, in.Next)
}

// welcome starts a session and says where to go.
func (f *face) welcome(c *gin.Context, u account.User, p account.Passkey, next string) error {
	if err := f.sessions.start(c, u, p); err != nil {
		return err
	}
	c.JSON(http.StatusOK, gin.H{"redirect": web.LocalPath(next)})
	return nil
}

// signOut ends the session, if there is one.
func (f *face) signOut(c *gin.Context) error {
	if err := f.sessions.end(c); err != nil {
		return err
	}
	return seeOther(c, "/")
}

// credential reads what navigator.credentials returned. Its errors do not
// repeat the input.
func credential[T webauthn.Assertion | webauthn.Attestation](raw json.RawMessage) (T, error) {
	var out T
	if len(raw) == 0 || json.Unmarshal(raw, &out) != nil {
		return out, &wire.Error{
			Status: http.StatusBadRequest, Code: codeInvalid, Message: "The answer of the passkey is missing or incomplete. Try again.",
			Cause: errors.New("credential: not the JSON form of WebAuthn"),
		}
	}
	return out, nil
}

// invitation shows whom an invitation is for. Who is signed in already must be
// known, because the page says so when that will change.
func (f *face) invitation(c *gin.Context) error {
	if ledByAnotherSite(c.Request) {
		return f.arrive(c, c.Request.URL.EscapedPath())
	}
	return f.showInvitation(c, account.Secret(c.Param("secret")))
}

func (f *face) showInvitation(c *gin.Context, secret account.Secret) error {
	ctx := c.Request.Context()
	who, err := f.sessions.find(c)
	if err != nil && !errors.Is(err, errSignedOut) {
		return err
	}
	frame, err := f.frame(ctx, who)
	if err != nil {
		return err
	}
	found, invited, err := f.Ceremonies.Invited(ctx, secret)
	if err != nil {
		return invitationOver(err)
	}
	return f.show(c, http.StatusOK, web.EnrolPage{
		Frame: frame, Invitation: secret.Reveal(), Username: invited.Username, ExpiresAt: found.Expires, Recovers: found.Recovers,
	})
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
