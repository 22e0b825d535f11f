// Command nodload measures a nod server from outside: what a held wait costs,
// how long a decision takes to reach the waiting side, and how many complete
// flows a second it carries.
//
// Without --url it starts a server of its own, on an embedded store in a
// temporary folder, as a process of its own so that memory and processor time
// are the server's alone, and removes it afterwards. Load goes to loopback
// addresses only, is bounded in count and time, and stops by itself.
//
// Trust memory per wait and processor time per flow, then ratios within one
// run; absolute rates are the machine's.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	if folder := os.Getenv(childVariable); folder != "" {
		if err := beServer(folder, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "nodload server:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "nodload:", err)
		os.Exit(1)
	}
}

// options are the flags every measurement shares.
type options struct {
	target targetFlags
	json   bool
}

func command() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:           "nodload",
		Short:         "Measure a nod server",
		Long:          "nodload measures a nod server from outside. Without --url it starts one of its own and removes it afterwards.",
		Example:       "  nodload hold -n 10000\n  nodload wake -n 10000\n  nodload flows -c 8 -d 10s",
		SilenceErrors: true, SilenceUsage: true,
	}
	f := root.PersistentFlags()
	f.StringVar(&o.target.url, "url", "", "a running server on a loopback address; needs the five flags below")
	f.StringVar(&o.target.clientID, "client-id", "", "client with scopes codes.generate, codes.authorize, codes.invalidate")
	f.StringVar(&o.target.keyFile, "key", "", "file with the client's PEM private key")
	f.StringVar(&o.target.username, "username", "", "an existing user")
	f.IntVar(&o.target.pid, "pid", 0, "the server's process, for memory and processor time")
	f.StringVar(&o.target.metrics, "metrics-url", "", "its /metrics, to know when all waits are held")
	f.BoolVar(&o.json, "json", false, "print JSON after the table")
	root.AddCommand(holdCommand(&o), wakeCommand(&o), flowsCommand(&o))
	return root
}

func holdCommand(o *options) *cobra.Command {
	var n, fills int
	c := &cobra.Command{
		Use:   "hold",
		Short: "Memory of a held wait, over several fills",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return measure(cmd, o, n, func(ctx context.Context, t *target) (report, error) { return hold(ctx, t, n, fills) })
		},
	}
	c.Flags().IntVarP(&n, "held", "n", 10000, "waits held at once (1 to 20000)")
	c.Flags().IntVar(&fills, "fills", 3, "how often to fill and empty the server")
	return c
}

func wakeCommand(o *options) *cobra.Command {
	var n, samples int
	c := &cobra.Command{
		Use:   "wake",
		Short: "From the decision to the last byte of the waiting answer, with one wait and with n held",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return measure(cmd, o, n, func(ctx context.Context, t *target) (report, error) { return wake(ctx, t, n, samples) })
		},
	}
	c.Flags().IntVarP(&n, "held", "n", 10000, "waits held meanwhile (1 to 20000)")
	c.Flags().IntVar(&samples, "samples", 1000, "decisions measured in each round")
	return c
}

func flowsCommand(o *options) *cobra.Command {
	var workers int
	var duration time.Duration
	c := &cobra.Command{
		Use:   "flows",
		Short: "Complete flows a second: generate, held wait, authorize, token",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			duration = min(duration, 5*time.Minute)
			return measure(cmd, o, workers, func(ctx context.Context, t *target) (report, error) {
				return flows(ctx, t, workers, duration)
			})
		},
	}
	c.Flags().IntVarP(&workers, "concurrency", "c", 8, "flows at once")
	c.Flags().DurationVarP(&duration, "duration", "d", 10*time.Second, "how long (at most 5m)")
	return c
}

// report is what a measurement prints: rows of a table, and the same as JSON.
type report struct {
	Title string `json:"title"`
	Rows  []row  `json:"rows"`
}

type row struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

func (r *report) add(name string, value float64, unit string) {
	r.Rows = append(r.Rows, row{name, value, unit})
}

// maxHeld keeps a run within the ports and descriptors one machine has.
const maxHeld = 20000

func measure(cmd *cobra.Command, o *options, n int, run func(context.Context, *target) (report, error)) error {
	if n < 1 || n > maxHeld {
		return fmt.Errorf("%d at once: choose 1 to %d", n, maxHeld)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Minute)
	defer cancel()
	t, err := o.target.open(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	r, err := run(ctx, t)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s\n", r.Title)
	for _, row := range r.Rows {
		fmt.Fprintf(out, "  %-44s %12.3f %s\n", row.Name, row.Value, row.Unit)
	}
	if o.json {
		return json.NewEncoder(out).Encode(r)
	}
	return nil
}
