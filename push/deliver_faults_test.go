package push

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
)

func TestRun_crash_between_sending_and_settling_repeats(t *testing.T) {
	inBubble(t, func(h *house) {
		h.phone(h.ada, "token-1", takes)
		stop := h.runs()
		h.store.set(nil, approval.ErrUnavailable) // nothing is written any more, as after kill -9
		b := h.ask(h.ada)
		synctest.Wait()
		stop()
		h.file.Close()

		again := build(h.T, h.path, Config{})
		defer again.file.Close()
		again.provider.set("token-1", takes)
		defer again.runs()()
		time.Sleep(lease + time.Second)
		synctest.Wait()
		before, after := h.provider.to("token-1"), again.provider.to("token-1")
		if len(before) != 1 || len(after) != 1 || before[0].ID != after[0].ID {
			h.Errorf("messages: got %d before and %d after, want one and the same again", len(before), len(after))
		}
		again.wantDelivery(b, approval.DeliverySent)
	})
}

func TestRun_stop_hands_back_what_was_under_way(t *testing.T) {
	inBubble(t, func(h *house) {
		h.phone(h.ada, "slow", func(ctx context.Context, n int) error {
			if n == 1 {
				return hangs(ctx, n)
			}
			return nil
		})
		h.phone(h.ada, "takes", takes)
		stop := h.runs()
		b := h.ask(h.ada)
		synctest.Wait()
		began := time.Now()
		stop()
		if took := time.Since(began); took != 0 {
			h.Errorf("stop: took %s, want no time", took)
		}
		defer h.runs()()
		synctest.Wait()
		if got := h.provider.to("slow"); len(got) != 2 || got[1].at != began {
			h.Errorf("the phone that was cut off: got %d attempts, want the second at the start", len(got))
		}
		if got := len(h.provider.to("takes")); got != 1 {
			h.Errorf("the phone that took it: got %d attempts, want 1", got)
		}
		h.wantDelivery(b, approval.DeliverySent)
	})
}

func TestRun_store_that_is_away_is_waited_for(t *testing.T) {
	inBubble(t, func(h *house) {
		h.phone(h.ada, "token-1", takes)
		defer h.runs()()
		h.store.set(approval.ErrUnavailable, nil)
		synctest.Wait()
		b := h.ask(h.ada)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := len(h.provider.to("token-1")); got != 0 {
			h.Errorf("messages while it is away: got %d, want 0", got)
		}
		h.store.set(nil, nil)
		time.Sleep(pollEvery)
		synctest.Wait()
		h.wantDelivery(b, approval.DeliverySent)
	})
}

func TestRun_message_of_another_node_is_found(t *testing.T) {
	inBubble(t, func(h *house) {
		h.phone(h.ada, "token-1", takes)
		defer h.runs()()
		synctest.Wait()
		b := h.ask(h.ada)
		select { // the wake was for another node
		case <-h.push.prompts.wake:
		default:
		}
		time.Sleep(pollEvery)
		synctest.Wait()
		h.wantDelivery(b, approval.DeliverySent)
	})
}

func TestRun_two_nodes_send_a_message_once(t *testing.T) {
	inBubble(t, func(h *house) {
		h.phone(h.ada, "of-ada", takes)
		h.phone(h.bob, "of-bob", takes)
		other := build(h.T, h.path, Config{})
		defer other.file.Close()
		other.provider.set("of-ada", takes)
		other.provider.set("of-bob", takes)
		h.ask(h.ada)
		h.ask(h.bob)
		defer h.runs()()
		defer other.runs()()
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, token := range []string{"of-ada", "of-bob"} {
			if got := len(h.provider.to(token)) + len(other.provider.to(token)); got != 1 {
				h.Errorf("phone %s: got %d messages, want 1", token, got)
			}
		}
	})
}

// What happens under load is not left to fake time.
func TestRun_flood_of_requests_is_three_prompts_at_most(t *testing.T) {
	h := build(t, freshdb.File(t), Config{})
	defer h.file.Close()
	h.phone(h.ada, "token-1", takes)
	defer h.runs()()
	const each, askers = 16, 64 // 1,024
	var asking sync.WaitGroup
	for range askers {
		asking.Go(func() {
			for range each {
				if _, err := h.core.Begin(t.Context(), approval.Ask{
					Face: "native", Client: h.app, User: h.ada, Purpose: approval.SignIn, Kind: approval.Long, Notify: true,
				}); err != nil {
					t.Errorf("begin: %v", err)
				}
			}
		})
	}
	asking.Wait()
	h.settled()
	if got := len(h.provider.to("token-1")); got < 1 || got > 3 {
		t.Errorf("prompts: got %d, want 1 to 3", got)
	}
}

// settled waits until no prompt is on its way.
func (h *house) settled() {
	h.Helper()
	h.until("the outbox comes to rest", func() bool {
		next, err := h.file.NextDue(h.Context(), approval.TopicPrompt)
		h.must(err)
		return next.IsZero()
	})
}

// until asks the store, which wakes nobody, until something is so.
func (h *house) until(what string, so func() bool) {
	h.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			h.Fatalf("%s: not after 30 s", what)
		}
	}
}
