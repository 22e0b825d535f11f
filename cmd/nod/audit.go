package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/approval/audit"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

func newAudit() *cobra.Command {
	return group("audit", "Read the audit rows, and verify that nobody touched them",
		`Every decision, and every change of a user, key, client or setting, writes an audit
row together with what it tells of. Rows are never changed and never deleted. A few
seconds later a server seals them: each gets a place in a chain of hashes, whose end
is authenticated with a key derived from the master key.

These commands work on the server's database, also while any number of nodes run
on it.`,
		newAuditExport(), newAuditVerify(), newAuditRestart())
}

// exported is what an export is asked for.
type exported struct {
	since, until string
	user         who
	client       string
	request      string
	format       string
}

func newAuditExport() *cobra.Command {
	c := &cobra.Command{
		Use:   "export",
		Short: "Write the audit rows, or some of them, to standard output",
		Long: `Write the audit rows in the order of time, each with its place in the chain (n),
the hash of the place before (prev) and its own. Rows that are not sealed yet have
none of these.

As jsonl each row is a line of JSON; nod audit verify --file reads that. As csv
there is a heading, and a text that a spreadsheet would take for a formula has an
apostrophe before it. Any number of rows is written without being held in memory.

A time is a date (midnight, UTC), a date with a time as in RFC 3339, or how long ago:
90m, 36h, 30d.`,
		Example: "  nod audit export --since 30d > audit.jsonl\n" +
			"  nod audit export --since 2026-01-01 --until 2026-02-01 --user zoe --format csv > zoe.csv",
		Args: noArguments,
	}
	var x exported
	c.Flags().StringVar(&x.since, "since", "", "only rows of this time or later")
	c.Flags().StringVar(&x.until, "until", "", "only rows before this time")
	c.Flags().StringVar(&x.user.username, "user", "", "only rows about this user, by name, or by id where the user is gone")
	addNamespace(c, &x.user.namespace)
	c.Flags().StringVar(&x.client, "client", "", "only rows about this client, by id")
	c.Flags().StringVar(&x.request, "request", "", "only rows about this request, by id")
	c.Flags().StringVar(&x.format, "format", "jsonl", "jsonl or csv")
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if x.format != "jsonl" && x.format != "csv" {
			return usagef("--format %s: use jsonl or csv", x.format)
		}
		return withCore(c, false, func(core *app.Core) error {
			f, err := x.filter(c.Context(), core)
			if err != nil {
				return err
			}
			return export(c, core, f, x.format)
		})
	}
	return c
}

func (x exported) filter(ctx context.Context, core *app.Core) (f audit.Filter, err error) {
	now, err := core.Store.Now(ctx)
	if err != nil {
		return f, err
	}
	if f.Since, err = moment(x.since, now); err != nil {
		return f, usagef("--since %s: %w", x.since, err)
	}
	if f.Until, err = moment(x.until, now); err != nil {
		return f, usagef("--until %s: %w", x.until, err)
	}
	f.ClientID, f.RequestID = x.client, x.request
	if x.user.username != "" {
		f.UserID, err = x.userID(ctx, core)
	}
	return f, err
}

// userID is of the user of that name. Of one who was deleted only the id is left.
func (x exported) userID(ctx context.Context, core *app.Core) (string, error) {
	if uuid.Validate(x.user.username) == nil {
		return x.user.username, nil
	}
	u, err := x.user.find(ctx, core)
	return u.ID, err
}

// moment reads a time, or how long ago that was; "" is the zero time.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, errors.New("write a date like 2026-03-01, a time like 2026-03-01T12:00:00Z, or how long ago like 36h or 30d")
}

func export(c *cobra.Command, core *app.Core, f audit.Filter, format string) error {
	out := bufio.NewWriter(c.OutOrStdout())
	write, flush := audit.JSONLines(out), out.Flush
	if format == "csv" {
		var file func() error
		write, file = audit.CSV(out)
		flush = func() error { return errors.Join(file(), out.Flush()) }
	}
	return errors.Join(audit.Export(c.Context(), core.Store, f, write), flush())
}

func newAuditVerify() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify",
		Short: "Compute the chain over the audit rows anew, and name what does not fit",
		Long: `Compute the chain over the audit rows anew and hold it to what is stored. It says how
many rows are sealed, how many are not yet, and of each row that was changed,
removed, put in or put elsewhere its place, its time and what is wrong with it; then
the exit status is 1.

Nobody without the master key can change sealed rows so that this does not tell. Who
has both can, and whoever can replace the whole database can put back an older one.
Against both helps a witness: keep the head that is printed, or an export, where that
person cannot write, and name it the next time with --witness.

With --file it is an export (--format jsonl) that is held to itself, without a
database.`,
		Example: "  nod audit verify\n  nod audit verify --witness 4711:9f86d081884c7d65…\n  nod audit verify --file audit.jsonl",
		Args:    noArguments,
	}
	var file string
	var heads []string
	c.Flags().StringVar(&file, "file", "", "an export to verify in place of the database")
	c.Flags().StringSliceVar(&heads, "witness", nil, "a head that was printed before, which must be in the chain")
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		witnesses, err := witnessed(heads)
		switch {
		case err != nil:
			return err
		case file != "" && len(witnesses) > 0:
			return usagef("--witness is about the database; leave --file away")
		case file != "":
			return verifyFile(c, file, *out)
		}
		return withCore(c, false, func(core *app.Core) error {
			r, err := core.VerifyAudit(c.Context(), witnesses...)
			if err != nil {
				return err
			}
			v := auditReport{r, r.Whole()}
			if err := out.print(c, v, func(w io.Writer) { v.describe(w) }); err != nil {
				return err
			}
			return breakage(r.Breaks, r.More)
		})
	}
	return c
}

func witnessed(heads []string) (all []audit.Place, err error) {
	for _, text := range heads {
		p, err := audit.ParsePlace(text)
		if err != nil {
			return nil, usagef("--witness %s: %w", text, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// auditReport is a report as it is printed.
type auditReport struct {
	audit.Report
	Whole bool `json:"whole"`
}

func (v auditReport) describe(w io.Writer) {
	unsealed := fmt.Sprintf("%d rows", v.Unsealed)
	if v.Unsealed > 0 {
		unsealed += ", since " + stamp(v.Since)
	}
	rows := [][]string{{"sealed", fmt.Sprintf("%d rows", v.Sealed)}, {"unsealed", unsealed}, {"head", orDash(v.Head)}}
	if v.Late > 0 {
		rows = append(rows, []string{"late", fmt.Sprintf("%d rows were sealed after much later ones, the first at place %d", v.Late, v.FirstLate)})
	}
	if len(v.Restarts) > 0 {
		rows = append(rows, []string{"known", counted(v.Known, "break") + " before the last restart, which told of it"})
	}
	table(w, rows...)
	describeBreaks(w, v.Breaks)
	for _, r := range v.Restarts {
		fmt.Fprintln(w)
		describeRestart(w, r)
	}
}

func describeBreaks(w io.Writer, breaks []audit.Break) {
	if len(breaks) == 0 {
		return
	}
	rows := [][]string{{"PLACE", "BREAK", "WHEN", "WHAT", "OPERATION", ""}}
	for _, b := range breaks {
		rows = append(rows, []string{strconv.FormatInt(b.N, 10), string(b.Kind), stamp(b.At), orDash(b.Name), orDash(b.Op), b.Says})
	}
	fmt.Fprintln(w)
	table(w, rows...)
}

// breakage is nil when there is nothing wrong.
func breakage(breaks []audit.Break, more int64) error {
	if len(breaks) == 0 {
		return nil
	}
	return fmt.Errorf("the audit rows are not what was sealed: %s, the first at place %d; "+
		"keep a copy of the database before anything else; nod audit restart --help says how to go on", counted(int64(len(breaks))+more, "break"), breaks[0].N)
}

func verifyFile(c *cobra.Command, name string, out output) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := audit.VerifyFile(bufio.NewReader(f))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	v := struct {
		audit.FileReport
		Whole bool `json:"whole"`
	}{r, r.Whole()}
	err = out.print(c, v, func(w io.Writer) {
		gaps := "none"
		if r.Gaps > 0 {
			gaps = fmt.Sprintf("%d: rows between were filtered out, or taken out", r.Gaps)
		}
		table(w,
			[]string{"rows", fmt.Sprintf("%d, of them %d not sealed", r.Rows, r.Unsealed)},
			[]string{"places", fmt.Sprintf("%d to %d", r.First, r.Last)},
			[]string{"gaps", gaps},
		)
		describeBreaks(w, r.Breaks)
	})
	if err != nil {
		return err
	}
	return breakage(r.Breaks, r.More)
}

// counted is a number of things, as one says it.
func counted(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
