package push

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
	"github.com/nod-auth/nod/push/egress"
)

func TestHooks_receiver_that_fails_at_first_hears_the_same_again(t *testing.T) {
	h := hooked(t)
	defer h.runs()()
	to := newListener(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n <= 3 {
			w.WriteHeader([]int{500, 404, 408}[n-1])
			_, _ = w.Write([]byte("stack trace with a password"))
		}
	})
	w, secret := h.hook(to.URL, "request.denied")
	b := h.happens()
	d := h.rests(w, 1)[0]
	calls := to.heard()
	if d.State != approval.DeliverySent || d.Tries != 4 || len(calls) != 4 {
		t.Fatalf("log: got %s after %d, %d calls; want sent at the fourth", d.State, d.Tries, len(calls))
	}
	for _, c := range calls {
		if c.id() != d.Announcement.ID || string(c.body) != string(calls[0].body) || verifies(secret, c) != nil {
			t.Errorf("call: got id %s and %s, want the same again, and signed", c.id(), c.body)
		}
	}
	if d.Announcement.Data.RequestID != b.Request.ID {
		t.Errorf("event: got one of request %s, want %s", d.Announcement.Data.RequestID, b.Request.ID)
	}
	if log := h.log.String(); strings.Contains(log, "password") || strings.Contains(log, to.URL) || strings.Contains(log, secret.Reveal()) {
		t.Error("server log: holds what the receiver wrote, its URL, or the secret")
	}
}

// A receiver that is down for a while hears everything when it is back, and can bring
// it into order.
func TestHooks_receiver_that_is_down_loses_nothing(t *testing.T) {
	h := hooked(t)
	defer h.runs()()
	port, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	at := port.Addr().String()
	port.Close()
	w, _ := h.hook("http://" + at + "/")
	const requests = 5
	for range requests {
		h.happens()
	}
	h.until("every event has been tried", func() bool {
		ds := h.deliveries(w)
		return len(ds) == 3*requests && !slices.ContainsFunc(ds, func(d approval.HookDelivery) bool { return d.SettledAt.IsZero() })
	})
	for _, d := range h.deliveries(w) {
		if d.State != approval.DeliveryQueued || !strings.Contains(d.Answer, "refused") || strings.Contains(d.Answer, at) {
			t.Errorf("while it is down: got %s, %q; want queued and refused", d.State, d.Answer)
		}
	}
	back := &listener{Server: &httptest.Server{}}
	port, err = net.Listen("tcp", at)
	h.must(err)
	back.Server = httptest.NewUnstartedServer(back.handler(status200))
	back.Listener.Close()
	back.Listener = port
	back.Start()
	defer back.Close()
	ds := h.rests(w, 3*requests)
	if got := len(back.heard()); got < 3*requests {
		t.Errorf("calls: got %d, want at least %d", got, 3*requests)
	}
	versions := make(map[string][]string)
	slices.SortFunc(ds, func(a, b approval.HookDelivery) int {
		return int(a.Announcement.Data.Version - b.Announcement.Data.Version)
	})
	for _, d := range ds {
		if back.heardOf(d.Announcement.ID).body == nil {
			t.Errorf("event %s %s: never arrived", d.Announcement.ID, d.Announcement.Type)
		}
		of := d.Announcement.Data.RequestID
		versions[of] = append(versions[of], d.Announcement.Type)
	}
	for id, types := range versions {
		if want := []string{"request.requested", "request.opened", "request.denied"}; !slices.Equal(types, want) {
			t.Errorf("request %s by version: got %v, want %v", id, types, want)
		}
	}
}

func TestHooks_receiver_that_hangs_is_cut_off(t *testing.T) {
	h := hooked(t)
	h.push.hooks.within = 50 * time.Millisecond
	defer h.runs()()
	to := newListener(t, func(_ http.ResponseWriter, r *http.Request, n int) {
		if n == 1 {
			<-r.Context().Done()
		}
	})
	w, _ := h.hook(to.URL)
	h.announce(w, 1)
	if d := h.rests(w, 1)[0]; d.State != approval.DeliverySent || d.Tries != 2 {
		t.Errorf("log: got %s after %d, want sent at the second", d.State, d.Tries)
	}
	if !strings.Contains(h.log.String(), "no answer within 50ms") {
		t.Error("server log: does not say why")
	}
}

func TestHooks_redirect_is_not_followed(t *testing.T) {
	h := hooked(t)
	defer h.runs()()
	elsewhere := newListener(t, status200)
	to := newListener(t, func(w http.ResponseWriter, r *http.Request, n int) {
		if n == 1 {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}
	})
	w, _ := h.hook(to.URL)
	h.announce(w, 1)
	if d := h.rests(w, 1)[0]; d.State != approval.DeliverySent || d.Tries != 2 {
		t.Errorf("log: got %s after %d, want sent at the second", d.State, d.Tries)
	}
	if got := len(elsewhere.heard()); got != 0 {
		t.Errorf("calls elsewhere: got %d, want 0", got)
	}
}

// A name is judged by where it leads in the moment of the call, at every call: what it
// said when it was registered, or a moment ago, counts for nothing. Package egress has
// the names that change their answers.
func TestHooks_name_that_leads_inside_is_refused(t *testing.T) {
	to := newListener(t, status200)
	h := hookedAt(t, freshdb.File(t))
	defer h.file.Close()
	defer h.runs()()
	w, _ := h.hook(strings.Replace(to.URL, "http://127.0.0.1", "https://localhost", 1))
	h.announce(w, 1)
	var d approval.HookDelivery
	h.until("it was tried twice", func() bool { d = h.deliveries(w)[0]; return d.Tries > 1 && d.Answer != "" })
	if d.State != approval.DeliveryQueued || !strings.Contains(d.Answer, egress.ErrRefused.Error()) {
		t.Errorf("log: got %s, %q; want queued and refused", d.State, d.Answer)
	}
	if got := len(to.heard()); got != 0 {
		t.Errorf("calls: got %d, want 0", got)
	}
}

func TestHooks_gone_disables_and_is_audited(t *testing.T) {
	h := hooked(t)
	defer h.runs()()
	to := newListener(t, func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusGone) })
	w, _ := h.hook(to.URL)
	h.announce(w, 1)
	d := h.rests(w, 1)[0]
	if d.State != approval.DeliveryFailed || d.Answer != "answered 410" {
		t.Errorf("log: got %s, %q; want failed with 410", d.State, d.Answer)
	}
	var now account.Webhook
	h.until("the webhook is disabled", func() (so bool) {
		var err error
		now, err = h.file.Webhook(t.Context(), w.ID)
		h.must(err)
		return !now.Works()
	})
	if now.Disabled != "answered 410, Gone" {
		t.Errorf("disabled: got %q, want that it answered 410", now.Disabled)
	}
	h.announce(w, 3) // what was queued before anybody knew
	for _, d := range h.rests(w, 4)[:3] {
		if d.State != approval.DeliveryFailed || d.Answer != "the webhook is disabled" {
			t.Errorf("queued: got %s, %q; want failed because it is disabled", d.State, d.Answer)
		}
	}
	if got := len(to.heard()); got != 1 {
		t.Errorf("calls: got %d, want 1", got)
	}
	if !strings.Contains(h.log.String(), "webhook disabled") {
		t.Error("server log: does not say so")
	}
}

func TestHooks_removed_webhook_hears_nothing_more(t *testing.T) {
	h, to := hooked(t), newListener(t, status200)
	w, _ := h.hook(to.URL)
	h.announce(w, 2)
	h.must(h.people.RemoveWebhook(t.Context(), w))
	defer h.runs()()
	for _, d := range h.rests(w, 2) {
		if d.State != approval.DeliveryFailed || d.Answer != "the webhook was removed" {
			t.Errorf("log: got %s, %q; want failed", d.State, d.Answer)
		}
	}
	if got := len(to.heard()); got != 0 {
		t.Errorf("calls: got %d, want 0", got)
	}
}

func TestHooks_busy_receiver_is_left_alone_as_long_as_it_asks(t *testing.T) {
	h := hooked(t)
	defer h.runs()()
	to := newListener(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	w, _ := h.hook(to.URL)
	h.announce(w, 1)
	h.until("it was asked once", func() bool { return len(to.heard()) == 1 && h.deliveries(w)[0].Answer != "" })
	h.announce(w, 1) // news wait as well
	h.rests(w, 2)
	calls := to.heard()
	if len(calls) != 3 {
		t.Fatalf("calls: got %d, want 3", len(calls))
	}
	if got := calls[1].at.Sub(calls[0].at); got < time.Second {
		t.Errorf("pause: got %s, want a second", got)
	}
}

// One receiver that is slow and a thousand events for it: it gets a bounded number at
// once, and neither another receiver nor a phone waits for it.
func TestHooks_slow_receiver_holds_up_nobody(t *testing.T) {
	h := hooked(t)
	stop := h.runs()
	released := make(chan struct{})
	slow := newListener(t, func(_ http.ResponseWriter, r *http.Request, _ int) {
		select {
		case <-released:
		case <-r.Context().Done():
		}
	})
	fast := newListener(t, status200)
	defer stop()
	h.phone(h.ada, "token-1", takes)
	busy, _ := h.hook(slow.URL)
	other, _ := h.hook(fast.URL, "request.requested")
	const events = 1000
	h.announce(busy, events)
	h.until("the slow one has its hands full", func() bool { return slow.atOnce() == perHook })
	began := time.Now()
	b := h.ask(h.ada)
	h.rests(other, 1)
	h.until("the phone has its prompt", func() bool { return len(h.provider.to("token-1")) == 1 })
	if took := time.Since(began); took > time.Second {
		t.Errorf("others waited %s, want less than a second", took)
	}
	h.until("the prompt is settled, too", func() bool {
		got, err := h.core.Prompted(t.Context(), b.Request.ID)
		h.must(err)
		return got == approval.DeliverySent
	})
	if got := slow.atOnce(); got != perHook {
		t.Errorf("at once: got %d, want %d", got, perHook)
	}
	close(released)
	for _, d := range h.rests(busy, events+1) {
		if d.State != approval.DeliverySent {
			t.Fatalf("log: got %s, %q; want all of them sent", d.State, d.Answer)
		}
	}
	if got := slow.atOnce(); got != perHook {
		t.Errorf("at once when it was fast: got %d, want %d", got, perHook)
	}
}

// A receiver that is down is asked one thing at a time, ever less often, and all at
// once as soon as it took something.
func TestHooks_receiver_that_is_down_is_asked_one_at_a_time(t *testing.T) {
	q := &hookQueue{first: firstHookPause, last: lastHookPause, ends: make(map[string]*hookEnd)}
	now := time.Unix(1_800_000_000, 0)
	q.begin("w", perHook)
	if n, _ := q.room("w"); n != 0 {
		t.Errorf("room with all hands busy: got %d, want 0", n)
	}
	for range perHook { // they all hang, and are one failure
		q.end("w", true, now, now.Add(15*time.Second), context.DeadlineExceeded)
	}
	now = now.Add(15 * time.Second)
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute} {
		n, from := q.room("w")
		pause := from.Sub(now).Seconds()
		if n != 1 || pause < want.Seconds()*(1-jitter) || pause > want.Seconds()*(1+jitter) {
			t.Errorf("failure %d: got room for %d in %g s, want for one in %s within a fifth", i, n, pause, want)
		}
		now = from
		q.begin("w", 1)
		if n, _ := q.room("w"); n != 0 {
			t.Errorf("while it is asked: got room for %d, want none", n)
		}
		q.end("w", true, now, now, context.DeadlineExceeded)
	}
	q.begin("w", 1)
	q.end("w", false, now, now, nil) // cut off, or not asked at all: it says nothing
	if n, _ := q.room("w"); n != 1 {
		t.Errorf("after nothing was said: got room for %d, want 1", n)
	}
	q.begin("w", 1)
	q.end("w", true, now, now, nil)
	if n, from := q.room("w"); n != perHook || !from.IsZero() {
		t.Errorf("after it took something: got room for %d from %s, want for %d at once", n, from, perHook)
	}
	q.forget(nil, now)
	if len(q.ends) != 0 {
		t.Errorf("with nothing waiting: %d receivers are remembered, want none", len(q.ends))
	}
}

// One event that a receiver cannot take, over and over, slows nothing else down.
func TestHooks_event_that_is_never_taken_stops_no_other(t *testing.T) {
	h := hooked(t)
	h.push.told.first, h.push.told.last = time.Hour, time.Hour // a pause would be seen
	defer h.runs()()
	var poison atomic.Value
	poison.Store("")
	to := newListener(t, nil)
	to.Config.Handler = to.handler(func(w http.ResponseWriter, r *http.Request, n int) {
		if n == 1 {
			poison.Store(r.Header.Get("webhook-id"))
		}
		if r.Header.Get("webhook-id") == poison.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	h.push.told.backoff = []time.Duration{time.Hour}
	w, _ := h.hook(to.URL)
	h.announce(w, 200)
	h.until("all others arrived", func() bool {
		sent := 0
		for _, d := range h.deliveries(w) {
			if d.State == approval.DeliverySent {
				sent++
			}
		}
		return sent == 199
	})
}

func TestHooks_death_between_commit_and_delivery_loses_nothing(t *testing.T) {
	path := freshdb.File(t)
	to := newListener(t, status200)
	h := hookedAt(t, path, "127.0.0.0/8") // its deliverer never runs
	w, _ := h.hook(to.URL)
	h.happens()
	h.file.Close()

	again := hookedAt(t, path, "127.0.0.0/8")
	defer again.file.Close()
	defer again.runs()()
	again.rests(w, 3)
	if got := len(to.heard()); got != 3 {
		t.Errorf("calls: got %d, want 3", got)
	}
}

func TestHooks_stop_hands_back_what_was_under_way(t *testing.T) {
	h := hooked(t)
	hung := make(chan struct{})
	to := newListener(t, func(_ http.ResponseWriter, r *http.Request, n int) {
		if n == 1 {
			close(hung)
			<-r.Context().Done()
		}
	})
	stop := h.runs()
	w, _ := h.hook(to.URL)
	h.announce(w, 1)
	<-hung
	stop()
	defer h.runs()()
	if d := h.rests(w, 1)[0]; d.State != approval.DeliverySent || len(to.heard()) != 2 {
		t.Errorf("log: got %s, %d calls; want sent, two", d.State, len(to.heard()))
	}
}

func TestHooks_replay_arrives_again_with_the_same_id(t *testing.T) {
	h, to := hooked(t), newListener(t, status200)
	defer h.runs()()
	w, _ := h.hook(to.URL)
	h.happens()
	ds := h.rests(w, 3)
	n, err := h.people.ReplayWebhook(t.Context(), w, approval.HookFilter{EventID: ds[1].Announcement.ID})
	if err != nil || n != 1 {
		t.Fatalf("replay: got %d, %v; want one", n, err)
	}
	h.until("it arrived again", func() bool { return len(to.heard()) == 4 })
	if got := to.heard()[3]; got.id() != ds[1].Announcement.ID {
		t.Errorf("id: got %s, want %s", got.id(), ds[1].Announcement.ID)
	}
	h.rests(w, 3)
}

// A store that is away loses nothing, and the deliverer goes on when it is back.
func TestHooks_store_that_is_away_repeats(t *testing.T) {
	h, to := hooked(t), newListener(t, status200)
	w, _ := h.hook(to.URL)
	h.announce(w, 1)
	h.store.set(nil, approval.ErrUnavailable) // it cannot be settled
	stop := h.runs()
	h.until("it was sent", func() bool { return len(to.heard()) == 1 })
	stop()
	h.store.set(nil, nil)
	ds := h.deliveries(w)
	if d := ds[0]; d.State != approval.DeliveryQueued || d.Next.IsZero() {
		t.Errorf("log: got %s, next %s; want that it is tried again when the lease ends", d.State, d.Next)
	}
}
