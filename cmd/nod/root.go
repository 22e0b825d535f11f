package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/nod-auth/nod/cmd/nod/config"
)

// newRoot builds the whole command line.
func newRoot() *cobra.Command {
	root := group("nod", "Let a new device in with the phone its owner already trusts",
		`nod lets a new device in with the phone its owner already trusts: the device asks
and waits, the phone shows what is asked, and its owner nods with a passkey.

Start a server, register your application, and invite somebody:

  nod serve
  nod client create --name "Acme TV" --type management --scope codes.generate,codes.authorize
  nod user create --username zoe
  nod user invite --username zoe`,
		newDemo(), newServe(), newLogin(), newClient(), newUser(), newPush(), newWebhook(), newKeys(), newAudit(), newReceipt(), newBackup(), newRestore(), newDoctor(), newHealthcheck(), newVersion())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(explainFlag)
	return root
}

// group is a command that only holds others.
func group(use, short, long string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: long,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return unknownCommand(c, args[0])
		},
		Args: cobra.ArbitraryArgs, // judged by RunE, which knows what was meant
	}
	c.AddCommand(subs...)
	return c
}

// usageError is a command line that cannot be understood: exit status 2.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func unknownCommand(c *cobra.Command, name string) error {
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	return usagef("%q is not a command of %s%s", name, c.CommandPath(), didYouMean(config.Nearest(name, names), c.CommandPath()))
}

// explainFlag says what was meant where a flag does not exist.
func explainFlag(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usageError{err}
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if unknown.GetSpecifiedShortnames() != "" {
		return usagef("%s has no flag -%s%s", c.CommandPath(), unknown.GetSpecifiedName(), didYouMean("", c.CommandPath()))
	}
	near := config.Nearest(unknown.GetSpecifiedName(), names)
	if near != "" {
		near = "--" + near
	}
	return usagef("%s has no flag --%s%s", c.CommandPath(), unknown.GetSpecifiedName(), didYouMean(near, c.CommandPath()))
}

func didYouMean(near, path string) string {
	if near == "" {
		return fmt.Sprintf("; %q lists them", path+" --help")
	}
	return fmt.Sprintf("; did you mean %q?", near)
}

// noArguments refuses what is neither a flag nor a command.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no argument, and got %q; see %q", c.CommandPath(), args[0], c.CommandPath()+" --help")
	}
	return nil
}
