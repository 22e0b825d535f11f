package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// userCode is what the command prints; the code is in it once.
type userCode struct {
	UserID   string `json:"user_id"`
	Username string `json:"username"`
	UserCode string `json:"user_code,omitempty"`
	Removed  bool   `json:"removed,omitempty"`
}

func newUserCode() *cobra.Command {
	var remove bool
	c := &cobra.Command{
		Use:   "code",
		Short: "Give a user a code that backends must know to ask",
		Long: `Draw a code for a user and print it, once. A CIBA client that was created with
--ciba-user-code must send it to ask this user, and whoever does not know it cannot
disturb them; the user gives it to the backends they trust. It replaces the one
before. Letters in any case and any separators are read alike.`,
		Example: "  nod user code --username zoe\n  nod user code --username zoe --remove",
		Args:    noArguments,
	}
	w := addWho(c)
	c.Flags().BoolVar(&remove, "remove", false, "take the code away: clients that need one cannot ask this user then")
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := w.check(c); err != nil {
			return err
		}
		return withCore(c, false, func(core *app.Core) error {
			u, err := w.find(c.Context(), core)
			if err != nil {
				return err
			}
			var code account.Secret
			if !remove {
				code = core.Directory.NewUserCode()
			}
			if err := core.Directory.SetUserCode(c.Context(), u, code); err != nil {
				return err
			}
			printed := userCode{UserID: u.ID, Username: u.Username, UserCode: code.Reveal(), Removed: remove}
			return out.print(c, printed, func(text io.Writer) { describeCode(text, printed) })
		})
	}
	return c
}

func describeCode(w io.Writer, c userCode) {
	if c.Removed {
		fmt.Fprintf(w, "User %s has no code any more.\n", c.Username)
		return
	}
	fmt.Fprintf(w, "The code of %s, shown this once:\n\n  %s\n", c.Username, c.UserCode)
}
