package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/audit"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// maxReason is how long a reason may be, in graphemes: a sentence or two.
const maxReason = 300

func newAuditRestart() *cobra.Command {
	c := &cobra.Command{
		Use:   "restart",
		Short: "Let a chain that is broken go on, and say why",
		Long: `Let a chain that is broken go on. Servers seal nothing on a head that is gone or
forged, and nod audit verify fails for good once a row was changed. First find out
what happened, and keep a copy of the database: it is the evidence.

Then this writes one more row: who restarted the chain and why, what was broken and
where. The row is put behind the last link, under a head made with the master key, and
what has no place yet follows it. Nothing is removed. nod audit verify goes on telling
what was broken, as known, and fails for whatever is changed after the restart, also
in the rows before it.`,
		Example: "  nod audit restart --reason \"disk failed on 3 March; restored from the backup of 2 March\"",
		Args:    noArguments,
	}
	reason := c.Flags().String("reason", "", "what happened, for whoever reads the audit later (required)")
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		why, err := approval.CleanText("reason", *reason, maxReason)
		if err == nil && why == "" {
			err = errors.New("say what happened, for whoever reads the audit later")
		}
		if err != nil {
			return usagef("--reason: %w", err)
		}
		return withCore(c, false, func(core *app.Core) error {
			r, err := core.RestartAudit(c.Context(), operator(), why)
			if errors.Is(err, audit.ErrWhole) {
				return errors.New("nothing is wrong with the audit chain: it goes on by itself")
			}
			if err != nil {
				return err
			}
			if err := out.print(c, r, func(w io.Writer) { describeRestart(w, r) }); err != nil {
				return err
			}
			note(c, "nod: servers that still name the audit in /readyz?verbose after a minute need a restart")
			return nil
		})
	}
	return c
}

// operator is who runs this program, as far as the machine knows.
func operator() string {
	name := ""
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, _ := os.Hostname()
	return name + "@" + host
}

func describeRestart(w io.Writer, r audit.Restarted) {
	table(w,
		[]string{"restarted", fmt.Sprintf("at place %d, %s", r.N, stamp(r.At))},
		[]string{"by", r.By},
		[]string{"reason", r.Reason},
		[]string{"broken", counted(r.Breaks, "time") + " before it; first " + r.First},
		[]string{"old head", orDash(r.Head)},
	)
}
