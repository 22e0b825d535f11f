package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// deliveryFlags select lines of a webhook's log.
type deliveryFlags struct {
	event  string
	since  time.Duration
	failed bool
}

func addDeliveryFlags(c *cobra.Command) *deliveryFlags {
	var f deliveryFlags
	c.Flags().StringVar(&f.event, "event", "", "this event alone, by its id")
	c.Flags().DurationVar(&f.since, "since", 0, "what happened in the last while, 1h say")
	c.Flags().BoolVar(&f.failed, "failed", false, "what has not arrived though it was tried")
	return &f
}

func (f deliveryFlags) filter(c *cobra.Command, core *app.Core, w account.Webhook) (approval.HookFilter, error) {
	out := approval.HookFilter{WebhookID: w.ID, EventID: f.event, Failed: f.failed}
	if f.since < 0 {
		return out, usagef("%s: --since says how long ago, 1h say", c.CommandPath())
	}
	if f.since == 0 {
		return out, nil
	}
	now, err := core.Store.Now(c.Context())
	out.Since = now.Add(-f.since)
	return out, err
}

// deliveryView is a line of the log as it is printed.
type deliveryView struct {
	EventID       string            `json:"event_id"`
	Type          string            `json:"type"`
	Timestamp     time.Time         `json:"timestamp"`
	Data          approval.Subject  `json:"data"`
	State         approval.Delivery `json:"state"`
	Attempts      int64             `json:"attempts"`
	Answer        string            `json:"answer,omitempty"`
	QueuedAt      time.Time         `json:"queued_at"`
	AnsweredAt    *time.Time        `json:"answered_at,omitempty"`
	NextAttemptAt *time.Time        `json:"next_attempt_at,omitempty"`
}

func viewDelivery(d approval.HookDelivery) deliveryView {
	a := d.Announcement
	return deliveryView{
		EventID: a.ID, Type: a.Type, Timestamp: a.Timestamp, Data: a.Data, State: d.State, Attempts: d.Tries, Answer: d.Answer,
		QueuedAt: d.CreatedAt, AnsweredAt: unlessZero(d.SettledAt), NextAttemptAt: unlessZero(d.Next),
	}
}

// maxShown bounds what one call prints.
const maxShown = 10_000

func newWebhookDeliveries() *cobra.Command {
	limit := 50
	c := &cobra.Command{
		Use:   "deliveries [id]",
		Short: "Show what a webhook was told and what it answered",
		Long: `Show what a webhook was told in the last seven days or will be, newest first: each
event with what it is about, how often it was tried, what the receiver answered last and
when it is tried again. Of an answer nothing but its status is kept.`,
		Example: "  nod webhook deliveries\n  nod webhook deliveries --id 0b9d… --failed --since 24h --output json",
		Args:    cobra.MaximumNArgs(1),
	}
	id, flags := addWebhookID(c), addDeliveryFlags(c)
	c.Flags().IntVar(&limit, "limit", limit, "how many at most")
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, args []string) error {
		if limit < 1 || limit > maxShown {
			return usagef("%s: --limit is at least 1 and at most %d", c.CommandPath(), maxShown)
		}
		return onWebhook(c, withData, *id, args, func(core *app.Core, w account.Webhook) error {
			filter, err := flags.filter(c, core, w)
			if err != nil {
				return err
			}
			found, err := core.Directory.HookDeliveries(c.Context(), filter, limit)
			if err != nil {
				return err
			}
			views := make([]deliveryView, len(found))
			for i, d := range found {
				views[i] = viewDelivery(d)
			}
			return out.print(c, views, func(text io.Writer) { tableOfDeliveries(text, views) })
		})
	}
	return c
}

func tableOfDeliveries(w io.Writer, views []deliveryView) {
	rows := [][]string{{"EVENT ID", "HAPPENED", "TYPE", "ABOUT", "STATE", "ATTEMPTS", "NEXT", "ANSWER"}}
	for _, v := range views {
		next := ""
		if v.NextAttemptAt != nil {
			next = v.NextAttemptAt.Format(time.RFC3339)
		}
		about := cmp.Or(v.Data.RequestID, v.Data.DeviceID, v.Data.PasskeyID)
		rows = append(rows, []string{v.EventID, v.Timestamp.Format(time.RFC3339), v.Type, orDash(about), string(v.State),
			strconv.FormatInt(v.Attempts, 10), orDash(next), orDash(v.Answer)})
	}
	table(w, rows...)
}

func newWebhookReplay() *cobra.Command {
	c := &cobra.Command{
		Use:   "replay [id]",
		Short: "Tell a webhook again",
		Long: `Make events of the last seven days due at once, each with the webhook-id that it had:
one event, those of the last while, or those that have not arrived. Together they
narrow it down. A running server sends them.`,
		Example: `  nod webhook replay --failed
  nod webhook replay --id 0b9d… --since 1h
  nod webhook replay --id 0b9d… --event 01a2…`,
		Args: cobra.MaximumNArgs(1),
	}
	id, flags := addWebhookID(c), addDeliveryFlags(c)
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, args []string) error {
		if *flags == (deliveryFlags{}) {
			return usagef("%s needs to know what: --event ID, --since 1h or --failed", c.CommandPath())
		}
		return onWebhook(c, withData, *id, args, func(core *app.Core, w account.Webhook) error {
			if !w.Works() {
				return fmt.Errorf("webhook %s is disabled (%s); enable it first with: nod webhook enable --id %s", w.ID, w.Disabled, w.ID)
			}
			filter, err := flags.filter(c, core, w)
			if err != nil {
				return err
			}
			n, err := core.Directory.ReplayWebhook(c.Context(), w, filter)
			if err != nil {
				return err
			}
			v := struct {
				ID       string `json:"id"`
				Replayed int    `json:"replayed"`
			}{w.ID, n}
			return out.print(c, v, func(text io.Writer) { fmt.Fprintf(text, "%d events are due for webhook %s.\n", n, w.ID) })
		})
	}
	return c
}
