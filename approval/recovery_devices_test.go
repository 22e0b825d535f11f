package approval_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nod-auth/nod/approval"
)

func TestRecover_signs_out_what_was_let_in(t *testing.T) {
	h := onDisk(t)
	code := h.codes(1)[0]
	c := h.oauth()
	terminal := h.signedIn(c)
	_, tv := h.letIn()
	waiting, pending := h.begin(approval.Long), h.begin(approval.Long)
	_, err := h.approve(scanned(waiting), "")
	must(t, err)

	_, err = h.recover("ada", code, home)
	must(t, err)
	h.wantEnded("the television", tv.Grant.SID, approval.ByRecovery)
	h.wantEnded("the terminal", terminal.Device.ID, approval.ByRecovery)
	_, err = h.refresh(c, terminal.Refresh)
	wantError(t, "refresh", err, approval.ErrRevoked)
	_, err = h.core.Collect(t.Context(), h.holder(waiting), approval.SignIn, 0)
	wantError(t, "what was approved before", err, approval.ErrDenied)
	if r := h.stands(waiting); r.State != approval.Canceled || r.EndedBy != approval.ByRecovery {
		t.Errorf("what was approved before is %s by %q, want it canceled by %q", r.State, r.EndedBy, approval.ByRecovery)
	}
	if got := h.stands(pending).State; got != approval.Pending {
		t.Errorf("a question nobody has answered is %s, want it pending", got)
	}
	var rows []string
	es, err := h.store.Events(t.Context(), h.ada.ID, 4)
	must(t, err)
	for _, e := range es {
		if e.Address != home {
			t.Errorf("%s: got the address %q, want %q", e.Name, e.Address, home)
		}
		rows = append(rows, fmt.Sprint(e.Name, " ", e.Detail))
	}
	want := "[request.canceled recovery device.revoked recovery terminal on yew device.revoked recovery Living-room TV recovery.code_used ada]"
	if got := fmt.Sprint(rows); got != want {
		t.Errorf("audit rows, newest first: got %s, want %s", got, want)
	}
}

// many signs ada in on n devices more than she has, by what her native one looks like.
func (h *house) many(n int) {
	h.t.Helper()
	_, one := h.letIn()
	var add []approval.Effect
	for i := range n - 1 {
		d := h.stored(one.Grant.SID)
		d.ID = fmt.Sprint("device ", i)
		add = append(add, approval.AddDevice{Device: d})
	}
	must(h.t, h.store.Apply(h.t.Context(), approval.Change{Op: approval.NewOp(), Effects: add}))
}

func (h *house) standing() (n int) {
	h.t.Helper()
	ds, err := h.people.Devices(h.t.Context(), h.ada)
	must(h.t, err)
	for _, d := range ds {
		if d.RevokedAt.IsZero() {
			n++
		}
	}
	return n
}

// More devices than a transaction takes: the code is spent in the last one, so that a
// fault before that leaves both the code and the way to go on.
func TestRecover_of_many_devices_is_cut_off_and_tried_again(t *testing.T) {
	h := onDisk(t)
	code := h.codes(1)[0]
	h.many(1201)
	committed := 0
	h.tamper.set(func(s *tampered) {
		s.applied = func(...approval.Change) error {
			committed++
			h.tamper.set(func(s *tampered) { s.refusal = approval.ErrUnavailable })
			return nil
		}
	})
	_, err := h.recover("ada", code, home)
	wantError(t, "cut off", err, approval.ErrUnavailable)
	if got := h.left().Left; got != 1 || committed != 1 || h.standing() != 701 {
		t.Fatalf("after %d commits %d codes are left and %d devices stand; want 1, 1 and 701", committed, got, h.standing())
	}
	if n := h.events(h.ada)[approval.EventRecovered]; n != 0 {
		t.Errorf("%d rows say that the code was used, want none", n)
	}

	h.tamper.set(func(s *tampered) { s.refusal, s.applied = nil, nil })
	secret, err := h.recover("ada", code, home)
	must(t, err)
	if _, err := h.store.Invitation(t.Context(), secret.Hash()); err != nil {
		t.Errorf("the invitation: %v", err)
	}
	if got := h.left().Left; got != 0 || h.standing() != 0 {
		t.Errorf("%d codes are left and %d devices stand, want none", got, h.standing())
	}
}

// Whoever holds a refresh token gets nothing out of using it in the same moment.
func TestRecover_against_refresh(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		c := h.oauth()
		for round, code := range h.codes(map[bool]int{false: 10, true: 3}[testing.Short()]) {
			got := h.signedIn(c)
			var both sync.WaitGroup
			var refreshed *approval.Refreshed
			var refusal error
			both.Go(func() { refreshed, refusal = h.refresh(c, got.Refresh) })
			both.Go(func() {
				_, err := h.recover("ada", code, fmt.Sprintf("192.0.2.%d", round))
				must(t, err)
			})
			both.Wait()
			h.wantEnded("the device", got.Device.ID, approval.ByRecovery)
			switch {
			case refusal == nil:
				_, err := h.refresh(c, refreshed.Token)
				wantError(t, "what the refresh gave", err, approval.ErrRevoked)
			case !errors.Is(refusal, approval.ErrRevoked):
				t.Errorf("refresh: %v, want the next token or that it was revoked", refusal)
			}
		}
	})
}

// A suspended user's devices are nobody's to end with a code that stays good.
func TestRecover_of_a_suspended_user_ends_no_device(t *testing.T) {
	h := onDisk(t)
	code := h.codes(1)[0]
	_, tv := h.letIn()
	_, err := h.people.Deactivate(t.Context(), h.ada)
	must(t, err)
	_, err = h.recover("ada", code, home)
	wantError(t, "recover", err, approval.ErrInactive)
	if d := h.stored(tv.Grant.SID); !d.RevokedAt.IsZero() {
		t.Errorf("the device ended by %q, want it left alone", d.RevokedBy)
	}
}
