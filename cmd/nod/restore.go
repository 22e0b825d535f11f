package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

func newRestore() *cobra.Command {
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a backup the database",
		Long: `Make a file of nod backup the database of the data folder. The server must not run.
The file is read and checked whole, and the master key must be the one it was made
with: put that at its place first, master.key in the data folder, or name it.

A database that is there already stays, and nothing is done; with --force its files
are kept under names that end with the time.

What happened after the backup is forgotten: users who enrolled since are gone, and
a code that was used since can be used again for as long as it lives, ten minutes
when nothing else is configured. When that matters, start the server later.

To a PostgreSQL server a copy is brought back by PostgreSQL's own tools, while no
node runs:

  ` + pgRestore,
		Example: "  nod restore /var/backups/nod-2026-07-01.db --data /var/lib/nod\n  nod restore nod.backup --data nod-data --force",
		Args:    oneFile,
	}
	var force bool
	c.Flags().BoolVar(&force, "force", false, "keep the database that is there under another name")
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := load(c)
		if err != nil {
			return err
		}
		did, err := app.Restore(c.Context(), cfg, args[0], force)
		if errors.Is(err, app.ErrServer) {
			return fmt.Errorf("%s is on a PostgreSQL server; stop every node and run:\n  %s", cfg.DatabaseName(), pgRestore)
		}
		if err != nil {
			return explain(err)
		}
		v := viewCopied(did.Database, did.Contents, app.MasterKeyFile(cfg))
		v.Aside = did.Aside
		return out.print(c, v, func(w io.Writer) {
			v.describe(w)
			fmt.Fprintf(w, "\nThe master key %s opens it.\n", v.MasterKeyFile)
			if len(v.Aside) > 0 {
				fmt.Fprintf(w, "What was there before is kept as %s.\n", strings.Join(v.Aside, ", "))
			}
		})
	}
	return c
}
