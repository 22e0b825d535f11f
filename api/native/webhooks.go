package native

import (
	"context"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// webhookPart is a webhook as this face shows it: its secret only once.
type webhookPart struct {
	ID             string    `json:"id"`
	URL            string    `json:"url"`
	Events         []string  `json:"events"` // none: all
	CreatedAt      time.Time `json:"created_at"`
	OldSecretUntil time.Time `json:"old_secret_until,omitzero"` // until then the secret before signs too
	DisabledAt     time.Time `json:"disabled_at,omitzero"`
	Disabled       string    `json:"disabled,omitempty"` // why
}

func webhookFrom(w account.Webhook) webhookPart {
	return webhookPart{
		ID: w.ID, URL: w.URL, Events: append([]string{}, w.Events...), CreatedAt: w.CreatedAt,
		OldSecretUntil: w.BeforeEnds, DisabledAt: w.DisabledAt, Disabled: w.Disabled,
	}
}

// webhookReply is the reply of a change to one webhook.
type webhookReply struct {
	Webhook webhookPart `json:"webhook"`
	Secret  string      `json:"secret,omitempty"` // shown once
}

type webhookBody struct {
	party
	URL    string   `json:"url"`
	Events []string `json:"events"`
}

func (f *face) addWebhook(c *gin.Context, who *caller, in webhookBody) (any, error) {
	if in.URL == "" {
		return nil, missing("url")
	}
	w, secret, err := f.Directory.AddWebhook(c.Request.Context(), who.client.NamespaceID, in.URL, in.Events, who.nonce...)
	return webhookReply{webhookFrom(w), secret.Reveal()}, instead(err, approval.ErrTooMany, tooManyWebhooks)
}

// justParty is the body of a call that says nothing but who asks.
type justParty struct{ party }

func (f *face) listWebhooks(c *gin.Context, who *caller, _ justParty) (any, error) {
	ctx := c.Request.Context()
	found, err := f.Directory.Webhooks(ctx, who.client.NamespaceID)
	if err != nil {
		return nil, err
	}
	list := make([]webhookPart, len(found)) // [] and not null
	for i, w := range found {
		list[i] = webhookFrom(w)
	}
	return struct {
		Webhooks []webhookPart `json:"webhooks"`
	}{list}, f.spend(ctx, who)
}

// webhookRef names a webhook of the caller's namespace.
type webhookRef struct {
	party
	Webhook struct {
		ID string `json:"id"`
	} `json:"webhook"`
}

func (f *face) webhookOf(ctx context.Context, who *caller, r webhookRef) (account.Webhook, error) {
	if err := identifier("webhook.id", r.Webhook.ID); err != nil {
		return account.Webhook{}, err
	}
	w, err := f.Directory.WebhookOf(ctx, who.client.NamespaceID, canonical(r.Webhook.ID))
	return w, instead(err, approval.ErrNotFound, webhookNotFound)
}

// selected are the members that select deliveries.
type selected struct {
	webhookRef
	EventID string    `json:"event_id"`
	Since   time.Time `json:"since"`
	Failed  bool      `json:"failed"`
	Limit   int       `json:"limit"`
	Cursor  string    `json:"cursor"`
}

const (
	defaultDeliveries = 50
	maxDeliveries     = 500
)

// filter reads the members, all of which may be missing.
func (s selected) filter() (f approval.HookFilter, err error) {
	f = approval.HookFilter{EventID: canonical(s.EventID), Since: s.Since, Failed: s.Failed}
	if s.EventID != "" {
		if err := identifier("event_id", s.EventID); err != nil {
			return f, err
		}
	}
	if s.Limit < 0 || s.Limit > maxDeliveries {
		return f, invalid("limit", "must be at most "+strconv.Itoa(maxDeliveries))
	}
	if s.Cursor != "" {
		if f.Before, err = strconv.ParseInt(s.Cursor, 10, 64); err != nil || f.Before <= 0 {
			return f, invalid("cursor", "must be what next_cursor said")
		}
	}
	return f, nil
}

// deliveryPart is a line of a webhook's log.
type deliveryPart struct {
	EventID       string            `json:"event_id"`
	Type          string            `json:"type"`
	Timestamp     time.Time         `json:"timestamp"`
	Data          approval.Subject  `json:"data"`
	State         approval.Delivery `json:"state"`
	Attempts      int64             `json:"attempts"`
	Answer        string            `json:"answer,omitempty"` // the last
	QueuedAt      time.Time         `json:"queued_at"`
	AnsweredAt    time.Time         `json:"answered_at,omitzero"`
	NextAttemptAt time.Time         `json:"next_attempt_at,omitzero"`
}

func deliveryFrom(d approval.HookDelivery) deliveryPart {
	a := d.Announcement
	return deliveryPart{
		EventID: a.ID, Type: a.Type, Timestamp: a.Timestamp, Data: a.Data, State: d.State, Attempts: d.Tries, Answer: d.Answer,
		QueuedAt: d.CreatedAt, AnsweredAt: d.SettledAt, NextAttemptAt: d.Next,
	}
}

func (f *face) listDeliveries(c *gin.Context, who *caller, in selected) (any, error) {
	ctx := c.Request.Context()
	filter, err := in.filter()
	if err != nil {
		return nil, err
	}
	w, err := f.webhookOf(ctx, who, in.webhookRef)
	if err != nil {
		return nil, err
	}
	filter.WebhookID = w.ID
	limit := in.Limit
	fill(&limit, defaultDeliveries)
	found, err := f.Directory.HookDeliveries(ctx, filter, limit)
	if err != nil {
		return nil, err
	}
	out := struct {
		WebhookID  string         `json:"webhook_id"`
		Deliveries []deliveryPart `json:"deliveries"`
		NextCursor string         `json:"next_cursor,omitempty"`
	}{WebhookID: w.ID, Deliveries: make([]deliveryPart, len(found))}
	for i, d := range found {
		out.Deliveries[i] = deliveryFrom(d)
	}
	if len(found) == limit {
		out.NextCursor = strconv.FormatInt(found[limit-1].Seq, 10)
	}
	return out, f.spend(ctx, who)
}

// replayWebhook wants to know what: everything that is kept is seldom meant.
func (f *face) replayWebhook(c *gin.Context, who *caller, in selected) (any, error) {
	ctx := c.Request.Context()
	filter, err := in.filter()
	switch {
	case err != nil:
		return nil, err
	case filter.EventID == "" && filter.Since.IsZero() && !filter.Failed:
		return nil, missing("event_id, since or failed")
	}
	w, err := f.webhookOf(ctx, who, in.webhookRef)
	if err != nil {
		return nil, err
	}
	filter.Before = 0
	n, err := f.Directory.ReplayWebhook(ctx, w, filter, who.nonce...)
	return struct {
		WebhookID string `json:"webhook_id"`
		Replayed  int    `json:"replayed"`
	}{w.ID, n}, instead(err, approval.ErrInactive, webhookDisabled)
}

type rotationBody struct {
	webhookRef
	GraceSeconds *int64 `json:"grace_seconds"`
}

func (f *face) rotateWebhook(c *gin.Context, who *caller, in rotationBody) (any, error) {
	grace := approval.DefaultGrace
	if s := in.GraceSeconds; s != nil {
		if *s < 0 || *s > int64(approval.MaxGrace/time.Second) {
			return nil, invalid("grace_seconds", "must be at least 0 and at most "+strconv.FormatInt(int64(approval.MaxGrace/time.Second), 10))
		}
		grace = time.Duration(*s) * time.Second
	}
	return f.onWebhook(c, who, in.webhookRef, func(ctx context.Context, w account.Webhook) (account.Webhook, account.Secret, error) {
		return f.Directory.RotateWebhook(ctx, w, grace, who.nonce...)
	})
}

func (f *face) enableWebhook(c *gin.Context, who *caller, in webhookRef) (any, error) {
	return f.onWebhook(c, who, in, func(ctx context.Context, w account.Webhook) (account.Webhook, account.Secret, error) {
		w, err := f.Directory.EnableWebhook(ctx, w, who.nonce...)
		return w, "", err
	})
}

func (f *face) removeWebhook(c *gin.Context, who *caller, in webhookRef) (any, error) {
	return f.onWebhook(c, who, in, func(ctx context.Context, w account.Webhook) (account.Webhook, account.Secret, error) {
		return w, "", f.Directory.RemoveWebhook(ctx, w, who.nonce...)
	})
}

// onWebhook changes the webhook that a body names.
func (f *face) onWebhook(c *gin.Context, who *caller, in webhookRef, change func(context.Context, account.Webhook) (account.Webhook, account.Secret, error)) (any, error) {
	ctx := c.Request.Context()
	w, err := f.webhookOf(ctx, who, in)
	if err != nil {
		return nil, err
	}
	w, secret, err := change(ctx, w)
	return webhookReply{webhookFrom(w), secret.Reveal()}, instead(err, approval.ErrNotFound, webhookNotFound)
}
