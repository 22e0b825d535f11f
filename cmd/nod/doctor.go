package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/cmd/nod/config"
	"github.com/nod-auth/nod/cmd/nod/doctor"
)

func newDoctor() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find what is wrong with a set-up",
		Long: `Look at everything that a working set-up needs: the database and its master key,
the public URL and the passkeys that belong to it, whether that URL leads here
through an accepted certificate, the clock, the open-file limit; with --push also
each push channel that is configured, by asking its provider.

Each finding is one line: ok, look (worth a look, it may be meant so) or wrong,
with what to do. The exit status is 1 when something is wrong.

Give it the configuration of the server. It works while that runs or not.`,
		Example: "  nod doctor --data /var/lib/nod --public-url https://nod.example.com\n  nod doctor --push --config /etc/nod.yaml\n" +
			"  nod doctor --output json | jq '.[] | select(.level == \"wrong\")'",
		Args: noArguments,
	}
	push := c.Flags().Bool("push", false, "ask the providers of the push channels, too")
	out := addOutput(c)
	config.Flags(c.Flags())
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := load(c)
		if err != nil {
			return err
		}
		built, _ := time.Parse(time.RFC3339, thisBuild().Built) // zero when nobody knows
		found := doctor.Examine(c.Context(), doctor.Patient{Config: cfg, Push: *push, Built: built})
		if err := out.print(c, found, func(w io.Writer) { tableOfFindings(w, found) }); err != nil {
			return err
		}
		return verdict(found)
	}
	return c
}

func tableOfFindings(w io.Writer, found []doctor.Finding) {
	rows := make([][]string, len(found))
	for i, f := range found {
		says := f.Says
		if f.Do != "" {
			says += " " + f.Do
		}
		rows[i] = []string{string(f.Level), f.About, says}
	}
	table(w, rows...)
}

// verdict is an error when something is wrong.
func verdict(found []doctor.Finding) error {
	wrong := 0
	for _, f := range found {
		if f.Level == doctor.Wrong {
			wrong++
		}
	}
	switch wrong {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("one thing is wrong")
	default:
		return fmt.Errorf("%d things are wrong", wrong)
	}
}
