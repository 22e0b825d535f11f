package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
	"github.com/nod-auth/nod/web"
)

// invitation is what a command prints; the URL holds the secret, this once.
type invitation struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
	UserID    string    `json:"user_id"`
	Username  string    `json:"username"`
}

func newUserInvite() *cobra.Command {
	c := &cobra.Command{
		Use:   "invite",
		Short: "Make a link with which a user's phone enrols",
		Long: fmt.Sprintf(`Make a link, and a QR code of it, with which the user enrols one passkey on a phone.
It works once and for %d hours. Whoever opens it first becomes that user, so give
it to nobody else.

The link begins with the public URL of the server that ran last on this data,
unless --public-url says otherwise.`, int(account.InvitationLife/time.Hour)),
		Example: "  nod user invite --username zoe\n  nod user invite --username zoe --output json | jq -r .url",
		Args:    noArguments,
	}
	w := addWho(c)
	out := addOutput(c)
	config.Flags(c.Flags(), append([]string{"public-url"}, dataSettings...)...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := w.check(c); err != nil {
			return err
		}
		return withCore(c, false, func(core *app.Core) error {
			inv, err := w.invite(c, core)
			if err != nil {
				return err
			}
			qr, err := web.QRTerminal(inv.URL)
			if err != nil {
				return err
			}
			return out.print(c, inv, func(text io.Writer) { describeInvitation(text, inv, qr) })
		})
	}
	return c
}

func (w who) invite(c *cobra.Command, core *app.Core) (invitation, error) {
	u, err := w.find(c.Context(), core)
	if err != nil {
		return invitation{}, err
	}
	base, err := core.PublicURL(c.Context())
	if err != nil {
		return invitation{}, err
	}
	secret, inv, err := core.Directory.Invite(c.Context(), u)
	if errors.Is(err, approval.ErrInactive) {
		return invitation{}, fmt.Errorf("user %s: is suspended; run nod user activate first", u.Username)
	}
	if err != nil {
		return invitation{}, err
	}
	return invitation{URL: web.InvitationLink(base, secret.Reveal()), ExpiresAt: inv.Expires, UserID: u.ID, Username: u.Username}, nil
}

func describeInvitation(w io.Writer, inv invitation, qr string) {
	fmt.Fprintf(w, "Open this on the phone of %s. It works once, until %s.\n\n  %s\n\n%s",
		inv.Username, inv.ExpiresAt.Format("2006-01-02 15:04 MST"), inv.URL, qr)
	if strings.HasPrefix(inv.URL, "http://localhost") {
		fmt.Fprint(w, "\nOnly a browser on this machine can open a localhost link; a phone needs the server's --public-url.\n")
	}
}
