package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// dataSettings is what a command needs to find the database.
var dataSettings = []string{"data", "database-url", "master-key-file"}

// load reads the configuration for a command that has the flags of it.
func load(c *cobra.Command) (config.Config, error) {
	cfg, warnings, err := config.Load(c.Flags(), os.Environ())
	for _, w := range warnings {
		note(c, "nod: %s", w)
	}
	return cfg, err
}

// withCore runs act on the database of the configuration. Unless the command
// may make a new one, a folder without a database is an error.
func withCore(c *cobra.Command, mayCreate bool, act func(*app.Core) error) (err error) {
	cfg, err := load(c)
	if err != nil {
		return err
	}
	existed := app.Exists(cfg)
	if !existed && !mayCreate {
		return fmt.Errorf("data folder %s: it holds no database of nod; name the server's folder with --data or NOD_DATA", cfg.Data)
	}
	core, err := app.Open(c.Context(), cfg)
	if err != nil {
		return explain(err)
	}
	if !existed {
		note(c, "nod: %s is a new data folder; start the server on it with: nod serve --data %s", cfg.Data, cfg.Data)
	}
	defer func() { err = errors.Join(err, core.Close()) }()
	return explain(act(core))
}

// explain adds what to do where an error does not say it.
func explain(err error) error {
	switch {
	case errors.Is(err, approval.ErrUnavailable):
		return fmt.Errorf("%w; check that the disk is not full and that this user may write in the data folder, then try again", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w; run nod as the user who owns the data folder", err)
	}
	return err
}
