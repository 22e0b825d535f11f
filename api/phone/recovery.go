package phone

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
	"github.com/nod-auth/nod/webauthn"
)

// recoversPerMinute bounds how often one address may send the form; wrong codes have
// a budget of their own (approval.Directory.Recover), counted where it cannot be
// lost.
const recoversPerMinute = 60

// What is said of a code that opens nothing. Whether there is such a user is not.
const (
	recoveryMissing = "Type your username and one of your recovery codes."
	recoveryUnknown = "This name and this code do not belong together, or the code was used or replaced. Look at both and try again."
)

// recovery shows how many codes are left and offers a new set.
func (f *face) recovery(c *gin.Context, who visitor) error {
	ctx := c.Request.Context()
	set, err := f.Directory.Recovery(ctx, who.User)
	if err != nil {
		return err
	}
	frame, err := f.frame(ctx, who)
	if err != nil {
		return err
	}
	return f.show(c, http.StatusOK, web.RecoveryPage{Frame: frame, Set: codeSet(set)})
}

func codeSet(r account.Recovery) web.CodeSet {
	return web.CodeSet{Made: r.Made, Left: r.Left, MadeAt: r.MadeAt}
}

func (f *face) beginRecovery(c *gin.Context, who visitor) error {
	return f.beginVouch(c, who, approval.CeremonyRecovery)
}

// makeRecovery answers with the codes, this once.
func (f *face) makeRecovery(c *gin.Context, who visitor) error {
	answer, err := answerOf[webauthn.Assertion](c)
	if err != nil {
		return err
	}
	made, err := f.Ceremonies.MakeRecovery(c.Request.Context(), who.Viewer, answer)
	if err != nil {
		return err
	}
	codes := make([]string, len(made.Codes))
	for i, code := range made.Codes {
		codes[i] = code.Reveal()
	}
	c.JSON(http.StatusOK, struct {
		Codes  []string  `json:"codes"`
		MadeAt time.Time `json:"made_at"`
	}{codes, made.MadeAt})
	return nil
}

// beginVouch asks for a passkey of the visitor's, for one purpose.
func (f *face) beginVouch(c *gin.Context, who visitor, purpose approval.CeremonyPurpose) error {
	if err := f.paceOwner(c, who, "vouch", vouchesPerMinute); err != nil {
		return err
	}
	options, err := f.Ceremonies.BeginVouch(c.Request.Context(), who.Viewer, purpose)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, gin.H{"publicKey": options})
	return nil
}

// lost asks for a recovery code.
func (f *face) lost(c *gin.Context) error {
	return f.askForRecovery(c, http.StatusOK, "", "")
}

// recover uses a recovery code up, and leads to where a passkey is made.
func (f *face) recover(c *gin.Context) error {
	if err := f.pace(c, "recover", recoversPerMinute); err != nil {
		return err
	}
	form, err := readForm(c)
	if err != nil {
		return err
	}
	name, code := strings.TrimSpace(form.Get("username")), asTyped(form.Get("code"))
	if name == "" || code == "" {
		return f.askForRecovery(c, http.StatusUnprocessableEntity, name, recoveryMissing)
	}
	invitation, err := f.Directory.Recover(c.Request.Context(), name, code, wire.Address(c))
	switch {
	case errors.Is(err, approval.ErrNotFound):
		return f.askForRecovery(c, http.StatusUnprocessableEntity, name, recoveryUnknown)
	case errors.Is(err, approval.ErrTooMany):
		return f.tooManyRecoveries(c, name, err)
	case err != nil:
		return err
	}
	return seeOther(c, web.InvitationLink("", invitation.Reveal())) // browsers take the fragment along (RFC 9110 section 10.2.2)
}

// tooManyRecoveries says what the budget for wrong codes means to somebody typing.
func (f *face) tooManyRecoveries(c *gin.Context, name string, err error) error {
	wait := retryPaced
	if limit, ok := errors.AsType[*approval.LimitError](err); ok {
		wait = cmp.Or(limit.RetryAfter, wait)
	}
	wire.SetRetryAfter(c, &wire.Error{RetryAfter: wait})
	return f.askForRecovery(c, http.StatusTooManyRequests, name,
		"Too many codes were wrong, so no more are looked at for a while. Your codes are still good: try again in "+inWords(wait)+".")
}

func (f *face) askForRecovery(c *gin.Context, status int, name, fault string) error {
	frame, err := f.frame(c.Request.Context(), visitor{})
	if err != nil {
		return err
	}
	return f.show(c, status, web.RecoverPage{Frame: frame, Username: name, Error: fault})
}
