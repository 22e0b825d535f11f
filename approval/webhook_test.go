package approval_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// countedHooks is the store, and how often it was asked for webhooks.
type countedHooks struct {
	approval.Hooks
	asked atomic.Int64
	fault error
}

func (c *countedHooks) Webhooks(ctx context.Context, namespaceID string) ([]account.Webhook, error) {
	c.asked.Add(1)
	if c.fault != nil {
		return nil, c.fault
	}
	return c.Hooks.Webhooks(ctx, namespaceID)
}

// receivers takes every https address and seals nothing: package push tests the real
// ones.
type receivers struct{}

func (receivers) CheckHook(url string) error {
	if !strings.HasPrefix(url, "https://") {
		return &approval.InvalidError{Field: "url", Reason: "must be https"}
	}
	return nil
}

func (receivers) SealHook(webhookID string, secret account.Secret) ([]byte, error) {
	return []byte(webhookID + " " + secret.Reveal()), nil
}

// withHooks lets the house tell webhooks.
func (h *house) withHooks() *countedHooks {
	c := &countedHooks{Hooks: h.store}
	h.core.Hooks, h.core.Receivers = c, receivers{}
	return c
}

func (h *house) hook(namespaceID string, events ...string) account.Webhook {
	h.t.Helper()
	w, secret, err := h.people.AddWebhook(h.t.Context(), namespaceID, "https://backend.example/nod", events)
	must(h.t, err)
	if text, prefixed := strings.CutPrefix(secret.Reveal(), "whsec_"); !prefixed || len(text) != 44 {
		h.t.Errorf("secret: got %d characters, want whsec_ and 32 bytes in base64", len(secret.Reveal()))
	}
	return w
}

// told is what a webhook is told, oldest first.
func (h *house) told(w account.Webhook) (out []approval.Announcement) {
	h.t.Helper()
	ds, err := h.store.HookDeliveries(h.t.Context(), approval.HookFilter{WebhookID: w.ID}, 1000)
	must(h.t, err)
	for _, d := range slices.Backward(ds) {
		out = append(out, d.Announcement)
	}
	return out
}

func (h *house) toldTypes(w account.Webhook) (types []string) {
	h.t.Helper()
	for _, a := range h.told(w) {
		types = append(types, a.Type)
	}
	return types
}

func (h *house) wantTold(what string, w account.Webhook, want ...string) {
	h.t.Helper()
	if d := cmp.Diff(want, h.toldTypes(w)); d != "" {
		h.t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestAnnounce_everyStepOfARequest_inAnOrderThatCanBeRestored(t *testing.T) {
	h := onDisk(t)
	h.withHooks()
	w := h.hook(h.ada.NamespaceID)
	c := h.oauth()
	got := h.signedIn(c)
	must(t, h.core.RevokeDevice(t.Context(), got.Device.ID, approval.ByOwner))
	all := h.told(w)
	var request []approval.Announcement
	for _, a := range all {
		if a.Data.RequestID == got.Request.ID && strings.HasPrefix(a.Type, "request.") {
			request = append(request, a)
		}
	}
	slices.SortFunc(request, func(a, b approval.Announcement) int {
		if c := a.Timestamp.Compare(b.Timestamp); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	var types []string
	ids := make(map[string]bool)
	for _, a := range request {
		types, ids[a.ID] = append(types, a.Type), true
	}
	if want := []string{"request.requested", "request.approved", "request.redeemed"}; !slices.Equal(types, want) {
		t.Errorf("by timestamp and id: got %v, want %v", types, want)
	}
	if len(ids) != len(request) || ids[""] {
		t.Errorf("ids: got %d different ones of %d", len(ids), len(request))
	}
	redeemed := request[len(request)-1].Data
	want := approval.Subject{
		RequestID: got.Request.ID, Version: got.Request.Version, State: approval.Redeemed, Purpose: approval.SignIn, ClientID: c.ID,
		UserID: h.ada.ID, Username: "ada", PasskeyID: got.Request.Decision.PasskeyID, DeviceID: got.Device.ID,
		DeviceName: got.Device.Name, By: got.Request.Decision.By,
	}
	if d := cmp.Diff(want, redeemed); d != "" {
		t.Errorf("what was redeemed (-want +got):\n%s", d)
	}
	last := all[len(all)-1]
	if last.Type != "device.revoked" || last.Data.DeviceID != got.Device.ID || last.Data.By != approval.ByOwner || last.Data.UserID != h.ada.ID {
		t.Errorf("at last: got %+v, want that the owner revoked device %s", last, got.Device.ID)
	}
}

func TestAnnounce_noPayloadHoldsASecret(t *testing.T) {
	h := onDisk(t)
	h.withHooks()
	w := h.hook(h.ada.NamespaceID)
	ask := h.ask(approval.Short)
	ask.Context.BindingMessage, ask.Context.Address = "apple tree", "192.0.2.77"
	b, err := h.core.Begin(t.Context(), ask)
	must(t, err)
	ref := approval.Ref{Way: approval.Scanned, Secret: b.Handle}
	_, err = h.core.Opened(t.Context(), ref, h.viewer(h.ada))
	must(t, err)
	_, err = h.approve(ref, "")
	must(t, err)
	got, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
	must(t, err)
	h.wantTold("the webhook", w, "request.requested", "request.opened", "request.approved", "request.redeemed")
	text, err := json.Marshal(h.told(w))
	must(t, err)
	for what, secret := range map[string]string{
		"code": b.Code.Reveal(), "handle": b.Handle.Reveal(), "match number": b.MatchNumber.Reveal(),
		"binding message": "apple tree", "address": "192.0.2.77", "jti": got.Grant.JTI,
		"short code in groups": b.Code.Reveal()[:3] + " " + b.Code.Reveal()[3:],
	} {
		// Six digits turn up in ids and times too: only those of their own count.
		if slices.ContainsFunc(strings.FieldsFunc(string(text), func(r rune) bool { return strings.ContainsRune(`",:{}[]`, r) }),
			func(word string) bool { return strings.Contains(word, secret) && (len(secret) > 7 || word == secret) }) {
			t.Errorf("payloads: contain the %s", what)
		}
	}
}

func TestAnnounce_endsThatAreNoApproval(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.withHooks()
		w := h.hook(h.ada.NamespaceID)
		h.begin(approval.Long)
		_, err := h.core.InvalidateAll(t.Context(), h.target())
		must(t, err)
		b := h.begin(approval.Long)
		_, err = h.core.Decide(t.Context(), scanned(b), h.viewer(h.ada), approval.Answer{Verdict: approval.Decline})
		must(t, err)
		h.begin(approval.Long)
		time.Sleep(approval.DefaultLives[approval.Long] + 10*time.Second)
		h.wantTold("the webhook", w, "request.requested", "request.canceled", "request.requested", "request.denied",
			"request.requested", "request.expired")
		all := h.told(w)
		if got, want := []approval.By{all[1].Data.By, all[3].Data.By}, []approval.By{approval.ByBackend, approval.BySession}; !slices.Equal(got, want) {
			t.Errorf("by: got %v, want %v", got, want)
		}
	})
}

func TestAnnounce_whatHappensToPasskeys(t *testing.T) {
	h := onDisk(t)
	h.withHooks()
	w := h.hook(h.ada.NamespaceID, "passkey.revoked", "passkey.suspended")
	must(t, h.people.SuspendPasskey(t.Context(), h.ada, h.key))
	p, err := h.store.Passkey(t.Context(), h.key.ID)
	must(t, err)
	_, err = h.people.RevokePasskey(t.Context(), h.ada, p, false)
	must(t, err)
	h.wantTold("the webhook", w, "passkey.suspended", "passkey.revoked")
	if got, want := h.told(w)[0].Data, (approval.Subject{UserID: h.ada.ID, PasskeyID: h.key.ID}); got != want {
		t.Errorf("what it is about: got %+v, want %+v", got, want)
	}
}

func TestAnnounce_onlyWhoWantsTheEventAndIsOfTheNamespace(t *testing.T) {
	h := onDisk(t)
	h.withHooks()
	other, err := h.people.Namespace(t.Context(), "other")
	must(t, err)
	all, some, foreign, gone := h.hook(h.ada.NamespaceID), h.hook(h.ada.NamespaceID, "request.denied"), h.hook(other.ID), h.hook(h.ada.NamespaceID)
	_, err = h.people.DisableWebhook(t.Context(), gone, "answered 410, Gone")
	must(t, err)
	h.begin(approval.Long)
	h.wantTold("one that wants all", all, "request.requested")
	h.wantTold("one that wants another", some)
	h.wantTold("one of another namespace", foreign)
	h.wantTold("one that is disabled", gone)
	_, err = h.people.EnableWebhook(t.Context(), gone)
	must(t, err)
	h.begin(approval.Long)
	h.wantTold("one that is enabled again", gone, "request.requested")
	must(t, h.people.RemoveWebhook(t.Context(), gone))
	h.begin(approval.Long)
	h.wantTold("one that was removed", gone, "request.requested")
}

func TestAnnounce_readsWebhooksOnceASecond(t *testing.T) {
	inQuietBubble(t, func(t *testing.T, h *house) {
		hooks := h.withHooks()
		for range 50 {
			h.begin(approval.Long)
		}
		if got := hooks.asked.Load(); got != 1 {
			t.Errorf("within a second: asked %d times, want 1", got)
		}
		// Another process adds one: this one hears of it a second later.
		w := account.Webhook{ID: "elsewhere", NamespaceID: h.ada.NamespaceID, Version: 1, Sealed: []byte("x")}
		must(t, h.store.Apply(t.Context(), approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{approval.AddWebhook{Webhook: w}}}))
		h.begin(approval.Long)
		time.Sleep(time.Second)
		h.begin(approval.Long)
		h.wantTold("one that was added elsewhere", w, "request.requested")
		if got := hooks.asked.Load(); got != 2 {
			t.Errorf("after a second: asked %d times, want 2", got)
		}
	})
}

// What nobody can be told of must not happen: it would never be told.
func TestAnnounce_whenWebhooksCannotBeRead_nothingHappens(t *testing.T) {
	h := onDisk(t)
	hooks := h.withHooks()
	hooks.fault = approval.ErrUnavailable
	_, err := h.core.Begin(t.Context(), h.ask(approval.Long))
	wantError(t, "begin", err, approval.ErrUnavailable)
}

func TestAddWebhook_refuses(t *testing.T) {
	h := onDisk(t)
	_, _, err := h.people.AddWebhook(t.Context(), h.ada.NamespaceID, "https://backend.example", nil)
	wantError(t, "on a server without webhooks", err, approval.ErrInvalid)
	h.withHooks()
	for what, c := range map[string]struct {
		url    string
		events []string
	}{
		"plain http":          {"http://backend.example", nil},
		"long address":        {"https://backend.example/" + strings.Repeat("x", 2048), nil},
		"event there is none": {"https://backend.example", []string{"request.approved", "request.created"}},
	} {
		_, _, err := h.people.AddWebhook(t.Context(), h.ada.NamespaceID, c.url, c.events)
		wantError(t, what, err, approval.ErrInvalid)
	}
	for range account.MaxWebhooks {
		h.hook(h.ada.NamespaceID)
	}
	_, _, err = h.people.AddWebhook(t.Context(), h.ada.NamespaceID, "https://backend.example", nil)
	wantError(t, "one more than the most", err, approval.ErrTooMany)
}

func TestAddWebhook_ordersItsEvents(t *testing.T) {
	h := onDisk(t)
	h.withHooks()
	w := h.hook(h.ada.NamespaceID, "request.denied", "request.approved", "request.denied")
	if want := []string{"request.approved", "request.denied"}; !slices.Equal(w.Events, want) {
		t.Errorf("events: got %v, want %v", w.Events, want)
	}
}

func TestRotateWebhook_keepsTheSecretBeforeForTheGrace(t *testing.T) {
	inQuietBubble(t, func(t *testing.T, h *house) {
		h.withHooks()
		w := h.hook(h.ada.NamespaceID)
		next, secret, err := h.people.RotateWebhook(t.Context(), w, time.Hour)
		must(t, err)
		now, err := h.store.Now(t.Context())
		must(t, err)
		if string(next.Sealed) != w.ID+" "+secret.Reveal() || string(next.Before) != string(w.Sealed) || !next.BeforeEnds.Equal(now.Add(time.Hour)) {
			t.Errorf("after a rotation: got %+v, want a new secret, and the old one for an hour", next)
		}
		last, _, err := h.people.RotateWebhook(t.Context(), w, 0) // from a version that it no longer has
		must(t, err)
		if last.Version != 3 || last.Before != nil || !last.BeforeEnds.IsZero() || string(last.Sealed) == string(next.Sealed) {
			t.Errorf("after one without grace: got %+v, want one secret alone", last)
		}
		for _, grace := range []time.Duration{-time.Second, approval.MaxGrace + time.Second} {
			_, _, err := h.people.RotateWebhook(t.Context(), w, grace)
			wantError(t, fmt.Sprintf("grace %s", grace), err, approval.ErrInvalid)
		}
	})
}

func TestWebhooks_changesAreAudited_withoutTheURL(t *testing.T) {
	h := onDisk(t)
	h.withHooks()
	var events []approval.Event
	h.tamper.set(func(s *tampered) {
		s.rewrite = func(cs []approval.Change) {
			for _, c := range cs {
				events = append(events, c.Event)
			}
		}
	})
	w, _, err := h.people.AddWebhook(t.Context(), h.ada.NamespaceID, "https://backend.example:8443/hooks/s3cret?key=s3cret", nil)
	must(t, err)
	_, _, err = h.people.RotateWebhook(t.Context(), w, 0)
	must(t, err)
	for range 2 {
		_, err = h.people.DisableWebhook(t.Context(), w, "answered 410, Gone")
		must(t, err)
	}
	_, err = h.people.EnableWebhook(t.Context(), w)
	must(t, err)
	must(t, h.people.RemoveWebhook(t.Context(), w))
	var names []approval.EventName
	for _, e := range events {
		names = append(names, e.Name)
		if e.NamespaceID != h.ada.NamespaceID || e.Detail != "backend.example:8443" {
			t.Errorf("%s: got namespace %q and detail %q, want the namespace and the host alone", e.Name, e.NamespaceID, e.Detail)
		}
	}
	want := []approval.EventName{approval.EventWebhookAdded, approval.EventWebhookRotated, approval.EventWebhookDisabled,
		approval.EventWebhookEnabled, approval.EventWebhookRemoved}
	if !slices.Equal(names, want) {
		t.Errorf("audit: got %v, want %v", names, want)
	}
}

func TestWebhookOf_anotherNamespace_isNone(t *testing.T) {
	h := onDisk(t)
	h.withHooks()
	w := h.hook(h.ada.NamespaceID)
	_, err := h.people.WebhookOf(t.Context(), "elsewhere", w.ID)
	wantError(t, "of another namespace", err, approval.ErrNotFound)
	_, err = h.people.WebhookOf(t.Context(), w.NamespaceID, "none")
	wantError(t, "one that there is not", err, approval.ErrNotFound)
}

func TestReplayWebhook_makesDueWhatWasSelected(t *testing.T) {
	h := onDisk(t)
	h.withHooks()
	w := h.hook(h.ada.NamespaceID)
	const events = 1100 // more than two steps
	var all []approval.Effect
	for range events {
		body, err := json.Marshal(approval.Announcement{ID: approval.NewOp(), Type: "request.approved"})
		must(t, err)
		all = append(all, approval.Deliver{Topic: approval.TopicWebhook, Key: w.ID, Body: body, Until: time.Now().Add(time.Hour)})
	}
	must(t, h.store.Apply(t.Context(), approval.Change{Op: approval.NewOp(), Effects: all}))
	ms, err := h.store.ClaimHook(t.Context(), w.ID, 2*events, time.Hour)
	must(t, err)
	for i, m := range ms {
		o := approval.Outcome{State: approval.DeliverySent}
		if i%2 == 0 {
			o.State = approval.DeliveryFailed
		}
		must(t, h.store.Settle(t.Context(), m, o))
	}
	n, err := h.people.ReplayWebhook(t.Context(), w, approval.HookFilter{Failed: true})
	must(t, err)
	due, err := h.store.ClaimHook(t.Context(), w.ID, 2*events, time.Hour)
	must(t, err)
	if n != events/2 || len(due) != events/2 {
		t.Errorf("failed ones: replayed %d, due %d, want %d", n, len(due), events/2)
	}
	n, err = h.people.ReplayWebhook(t.Context(), w, approval.HookFilter{Since: time.Now().Add(time.Minute)})
	if err != nil || n != 0 {
		t.Errorf("of a time to come: replayed %d, %v, want none", n, err)
	}
	w, err = h.people.DisableWebhook(t.Context(), w, "answered 410, Gone")
	must(t, err)
	_, err = h.people.ReplayWebhook(t.Context(), w, approval.HookFilter{})
	wantError(t, "to one that is disabled", err, approval.ErrInactive)
	must(t, h.people.RemoveWebhook(t.Context(), w))
	if _, err = h.people.EnableWebhook(t.Context(), w); !errors.Is(err, approval.ErrNotFound) {
		t.Errorf("enable one that was removed: got %v, want %v", err, approval.ErrNotFound)
	}
}

func TestAnnounced_listsEveryNameOnce(t *testing.T) {
	want := []string{
		"device.revoked", "passkey.added", "passkey.revoked", "passkey.suspended", "request.approved", "request.canceled", "request.denied",
		"request.expired", "request.opened", "request.redeemed", "request.reported", "request.requested",
	}
	if d := cmp.Diff(want, approval.Announced()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
