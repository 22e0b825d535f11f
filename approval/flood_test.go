package approval_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func TestBegin_notify_queues_one_prompt_with_the_request(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	b := h.notify(approval.Long)
	h.wantPrompted(b, true)
	ms := h.queued(approval.TopicPrompt)
	if len(ms) != 1 || ms[0].Key != b.Request.ID || !ms[0].Until.Equal(b.Request.Expires) || len(ms[0].Body) != 0 {
		t.Errorf("got %+v, want one empty message about %s until %v", ms, b.Request.ID, b.Request.Expires)
	}
	if n := h.roads.queued.Load(); n != 1 {
		t.Errorf("the deliverer was told %d times, want once", n)
	}
	h.wantPrompted(h.begin(approval.Long), false) // not asked for
}

func TestBegin_notify_without_a_road_is_no_prompt(t *testing.T) {
	h := onDisk(t)
	h.wantPrompted(h.notify(approval.Long), false)
	h.withPush()
	bob, _ := h.person(account.Namespace{ID: h.ada.NamespaceID}, "bob")
	for name, who := range map[string]account.User{"a user without a phone": bob, "nobody in particular": {}} {
		a := h.ask(approval.Long)
		a.User, a.Notify = who, true
		b, err := h.core.Begin(t.Context(), a)
		must(t, err)
		if b.Prompted {
			t.Errorf("%s was prompted", name)
		}
	}
	must(t, h.people.RemovePhone(t.Context(), h.ada, h.register(h.ada, "https://push.example/ada").ID, ""))
	h.wantPrompted(h.notify(approval.Long), false)
}

// The flood of threat A3 (I15): 64 backends that ask as fast as they can.
func TestBegin_flood_from_64_is_one_live_prompt(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	var prompted atomic.Int32
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for range 5 {
				a := h.ask(approval.Long)
				a.Notify = true
				b, err := h.core.Begin(t.Context(), a)
				if err != nil {
					t.Errorf("begin: %v", err)
					return
				}
				if b.Prompted {
					prompted.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := len(h.queued(approval.TopicPrompt)); n != 1 || prompted.Load() != 1 {
		t.Errorf("%d prompts queued, %d said to be; want one", n, prompted.Load())
	}
}

// The same while every prompt's request is taken back at once, so that none is
// live when the next is asked for.
func TestBegin_flood_of_requests_taken_back_is_three_prompts(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	var prompted atomic.Int32
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for range 5 {
				a := h.ask(approval.Long)
				a.Notify = true
				b, err := h.core.Begin(t.Context(), a)
				if err != nil {
					t.Errorf("begin: %v", err)
					return
				}
				if b.Prompted {
					prompted.Add(1)
				}
				if err := h.core.Cancel(t.Context(), h.holder(b), approval.SignIn); err != nil {
					t.Errorf("cancel: %v", err)
				}
			}
		})
	}
	all.Wait()
	if n := len(h.queued(approval.TopicPrompt)); n != 3 || prompted.Load() != 3 {
		t.Errorf("%d prompts queued, %d said to be; want three", n, prompted.Load())
	}
}

func TestBegin_next_prompt_comes_when_the_last_one_ran_out(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.withPush()
		h.wantPrompted(h.notify(approval.Short), true)
		time.Sleep(3*time.Minute - time.Microsecond)
		h.wantPrompted(h.notify(approval.Short), false)
		time.Sleep(time.Microsecond)
		h.wantPrompted(h.notify(approval.Short), true) // at 3:00
		time.Sleep(3 * time.Minute)
		h.wantPrompted(h.notify(approval.Short), true) // at 6:00
		time.Sleep(3*time.Minute + 59*time.Second)
		h.wantPrompted(h.notify(approval.Short), false) // at 9:59
		time.Sleep(time.Second)
		h.wantPrompted(h.notify(approval.Short), true)
	})
}

func TestDecide_two_declines_mute_push_and_nothing_else(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.withPush()
		h.decline(h.pushed(h.notify(approval.Long)))
		until, err := h.core.Muted(t.Context(), h.ada.ID)
		must(t, err)
		if !until.IsZero() {
			t.Errorf("muted until %v after one decline", until)
		}
		h.decline(scanned(h.notify(approval.Long)))
		now := time.Now()
		if until, err = h.core.Muted(t.Context(), h.ada.ID); err != nil || !until.Equal(now.Add(approval.MuteFor)) {
			t.Errorf("muted until %v (%v), want %v", until, err, now.Add(approval.MuteFor))
		}
		third := h.notify(approval.Long)
		h.wantPrompted(third, false)
		waiting, err := h.core.Waiting(t.Context(), h.viewer(h.ada))
		must(t, err)
		if len(waiting) != 1 || waiting[0].ID != third.Request.ID {
			t.Errorf("the home list shows %d requests, want the third", len(waiting))
		}
		_, err = h.core.Inspect(t.Context(), scanned(third), h.viewer(h.ada))
		must(t, err)
		time.Sleep(approval.MuteFor)
		if until, _ = h.core.Muted(t.Context(), h.ada.ID); !until.IsZero() {
			t.Errorf("still muted until %v after half an hour", until)
		}
		h.wantPrompted(h.notify(approval.Long), true)
	})
}

func TestPrepare_wrong_numbers_count_as_a_decline(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	h.decline(h.pushed(h.notify(approval.Long)))
	b := h.notify(approval.Long)
	for range 3 {
		_, err := h.approve(h.pushed(b), wrong(b))
		wantError(t, "wrong number", err, approval.ErrMismatch)
	}
	until, err := h.core.Muted(t.Context(), h.ada.ID)
	must(t, err)
	if until.IsZero() {
		t.Error("not muted after a decline and three wrong numbers")
	}
	h.wantPrompted(h.notify(approval.Long), false)
}

// wrong is a number that b's is not.
func wrong(b approval.Begun) string {
	if b.MatchNumber.Reveal() == "000000" {
		return "000001"
	}
	return "000000"
}

func TestDecide_approval_by_passkey_starts_the_counts_again(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	for range 5 {
		b := h.notify(approval.Long)
		h.wantPrompted(b, true)
		_, err := h.approve(h.pushed(b), b.MatchNumber.Reveal())
		must(t, err)
	}
}

func TestAuthorize_by_a_backend_does_not_start_the_counts_again(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	for n := range 5 {
		b := h.notify(approval.Long)
		h.wantPrompted(b, n < 3)
		_, err := h.core.Authorize(t.Context(), h.target(), b.Code, h.backend)
		must(t, err)
	}
}

// I15, when what is approved is not what was prompted.
func TestDecide_approval_of_another_request_leaves_the_prompt_live(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.withPush()
		h.wantPrompted(h.notify(approval.Long), true)
		_, err := h.approve(scanned(h.begin(approval.Long)), "")
		must(t, err)
		h.wantPrompted(h.notify(approval.Long), false)
		time.Sleep(5 * time.Minute) // the janitor purges meanwhile
		h.wantPrompted(h.notify(approval.Long), false)
		time.Sleep(5 * time.Minute)
		h.wantPrompted(h.notify(approval.Long), true)
	})
}

func TestBegin_vouched_by_a_backend_is_a_notice_and_no_prompt(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	vouched := func(by approval.By) approval.Begun {
		a := h.ask(approval.Long)
		a.Notify = true
		a.Vouch = &approval.Vouch{Decision: approval.Decision{By: by, ClientID: h.backend.ID}}
		b, err := h.core.Begin(t.Context(), a)
		must(t, err)
		return b
	}
	h.wantPrompted(vouched(approval.ByBackend), false)
	ms := h.queued(approval.TopicNotice)
	if len(ms) != 1 || ms[0].Key != h.ada.ID || string(ms[0].Body) != `"code_authorized"` || ms[0].Until.Sub(ms[0].CreatedAt) > approval.NoticeLife {
		t.Errorf("got %+v, want one notice for ada", ms)
	}
	h.wantPrompted(vouched(approval.ByPasskey), false) // she did it herself
	for range 5 {
		vouched(approval.ByBackend)
	}
	if ms = h.queued(approval.TopicNotice); len(ms) != 2 {
		t.Errorf("%d more notices, want two: three in ten minutes", len(ms))
	}
	h.wantPrompted(h.notify(approval.Long), true) // counted apart
	must(t, h.people.SuspendPasskey(t.Context(), h.ada, h.key))
	if ms = h.queued(approval.TopicNotice); len(ms) != 1 || string(ms[0].Body) != `"passkey_suspended"` {
		t.Errorf("got %+v, want the suspension told though codes were told too often", ms)
	}
}

func TestBegin_whose_answer_was_lost_leaves_one_prompt(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	h.tamper.set(func(s *tampered) {
		s.applied = func(c ...approval.Change) error {
			s.set(func(s *tampered) { s.applied = nil })
			must(t, s.Store.Apply(t.Context(), c...)) // as whoever retries the same operation
			return approval.ErrUnavailable            // and does not hear of it either
		}
	})
	a := h.ask(approval.Long)
	a.Notify = true
	_, err := h.core.Begin(t.Context(), a)
	wantError(t, "begin", err, approval.ErrUnavailable)
	h.wantPrompted(h.notify(approval.Long), false) // the lost one is live
	if n := len(h.queued(approval.TopicPrompt)); n != 1 {
		t.Errorf("%d prompts, want one", n)
	}
}

func TestBegin_that_fails_leaves_no_prompt_and_no_count(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	a := h.ask(approval.Long)
	a.Notify = true
	a.With = []approval.Effect{approval.Spend{Box: approval.BoxNonce, Key: "n", Until: time.Now().Add(time.Hour)}}
	must(t, h.core.Spend(t.Context(), a.With...))
	for range 5 {
		_, err := h.core.Begin(t.Context(), a)
		wantError(t, "a replay", err, approval.ErrReplayed)
	}
	if n := len(h.queued(approval.TopicPrompt)); n != 0 {
		t.Errorf("%d prompts of requests that are not there", n)
	}
	h.wantPrompted(h.notify(approval.Long), true)
}

// A conflict that never ends is an outage to whoever asks, whatever they do.
func TestErrConflict_never_leaves(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	b, old := h.notify(approval.Long), h.begin(approval.Long)
	_, err := h.approve(scanned(old), "")
	must(t, err)
	h.tamper.set(func(s *tampered) { s.refusal = approval.ErrConflict })
	begin := h.ask(approval.Long)
	begin.Notify = true
	v := h.viewer(h.ada)
	for name, do := range map[string]func() error{
		"begin":     func() error { _, err := h.core.Begin(t.Context(), begin); return err },
		"open":      func() error { _, err := h.core.Opened(t.Context(), scanned(b), v); return err },
		"approve":   func() error { _, err := h.approve(scanned(b), ""); return err },
		"mismatch":  func() error { _, err := h.approve(listed(b), wrong(b)); return err },
		"authorize": func() error { _, err := h.core.Authorize(t.Context(), h.target(), b.Code, h.backend); return err },
		"collect": func() error {
			_, err := h.core.Collect(t.Context(), h.holder(old), approval.SignIn, time.Minute)
			return err
		},
		"cancel":     func() error { return h.core.Cancel(t.Context(), h.holder(b), approval.SignIn) },
		"invalidate": func() error { _, err := h.core.InvalidateAll(t.Context(), h.target()); return err },
		"suspend":    func() error { return h.people.SuspendPasskey(t.Context(), h.ada, h.key) },
		"deactivate": func() error { _, err := h.people.Deactivate(t.Context(), h.ada); return err },
		"register": func() error {
			_, err := h.people.RegisterPhone(t.Context(), h.ada, webPush("https://push.example/x"), "")
			return err
		},
		"record": func() error { return h.people.Record(t.Context(), approval.Change{Op: approval.NewOp()}) },
		"spend":  func() error { return h.core.Spend(t.Context(), approval.EndSessions{UserID: h.ada.ID}) },
	} {
		if err := do(); !errors.Is(err, approval.ErrUnavailable) || errors.Is(err, approval.ErrConflict) {
			t.Errorf("%s: got %v, want %v and no conflict", name, err, approval.ErrUnavailable)
		}
	}
}
