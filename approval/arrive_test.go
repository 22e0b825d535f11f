package approval_test

import (
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func (h *house) rotating(kind approval.CodeKind) approval.Begun {
	h.t.Helper()
	a := h.ask(kind)
	a.Client.RotateQR = true
	b, err := h.core.Begin(h.t.Context(), a)
	must(h.t, err)
	return b
}

// shown is the rotating QR code that the page shows now.
func (h *house) shown(b approval.Begun) approval.Ref {
	h.t.Helper()
	now, err := h.store.Now(h.t.Context())
	must(h.t, err)
	handle, _ := h.core.Codes.Rotating(b.Request, now)
	return h.core.Arrived(handle)
}

func (h *house) inspect(ref approval.Ref, u account.User) (approval.View, error) {
	return h.core.Inspect(h.t.Context(), ref, h.viewer(u))
}

func TestPushed_opens_for_its_owner_and_needs_the_number(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	bob, _ := h.person(account.Namespace{ID: h.ada.NamespaceID}, "bob")
	elsewhere, err := h.people.Namespace(t.Context(), "elsewhere")
	must(t, err)
	eve, _ := h.person(elsewhere, "eve")
	b := h.notify(approval.Long)
	ref := h.pushed(b)
	view, err := h.inspect(ref, h.ada)
	must(t, err)
	if ref.Way != approval.Pushed || view.Request.ID != b.Request.ID || !view.NeedsNumber || view.TriesLeft != 3 || view.Ref != ref || view.Choices != nil {
		t.Errorf("got %+v by %s", view, ref.Way)
	}
	_, err = h.inspect(ref, bob)
	wantError(t, "another user", err, approval.ErrForbidden)
	_, err = h.inspect(ref, eve)
	wantError(t, "another namespace", err, approval.ErrNotFound)
	_, err = h.approve(ref, "")
	wantError(t, "approve without the number", err, approval.ErrMismatch)
	r, err := h.approve(ref, b.MatchNumber.Reveal())
	must(t, err)
	if r.Decision.Way != approval.Pushed || !r.Decision.Matched {
		t.Errorf("got decision %+v, want pushed and matched", r.Decision)
	}
}

func TestPushed_pick_shows_three_and_one_wrong_choice_declines(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	h.backend = h.client(account.Namespace{ID: h.ada.NamespaceID}, account.ClientManagement, account.MatchPick)
	b := h.notify(approval.Long)
	view, err := h.inspect(h.pushed(b), h.ada)
	must(t, err)
	if len(view.Choices) != 3 || view.TriesLeft != 1 {
		t.Fatalf("got %d choices, %d tries; want 3 and 1", len(view.Choices), view.TriesLeft)
	}
	for _, n := range view.Choices {
		if n != b.MatchNumber.Reveal() {
			_, err = h.approve(h.pushed(b), n)
			break
		}
	}
	wantError(t, "a wrong choice", err, approval.ErrMismatch)
	_, err = h.approve(h.pushed(b), b.MatchNumber.Reveal())
	wantError(t, "the right one after it", err, approval.ErrDecided)
	h.wantPrompted(h.notify(approval.Long), true)
}

// Every secret of a request is good for its own way and no other.
func TestSecrets_of_one_way_are_no_good_for_another(t *testing.T) {
	h := onDisk(t)
	plain, turning := h.begin(approval.Long), h.rotating(approval.Long)
	own, err := h.inspect(scanned(turning), h.ada)
	must(t, err)
	never, _ := h.core.Codes.Rotating(plain.Request, plain.Request.CreatedAt)
	for name, tc := range map[string]struct {
		secret account.Secret
		way    approval.Way // "": none
	}{
		"prompt's handle":                      {h.core.Codes.Prompt(plain.Request.ID), approval.Pushed},
		"prompt's handle of a rotating one":    {h.core.Codes.Prompt(turning.Request.ID), approval.Pushed},
		"stored handle":                        {plain.Handle, approval.Scanned},
		"rotating handle":                      {turning.Handle, approval.Scanned},
		"exchanged handle":                     {own.Ref.Secret, approval.Scanned},
		"rotating handle of one that does not": {never, ""},
		"code":                                 {plain.Code, approval.Typed},
		"request id":                           {account.Secret(plain.Request.ID), approval.Listed},
		"nothing":                              {"", ""},
	} {
		for _, way := range []approval.Way{approval.Scanned, approval.Pushed, approval.Typed, approval.Listed, ""} {
			_, err := h.inspect(approval.Ref{Way: way, Secret: tc.secret}, h.ada)
			if good := err == nil; good != (way != "" && way == tc.way) {
				t.Errorf("%s as %q: got %v", name, way, err)
			}
		}
	}
}

func TestRotating_old_qr_code_is_refused_after_a_grace(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.rotating(approval.Long)
		if until := b.HandleUntil.Sub(b.Request.CreatedAt); until != approval.RotateEvery {
			t.Errorf("shown for %v, want %v", until, approval.RotateEvery)
		}
		first := scanned(b)
		if h.shown(b) != first {
			t.Error("the first QR code is not the one that Begin gave")
		}
		time.Sleep(30*time.Second - time.Microsecond)
		if h.shown(b) != first {
			t.Error("replaced before its time")
		}
		time.Sleep(time.Microsecond)
		second := h.shown(b)
		if second == first {
			t.Error("not replaced after 30 s")
		}
		for _, ref := range []approval.Ref{first, second} {
			_, err := h.inspect(ref, h.ada)
			must(t, err)
		}
		time.Sleep(5*time.Second - time.Microsecond)
		_, err := h.inspect(first, h.ada)
		must(t, err)
		time.Sleep(time.Microsecond)
		for what, do := range map[string]func() error{
			"inspect": func() error { _, err := h.inspect(first, h.ada); return err },
			"open":    func() error { _, err := h.core.Opened(t.Context(), first, h.viewer(h.ada)); return err },
			"approve": func() error { _, err := h.approve(first, ""); return err },
			"follow":  func() error { _, err := h.core.Follow(t.Context(), first, h.viewer(h.ada), 0, 0); return err },
			"decline": func() error {
				_, err := h.core.Decide(t.Context(), first, h.viewer(h.ada), approval.Answer{Verdict: approval.Decline})
				return err
			},
		} {
			wantError(t, what+" by the replaced one", do(), approval.ErrRotated)
		}
		_, err = h.inspect(second, h.ada)
		must(t, err)
	})
}

func TestRotating_scan_in_time_is_exchanged_for_the_viewer_alone(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		bob, _ := h.person(account.Namespace{ID: h.ada.NamespaceID}, "bob")
		a := h.ask(approval.Long)
		a.Client.RotateQR, a.User = true, account.User{} // for whoever scans it
		b, err := h.core.Begin(t.Context(), a)
		must(t, err)
		view, err := h.inspect(scanned(b), h.ada)
		must(t, err)
		if view.Ref == scanned(b) || view.Ref.Way != approval.Scanned || view.NeedsNumber {
			t.Fatalf("got %+v in exchange, needs a number: %v", view.Ref, view.NeedsNumber)
		}
		time.Sleep(5 * time.Minute)
		_, err = h.inspect(view.Ref, bob)
		wantError(t, "the exchanged handle in other hands", err, approval.ErrNotFound)
		again, err := h.inspect(view.Ref, h.ada)
		must(t, err)
		if again.Ref != view.Ref {
			t.Errorf("exchanged again, for %+v", again.Ref)
		}
		_, err = h.core.Opened(t.Context(), view.Ref, h.viewer(h.ada))
		must(t, err)
		_, err = h.approve(view.Ref, "")
		must(t, err)
	})
}

func TestRotating_leaves_the_wait_alone(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.rotating(approval.Long)
		held := h.wait(t.Context(), h.holder(b))
		time.Sleep(100 * time.Second) // three turns
		view, err := h.inspect(h.shown(b), h.ada)
		must(t, err)
		_, err = h.approve(view.Ref, "")
		must(t, err)
		must(t, (<-held).err)
	})
}

func TestView_shows_where_the_waiter_waits(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		address := func() string {
			v, err := h.inspect(scanned(b), h.ada)
			must(t, err)
			return v.WaitAddress
		}
		if got := address(); got != "" {
			t.Errorf("nobody waits: got %q", got)
		}
		older, newer := h.holder(b), h.holder(b)
		newer.Address = "192.0.2.77"
		first := h.wait(t.Context(), older)
		if got := address(); got != older.Address {
			t.Errorf("got %q, want %q", got, older.Address)
		}
		second := h.wait(t.Context(), newer)
		<-first
		if got := address(); got != newer.Address {
			t.Errorf("after a newer wait took its place: got %q, want %q", got, newer.Address)
		}
		h.core.Hub.Drain()
		<-second
		if got := address(); got != "" {
			t.Errorf("the waiter left: got %q", got)
		}
	})
}

func TestBegin_place_is_looked_up_frozen_and_signed(t *testing.T) {
	h := onDisk(t)
	h.core.Locate = func(address string) approval.Place {
		return map[string]approval.Place{"192.0.2.1": {Name: "Berlin, Germany", Country: "DE"}}[address]
	}
	for address, want := range map[string]approval.Place{"192.0.2.1": {Name: "Berlin, Germany", Country: "DE"}, "192.0.2.2": {}, "": {}} {
		a := h.ask(approval.Long)
		a.Context.Address, a.Context.Place, a.Context.Country = address, "Nowhere", "XX" // as if a caller could say
		b, err := h.core.Begin(t.Context(), a)
		must(t, err)
		r, err := h.store.Find(t.Context(), approval.Key{ID: b.Request.ID})
		must(t, err)
		if got := (approval.Place{Name: r.Context.Place, Country: r.Context.Country}); got != want {
			t.Errorf("from %q: got %+v, want %+v", address, got, want)
		}
	}
}
