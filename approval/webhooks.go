package approval

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/nod-auth/nod/approval/account"
)

// What can happen to a webhook. Detail is its receiver's host: the rest of the URL may
// hold a credential.
const (
	EventWebhookAdded    EventName = "webhook.added"
	EventWebhookRemoved  EventName = "webhook.removed"
	EventWebhookRotated  EventName = "webhook.rotated"
	EventWebhookDisabled EventName = "webhook.disabled"
	EventWebhookEnabled  EventName = "webhook.enabled"
	EventWebhookReplayed EventName = "webhook.replayed"
)

// The effects on webhooks.
type (
	// AddWebhook is ErrTooMany above account.MaxWebhooks in the namespace.
	AddWebhook struct{ Webhook account.Webhook }
	// SetWebhook writes the next version of one whose version was From, ErrConflict
	// when it is another by now, or gone.
	SetWebhook struct {
		From int64
		Is   account.Webhook
	}
	// RemoveWebhook is ErrNotFound when there is none. What it was told stays in the
	// outbox until its time.
	RemoveWebhook struct{ ID string }
	// Replay makes messages of one webhook due at once and until Until, whatever came
	// of them before; those that are gone are no error. A claim of one ends.
	Replay struct {
		WebhookID string
		IDs       []string
		Until     time.Time
	}
)

func (AddWebhook) effect()    {}
func (SetWebhook) effect()    {}
func (RemoveWebhook) effect() {}
func (Replay) effect()        {}

// Receivers judges where webhooks go and keeps their secrets. Package push is one.
// Safe for concurrent use.
type Receivers interface {
	// CheckHook is an *InvalidError that says why nothing can be sent to the URL.
	CheckHook(url string) error
	// SealHook encrypts a secret for one webhook's row.
	SealHook(webhookID string, secret account.Secret) (sealed []byte, err error)
}

const (
	// maxHookURL bounds a webhook's URL, bytes: what servers and proxies take.
	maxHookURL = 2048
	// DefaultGrace is how long the secret before still signs after a rotation.
	DefaultGrace = 24 * time.Hour
	// MaxGrace bounds it: a rotation is to end some day.
	MaxGrace = 30 * 24 * time.Hour
	// replayBatch is how many messages one transaction makes due.
	replayBatch = 500
)

// newHookSecret draws a webhook's secret: 256 bits, in the form of Standard Webhooks.
func newHookSecret() account.Secret {
	var b [32]byte
	rand.Read(b[:]) // never fails, Go 1.24 and later
	return account.Secret("whsec_" + base64.StdEncoding.EncodeToString(b[:]))
}

// AddWebhook lets a backend hear of what happens in its namespace, of the events named
// or, with none, of all. It returns the secret that messages are signed with: this once,
// and never again. ErrInvalid says what is wrong with the URL or the events, ErrTooMany
// that the namespace has account.MaxWebhooks.
func (d *Directory) AddWebhook(ctx context.Context, namespaceID, address string, events []string, with ...Effect) (account.Webhook, account.Secret, error) {
	events, err := checkEvents(events)
	if err == nil {
		err = d.checkHook(address)
	}
	if err != nil {
		return account.Webhook{}, "", err
	}
	w := account.Webhook{ID: uuid.NewString(), NamespaceID: namespaceID, Version: 1, URL: address, Events: events}
	if w.CreatedAt, err = d.service.Store.Now(ctx); err != nil {
		return account.Webhook{}, "", fmt.Errorf("add webhook: %w", err)
	}
	secret := newHookSecret()
	if w.Sealed, err = d.service.Receivers.SealHook(w.ID, secret); err != nil {
		return account.Webhook{}, "", fmt.Errorf("add webhook: %w", err)
	}
	if err := d.onHook(ctx, w, EventWebhookAdded, append([]Effect{AddWebhook{w}}, with...)...); err != nil {
		return account.Webhook{}, "", outcome("add webhook", err)
	}
	return w, secret, nil
}

// checkEvents orders the names of events and drops repeats.
func checkEvents(events []string) ([]string, error) {
	known := Announced()
	for _, e := range events {
		if !slices.Contains(known, e) {
			return nil, &InvalidError{"events", "must be among " + strings.Join(known, ", ")}
		}
	}
	events = slices.Clone(events)
	slices.Sort(events)
	return slices.Compact(events), nil
}

func (d *Directory) checkHook(address string) error {
	switch {
	case d.service.Receivers == nil || d.service.Hooks == nil:
		return &InvalidError{"url", "cannot be called: this server sends no webhooks"}
	case len(address) > maxHookURL:
		return &InvalidError{"url", fmt.Sprintf("must not be longer than %d bytes", maxHookURL)}
	}
	return d.service.Receivers.CheckHook(address)
}

// Webhooks lists a namespace's webhooks by creation; with "" those of all.
func (d *Directory) Webhooks(ctx context.Context, namespaceID string) ([]account.Webhook, error) {
	if d.service.Hooks == nil {
		return nil, nil
	}
	return d.service.Hooks.Webhooks(ctx, namespaceID)
}

// WebhookOf finds a webhook of one namespace, with "" of any; ErrNotFound when there is
// none there.
func (d *Directory) WebhookOf(ctx context.Context, namespaceID, id string) (account.Webhook, error) {
	w, err := account.Webhook{}, ErrNotFound
	if d.service.Hooks != nil {
		w, err = d.service.Hooks.Webhook(ctx, id)
	}
	if err == nil && namespaceID != "" && w.NamespaceID != namespaceID {
		w, err = account.Webhook{}, ErrNotFound
	}
	if err != nil {
		err = fmt.Errorf("webhook: %w", err)
	}
	return w, err
}

// RotateWebhook gives a webhook a new secret and returns it, this once. For grace, at
// most MaxGrace, the one before signs as well; with 0 it ends at once. A second rotation
// within the grace ends the oldest.
func (d *Directory) RotateWebhook(ctx context.Context, w account.Webhook, grace time.Duration, with ...Effect) (account.Webhook, account.Secret, error) {
	switch {
	case grace < 0 || grace > MaxGrace:
		return w, "", &InvalidError{"grace", fmt.Sprintf("must be at least 0 and at most %s", MaxGrace)}
	case d.service.Receivers == nil:
		return w, "", fmt.Errorf("rotate webhook: %w", ErrUnavailable)
	}
	secret := newHookSecret()
	w, err := d.setHook(ctx, w.ID, EventWebhookRotated, with, func(w *account.Webhook, now time.Time) (changed bool, err error) {
		w.Before, w.BeforeEnds = nil, time.Time{}
		if grace > 0 {
			w.Before, w.BeforeEnds = w.Sealed, now.Add(grace)
		}
		w.Sealed, err = d.service.Receivers.SealHook(w.ID, secret)
		return true, err
	})
	if err != nil {
		return w, "", err
	}
	return w, secret, nil
}

// DisableWebhook ends what a webhook is told, for a reason in a few words, until it is
// enabled again. One that is disabled stays so, for the first reason.
func (d *Directory) DisableWebhook(ctx context.Context, w account.Webhook, why string) (account.Webhook, error) {
	return d.setHook(ctx, w.ID, EventWebhookDisabled, nil, func(w *account.Webhook, now time.Time) (bool, error) {
		changed := w.Works()
		if changed {
			w.DisabledAt, w.Disabled = now, why
		}
		return changed, nil
	})
}

// EnableWebhook lets a webhook be told again. What happened meanwhile is lost to it;
// what failed can be replayed.
func (d *Directory) EnableWebhook(ctx context.Context, w account.Webhook, with ...Effect) (account.Webhook, error) {
	return d.setHook(ctx, w.ID, EventWebhookEnabled, with, func(w *account.Webhook, _ time.Time) (bool, error) {
		changed := !w.Works()
		w.DisabledAt, w.Disabled = time.Time{}, ""
		return changed, nil
	})
}

// setHook moves a webhook to its next version, judged again when it moved meanwhile.
// When nothing changes only the effects happen.
func (d *Directory) setHook(ctx context.Context, id string, name EventName, with []Effect, move func(w *account.Webhook, now time.Time) (changed bool, err error)) (account.Webhook, error) {
	what := string(name)
	for range maxConflicts {
		was, err := d.WebhookOf(ctx, "", id)
		if err != nil {
			return was, fmt.Errorf("%s: %w", what, err)
		}
		now, err := d.service.Store.Now(ctx)
		if err != nil {
			return was, fmt.Errorf("%s: %w", what, err)
		}
		is := was
		is.Version++
		changed, err := move(&is, now)
		switch {
		case err != nil:
			return was, fmt.Errorf("%s: %w", what, err)
		case !changed:
			return was, d.service.Spend(ctx, with...)
		}
		err = d.onHook(ctx, is, name, append([]Effect{SetWebhook{was.Version, is}}, with...)...)
		if !errors.Is(err, ErrConflict) {
			return is, outcome(what, err)
		}
	}
	return account.Webhook{}, fmt.Errorf("%s %s: %w", what, id, ErrUnavailable)
}

// RemoveWebhook takes a webhook away: what it was not told yet it never will be.
func (d *Directory) RemoveWebhook(ctx context.Context, w account.Webhook, with ...Effect) error {
	return outcome("remove webhook", d.onHook(ctx, w, EventWebhookRemoved, append([]Effect{RemoveWebhook{w.ID}}, with...)...))
}

// onHook makes effects true with one audit row, and lets this process see them at
// once.
func (d *Directory) onHook(ctx context.Context, w account.Webhook, name EventName, effects ...Effect) error {
	defer d.service.hooks.forget(w.NamespaceID)
	return d.service.apply(ctx, Change{Op: NewOp(), Event: hookEvent(name, w), Effects: effects})
}

func hookEvent(name EventName, w account.Webhook) Event {
	return Event{Name: name, NamespaceID: w.NamespaceID, Detail: hostOf(w.URL)}
}

// hostOf is the part of a URL that says where it leads and holds no credential.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// HookDeliveries lists what a webhook was told or will be, newest first.
func (d *Directory) HookDeliveries(ctx context.Context, f HookFilter, limit int) ([]HookDelivery, error) {
	if d.service.Hooks == nil {
		return nil, nil
	}
	return d.service.Hooks.HookDeliveries(ctx, f, limit)
}

// ReplayWebhook makes what the filter selects due at once, as often as nothing had been
// tried, and says how much that is. It goes through the log in steps, so that it keeps
// nobody from writing: what is written meanwhile is not part of it. ErrInactive when the
// webhook is disabled.
func (d *Directory) ReplayWebhook(ctx context.Context, w account.Webhook, f HookFilter, with ...Effect) (replayed int, err error) {
	if !w.Works() {
		return 0, fmt.Errorf("replay webhook: %w", ErrInactive)
	}
	f.WebhookID = w.ID
	for first := true; ; first = false {
		found, err := d.HookDeliveries(ctx, f, replayBatch)
		if err != nil {
			return replayed, fmt.Errorf("replay webhook: %w", err)
		}
		if len(found) == 0 {
			if first {
				err = d.service.Spend(ctx, with...)
			}
			return replayed, err
		}
		if err := d.replay(ctx, w, found, first, with); err != nil {
			return replayed, err
		}
		replayed += len(found)
		f.Before = found[len(found)-1].Seq
	}
}

// replay is one step; the first has the audit row.
func (d *Directory) replay(ctx context.Context, w account.Webhook, found []HookDelivery, first bool, with []Effect) error {
	now, err := d.service.Store.Now(ctx)
	if err != nil {
		return fmt.Errorf("replay webhook: %w", err)
	}
	due := Replay{WebhookID: w.ID, Until: now.Add(AnnounceFor)}
	for _, f := range found {
		due.IDs = append(due.IDs, f.MessageID)
	}
	c := Change{Op: NewOp(), Effects: []Effect{due}}
	if first {
		c.Event = hookEvent(EventWebhookReplayed, w)
		c.Effects = append(c.Effects, with...)
	}
	return outcome("replay webhook", d.service.apply(ctx, c))
}
