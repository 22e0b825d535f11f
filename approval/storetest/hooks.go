package storetest

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var hookTests = []test{
	{"Webhook_isKeptWholeAndSwappedByVersion", hookKept},
	{"Webhook_listedByNamespaceAndCreation", hooksInOrder},
	{"Webhook_addedBy64AtOnceStopsAtTheLimit", hooksLimit},
	{"DueHooks_isTheEarliestOfEach", dueHooks},
	{"ClaimHook_ofOneWebhookAlone", claimHook},
	{"ClaimHook_by64AtOnceGivesEachMessageOnce", claimHookTogether},
	{"ClaimHook_afterItsTimeGivesNothing", claimHookTooLate},
	{"ClaimHook_afterACrashWaitsForTheLease", claimHookCrash},
	{"HookDeliveries_sayHowFarEachGot", hookDeliveries},
	{"HookDeliveries_selected", hookDeliveriesSelected},
	{"Replay_isDueAtOnceAndEndsAClaim", replayHook},
	{"Replay_ofAnotherWebhooksMessageChangesNothing", replayForeign},
	{"Announcement_isQueuedWithItsEventOrNotAtAll", announcedWithEvent},
	{"Purge_keepsTheLogOfWebhooksForDays", purgeHooks},
}

func (w *world) newWebhook() account.Webhook {
	return account.Webhook{
		ID: id(), NamespaceID: w.namespace.ID, Version: 1, URL: "https://backend.example/nod?a=1&b=2",
		Events: []string{"request.approved", "request.denied"}, Sealed: hash(), CreatedAt: w.now(),
	}
}

// tell queues an announcement for a webhook and returns its event's id.
func (w *world) tell(webhookID string) (event string) {
	w.Helper()
	event = approval.NewOp()
	body, err := json.Marshal(approval.Announcement{ID: event, Type: "request.approved", Data: approval.Subject{RequestID: "r"}})
	w.is("Marshal", err, nil)
	w.apply(approval.Change{Op: event, Effects: []approval.Effect{approval.Deliver{
		Topic: approval.TopicWebhook, Key: webhookID, Body: body, Until: w.now().Add(approval.AnnounceFor),
	}}})
	return event
}

func (w *world) claimHook(webhookID string, limit int, lease time.Duration) []approval.Message {
	w.Helper()
	return value[[]approval.Message](w, "ClaimHook")(w.ClaimHook(w.ctx, webhookID, limit, lease))
}

func (w *world) deliveries(f approval.HookFilter) []approval.HookDelivery {
	w.Helper()
	return value[[]approval.HookDelivery](w, "HookDeliveries")(w.HookDeliveries(w.ctx, f, 100))
}

func eventsOf(w *world, ms []approval.Message) (events []string) {
	w.Helper()
	for _, m := range ms {
		var a approval.Announcement
		w.is("Unmarshal", json.Unmarshal(m.Body, &a), nil)
		events = append(events, a.ID)
	}
	return events
}

func loggedEvents(ds []approval.HookDelivery) (events []string) {
	for _, d := range ds {
		events = append(events, d.Announcement.ID)
	}
	return events
}

func hookKept(w *world) {
	read := func(id string) account.Webhook {
		w.Helper()
		return value[account.Webhook](w, "Webhook")(w.Webhook(w.ctx, id))
	}
	hook, bare := w.newWebhook(), account.Webhook{ID: id(), NamespaceID: w.namespace.ID, Version: 1, Sealed: hash()}
	w.do(approval.AddWebhook{Webhook: hook}, approval.AddWebhook{Webhook: bare})
	w.same("webhook", read(hook.ID), hook)
	w.same("a bare one", read(bare.ID), bare)
	w.dont(approval.ErrExists, approval.AddWebhook{Webhook: hook})
	stray := w.newWebhook()
	stray.NamespaceID = id()
	w.dont(approval.ErrNotFound, approval.AddWebhook{Webhook: stray})
	_, err := w.Webhook(w.ctx, stray.ID)
	w.is("Webhook that is not there", err, approval.ErrNotFound)

	next := hook
	next.Version, next.Before, next.Sealed, next.BeforeEnds = 2, hook.Sealed, hash(), w.now().Add(time.Hour)
	next.DisabledAt, next.Disabled = w.now(), "answered 410, Gone"
	w.do(approval.SetWebhook{From: 1, Is: next})
	w.same("after a change", read(hook.ID), next)
	w.dont(approval.ErrConflict, approval.SetWebhook{From: 1, Is: next})
	w.dont(approval.ErrInvalid, approval.SetWebhook{From: 2, Is: next})
	w.do(approval.RemoveWebhook{ID: hook.ID})
	_, err = w.Webhook(w.ctx, hook.ID)
	w.is("Webhook that was removed", err, approval.ErrNotFound)
	w.dont(approval.ErrNotFound, approval.RemoveWebhook{ID: hook.ID})
	next.Version = 3
	w.dont(approval.ErrConflict, approval.SetWebhook{From: 2, Is: next})
}

func hooksInOrder(w *world) {
	other := account.Namespace{ID: "fedcba9876543210", Name: "other", CreatedAt: w.start}
	w.do(approval.AddNamespace{Namespace: other})
	first, second, foreign := w.newWebhook(), w.newWebhook(), w.newWebhook()
	first.CreatedAt, foreign.NamespaceID, foreign.CreatedAt = w.start.Add(-time.Hour), other.ID, w.start.Add(-2*time.Hour)
	for _, h := range []account.Webhook{second, foreign, first} {
		w.do(approval.AddWebhook{Webhook: h})
	}
	of := func(namespaceID string) []account.Webhook {
		w.Helper()
		return value[[]account.Webhook](w, "Webhooks")(w.Webhooks(w.ctx, namespaceID))
	}
	w.same("of one namespace", of(w.namespace.ID), []account.Webhook{first, second})
	w.same("of all", of(""), []account.Webhook{foreign, first, second})
	w.same("of none", of(id()), []account.Webhook(nil))
}

func hooksLimit(w *world) {
	got := w.together(crowd, func(int) error {
		return w.Apply(w.ctx, effects(approval.AddWebhook{Webhook: w.newWebhook()}))
	})
	w.same("outcomes", got, map[error]int{nil: account.MaxWebhooks, approval.ErrTooMany: crowd - account.MaxWebhooks})
}

func dueHooks(w *world) {
	due := func() map[string]time.Time {
		w.Helper()
		return value[map[string]time.Time](w, "DueHooks")(w.DueHooks(w.ctx))
	}
	w.same("with none", due(), map[string]time.Time{})
	w.queue(approval.TopicPrompt, w.now().Add(time.Hour))
	w.same("with another topic's", due(), map[string]time.Time{})
	w.needAdvance()
	one, two := id(), id()
	written := w.now()
	w.tell(one)
	w.Advance(time.Second)
	w.tell(one)
	w.tell(two)
	w.same("with three", due(), map[string]time.Time{one: written, two: w.now()})
	m := w.claimHook(one, 1, time.Minute)[0]
	w.same("with one leased", due(), map[string]time.Time{one: w.now(), two: w.now()})
	w.settle(nil, m, approval.Outcome{State: approval.DeliverySent})
	w.settle(nil, w.claimHook(one, 1, time.Minute)[0], approval.Outcome{State: approval.DeliveryQueued, Next: written.Add(time.Hour)})
	w.same("with one put off", due(), map[string]time.Time{one: written.Add(time.Hour), two: w.now()})
	w.settle(nil, w.claimHook(two, 1, time.Minute)[0], approval.Outcome{State: approval.DeliveryFailed})
	w.same("with one done", due(), map[string]time.Time{one: written.Add(time.Hour)})
	w.Advance(approval.AnnounceFor)
	w.same("when it is too late", due(), map[string]time.Time{})
}

func claimHook(w *world) {
	one, two := id(), id()
	var want []string
	for range 3 {
		want = append(want, w.tell(one))
		w.tell(two)
		if w.Advance != nil {
			w.Advance(time.Microsecond)
		}
	}
	first := w.claimHook(one, 2, time.Hour)
	w.same("the first two", eventsOf(w, first), want[:2])
	if m := first[0]; m.Key != one || m.Topic != approval.TopicWebhook || m.Attempt != 1 || m.Tries != 1 || !m.Until.Equal(m.CreatedAt.Add(approval.AnnounceFor)) && w.Advance != nil {
		w.Errorf("message: got %+v, want the first attempt of a webhook's", m)
	}
	w.same("the rest", eventsOf(w, w.claimHook(one, 2, time.Hour)), want[2:])
	w.same("nothing is left", w.claimHook(one, 2, time.Hour), []approval.Message(nil))
	w.same("the other's", len(w.claimHook(two, 10, time.Hour)), 3)
	w.same("nobody's", w.claimHook(id(), 10, time.Hour), []approval.Message(nil))
}

func claimHookTogether(w *world) {
	const messages = 200
	hook := id()
	var all []approval.Effect
	for range messages {
		all = append(all, approval.Deliver{Topic: approval.TopicWebhook, Key: hook, Body: []byte(`{}`), Until: w.now().Add(time.Hour)})
	}
	w.do(all...)
	var mu sync.Mutex
	times := map[string]int{}
	got := w.together(crowd, func(i int) error {
		for {
			ms, err := w.ClaimHook(w.ctx, hook, 1+i%7, time.Hour)
			if err != nil || len(ms) == 0 {
				return err
			}
			mu.Lock()
			for _, m := range ms {
				times[m.ID]++
			}
			mu.Unlock()
			for _, m := range ms {
				if err := w.Settle(w.ctx, m, approval.Outcome{State: approval.DeliverySent}); err != nil {
					return err
				}
			}
		}
	})
	w.same("outcomes", got, map[error]int{nil: crowd})
	w.same("claimed messages", len(times), messages)
	for id, n := range times {
		if n != 1 {
			w.Errorf("message %s was claimed %d times", id, n)
		}
	}
}

func claimHookTooLate(w *world) {
	w.needAdvance()
	hook := id()
	w.tell(hook)
	w.Advance(approval.AnnounceFor - time.Microsecond)
	w.same("claimed at the last moment", len(w.claimHook(hook, 10, time.Microsecond)), 1)
	w.Advance(time.Microsecond)
	w.same("claimed at its end", w.claimHook(hook, 10, time.Hour), []approval.Message(nil))
	d := w.deliveries(approval.HookFilter{WebhookID: hook})[0]
	w.same("state", d.State, approval.DeliveryFailed)
	w.same("next attempt", d.Next, time.Time{})
}

// claimHookCrash dies between commit and delivery, and between delivery and settling.
func claimHookCrash(w *world) {
	w.needCrash()
	w.needAdvance()
	hook := id()
	leased := w.tell(hook)
	w.Advance(time.Microsecond)
	unseen := w.tell(hook)
	w.claimHook(hook, 1, time.Minute)
	after := w.crash()
	claim := func() []approval.Message {
		w.Helper()
		return value[[]approval.Message](w, "ClaimHook")(after.ClaimHook(w.ctx, hook, 10, time.Minute))
	}
	w.same("claimed at once", eventsOf(w, claim()), []string{unseen})
	w.Advance(time.Minute)
	again := claim()
	w.same("claimed after the leases", eventsOf(w, again), []string{leased, unseen})
	w.same("tries", []int64{again[0].Tries, again[1].Tries}, []int64{2, 2})
}

func hookDeliveries(w *world) {
	w.needAdvance()
	hook, start := id(), w.now()
	event := w.tell(hook)
	log := func() approval.HookDelivery {
		w.Helper()
		ds := w.deliveries(approval.HookFilter{WebhookID: hook})
		if len(ds) != 1 {
			w.Fatalf("deliveries: got %d, want 1", len(ds))
		}
		return ds[0]
	}
	want := log()
	if want.Seq == 0 || want.MessageID == "" {
		w.Errorf("delivery: got %+v, want a place in the log and a message", want)
	}
	w.same("queued", want, approval.HookDelivery{
		Seq: want.Seq, MessageID: want.MessageID, State: approval.DeliveryQueued, Next: start, CreatedAt: start,
		Announcement: approval.Announcement{ID: event, Type: "request.approved", Timestamp: start, Data: approval.Subject{RequestID: "r"}},
	})
	w.Advance(time.Second)
	m := w.claimHook(hook, 1, time.Minute)[0]
	want.Tries, want.Next = 1, w.now().Add(time.Minute)
	w.same("under way", log(), want)
	w.Advance(time.Second)
	later := w.now().Add(5 * time.Second)
	w.settle(nil, m, approval.Outcome{State: approval.DeliveryQueued, Next: later, Note: "answered 500"})
	want.Next, want.Answer, want.SettledAt = later, "answered 500", w.now()
	w.same("put off", log(), want)
	w.Advance(5 * time.Second)
	w.settle(nil, w.claimHook(hook, 1, time.Minute)[0], approval.Outcome{State: approval.DeliverySent, Note: "answered 204"})
	want.State, want.Tries, want.Next, want.Answer, want.SettledAt = approval.DeliverySent, 2, time.Time{}, "answered 204", w.now()
	w.same("sent", log(), want)
}

func hookDeliveriesSelected(w *world) {
	w.needAdvance()
	hook := id()
	w.tell(id())
	var events []string
	for range 5 {
		events = append(events, w.tell(hook))
		w.Advance(time.Second)
	}
	ms := w.claimHook(hook, 4, time.Hour) // the fifth is not tried, the fourth under way
	for i, o := range []approval.Outcome{
		{State: approval.DeliverySent, Note: "answered 200"}, {State: approval.DeliveryFailed, Note: "answered 410"},
		{State: approval.DeliveryQueued, Next: w.now().Add(time.Hour), Note: "answered 500"},
	} {
		w.settle(nil, ms[i], o)
	}
	newest := slices.Clone(events)
	slices.Reverse(newest)
	all := w.deliveries(approval.HookFilter{WebhookID: hook})
	w.same("all", loggedEvents(all), newest)
	w.same("after the second", loggedEvents(w.deliveries(approval.HookFilter{WebhookID: hook, Before: all[1].Seq})), newest[2:])
	w.same("the last three seconds'", loggedEvents(w.deliveries(approval.HookFilter{WebhookID: hook, Since: w.now().Add(-3 * time.Second)})), newest[:3])
	w.same("failed", loggedEvents(w.deliveries(approval.HookFilter{WebhookID: hook, Failed: true})), []string{events[2], events[1]})
	w.same("one event's", loggedEvents(w.deliveries(approval.HookFilter{WebhookID: hook, EventID: events[3]})), events[3:4])
	for _, stray := range []string{id(), "%", "_", `\`, events[3][:35] + "_", ""} {
		if got := w.deliveries(approval.HookFilter{WebhookID: hook, EventID: stray}); stray != "" && len(got) != 0 {
			w.Errorf("of event %q: got %d, want none", stray, len(got))
		}
	}
	w.same("of another webhook", w.deliveries(approval.HookFilter{WebhookID: id()}), []approval.HookDelivery(nil))
	two := value[[]approval.HookDelivery](w, "HookDeliveries")(w.HookDeliveries(w.ctx, approval.HookFilter{WebhookID: hook}, 2))
	w.same("at most two", loggedEvents(two), newest[:2])
	w.Advance(approval.AnnounceFor)
	w.same("failed when it is too late", loggedEvents(w.deliveries(approval.HookFilter{WebhookID: hook, Failed: true})), newest[:4])
}

func replayHook(w *world) {
	w.needAdvance()
	hook := id()
	w.tell(hook)
	m := w.claimHook(hook, 1, time.Minute)[0]
	w.settle(nil, m, approval.Outcome{State: approval.DeliverySent, Note: "answered 200"})
	w.Advance(2 * approval.AnnounceFor)
	until := w.now().Add(approval.AnnounceFor)
	again := approval.Replay{WebhookID: hook, IDs: []string{m.ID, id()}, Until: until}
	w.do(again)
	d := w.deliveries(approval.HookFilter{WebhookID: hook})[0]
	w.same("state", []any{d.State, d.Tries, d.Next}, []any{approval.DeliveryQueued, int64(0), w.now()})
	claimed := w.claimHook(hook, 10, time.Minute)
	if len(claimed) != 1 || claimed[0].ID != m.ID || claimed[0].Tries != 1 || !claimed[0].Until.Equal(until) {
		w.Fatalf("claimed: got %+v, want the message again, for the first time", claimed)
	}
	w.do(again)
	w.settle(approval.ErrConflict, claimed[0], approval.Outcome{State: approval.DeliverySent})
	w.same("claimed after it was replayed under way", len(w.claimHook(hook, 10, time.Minute)), 1)
}

func replayForeign(w *world) {
	hook := id()
	w.tell(hook)
	m := w.claimHook(hook, 1, time.Hour)[0]
	w.settle(nil, m, approval.Outcome{State: approval.DeliverySent})
	prompt := w.queue(approval.TopicPrompt, w.now().Add(time.Hour))
	p := w.claimOne(time.Hour)
	w.settle(nil, p, approval.Outcome{State: approval.DeliverySent})
	w.do(approval.Replay{WebhookID: id(), IDs: []string{m.ID}, Until: w.now().Add(time.Hour)},
		approval.Replay{WebhookID: prompt, IDs: []string{p.ID}, Until: w.now().Add(time.Hour)})
	w.same("webhook's", w.deliveries(approval.HookFilter{WebhookID: hook})[0].State, approval.DeliverySent)
	w.same("prompt", w.delivery(prompt), approval.DeliverySent)
}

func announcedWithEvent(w *world) {
	hook := id()
	told := approval.Deliver{Topic: approval.TopicWebhook, Key: hook, Body: []byte(`{}`), Until: w.now().Add(time.Hour)}
	r := w.request()
	yes := w.approving(r)
	yes.Effects = append(yes.Effects, told)
	w.apply(yes)
	no := step(r, approval.Denied, approval.EventDenied) // of a version that it no longer has
	no.Effects = append(no.Effects, told)
	w.refuse(approval.ErrConflict, no)
	w.apply(yes) // again: the same answer
	w.same("announcements", len(w.claimHook(hook, 10, time.Hour)), 1)
}

func purgeHooks(w *world) {
	w.needAdvance()
	hook := id()
	sent, late := w.tell(hook), w.tell(hook)
	w.settle(nil, w.claimHook(hook, 1, time.Hour)[0], approval.Outcome{State: approval.DeliverySent})
	logged := func() []string {
		w.Helper()
		value[int64](w, "Purge")(w.Purge(w.ctx, w.now()))
		return loggedEvents(w.deliveries(approval.HookFilter{WebhookID: hook}))
	}
	w.Advance(approval.AnnounceFor)
	w.same("after their time", len(logged()), 2)
	failed := w.deliveries(approval.HookFilter{WebhookID: hook, Failed: true})
	w.same("failed", len(failed), 1)
	w.Advance(approval.KeepDeliveries - approval.AnnounceFor - time.Microsecond)
	w.same("in the last moment", len(logged()), 2)
	w.do(approval.Replay{WebhookID: hook, IDs: []string{failed[0].MessageID}, Until: w.now().Add(approval.AnnounceFor)})
	w.Advance(time.Microsecond)
	w.same("a week after", logged(), []string{failed[0].Announcement.ID})
	w.same("one of the two", failed[0].Announcement.ID == sent || failed[0].Announcement.ID == late, true)
}
