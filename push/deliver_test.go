package push

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
)

var errBusy = &RetryError{Err: errors.New("it answered 503")}

func TestRun_prompt_is_sent_at_once(t *testing.T) {
	inBubble(t, func(h *house) {
		phone := h.phone(h.ada, "token-1", takes)
		defer h.runs()()
		synctest.Wait()
		began := time.Now()
		b := h.ask(h.ada)
		synctest.Wait()
		got := h.provider.to("token-1")
		if len(got) != 1 || got[0].at.Sub(began) != 0 {
			h.Fatalf("messages: got %d, want 1 and at once", len(got))
		}
		m := got[0]
		if m.Kind != Prompt || m.User.ID != h.ada.ID || m.Phone.ID != phone.ID || !m.Until.Equal(b.Request.Expires) {
			h.Errorf("message: got %+v, want a prompt for ada until %s", m.Message, b.Request.Expires)
		}
		view, err := h.core.Inspect(h.Context(), h.core.Arrived(m.Handle), approval.Viewer{User: h.ada})
		h.must(err)
		if view.Ref.Way != approval.Pushed || view.Request.ID != b.Request.ID {
			h.Errorf("handle: leads to %s, %s; want %s, pushed", view.Request.ID, view.Ref.Way, b.Request.ID)
		}
		h.wantDelivery(b, approval.DeliverySent)
	})
}

func TestRun_fault_that_passes_is_tried_again(t *testing.T) {
	inBubble(t, func(h *house) {
		h.phone(h.ada, "token-1", failsOnce(errBusy))
		defer h.runs()()
		b := h.ask(h.ada)
		synctest.Wait()
		h.wantDelivery(b, approval.DeliveryQueued)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		got := h.provider.to("token-1")
		if len(got) != 2 {
			h.Fatalf("attempts: got %d, want 2", len(got))
		}
		if pause := got[1].at.Sub(got[0].at); pause < 800*time.Millisecond || pause > 1250*time.Millisecond {
			h.Errorf("pause: got %s, want a second, a fifth more or less", pause)
		}
		if got[0].ID != got[1].ID {
			h.Errorf("ids: got %s and %s, want the same", got[0].ID, got[1].ID)
		}
		h.wantDelivery(b, approval.DeliverySent)
	})
}

func TestRun_pause_that_the_provider_asks_for_is_obeyed(t *testing.T) {
	inBubble(t, func(h *house) {
		h.phone(h.ada, "token-1", failsOnce(&RetryError{After: 17 * time.Second, Err: errors.New("it answered 429")}))
		defer h.runs()()
		b := h.ask(h.ada)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		got := h.provider.to("token-1")
		if len(got) != 2 {
			h.Fatalf("attempts: got %d, want 2", len(got))
		}
		if pause := got[1].at.Sub(got[0].at); pause < 17*time.Second || pause > 18*time.Second {
			h.Errorf("pause: got %s, want 17 s", pause)
		}
		h.wantDelivery(b, approval.DeliverySent)
	})
}

func TestRun_pause_beyond_the_message_s_life_is_the_end(t *testing.T) {
	inBubble(t, func(h *house) {
		phone := h.phone(h.ada, "token-1", failsOnce(&RetryError{After: time.Hour, Err: errors.New("it answered 429")}))
		stop := h.runs()
		b := h.ask(h.ada)
		synctest.Wait()
		h.wantDelivery(b, approval.DeliveryFailed)
		if got := h.fault(phone.ID); got != "it answered 429" {
			h.Errorf("fault: got %q, want what it answered", got)
		}
		stop()
		time.Sleep(2 * time.Hour) // in which it need not look every second
		defer h.runs()()
		synctest.Wait()
		if got := len(h.provider.to("token-1")); got != 1 {
			h.Errorf("attempts: got %d, want 1", got)
		}
	})
}

func TestRun_provider_that_stays_away_is_given_up(t *testing.T) {
	inBubble(t, func(h *house) {
		phone := h.phone(h.ada, "token-1", fails(errBusy))
		defer h.runs()()
		b := h.ask(h.ada)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, want := len(h.provider.to("token-1")), len(promptBackoff)+1; got != want {
			h.Errorf("attempts: got %d, want %d", got, want)
		}
		h.wantDelivery(b, approval.DeliveryFailed)
		if got := h.fault(phone.ID); got != "it answered 503" {
			h.Errorf("fault: got %q, want what it answered", got)
		}
	})
}

func TestRun_hang_delays_no_other_phone_and_is_cut(t *testing.T) {
	inBubble(t, func(h *house) {
		h.phone(h.ada, "hangs", hangs)
		h.phone(h.ada, "takes", takes)
		h.phone(h.ada, "busy", failsOnce(errBusy))
		defer h.runs()()
		began := time.Now()
		b := h.ask(h.ada)
		synctest.Wait()
		h.wantDelivery(b, approval.DeliverySent)
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if got := h.provider.to("busy"); len(got) != 2 || got[1].at.Sub(began) > 1250*time.Millisecond {
			h.Errorf("the busy phone: got %d attempts, want a second one after a second", len(got))
		}
		if got := len(h.provider.to("hangs")); got != 1 {
			h.Errorf("the phone that hangs: got %d attempts, want 1", got)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if got := h.provider.to("hangs"); len(got) != 2 || got[1].at.Sub(began) < attemptTime {
			h.Errorf("the phone that hangs: got %d attempts, want a second one after %s", len(got), attemptTime)
		}
		if got := len(h.provider.to("takes")); got != 1 {
			h.Errorf("the phone that took it: got %d attempts, want 1", got)
		}
		h.wantDelivery(b, approval.DeliverySent)
	})
}

func TestRun_hang_delays_no_other_message(t *testing.T) {
	inBubble(t, func(h *house) {
		h.phone(h.ada, "hangs", hangs)
		h.phone(h.bob, "takes", takes)
		defer h.runs()()
		h.ask(h.ada)
		synctest.Wait()
		began := time.Now()
		b := h.ask(h.bob)
		synctest.Wait()
		if got := h.provider.to("takes"); len(got) != 1 || got[0].at.Sub(began) != 0 {
			h.Errorf("the other's phone: got %d messages, want 1 and at once", len(got))
		}
		h.wantDelivery(b, approval.DeliverySent)
	})
}

func TestRun_phone_that_is_gone_is_removed(t *testing.T) {
	inBubble(t, func(h *house) {
		gone := h.phone(h.ada, "gone", fails(fmt.Errorf("it answered 410: %w", ErrGone)))
		h.phone(h.ada, "takes", takes)
		defer h.runs()()
		b := h.ask(h.ada)
		synctest.Wait()
		h.wantDelivery(b, approval.DeliverySent)
		if _, err := h.file.Phone(h.Context(), gone.ID); !errors.Is(err, approval.ErrNotFound) {
			h.Errorf("phone: got %v, want %v", err, approval.ErrNotFound)
		}
		events, err := h.file.Events(h.Context(), h.ada.ID, 1)
		h.must(err)
		if events[0].Name != approval.EventPhoneGone {
			h.Errorf("audit: got %s, want %s", events[0].Name, approval.EventPhoneGone)
		}
	})
}

func TestRun_refusal_is_kept_until_the_phone_is_reached(t *testing.T) {
	inBubble(t, func(h *house) {
		phone := h.phone(h.ada, "token-1", failsOnce(errors.New("it answered 403\nand more")))
		defer h.runs()()
		b := h.ask(h.ada)
		synctest.Wait()
		h.wantDelivery(b, approval.DeliveryFailed)
		if got, want := h.fault(phone.ID), "it answered 403 and more"; got != want {
			h.Errorf("fault: got %q, want %q", got, want)
		}
		h.decline(b)
		h.ask(h.ada)
		synctest.Wait()
		p, err := h.file.Phone(h.Context(), phone.ID)
		h.must(err)
		if p.Fault != "" || !p.ReachedAt.Equal(time.Now()) {
			h.Errorf("phone: got fault %q, reached %s; want none, now", p.Fault, p.ReachedAt)
		}
	})
}

func TestRun_phone_s_line_is_not_written_for_every_prompt(t *testing.T) {
	inBubble(t, func(h *house) {
		phone := h.phone(h.ada, "token-1", takes)
		first := time.Now()
		for _, pause := range []time.Duration{0, 20 * time.Minute, noteEvery} {
			time.Sleep(pause)
			stop := h.runs() // not all the time: it looks every second
			b := h.ask(h.ada)
			synctest.Wait()
			stop()
			h.decline(b)
			time.Sleep(approval.MuteFor) // two declines in that time mute
			synctest.Wait()
			p, err := h.file.Phone(h.Context(), phone.ID)
			h.must(err)
			want := first
			if pause == noteEvery {
				want = time.Now().Add(-approval.MuteFor)
			}
			if !p.ReachedAt.Equal(want) {
				h.Errorf("after %s more: reached at %s, want %s", pause, p.ReachedAt, want)
			}
		}
	})
}

func TestRun_request_that_was_decided_prompts_nobody(t *testing.T) {
	inBubble(t, func(h *house) {
		h.phone(h.ada, "token-1", takes)
		b := h.ask(h.ada)
		h.decline(b)
		defer h.runs()()
		synctest.Wait()
		h.wantDelivery(b, approval.DeliveryFailed)
		if got := len(h.provider.to("token-1")); got != 0 {
			h.Errorf("messages: got %d, want 0", got)
		}
	})
}

func TestRun_request_that_is_decided_meanwhile_is_not_prompted_for_again(t *testing.T) {
	for _, beside := range []answer{takes, hangs} { // between two rounds, and within one
		inBubble(t, func(h *house) {
			h.phone(h.ada, "beside", beside)
			h.phone(h.ada, "busy", fails(errBusy))
			defer h.runs()()
			b := h.ask(h.ada)
			synctest.Wait()
			h.decline(b)
			time.Sleep(time.Minute)
			synctest.Wait()
			for _, token := range []string{"beside", "busy"} {
				if got := len(h.provider.to(token)); got != 1 {
					h.Errorf("phone %s: got %d attempts, want 1", token, got)
				}
			}
			next, err := h.file.NextDue(h.Context(), approval.TopicPrompt)
			h.must(err)
			if !next.IsZero() {
				h.Errorf("outbox: due at %s, want that it is done", next)
			}
		})
	}
}

func TestRun_notice_is_sent_with_its_word_on_every_attempt(t *testing.T) {
	inBubble(t, func(h *house) {
		h.phone(h.ada, "token-1", failsOnce(errBusy))
		defer h.runs()()
		key := account.Passkey{
			ID: "00000000-0000-4000-8000-000000000001", UserID: h.ada.ID, CredentialID: []byte("id"), PublicKey: []byte("key"),
			Status: account.PasskeyActive, Name: "Phone", CreatedAt: h.ada.CreatedAt, UpdatedAt: h.ada.CreatedAt,
		}
		h.must(h.people.Record(h.Context(), approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{approval.AddPasskey{Passkey: key}}}))
		h.must(h.people.SuspendPasskey(h.Context(), h.ada, key))
		time.Sleep(time.Minute)
		synctest.Wait()
		got := h.provider.to("token-1")
		if len(got) != 2 {
			h.Fatalf("attempts: got %d, want 2", len(got))
		}
		for _, m := range got {
			if m.Kind != Notice || m.Notice != approval.NoticeSuspended || m.Path() != "/activity" || m.Handle != "" {
				h.Errorf("message: got %+v, want the notice %s", m.Message, approval.NoticeSuspended)
			}
		}
		d, err := h.file.Delivery(h.Context(), approval.TopicNotice, h.ada.ID)
		h.must(err)
		if d != approval.DeliverySent {
			h.Errorf("delivery: got %s, want %s", d, approval.DeliverySent)
		}
	})
}

func TestRun_phone_under_another_key_says_so(t *testing.T) {
	inBubble(t, func(h *house) {
		phone := h.phone(h.ada, "token-1", takes)
		other, err := newBook([]byte("another key of thirty-two bytes!"), Services{})
		h.must(err)
		h.push.book = other
		defer h.runs()()
		b := h.ask(h.ada)
		synctest.Wait()
		h.wantDelivery(b, approval.DeliveryFailed)
		if got := h.fault(phone.ID); !strings.Contains(got, "register it again") {
			h.Errorf("fault: got %q, want what to do", got)
		}
	})
}

func TestRun_log_and_store_keep_secrets(t *testing.T) {
	inBubble(t, func(h *house) {
		h.phone(h.ada, "token-of-ada", takes)
		h.phone(h.ada, "token-that-hangs", hangs)
		h.phone(h.ada, "token-that-fails", fails(errors.New("it answered 400")))
		h.phone(h.ada, "token-that-is-gone", fails(ErrGone))
		defer h.runs()()
		h.ask(h.ada)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		handle := h.provider.to("token-of-ada")[0].Handle.Reveal()
		for _, secret := range []string{"token-", handle} {
			if strings.Contains(h.log.String(), secret) {
				h.Errorf("log: contains %q:\n%s", secret, h.log)
			}
		}
		if !strings.Contains(h.log.String(), "it answered 400") {
			h.Errorf("log: got\n%s\nwant what the provider answered", h.log)
		}
	})
}

func TestRun_attempts_are_counted(t *testing.T) {
	path := freshdb.File(t)
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewPedanticRegistry()
		h := build(t, path, Config{Metrics: registry})
		defer h.file.Close()
		h.phone(h.ada, "takes", takes)
		h.phone(h.ada, "busy", failsOnce(errBusy))
		h.phone(h.ada, "gone", fails(ErrGone))
		h.phone(h.ada, "fails", fails(errors.New("it answered 400")))
		defer h.runs()()
		h.ask(h.ada)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		want := map[string]float64{"fcm failed": 1, "fcm gone": 1, "fcm retry": 1, "fcm taken": 2, "seconds": 1}
		if diff := cmp.Diff(want, counted(t, registry)); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
	})
}

// counted reads the counters by their labels, and how often the histogram was fed.
func counted(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "nod_push_seconds" {
				out["seconds"] = float64(m.GetHistogram().GetSampleCount())
				continue
			}
			out[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return out
}
