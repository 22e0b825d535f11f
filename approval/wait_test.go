package approval_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func TestCollect_held_is_answered_the_moment_it_is_approved(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		held := h.wait(t.Context(), h.holder(b))
		time.Sleep(time.Minute) // fake
		began := time.Now()
		_, err := h.approve(scanned(b), "")
		must(t, err)
		end := <-held
		must(t, end.err)
		if took := time.Since(began); took > 0 {
			t.Errorf("the answer took %v of fake time, want none: a poll, not an event", took)
		}
		g := end.got.Grant
		if g.Subject != h.ada.ID || g.Audience != h.page.ID || g.KID != "kid-1" || g.Username != "ada" {
			t.Errorf("got grant %+v", g)
		}
		if !end.got.Slept || end.got.Again {
			t.Errorf("got slept %v, again %v; want a first answer after a sleep", end.got.Slept, end.got.Again)
		}
	})
}

// The hub is watched before the store is read: a verdict between the two is
// not slept through.
func TestCollect_sees_a_verdict_between_watch_and_read(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		reads := 0
		h.tamper.set(func(s *tampered) {
			s.onFind = func() {
				if reads++; reads != 2 { // 1: by code; 2: the loop's first read, done but not yet judged
					return
				}
				s.set(func(s *tampered) { s.onFind = nil })
				_, err := h.approve(scanned(b), "")
				must(t, err)
			}
		})
		began := time.Now()
		_, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 2*time.Minute)
		must(t, err)
		if took := time.Since(began); took > 0 {
			t.Errorf("the verdict was slept through for %v", took)
		}
	})
}

func TestCollect_finds_a_lost_wake_by_the_sweep(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		held := h.wait(t.Context(), h.holder(b))
		// Another process decides: its wake never reaches this hub.
		other := *h.core
		other.Hub = approval.NewHub()
		_, err := other.Authorize(t.Context(), h.target(), b.Code, h.backend)
		must(t, err)
		began := time.Now()
		end := <-held
		must(t, end.err)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("found after %v, want the next sweep (5 s)", took)
		}
	})
}

func TestCollect_resync_sweeps_at_once(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		held := h.wait(t.Context(), h.holder(b))
		other := *h.core
		other.Hub = approval.NewHub()
		_, err := other.Authorize(t.Context(), h.target(), b.Code, h.backend)
		must(t, err)
		began := time.Now()
		h.core.Hub.Resync()
		must(t, (<-held).err)
		if took := time.Since(began); took > 0 {
			t.Errorf("found after %v, want at once", took)
		}
	})
}

func TestCollect_reads_nothing_while_it_sleeps(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		held := h.wait(t.Context(), h.holder(b))
		var before int
		h.tamper.set(func(s *tampered) { before = s.finds })
		time.Sleep(time.Minute)
		synctest.Wait()
		h.tamper.set(func(s *tampered) {
			if s.finds != before {
				t.Errorf("%d reads in a quiet minute, want 0", s.finds-before)
			}
			if s.askedFor < 11 || s.askedFor > 13 {
				t.Errorf("%d versions compared in a minute of sweeps, want 12", s.askedFor)
			}
		})
		h.core.Hub.Drain()
		<-held
	})
}

func TestCollect_undecided_ends_after_the_hold(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		began := time.Now()
		_, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 2*time.Minute)
		wantError(t, "collect", err, approval.ErrPending)
		if took := time.Since(began); took != 2*time.Minute {
			t.Errorf("held for %v, want 2m", took)
		}
	})
}

func TestCollect_undecided_ends_at_expiry(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Short) // lives 3 minutes
		time.Sleep(2 * time.Minute)
		began := time.Now()
		_, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 2*time.Minute)
		wantError(t, "collect at expiry", err, approval.ErrExpired)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("answered after %v, want at expiry, after 1m", took)
		}
	})
}

func TestCollect_undecided_ends_on_a_draining_node(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		held := h.wait(t.Context(), h.holder(h.begin(approval.Long)))
		h.core.Hub.Drain()
		wantError(t, "collect", (<-held).err, approval.ErrPending)
	})
}

func TestCollect_undecided_ends_when_the_client_leaves(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		ctx, leave := context.WithCancel(t.Context())
		held := h.wait(ctx, h.holder(h.begin(approval.Long)))
		leave()
		wantError(t, "collect", (<-held).err, context.Canceled)
		if n := h.core.Hub.Sleeping(); n != 0 {
			t.Errorf("%d still sleep", n)
		}
	})
}

func TestCollect_client_that_left_redeems_nothing(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		_, err := h.approve(scanned(b), "")
		must(t, err)
		gone, leave := context.WithCancel(t.Context())
		leave()
		_, err = h.core.Collect(gone, h.holder(b), approval.SignIn, time.Minute)
		wantError(t, "collect", err, context.Canceled)
		_, err = h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
		must(t, err)
	})
}

func TestCollect_newer_wait_replaces_the_older(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		older := h.wait(t.Context(), h.holder(b))
		newer := h.wait(t.Context(), h.holder(b))
		wantError(t, "older wait", (<-older).err, approval.ErrPending)
		if _, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0); !errors.Is(err, approval.ErrPending) {
			t.Errorf("a look: got %v", err)
		}
		_, err := h.approve(scanned(b), "")
		must(t, err)
		must(t, (<-newer).err)
	})
}

func TestCollect_outlives_an_outage_of_the_store(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		held := h.wait(t.Context(), h.holder(b))
		_, err := h.store.Now(t.Context())
		must(t, err)
		h.tamper.set(func(s *tampered) { s.outage = approval.ErrUnavailable })
		h.core.Hub.Wake(b.Request.ID) // it looks, and cannot see
		time.Sleep(20 * time.Second)
		h.tamper.set(func(s *tampered) { s.outage = nil })
		_, err = h.approve(scanned(b), "")
		must(t, err)
		must(t, (<-held).err)
	})
}

func TestCollect_expiry_is_audited_once_whoever_writes_it(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		waited, alone := h.begin(approval.Short), h.begin(approval.Short)
		time.Sleep(90 * time.Second)
		held := h.wait(t.Context(), h.holder(waited))
		time.Sleep(2 * time.Minute)
		wantError(t, "wait", (<-held).err, approval.ErrExpired)
		events, err := h.store.Events(t.Context(), h.ada.ID, 100)
		must(t, err)
		count := map[string]int{}
		for _, e := range events {
			if e.Name == approval.EventExpired {
				count[e.RequestID]++
			}
		}
		if count[waited.Request.ID] != 1 || count[alone.Request.ID] != 1 {
			t.Errorf("got expiry rows %v, want one each", count)
		}
	})
}

func TestCollect_last_second_approval_can_be_collected_for_a_minute(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b, late := h.begin(approval.Short), h.begin(approval.Short)
		time.Sleep(3*time.Minute - time.Second)
		for _, x := range []approval.Begun{b, late} {
			_, err := h.approve(scanned(x), "")
			must(t, err)
		}
		time.Sleep(approval.CollectGrace)
		_, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
		must(t, err)
		time.Sleep(time.Second)
		_, err = h.core.Collect(t.Context(), h.holder(late), approval.SignIn, 0)
		wantError(t, "a minute and more after expiry", err, approval.ErrExpired)
	})
}

func TestWatch_tells_what_happens_and_never_redeems(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Short)
		w := approval.Watcher{RequestID: b.Request.ID, Code: b.Code, Address: "192.0.2.7"}
		st, err := h.core.Watch(t.Context(), w, 0, 25*time.Second)
		must(t, err)
		if st.Request.State != approval.Pending || !st.Request.OpenedAt.IsZero() {
			t.Fatalf("got %+v", st.Request)
		}
		next := make(chan *approval.Status, 1)
		go func() {
			st, err := h.core.Watch(t.Context(), w, st.Request.Version, 25*time.Second)
			if err != nil {
				t.Error(err)
			}
			next <- st
		}()
		synctest.Wait()
		_, err = h.core.Opened(t.Context(), scanned(b), h.viewer(h.ada))
		must(t, err)
		if st = <-next; st.Request.OpenedAt.IsZero() {
			t.Error("the opening was not told")
		}
		_, err = h.approve(scanned(b), "")
		must(t, err)
		st, err = h.core.Watch(t.Context(), w, st.Request.Version, 25*time.Second)
		must(t, err)
		if st.ApprovedBy != "ada" || st.Request.State != approval.Approved {
			t.Errorf("got %s by %q, want approved by ada", st.Request.State, st.ApprovedBy)
		}
		w.Code = account.Secret("000000")
		_, err = h.core.Watch(t.Context(), w, 0, 0)
		wantError(t, "watch with a wrong code", err, approval.ErrNotFound)
	})
}
