package approval_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func TestLost_is_reminted_once_to_the_same_client(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		c, other := h.oauth(), h.oauth()
		b := h.device(c)
		_, err := h.approve(typed(b), "")
		must(t, err)
		p := poller(c, b)
		first, err := h.poll(p)
		must(t, err)
		gone, leave := context.WithCancel(t.Context())
		leave()
		must(t, h.core.Lost(gone, first)) // a reply fails because its client has gone
		h.wantEnded("what was lost", first.Device.ID, approval.ByLost)
		_, err = h.refresh(c, first.Refresh)
		wantError(t, "the refresh token that was lost", err, approval.ErrRevoked)

		stranger := p
		stranger.Client = other
		_, err = h.poll(stranger)
		wantError(t, "another client", err, approval.ErrNotFound)
		_, err = h.poll(withKey(p, "key"))
		wantError(t, "another key", err, approval.ErrNotFound)
		p.Address = "198.51.100.9" // it may have changed networks: that is why it was lost
		second, err := h.poll(p)
		must(t, err)
		if second.Grant.JTI == first.Grant.JTI || second.Device.ID == first.Device.ID || second.Refresh == first.Refresh || second.Again {
			t.Errorf("got %+v, want it freshly minted", second.Grant)
		}
		h.wantStanding("the second", second.Device.ID)
		must(t, h.core.Lost(t.Context(), first)) // told twice
		h.wantStanding("the second, after the first was lost again", second.Device.ID)

		must(t, h.core.Lost(t.Context(), second))
		h.wantEnded("the second that was lost", second.Device.ID, approval.ByLost)
		_, err = h.poll(p)
		wantError(t, "a third time", err, approval.ErrNotFound)
		if n := len(h.audit(b, approval.EventRedeemed, approval.EventLost, approval.EventReminted)); n != 4 {
			t.Errorf("%d audit rows, want redeemed, lost, reminted, lost", n)
		}
	})
}

func TestLost_is_over_after_a_minute(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		c := h.oauth()
		got := h.signedIn(c)
		must(t, h.core.Lost(t.Context(), got))
		time.Sleep(aMinute)
		_, err := h.poll(h.again(c, got))
		wantError(t, "a minute later", err, approval.ErrNotFound)
	})
}

// The reply arrived after all, or somebody said no meanwhile: nothing is minted in
// the place of what was not lost.
func TestLost_does_nothing_to_a_device_that_moved(t *testing.T) {
	for name, tc := range map[string]struct {
		before, after func(h *house, c account.Client, got *approval.Collected)
		stands        bool
	}{
		"refreshed before": {before: func(h *house, c account.Client, got *approval.Collected) {
			_, err := h.refresh(c, got.Refresh)
			must(h.t, err)
		}, stands: true},
		"refreshed meanwhile": {before: func(h *house, c account.Client, got *approval.Collected) {
			h.between(func() {
				_, err := h.refresh(c, got.Refresh)
				must(h.t, err)
			})
		}, stands: true},
		"ended by its owner before": {before: func(h *house, _ account.Client, got *approval.Collected) {
			must(h.t, h.core.RevokeDevice(h.t.Context(), got.Device.ID, approval.ByOwner))
		}},
		"ended by its owner after": {after: func(h *house, _ account.Client, got *approval.Collected) {
			must(h.t, h.core.RevokeDevice(h.t.Context(), got.Device.ID, approval.ByOwner))
		}},
		"ended by its owner while it is reminted": {after: func(h *house, _ account.Client, got *approval.Collected) {
			h.between(func() { must(h.t, h.core.RevokeDevice(h.t.Context(), got.Device.ID, approval.ByOwner)) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := onDisk(t)
			c := h.oauth()
			got := h.signedIn(c)
			if tc.before != nil {
				tc.before(h, c, got)
			}
			must(t, h.core.Lost(t.Context(), got))
			if tc.after != nil {
				tc.after(h, c, got)
			}
			again, err := h.poll(h.again(c, got))
			if !errors.Is(err, approval.ErrNotFound) {
				t.Errorf("again: got %+v, %v; want %v", again, err, approval.ErrNotFound)
			}
			if tc.stands {
				h.wantStanding("the device", got.Device.ID)
			} else {
				h.wantEnded("the device", got.Device.ID, approval.ByOwner)
			}
		})
	}
}

func TestLost_64_polls_at_once_remint_one(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		c := h.oauth()
		for range 5 {
			got := h.signedIn(c)
			p := h.again(c, got)
			var granted atomic.Int32
			var all sync.WaitGroup
			for i := range 64 {
				all.Go(func() {
					if i%8 == 0 { // the loss is noted, and told more than once, while they poll
						if err := h.core.Lost(t.Context(), got); err != nil {
							t.Errorf("lost: %v", err)
						}
					}
					switch _, err := h.poll(p); {
					case err == nil:
						granted.Add(1)
					case !errors.Is(err, approval.ErrNotFound):
						t.Errorf("poll: %v", err)
					}
				})
			}
			all.Wait()
			if n := granted.Load(); n != 1 {
				t.Errorf("%d were reminted, want 1", n)
			}
			h.wantEnded("what was lost", got.Device.ID, approval.ByLost)
		}
	})
}

func TestLost_remints_for_nobody_who_was_locked_meanwhile(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(h *house) approval.Effect
		want error
	}{
		"user": {func(h *house) approval.Effect {
			return approval.SetUserStatus{ID: h.ada.ID, From: account.UserActive, To: account.UserInactive}
		}, approval.ErrInactive},
		"passkey": {func(h *house) approval.Effect {
			return approval.SetPasskeyStatus{ID: h.key.ID, From: account.PasskeyActive, To: account.PasskeyRevoked}
		}, approval.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			h := onDisk(t)
			c := h.oauth()
			got := h.signedIn(c)
			must(t, h.core.Lost(t.Context(), got))
			must(t, h.store.Apply(t.Context(), approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{tc.end(h)}}))
			_, err := h.poll(h.again(c, got))
			wantError(t, "remint", err, tc.want)
		})
	}
}
