// Command nodload measures nod from outside: what a held wait costs, how long a
// decision takes to reach the waiting side, how many complete flows a second it
// carries, what sleeping waits ask of the database, and how a node hands its waits
// over when it ends.
//
// By itself it starts one node on a file in a temporary folder, as a process of its
// own so that memory and processor time are the node's alone. With --nodes it
// starts several on PostgreSQL and Redis: those that --database-url and --redis-url
// name, where it makes a database of its own and removes it, or with --start real
// ones of its own. With --url it measures a server that runs already. What it
// started it ends and removes. Load goes to loopback addresses only, is bounded in
// count and time, and stops by itself.
//
// Trust memory per wait and processor time per flow, then ratios within one
// run; absolute rates are the machine's.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	if order := os.Getenv(childVariable); order != "" {
		if err := beNode(order, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "nodload node:", err)
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
		Short:         "Measure nod",
		Long:          "nodload measures nod from outside. By itself it starts one node on a file and removes it afterwards.",
		Example:       "  nodload hold -n 10000\n  nodload wake -n 10000 --nodes 3 --start\n  nodload flows -c 8 -d 10s",
		SilenceErrors: true, SilenceUsage: true,
	}
	f := root.PersistentFlags()
	f.IntVar(&o.target.nodes, "nodes", 1, fmt.Sprintf("nodes to start (1 to %d); several need PostgreSQL and Redis", maxNodes))
	f.BoolVar(&o.target.start, "start", false, "start PostgreSQL and Redis, too, in temporary folders")
	f.StringVar(&o.target.database, "database-url", "", "a running PostgreSQL on a loopback address, where a database may be made")
	f.StringVar(&o.target.redis, "redis-url", "", "a running Redis on a loopback address")
	f.StringVar(&o.target.profile, "profile", "", "folder for a processor profile of each node, over its whole life")
	f.StringVar(&o.target.url, "url", "", "a running server on a loopback address; needs the flags below")
	f.StringVar(&o.target.clientID, "client-id", "", "client with scopes codes.generate, codes.authorize, codes.invalidate")
	f.StringVar(&o.target.keyFile, "key", "", "file with the client's PEM private key")
	f.StringVar(&o.target.username, "username", "", "an existing user")
	f.IntVar(&o.target.pid, "pid", 0, "the server's process, for memory and processor time")
	f.StringVar(&o.target.metrics, "metrics-url", "", "its /metrics, to know when all waits are held")
	f.BoolVar(&o.json, "json", false, "print JSON after the table")
	root.AddCommand(holdCommand(&o), wakeCommand(&o), flowsCommand(&o), readsCommand(&o), drainCommand(&o))
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
	heldFlag(c, &n, 10000)
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
	heldFlag(c, &n, 10000)
	c.Flags().IntVar(&samples, "samples", 1000, "decisions of each kind measured in each round")
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

func readsCommand(o *options) *cobra.Command {
	var n int
	var window time.Duration
	c := &cobra.Command{
		Use:   "reads",
		Short: "What sleeping waits ask of the database",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			window = min(window, longestWindow)
			o.target.countStatements = true
			return measure(cmd, o, n, func(ctx context.Context, t *target) (report, error) { return reads(ctx, t, n, window) })
		},
	}
	heldFlag(c, &n, 1000)
	c.Flags().DurationVar(&window, "window", time.Minute, "how long to count, twice (at most 90s)")
	return c
}

// longestWindow is less than the 120 s that a wait is held, by what it takes to
// fill the nodes.
const longestWindow = 90 * time.Second

func drainCommand(o *options) *cobra.Command {
	var n int
	var spread time.Duration
	c := &cobra.Command{
		Use:   "drain",
		Short: "SIGTERM to a node that holds n waits, which then go to the others",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return measure(cmd, o, n, func(ctx context.Context, t *target) (report, error) { return drain(ctx, t, n, spread) })
		},
	}
	heldFlag(c, &n, 10000)
	c.Flags().DurationVar(&spread, "spread", 0, "how long the waits pause at random, at most, before they try again")
	return c
}

func heldFlag(c *cobra.Command, n *int, otherwise int) {
	c.Flags().IntVarP(n, "held", "n", otherwise, fmt.Sprintf("waits held at once (1 to %d)", maxHeld))
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
	return r.write(cmd.OutOrStdout(), o.json)
}
