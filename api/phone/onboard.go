package phone

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
	"github.com/nod-auth/nod/webauthn"
)

// vouchesPerMinute bounds how many ceremonies somebody signed in may begin: nobody
// needs more than a few of them in a year.
const vouchesPerMinute = 20

// One more passkey in this browser takes two ceremonies: a passkey that is there
// already vouches, and then the new one is made.

func (f *face) beginAdd(c *gin.Context, who visitor) error {
	return f.beginVouch(c, who, approval.CeremonyVouch)
}

func (f *face) vouchAdd(c *gin.Context, who visitor) error {
	answer, err := answerOf[webauthn.Assertion](c)
	if err != nil {
		return err
	}
	options, err := f.Ceremonies.BeginAddHere(c.Request.Context(), who.Viewer, answer)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, gin.H{"publicKey": options})
	return nil
}

func (f *face) add(c *gin.Context, who visitor) error {
	answer, err := answerOf[webauthn.Attestation](c)
	if err != nil {
		return err
	}
	added, err := f.Ceremonies.AddHere(c.Request.Context(), who.Viewer, answer, passkeyName(c.Request.UserAgent()))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, struct {
		Name     string `json:"name"`
		Redirect string `json:"redirect"`
	}{added.Name, "/passkeys"})
	return nil
}

// One more passkey on another device takes a link that works there once.

func (f *face) beginInvite(c *gin.Context, who visitor) error {
	return f.beginVouch(c, who, approval.CeremonyInvite)
}

func (f *face) invite(c *gin.Context, who visitor) error {
	answer, err := answerOf[webauthn.Assertion](c)
	if err != nil {
		return err
	}
	secret, inv, err := f.Ceremonies.Invite(c.Request.Context(), who.Viewer, answer)
	if err != nil {
		return err
	}
	link := web.InvitationLink(strings.TrimRight(f.PublicURL, "/"), secret.Reveal())
	qr, err := web.QRSVG(link)
	if err != nil {
		return fmt.Errorf("draw invitation: %w", err)
	}
	c.JSON(http.StatusOK, struct {
		URL       string    `json:"url"`
		QR        string    `json:"qr"`
		ExpiresAt time.Time `json:"expires_at"`
	}{link, dataURL(qr), inv.Expires})
	return nil
}

// nudge is what the start page says of a phone that may get lost: with one way in
// there should be a second one.
func (f *face) nudge(c *gin.Context, who visitor) (string, error) {
	set, err := f.Directory.Recovery(c.Request.Context(), who.User)
	if err != nil {
		return "", err
	}
	if set.Left > 0 {
		return "", nil
	}
	owned, err := f.Accounts.Passkeys(c.Request.Context(), who.User.ID)
	if err != nil {
		return "", fmt.Errorf("list passkeys: %w", err)
	}
	if active(owned) < 2 {
		return web.NudgeSpare, nil
	}
	return web.NudgeCodes, nil
}

// active counts the passkeys that can sign in.
func active(owned []account.Passkey) int {
	n := 0
	for _, p := range owned {
		if p.Status == account.PasskeyActive {
			n++
		}
	}
	return n
}
