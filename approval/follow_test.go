package approval_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nod-auth/nod/approval"
)

// following starts a held Follow and returns once it sleeps.
func (h *house) following(ref approval.Ref, since int64, hold time.Duration) <-chan approval.View {
	out := make(chan approval.View, 1)
	go func() {
		v, err := h.core.Follow(h.t.Context(), ref, h.viewer(h.ada), since, hold)
		if err != nil {
			h.t.Errorf("follow: %v", err)
		}
		out <- v
	}()
	synctest.Wait()
	return out
}

const followHold = 25 * time.Second

func TestFollow_tells_what_becomes_of_the_request(t *testing.T) {
	for name, tc := range map[string]struct {
		happens func(h *house, b approval.Begun)
		want    approval.State
	}{
		"declined elsewhere": {func(h *house, b approval.Begun) { h.decline(listed(b)) }, approval.Denied},
		"approved elsewhere": {func(h *house, b approval.Begun) { _, err := h.approve(scanned(b), ""); must(h.t, err) }, approval.Approved},
		"taken back": {func(h *house, b approval.Begun) {
			must(h.t, h.core.Cancel(h.t.Context(), h.holder(b), approval.SignIn))
		}, approval.Canceled},
		"opened elsewhere":    {func(h *house, b approval.Begun) { h.open(b, "phone 1"); h.open(b, "phone 2") }, approval.Pending},
		"a wrong number more": {func(h *house, b approval.Begun) { _, _ = h.approve(listed(b), wrong(b)) }, approval.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *house) {
				h.withPush()
				b := h.notify(approval.Long)
				out := h.following(h.pushed(b), b.Request.Version, followHold)
				began := time.Now()
				tc.happens(h, b)
				synctest.Wait()
				v := soon(t, "follow", out)
				if v.Request.State != tc.want || v.Request.Version <= b.Request.Version || time.Since(began) > 0 {
					t.Errorf("got %s, version %d after %v; want %s at once", v.Request.State, v.Request.Version, time.Since(began), tc.want)
				}
				if v.Ref != h.pushed(b) {
					t.Errorf("got ref %+v", v.Ref)
				}
			})
		})
	}
}

func TestFollow_tells_when_the_request_runs_out(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Short)
		time.Sleep(3*time.Minute - 10*time.Second)
		began := time.Now()
		v, err := h.core.Follow(t.Context(), listed(b), h.viewer(h.ada), b.Request.Version, followHold)
		must(t, err)
		if v.Request.State != approval.Expired || time.Since(began) != 10*time.Second {
			t.Errorf("got %s after %v, want expired after 10s", v.Request.State, time.Since(began))
		}
	})
}

func TestFollow_ends_after_the_hold_or_a_drain_with_what_it_knows(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		began := time.Now()
		v, err := h.core.Follow(t.Context(), listed(b), h.viewer(h.ada), b.Request.Version, followHold)
		must(t, err)
		if v.Request.Version != b.Request.Version || time.Since(began) != followHold {
			t.Errorf("got version %d after %v, want the same after %v", v.Request.Version, time.Since(began), followHold)
		}
		if v, err = h.core.Follow(t.Context(), listed(b), h.viewer(h.ada), 0, followHold); err != nil || v.Request.Version != 1 {
			t.Errorf("what is newer already: got version %d, %v", v.Request.Version, err)
		}
		out := h.following(listed(b), b.Request.Version, followHold)
		h.core.Hub.Drain()
		synctest.Wait()
		if v := soon(t, "follow", out); v.Request.Version != b.Request.Version {
			t.Errorf("drained: got version %d", v.Request.Version)
		}
		if n := h.core.Hub.Sleeping(); n != 0 {
			t.Errorf("%d still sleep", n)
		}
	})
}

// A store that cannot be read for the whole hold is an outage, not a view.
func TestFollow_through_an_outage(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		reads := 0
		h.tamper.set(func(s *tampered) {
			s.onFind = func() { // after the first read, which finds what is meant
				if reads++; reads == 1 {
					s.set(func(s *tampered) { s.outage = approval.ErrUnavailable })
				}
			}
		})
		_, err := h.core.Follow(t.Context(), listed(b), h.viewer(h.ada), 1, followHold)
		wantError(t, "follow", err, approval.ErrUnavailable)
	})
}

// open looks at the request on a phone, as the listed request it is.
func (h *house) open(b approval.Begun, phone string) approval.Request {
	h.t.Helper()
	v := h.viewer(h.ada)
	v.Phone = phone
	r, err := h.core.Opened(h.t.Context(), listed(b), v)
	must(h.t, err)
	return r
}

func TestOpened_second_phone_is_told_once(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		for _, tc := range []struct {
			phone   string
			version int64
			again   bool
		}{
			{"phone 1", 2, false}, {"phone 1", 2, false}, {"", 2, false}, // nobody can tell which phone that is
			{"phone 2", 3, true}, {"phone 2", 3, true}, {"phone 3", 3, true}, {"phone 1", 3, true},
		} {
			time.Sleep(time.Second)
			r := h.open(b, tc.phone)
			if r.Version != tc.version || r.AgainAt.IsZero() == tc.again || r.OpenedBy != "phone 1" {
				t.Errorf("%q opens: version %d, again at %v, first by %q; want version %d, again %v",
					tc.phone, r.Version, r.AgainAt, r.OpenedBy, tc.version, tc.again)
			}
		}
		got := h.events(h.ada)
		if got[approval.EventOpened] != 1 || got[approval.EventOpenedAgain] != 1 {
			t.Errorf("got audit rows %v, want one for each of two phones", got)
		}
	})
}

func TestOpened_first_phone_unknown_makes_no_second_one(t *testing.T) {
	h := onDisk(t)
	b := h.begin(approval.Long)
	h.open(b, "")
	if r := h.open(b, "phone 1"); !r.AgainAt.IsZero() {
		t.Error("a phone that cannot be told from another is called another")
	}
}

func TestOpened_second_phone_wakes_who_watches(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		first := h.open(b, "phone 1")
		out := make(chan *approval.Status, 1)
		go func() {
			w := approval.Watcher{RequestID: b.Request.ID, Code: b.Code, Address: "192.0.2.7"}
			st, err := h.core.Watch(t.Context(), w, first.Version, followHold)
			if err != nil {
				t.Error(err)
			}
			out <- st
		}()
		synctest.Wait()
		h.open(b, "phone 2")
		synctest.Wait()
		if st := soon(t, "watch", out); st.Request.AgainAt.IsZero() {
			t.Error("the second phone was not told")
		}
	})
}
