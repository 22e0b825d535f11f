package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

func newWebhook() *cobra.Command {
	return group("webhook", "Tell backends what happens, and see what they answered",
		`A webhook is an address of a backend's that nod posts to whenever something happens
in its namespace: a request is made, opened, approved, denied, reported, canceled,
redeemed or runs out, a device is revoked, a passkey added or ended. Every message is
signed as Standard Webhooks describes (standardwebhooks.com) and arrives at least once:
what is not answered with 2xx is tried again for 24 hours.

These commands work on the server's database, also while it runs; what they change
holds within a second or two.`,
		newWebhookAdd(), newWebhookList(), newWebhookTest(), newWebhookDeliveries(), newWebhookReplay(), newWebhookRotate(),
		newWebhookEnable(), newWebhookRemove())
}

// webhookView is a webhook as it is printed.
type webhookView struct {
	ID             string     `json:"id"`
	URL            string     `json:"url"`
	Secret         string     `json:"secret,omitempty"` // printed once
	Events         []string   `json:"events"`
	NamespaceID    string     `json:"namespace_id"`
	CreatedAt      time.Time  `json:"created_at"`
	OldSecretUntil *time.Time `json:"old_secret_until,omitempty"`
	DisabledAt     *time.Time `json:"disabled_at,omitempty"`
	Disabled       string     `json:"disabled,omitempty"`
}

func viewWebhook(w account.Webhook, secret account.Secret) webhookView {
	return webhookView{
		ID: w.ID, URL: w.URL, Secret: secret.Reveal(), Events: append([]string{}, w.Events...), NamespaceID: w.NamespaceID,
		CreatedAt: w.CreatedAt, OldSecretUntil: unlessZero(w.BeforeEnds), DisabledAt: unlessZero(w.DisabledAt), Disabled: w.Disabled,
	}
}

// unlessZero is nil for a time that is none, so that JSON leaves it out.
func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func newWebhookAdd() *cobra.Command {
	var url, namespace string
	var events []string
	c := &cobra.Command{
		Use:   "add",
		Short: "Let a backend hear of what happens",
		Long: `Let a backend hear of what happens in its namespace, and print the secret that its
messages are signed with: this once. The address must be public and https, or in a
range that --push-allow-networks names.

The events:

` + wrapped(eventNames(), "  ", 76),
		Example: `  nod webhook add --url https://backend.example.com/nod
  nod webhook add --url https://backend.example.com/nod --event request.approved,request.denied --namespace staging`,
		Args: noArguments,
	}
	c.Flags().StringVar(&url, "url", "", "where to post to (required)")
	c.Flags().StringSliceVar(&events, "event", nil, "hear of this event alone; may be repeated (default: of all)")
	addNamespace(c, &namespace)
	out := addOutput(c)
	config.Flags(c.Flags(), pushSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if url == "" {
			return usagef("%s needs to know where: give the address with --url https://…", c.CommandPath())
		}
		return withPush(c, func(core *app.Core) error {
			ns, err := core.Directory.Namespace(c.Context(), namespace)
			if err != nil {
				return err
			}
			w, secret, err := core.Directory.AddWebhook(c.Context(), ns.ID, url, events)
			if errors.Is(err, approval.ErrTooMany) {
				return fmt.Errorf("namespace %s has %d webhooks already; remove one first with: nod webhook remove", ns.Name, account.MaxWebhooks)
			}
			if err != nil {
				return err
			}
			return out.print(c, viewWebhook(w, secret), func(text io.Writer) {
				table(text, []string{"id", w.ID}, []string{"secret", secret.Reveal()})
				note(c, "nod: keep the secret where the backend reads it; it is not shown again. Try it with: nod webhook test --id %s", w.ID)
			})
		})
	}
	return c
}

// eventName is a name that help texts wrap.
type eventName string

func eventNames() (names []eventName) {
	for _, n := range approval.Announced() {
		names = append(names, eventName(n))
	}
	return names
}

func newWebhookList() *cobra.Command {
	var namespace string
	c := &cobra.Command{
		Use:     "list",
		Short:   "List webhooks",
		Long:    "List webhooks of one namespace or of all, and why one is disabled.",
		Example: "  nod webhook list\n  nod webhook list --namespace staging --output json",
		Args:    noArguments,
	}
	c.Flags().StringVar(&namespace, "namespace", "", "only this namespace's, by name or id")
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return withCore(c, false, func(core *app.Core) error {
			only := ""
			if namespace != "" {
				ns, err := findNamespace(c.Context(), core, namespace)
				if err != nil {
					return err
				}
				only = ns.ID
			}
			found, err := core.Directory.Webhooks(c.Context(), only)
			if err != nil {
				return err
			}
			views := make([]webhookView, len(found))
			for i, w := range found {
				views[i] = viewWebhook(w, "")
			}
			return out.print(c, views, func(text io.Writer) { tableOfWebhooks(text, views) })
		})
	}
	return c
}

func tableOfWebhooks(w io.Writer, views []webhookView) {
	rows := [][]string{{"ID", "NAMESPACE", "STATE", "EVENTS", "URL"}}
	for _, v := range views {
		state, events := "works", strings.Join(v.Events, ",")
		if v.DisabledAt != nil {
			state = "disabled: " + v.Disabled
		}
		if events == "" {
			events = "all"
		}
		rows = append(rows, []string{v.ID, v.NamespaceID, state, events, v.URL})
	}
	table(w, rows...)
}

// addWebhookID adds --id.
func addWebhookID(c *cobra.Command) *string {
	return c.Flags().String("id", "", "the webhook, if it is not an argument (default: the only one there is)")
}

// onWebhook runs act on the webhook that a flag or an argument names, with what open
// opens.
func onWebhook(c *cobra.Command, open func(*cobra.Command, func(*app.Core) error) error, flag string, args []string,
	act func(*app.Core, account.Webhook) error) error {
	if flag != "" && len(args) == 1 {
		return usagef("%s: name the webhook once, as an argument or with --id", c.CommandPath())
	}
	id := flag
	if len(args) == 1 {
		id = args[0]
	}
	return open(c, func(core *app.Core) error {
		w, err := pickWebhook(c.Context(), core, id)
		if err != nil {
			return err
		}
		return act(core, w)
	})
}

// withData is withCore for what needs a database that there is.
func withData(c *cobra.Command, act func(*app.Core) error) error { return withCore(c, false, act) }

func pickWebhook(ctx context.Context, core *app.Core, id string) (account.Webhook, error) {
	if id != "" {
		w, err := core.Directory.WebhookOf(ctx, "", id)
		if errors.Is(err, approval.ErrNotFound) {
			err = fmt.Errorf("webhook %s: there is none with this id; \"nod webhook list\" shows them", id)
		}
		return w, err
	}
	all, err := core.Directory.Webhooks(ctx, "")
	switch {
	case err != nil:
		return account.Webhook{}, err
	case len(all) == 0:
		return account.Webhook{}, errors.New("there is no webhook; add one with: nod webhook add --url https://…")
	case len(all) > 1:
		return account.Webhook{}, usagef("there are %d webhooks: say which with --id (\"nod webhook list\" shows them)", len(all))
	}
	return all[0], nil
}

func newWebhookTest() *cobra.Command {
	c := &cobra.Command{
		Use:   "test [id]",
		Short: "Send a test to a webhook",
		Long: `Send a signed message of the type webhook.test at once, and say in a sentence what
came back. It goes out from here, not through the server, is tried once and stands in
no log. The exit status is 0 when the receiver took it.`,
		Example: "  nod webhook test\n  nod webhook test --id 0b9d… --output json",
		Args:    cobra.MaximumNArgs(1),
	}
	id := addWebhookID(c)
	out := addOutput(c)
	config.Flags(c.Flags(), pushSettings...)
	c.RunE = func(c *cobra.Command, args []string) error {
		return onWebhook(c, withPush, *id, args, func(core *app.Core, w account.Webhook) error {
			says, taken := core.Push.Hooks().Test(c.Context(), w)
			v := struct {
				ID     string `json:"id"`
				Taken  bool   `json:"taken"`
				Answer string `json:"answer"`
			}{w.ID, taken, says}
			err := out.print(c, v, func(text io.Writer) { fmt.Fprintln(text, says) })
			if err == nil && !taken {
				err = fmt.Errorf("webhook %s did not take the test", w.ID)
			}
			return err
		})
	}
	return c
}

func newWebhookRotate() *cobra.Command {
	grace := approval.DefaultGrace
	c := &cobra.Command{
		Use:   "rotate [id]",
		Short: "Give a webhook a new secret",
		Long: `Give a webhook a new secret and print it: this once. For the grace the secret before
signs as well, so that the backend can change over in its own time.`,
		Example: "  nod webhook rotate --id 0b9d…\n  nod webhook rotate --grace 0s   # the old secret was seen by somebody",
		Args:    cobra.MaximumNArgs(1),
	}
	id := addWebhookID(c)
	c.Flags().DurationVar(&grace, "grace", grace, "how long the secret before signs as well")
	out := addOutput(c)
	config.Flags(c.Flags(), pushSettings...)
	c.RunE = func(c *cobra.Command, args []string) error {
		return onWebhook(c, withPush, *id, args, func(core *app.Core, w account.Webhook) error {
			w, secret, err := core.Directory.RotateWebhook(c.Context(), w, grace)
			if err != nil {
				return err
			}
			return out.print(c, viewWebhook(w, secret), func(text io.Writer) {
				rows := [][]string{{"id", w.ID}, {"secret", secret.Reveal()}}
				if !w.BeforeEnds.IsZero() {
					rows = append(rows, []string{"old secret until", w.BeforeEnds.Format(time.RFC3339)})
				}
				table(text, rows...)
			})
		})
	}
	return c
}

func newWebhookEnable() *cobra.Command {
	c := &cobra.Command{
		Use:   "enable [id]",
		Short: "Tell a disabled webhook again",
		Long: `Tell a webhook again that was disabled because its receiver answered 410. Of what
happened meanwhile it hears nothing; what failed can be replayed.`,
		Example: "  nod webhook enable --id 0b9d…",
		Args:    cobra.MaximumNArgs(1),
	}
	id := addWebhookID(c)
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, args []string) error {
		return onWebhook(c, withData, *id, args, func(core *app.Core, w account.Webhook) error {
			w, err := core.Directory.EnableWebhook(c.Context(), w)
			if err != nil {
				return err
			}
			return out.print(c, viewWebhook(w, ""), func(text io.Writer) {
				fmt.Fprintf(text, "Webhook %s is told what happens. What failed is sent again with: nod webhook replay --id %s --failed\n", w.ID, w.ID)
			})
		})
	}
	return c
}

func newWebhookRemove() *cobra.Command {
	c := &cobra.Command{
		Use:     "remove [id]",
		Short:   "Take a webhook away",
		Long:    "Take a webhook away. What it was not told yet it never will be.",
		Example: "  nod webhook remove --id 0b9d…",
		Args:    cobra.MaximumNArgs(1),
	}
	id := addWebhookID(c)
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, args []string) error {
		if *id == "" && len(args) == 0 {
			return usagef("%s needs to know which webhook: give its id with --id (\"nod webhook list\" shows them)", c.CommandPath())
		}
		return onWebhook(c, withData, *id, args, func(core *app.Core, w account.Webhook) error {
			if err := core.Directory.RemoveWebhook(c.Context(), w); err != nil {
				return err
			}
			removed := struct {
				ID      string `json:"id"`
				Removed bool   `json:"removed"`
			}{w.ID, true}
			return out.print(c, removed, func(text io.Writer) { fmt.Fprintf(text, "Removed webhook %s.\n", w.ID) })
		})
	}
	return c
}
