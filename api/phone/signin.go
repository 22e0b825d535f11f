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

// signInsPerMinute is how many ceremonies one address may begin. A sign-in page
// begins one when it opens and one every 90 s; an office of a few hundred people may
// share an address.
const signInsPerMinute = 120

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

// answerOf reads a body that is an authenticator's answer and nothing else.
func answerOf[T webauthn.Assertion | webauthn.Attestation](c *gin.Context) (T, error) {
	var in struct {
		Credential json.RawMessage `json:"credential"`
	}
	if err := wire.Decode(c, wire.WebAuthnLimit, &in); err != nil {
		var none T
		return none, err
	}
	return credential[T](in.Credential)
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
