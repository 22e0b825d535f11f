package approval_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// between lets do happen after an act has read the store and judged, and before
// it writes (threat C2, "pause between read and write").
func (h *house) between(do func()) {
	h.tamper.set(func(s *tampered) {
		s.onApply = func() {
			s.set(func(s *tampered) { s.onApply = nil })
			do()
		}
	})
}

func (h *house) stands(b approval.Begun) approval.Request {
	h.t.Helper()
	r, err := h.store.Find(h.t.Context(), approval.Key{ID: b.Request.ID})
	must(h.t, err)
	return r
}

// lateActs is all that a phone, a backend or a device does to a pending request.
// They are real acts on a request that is pending when they look.
var lateActs = map[string]func(h *house, b approval.Begun) error{
	"open": func(h *house, b approval.Begun) error {
		_, err := h.core.Opened(h.t.Context(), scanned(b), h.viewer(h.ada))
		return err
	},
	"wrong number": func(h *house, b approval.Begun) error {
		_, err := h.core.Prepare(h.t.Context(), listed(b), h.viewer(h.ada), "000000")
		return err
	},
	"approve": func(h *house, b approval.Begun) error { _, err := h.approve(scanned(b), ""); return err },
	"decline": func(h *house, b approval.Begun) error {
		_, err := h.core.Decide(h.t.Context(), scanned(b), h.viewer(h.ada), approval.Answer{Verdict: approval.Decline})
		return err
	},
	"authorize": func(h *house, b approval.Begun) error {
		_, err := h.core.Authorize(h.t.Context(), h.target(), b.Code, h.backend)
		return err
	},
	"cancel": func(h *house, b approval.Begun) error {
		return h.core.Cancel(h.t.Context(), h.holder(b), approval.SignIn)
	},
}

// endings is how a request ends meanwhile, and the state that it is in then.
var endings = map[approval.State]func(h *house, b approval.Begun) error{
	approval.Denied:   lateActs["decline"],
	approval.Canceled: lateActs["cancel"],
	approval.Redeemed: func(h *house, b approval.Begun) error {
		if err := lateActs["approve"](h, b); err != nil {
			return err
		}
		_, err := h.core.Collect(h.t.Context(), h.holder(b), approval.SignIn, 0)
		return err
	},
	approval.Expired: func(h *house, b approval.Begun) error {
		time.Sleep(11 * time.Minute) // fake; a long code lives ten
		_, err := h.core.Collect(h.t.Context(), h.holder(b), approval.SignIn, 0)
		if errors.Is(err, approval.ErrExpired) {
			return nil
		}
		return err
	},
}

func TestLate_acts_change_no_request_that_has_ended(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		for name, act := range lateActs {
			for state, end := range endings {
				b := h.begin(approval.Long)
				var ended approval.Request
				h.between(func() {
					must(t, end(h, b))
					ended = h.stands(b)
				})
				err := act(h, b)
				if ended.State != state {
					t.Fatalf("%s while it is %s: it ended as %s", name, state, ended.State)
				}
				if now := h.stands(b); now.State != state || now.Version != ended.Version {
					t.Errorf("%s while it is %s: it stands at %s, version %d of %d", name, state, now.State, now.Version, ended.Version)
				}
				if err == nil && name != "cancel" { // to take back what has ended is no fault
					t.Errorf("%s while it is %s: it was acknowledged", name, state)
				}
			}
		}
	})
}

// A poll that finds nothing decided leaves nothing behind (threat C3).
func TestCollect_poll_that_read_before_the_verdict_reverts_nothing(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		reads := 0
		h.tamper.set(func(s *tampered) {
			s.onFind = func() {
				if reads++; reads != 2 { // 1: by code; 2: the look itself, done but not yet judged
					return
				}
				s.set(func(s *tampered) { s.onFind = nil })
				_, err := h.approve(scanned(b), "")
				must(t, err)
			}
		})
		_, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
		wantError(t, "the poll", err, approval.ErrPending)
		_, err = h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
		must(t, err)
	})
}

// The mint is one commit (threat C8): what it needs is there before, or nothing
// is used up.
func TestCollect_without_a_signing_key_uses_nothing_up(t *testing.T) {
	h := onDisk(t)
	b := h.begin(approval.Long)
	_, err := h.approve(scanned(b), "")
	must(t, err)
	key := h.core.KeyID
	h.core.KeyID = func(context.Context, time.Time) (string, error) { return "", approval.ErrUnavailable }
	_, err = h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
	wantError(t, "collect without a key", err, approval.ErrUnavailable)
	h.core.KeyID = key
	got, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
	must(t, err)
	if got.Again || got.Grant.KID != "kid-1" {
		t.Errorf("got again %v, key %q; want a first token, signed", got.Again, got.Grant.KID)
	}
}

// What a code was approved for and the code itself: both happen, or neither.
func TestRedeem_happens_with_what_it_is_for_or_not_at_all(t *testing.T) {
	h := onDisk(t)
	b := h.begin(approval.Long)
	_, err := h.approve(scanned(b), "")
	must(t, err)
	redeem := func(key string) error {
		spend := approval.Spend{Box: approval.BoxCeremony, Key: key, Until: time.Now().Add(time.Hour)}
		_, err := h.core.Redeem(t.Context(), h.holder(b), b.Request.ID, approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{spend}})
		return err
	}
	must(t, h.core.Spend(t.Context(), approval.Spend{Box: approval.BoxCeremony, Key: "used", Until: time.Now().Add(time.Hour)}))
	wantError(t, "for what cannot happen", redeem("used"), approval.ErrReplayed)
	if r := h.stands(b); r.State != approval.Approved {
		t.Errorf("the code of what did not happen: got %s, want it as good as before", r.State)
	}
	h.between(func() {
		_, err := h.people.Deactivate(t.Context(), h.ada)
		must(t, err)
	})
	wantError(t, "of a user who was locked meanwhile", redeem("fresh"), approval.ErrInactive)
	must(t, h.core.Spend(t.Context(), approval.Spend{Box: approval.BoxCeremony, Key: "fresh", Until: time.Now().Add(time.Hour)}))
}

// Directory cancels what hangs on whom it ends. Should a request slip through,
// the redemption judges by itself (I13, threat C5).
func TestCollect_judges_again_everybody_it_rests_on(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(h *house) approval.Effect
		want error
	}{
		"user locked": {func(h *house) approval.Effect {
			return approval.SetUserStatus{ID: h.ada.ID, From: account.UserActive, To: account.UserInactive}
		}, approval.ErrInactive},
		"passkey revoked": {func(h *house) approval.Effect {
			return approval.SetPasskeyStatus{ID: h.key.ID, From: account.PasskeyActive, To: account.PasskeyRevoked}
		}, approval.ErrDenied},
		"asking client deleted":     {func(h *house) approval.Effect { return approval.DeleteClient{ID: h.backend.ID} }, approval.ErrDenied},
		"collecting client deleted": {func(h *house) approval.Effect { return approval.DeleteClient{ID: h.page.ID} }, approval.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			h := onDisk(t)
			b := h.begin(approval.Long)
			_, err := h.approve(scanned(b), "")
			must(t, err)
			h.between(func() {
				must(t, h.store.Apply(t.Context(), approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{tc.end(h)}}))
			})
			_, err = h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
			wantError(t, "collect", err, tc.want)
			if r := h.stands(b); r.State != approval.Approved || r.Grant != nil {
				t.Errorf("it stands at %s with grant %v, want nothing minted", r.State, r.Grant)
			}
		})
	}
}

// What is taken back is also what was collected a moment before, and what is
// collected while it is being taken back (I4).
func TestInvalidateAll_takes_back_what_was_just_collected(t *testing.T) {
	h := onDisk(t)
	before, meanwhile := h.begin(approval.Long), h.begin(approval.Long)
	collect := func(b approval.Begun) error {
		_, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
		return err
	}
	for _, b := range []approval.Begun{before, meanwhile} {
		_, err := h.approve(scanned(b), "")
		must(t, err)
	}
	must(t, collect(before))
	h.between(func() { must(t, collect(meanwhile)) })
	_, err := h.core.InvalidateAll(t.Context(), h.target())
	must(t, err)
	for name, b := range map[string]approval.Begun{"before": before, "meanwhile": meanwhile} {
		wantError(t, "collected "+name+", again", collect(b), approval.ErrDenied)
		if r := h.stands(b); r.State != approval.Redeemed || r.Grant.RevokedAt.IsZero() {
			t.Errorf("collected %s: it stands at %s, its grant revoked at %v; want it revoked", name, r.State, r.Grant.RevokedAt)
		}
	}
}
