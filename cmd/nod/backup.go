package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// What PostgreSQL's own tools are told; a test runs both. A dump that is
// serializable-deferrable is of a moment at which no transaction was half seen by
// another, like every transaction of nod's.
const (
	pgDump    = `pg_dump --format=custom --no-owner --serializable-deferrable --file=nod.dump "$NOD_DATABASE_URL"`
	pgRestore = `pg_restore --clean --if-exists --no-owner --single-transaction --dbname="$NOD_DATABASE_URL" nod.dump`
)

// copied is a backup as it is printed.
type copied struct {
	File          string     `json:"file"`
	Bytes         int64      `json:"bytes"`
	Schema        int64      `json:"schema"`
	Users         int64      `json:"users"`
	Passkeys      int64      `json:"passkeys"`
	Clients       int64      `json:"clients"`
	Requests      int64      `json:"requests"`
	SigningKeys   int        `json:"signing_keys"`
	LastEventAt   *time.Time `json:"last_event_at,omitempty"`
	MasterKeyFile string     `json:"master_key_file"`
	Aside         []string   `json:"set_aside,omitempty"`
}

func viewCopied(file string, has sqlstore.Contents, key string) copied {
	v := copied{
		File: file, Bytes: has.Bytes, Schema: has.Schema, Users: has.Users, Passkeys: has.Passkeys, Clients: has.Clients,
		Requests: has.Requests, SigningKeys: len(has.Keys), MasterKeyFile: key,
	}
	if !has.Last.IsZero() {
		v.LastEventAt = &has.Last
	}
	return v
}

// describe writes what was copied, in columns.
func (v copied) describe(w io.Writer) {
	last := ""
	if v.LastEventAt != nil {
		last = v.LastEventAt.Format(time.RFC3339)
	}
	table(w,
		[]string{"file", fmt.Sprintf("%s (%d bytes, schema %d)", v.File, v.Bytes, v.Schema)},
		[]string{"users", fmt.Sprintf("%d with %d passkeys", v.Users, v.Passkeys)},
		[]string{"clients", fmt.Sprint(v.Clients)},
		[]string{"requests", fmt.Sprint(v.Requests)},
		[]string{"signing keys", fmt.Sprint(v.SigningKeys)},
		[]string{"last event", orDash(last)},
	)
}

func newBackup() *cobra.Command {
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the database to a file, also while the server runs",
		Long: `Copy the database to a new file, as it stands at one moment, and check the copy.
The server goes on meanwhile; what is decided after that moment is not in it.

The copy holds everything but the master key: the private halves of the signing
keys and the addresses of phones are encrypted with it, codes are hashed with it.
Without that key the copy cannot be used, and whoever has both has everything. So
keep a copy of the key file, once, in another place than the backups.

It never overwrites a file. A database on a PostgreSQL server is copied by
PostgreSQL's own tools, any time:

  ` + pgDump,
		Example: "  nod backup /var/backups/nod-$(date +%F).db\n  nod backup --data /var/lib/nod nod.backup --output json",
		Args:    oneFile,
	}
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := load(c)
		if err != nil {
			return err
		}
		if !app.Exists(cfg) {
			return fmt.Errorf("data folder %s: it holds no database of nod; name the server's folder with --data or NOD_DATA", cfg.Data)
		}
		has, err := app.Backup(c.Context(), cfg, args[0])
		if errors.Is(err, app.ErrServer) {
			return fmt.Errorf("%s is on a PostgreSQL server, which makes its own copies; run:\n  %s", cfg.DatabaseName(), pgDump)
		}
		if err != nil {
			return explain(err)
		}
		v := viewCopied(args[0], has, app.MasterKeyFile(cfg))
		return out.print(c, v, func(w io.Writer) {
			v.describe(w)
			fmt.Fprintf(w, "\nThe master key is not in it. It is in %s: keep a copy of that in another place,\n"+
				"because without it the backup is worth nothing, and whoever has both has everything.\n", v.MasterKeyFile)
		})
	}
	return c
}

// oneFile refuses anything but one argument.
func oneFile(c *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return usagef("%s takes one argument, the file; see %q", c.CommandPath(), c.CommandPath()+" --help")
	}
	return nil
}
