package account

import (
	"context"
	"slices"
	"time"
)

// Webhook is where a backend hears of what happens in its namespace.
type Webhook struct {
	ID          string // UUID
	NamespaceID string
	Version     int64    // 1 when it was added, plus one with every change
	URL         string   // it may hold a credential of the receiver's: shown to whoever manages webhooks, never logged
	Events      []string // which it wants; none: all
	Sealed      []byte   // the secret that its messages are signed with, encrypted
	// Before is the secret before, encrypted: both sign until BeforeEnds, so that the
	// receiver can change over in its own time.
	Before     []byte
	BeforeEnds time.Time
	CreatedAt  time.Time
	// DisabledAt is when it was told nothing more, for the reason in Disabled; zero:
	// it works.
	DisabledAt time.Time
	Disabled   string
}

// Works says whether the webhook is told anything.
func (w Webhook) Works() bool { return w.DisabledAt.IsZero() }

// Wants says whether the webhook is to hear of an event.
func (w Webhook) Wants(event string) bool {
	return w.Works() && (len(w.Events) == 0 || slices.Contains(w.Events, event))
}

// MaxWebhooks is how many a namespace may have: each event is a row for each.
const MaxWebhooks = 10

// Webhooks reads webhooks.
type Webhooks interface {
	Webhook(ctx context.Context, id string) (Webhook, error)
	// Webhooks lists a namespace's by creation; with "" those of all.
	Webhooks(ctx context.Context, namespaceID string) ([]Webhook, error)
}
