package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// pushSettings is what a command needs to reach phones as the server does.
var pushSettings = append([]string{
	"public-url", "push-contact", "push-services", "push-allow-networks", "fcm-credentials-file", "fcm-endpoint",
	"smtp-url", "smtp-from", "push-webhook-url", "push-webhook-secret", "push-log",
}, dataSettings...)

func newPush() *cobra.Command {
	return group("push", "Reach people's phones, and find out why not",
		`Push wakes a phone when something waits for its owner. People register their own
phones on the page /notifications; these commands look after what they registered.

They work on the server's database, also while it runs, and want its configuration.`,
		newPushKeys(), newPushList(), newPushTest(), newPushAdd(), newPushRemove())
}

// withPush runs act with the roads to phones open.
func withPush(c *cobra.Command, act func(*app.Core) error) error {
	return withCore(c, false, func(core *app.Core) error {
		log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
		if err := core.OpenPush(c.Context(), log, nil); err != nil {
			return err
		}
		return act(core)
	})
}

// addUser adds --user; --username, as elsewhere, is the same.
func addUser(c *cobra.Command) *who {
	var w who
	c.Flags().StringVar(&w.username, "user", "", "the user's name (required)")
	addNamespace(c, &w.namespace)
	c.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "username" {
			name = "user"
		}
		return pflag.NormalizedName(name)
	})
	return &w
}

func newPushKeys() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Print the key that browsers subscribe with",
		Long: `Print the public half of the VAPID key pair (RFC 8292), which a page gives to the
browser's pushManager.subscribe as applicationServerKey, and the contact that push
services see. The pair is made when there is none. It never changes: every
subscription belongs to it.`,
		Example: "  nod push keys\n  nod push keys --output json | jq -r .public_key",
		Args:    noArguments,
	}
	out := addOutput(c)
	config.Flags(c.Flags(), pushSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return withCore(c, true, func(core *app.Core) error {
			keys, err := core.VAPID(c.Context())
			if err != nil {
				return err
			}
			public, err := core.PublicURL(c.Context())
			if err != nil {
				return err
			}
			v := struct {
				PublicKey string `json:"public_key"`
				Contact   string `json:"contact"`
			}{keys.Public(), core.PushContact(public)}
			err = out.print(c, v, func(w io.Writer) {
				table(w, []string{"public_key", v.PublicKey}, []string{"contact", orDash(v.Contact)})
			})
			if err == nil && v.Contact == "" {
				note(c, "nod: push services have nobody to ask about what nod sends, and some refuse that; say whom with --push-contact mailto:…")
			}
			return err
		})
	}
	return c
}

// phoneView is a phone as it is printed.
type phoneView struct {
	ID        string            `json:"id"`
	Kind      account.PhoneKind `json:"kind"`
	Name      string            `json:"name"`
	CreatedAt time.Time         `json:"created_at"`
	SeenAt    time.Time         `json:"seen_at"`
	ReachedAt *time.Time        `json:"reached_at,omitempty"`
	Fault     string            `json:"fault,omitempty"`
}

func viewPhone(p account.Phone) phoneView {
	v := phoneView{ID: p.ID, Kind: p.Kind, Name: p.Name, CreatedAt: p.CreatedAt, SeenAt: p.SeenAt, Fault: p.Fault}
	if !p.ReachedAt.IsZero() {
		v.ReachedAt = &p.ReachedAt
	}
	return v
}

func newPushList() *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List a user's phones",
		Long:    "List where a user is told that something waits: when a provider last took a message for it, and what it said when it did not.",
		Example: "  nod push list --user zoe\n  nod push list --user zoe --output json",
		Args:    noArguments,
	}
	w := addUser(c)
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := w.check(c); err != nil {
			return err
		}
		return withCore(c, false, func(core *app.Core) error {
			phones, err := w.phones(c.Context(), core)
			if err != nil {
				return err
			}
			views := make([]phoneView, len(phones))
			for i, p := range phones {
				views[i] = viewPhone(p)
			}
			return out.print(c, views, func(text io.Writer) { tableOfPhones(text, views) })
		})
	}
	return c
}

func tableOfPhones(w io.Writer, views []phoneView) {
	rows := [][]string{{"ID", "KIND", "NAME", "LAST REACHED", "FAULT"}}
	for _, v := range views {
		reached := ""
		if v.ReachedAt != nil {
			reached = v.ReachedAt.Format(time.RFC3339)
		}
		rows = append(rows, []string{v.ID, string(v.Kind), v.Name, orDash(reached), orDash(v.Fault)})
	}
	table(w, rows...)
}

func newPushAdd() *cobra.Command {
	var email, name string
	c := &cobra.Command{
		Use:   "add",
		Short: "Let a user be told by mail",
		Long: `Let a user be told by mail that something waits. You vouch that the address is the
user's: whoever reads that mail learns that somebody asks, and nothing else.`,
		Example: "  nod push add --user zoe --email zoe@example.com",
		Args:    noArguments,
	}
	w := addUser(c)
	c.Flags().StringVar(&email, "email", "", "the mail address (required)")
	c.Flags().StringVar(&name, "name", "", "what the user's page calls it (default: by its kind)")
	out := addOutput(c)
	config.Flags(c.Flags(), pushSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := w.check(c); err != nil {
			return err
		}
		if email == "" {
			return usagef("%s needs to know where: give the address with --email", c.CommandPath())
		}
		return withPush(c, func(core *app.Core) error {
			u, err := w.find(c.Context(), core)
			if err != nil {
				return err
			}
			p, err := core.Directory.RegisterPhone(c.Context(), u, approval.NewPhone{
				Kind: account.PhoneEmail, Target: account.Secret(email), Name: name,
			}, "")
			if errors.Is(err, approval.ErrTooMany) {
				return fmt.Errorf("user %s has %d phones already; remove one first with: nod push remove", u.Username, account.MaxPhones)
			}
			if err != nil {
				return err
			}
			return out.print(c, viewPhone(p), func(text io.Writer) {
				fmt.Fprintf(text, "User %s is told by mail. Try it with: nod push test --user %s\n", u.Username, u.Username)
			})
		})
	}
	return c
}

func newPushRemove() *cobra.Command {
	var id string
	c := &cobra.Command{
		Use:     "remove",
		Short:   "Take one of a user's phones away",
		Long:    "Take one of a user's phones away: it is not told any more. Passkeys and sessions stay.",
		Example: "  nod push remove --user zoe --phone 0b9d…",
		Args:    noArguments,
	}
	w := addUser(c)
	c.Flags().StringVar(&id, "phone", "", "the phone's id, as \"nod push list\" shows it (required)")
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := w.check(c); err != nil {
			return err
		}
		if id == "" {
			return usagef("%s needs to know which phone: give its id with --phone", c.CommandPath())
		}
		return withCore(c, false, func(core *app.Core) error {
			u, err := w.find(c.Context(), core)
			if err != nil {
				return err
			}
			err = core.Directory.RemovePhone(c.Context(), u, id, "")
			if errors.Is(err, approval.ErrNotFound) {
				return fmt.Errorf("phone %s: user %s has none with this id; \"nod push list --user %s\" shows them", id, u.Username, u.Username)
			}
			if err != nil {
				return err
			}
			removed := struct {
				ID      string `json:"id"`
				Removed bool   `json:"removed"`
			}{id, true}
			return out.print(c, removed, func(text io.Writer) { fmt.Fprintf(text, "Removed phone %s of user %s.\n", id, u.Username) })
		})
	}
	return c
}
