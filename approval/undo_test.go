package approval_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// added is a passkey of ada's that she let in with another one, on nod's own page.
func (h *house) added(name string, with account.Passkey) (approval.Request, account.Passkey) {
	h.t.Helper()
	b := h.join()
	r, err := h.approveAs(h.ada, with, typed(b))
	must(h.t, err)
	k := h.newKey(name, r)
	must(h.t, h.make(b, r, k))
	return h.stands(b), k
}

func (h *house) newKey(name string, r approval.Request) account.Passkey {
	return account.Passkey{
		ID: approval.NewOp(), UserID: h.ada.ID, CredentialID: []byte(r.ID), PublicKey: []byte("key"), Status: account.PasskeyActive,
		Name: name, CreatedAt: r.CreatedAt, UpdatedAt: r.CreatedAt, RequestID: r.ID, VouchedBy: r.Decision.PasskeyID,
	}
}

// make is how package webauthn stores one: in the transaction that collects.
func (h *house) make(b approval.Begun, r approval.Request, k account.Passkey) error {
	_, err := h.core.Redeem(h.t.Context(), joiner(b), r.ID, approval.Change{
		Op:      approval.NewOp(),
		Event:   approval.Event{Name: approval.EventPasskeyAdded, NamespaceID: h.ada.NamespaceID, UserID: h.ada.ID, PasskeyID: k.ID, Detail: k.Name},
		Effects: []approval.Effect{approval.AddPasskey{Passkey: k}},
	})
	return err
}

// letInWith is what was signed in with a passkey of ada's.
func (h *house) letInWith(k account.Passkey) string {
	h.t.Helper()
	b := h.begin(approval.Long)
	_, err := h.approveAs(h.ada, k, scanned(b))
	must(h.t, err)
	return h.collected(h.holder(b)).Grant.SID
}

// from is ada in a browser that she signed in with that passkey.
func (h *house) from(k account.Passkey) approval.Viewer {
	v := h.viewer(h.ada)
	v.PasskeyID = k.ID
	return v
}

func (h *house) wantKey(k account.Passkey, want account.PasskeyStatus) {
	h.t.Helper()
	all, err := h.store.Passkeys(h.t.Context(), h.ada.ID)
	must(h.t, err)
	for _, p := range all {
		if p.ID == k.ID {
			if p.Status != want {
				h.t.Errorf("%s is %s, want %s", k.Name, p.Status, want)
			}
			return
		}
	}
	h.t.Errorf("%s is not there, want it %s", k.Name, want)
}

// Whoever was talked into "Add a passkey" ends with one tap all that the thief made of it.
func TestUndo_of_an_added_passkey_ends_what_came_of_it(t *testing.T) {
	for why, undo := range map[approval.By]func(*house, string) error{
		approval.ByOwner: func(h *house, id string) error {
			_, err := h.core.Undo(h.t.Context(), id, h.from(h.key))
			return err
		},
		approval.ByReport: func(h *house, id string) error {
			_, _, err := h.core.Report(h.t.Context(), listedID(id), h.from(h.key))
			return err
		},
	} {
		onBothEngines(t, func(t *testing.T, h *house) {
			own := h.letInWith(h.key)
			ownRequest, ownLaptop := h.added("Own laptop", h.key)
			r, thief := h.added("Laptop", h.key)
			_, second := h.added("Tablet", thief)
			devices := []string{h.letInWith(thief), h.letInWith(second)}
			waiting := h.begin(approval.Long)
			_, err := h.approveAs(h.ada, second, scanned(waiting))
			must(t, err)
			_, err = h.people.NewRecovery(t.Context(), h.ada, 2, approval.Asker{PasskeyID: second.ID})
			must(t, err)
			h.withHooks()
			hook := h.hook(h.ada.NamespaceID, "passkey.revoked", "device.revoked", "request.canceled")

			for range 2 { // twice is once
				must(t, undo(h, r.ID))
			}
			h.wantKey(thief, account.PasskeyRevoked)
			h.wantKey(second, account.PasskeyRevoked)
			h.wantKey(h.key, account.PasskeyActive)
			h.wantKey(ownLaptop, account.PasskeyActive)
			for _, id := range devices {
				h.wantEnded("what the thief let in", id, approval.ByPasskeyEnded)
			}
			h.wantStanding("what ada let in", own)
			if got := h.stands(waiting); got.State != approval.Canceled || got.EndedBy != approval.ByPasskeyEnded {
				t.Errorf("approved and not collected: %s by %q, want it canceled with the passkey", got.State, got.EndedBy)
			}
			h.wantTold("the webhook", hook, "passkey.revoked", "passkey.revoked", "device.revoked", "device.revoked", "request.canceled")
			if left, err := h.people.Recovery(t.Context(), h.ada); left.Left != 0 || err != nil {
				t.Errorf("recovery codes that the thief printed: %d left, %v; want none", left.Left, err)
			}
			h.wantWhy(r.ID, string(why)+" Laptop", string(why)+" Tablet")

			found, err := h.core.Added(t.Context(), h.ada, r)
			must(t, err)
			if !found.Deleted() || len(found.Passkeys) != 2 || len(found.Devices) != 2 {
				t.Errorf("added %d passkeys and %d devices, deleted %v; want 2, 2 and deleted", len(found.Passkeys), len(found.Devices), found.Deleted())
			}
			if found, err = h.core.Added(t.Context(), h.ada, ownRequest); err != nil || found.Deleted() {
				t.Errorf("ada's own laptop: deleted %v, %v; want it there", found.Deleted(), err)
			}
		})
	}
}

func TestUndo_of_an_added_passkey_leaves_the_owners_codes(t *testing.T) {
	h := onDisk(t)
	_, err := h.people.NewRecovery(t.Context(), h.ada, 2, approval.Asker{PasskeyID: h.key.ID})
	must(t, err)
	r, _ := h.added("Laptop", h.key)
	_, err = h.core.Undo(t.Context(), r.ID, h.from(h.key))
	must(t, err)
	if got, err := h.people.Recovery(t.Context(), h.ada); got.Left != 2 || err != nil {
		t.Errorf("%d codes are left, %v; want both", got.Left, err)
	}
}

// wantWhy looks for the audit rows of passkeys that went with a request.
func (h *house) wantWhy(requestID string, want ...string) {
	h.t.Helper()
	events, err := h.store.Events(h.t.Context(), h.ada.ID, 1000)
	must(h.t, err)
	var got []string
	for _, e := range events {
		if e.Name == approval.EventPasskeyRevoked && e.RequestID == requestID && e.Address == "192.0.2.9" {
			got = append(got, e.Detail)
		}
	}
	if len(got) == 2 && got[0] > got[1] { // of one transaction, in either order
		got[0], got[1] = got[1], got[0]
	}
	if d := cmp.Diff(want, got); d != "" {
		h.t.Errorf("audit rows (-want +got):\n%s", d)
	}
}

func TestUndo_races_the_passkey_being_made(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		for range map[bool]int{false: 30, true: 5}[testing.Short()] {
			b := h.join()
			r, err := h.approveAs(h.ada, h.key, typed(b))
			must(t, err)
			k := h.newKey("Laptop", r)
			var both sync.WaitGroup
			var made, undone error
			both.Go(func() { made = h.make(b, r, k) })
			both.Go(func() { _, undone = h.core.Undo(t.Context(), r.ID, h.from(h.key)) })
			both.Wait()
			must(t, undone)
			if made != nil {
				wantError(t, "made too late", made, approval.ErrDenied)
				continue
			}
			h.wantKey(k, account.PasskeyRevoked)
			if got := h.stands(b).State; got != approval.Redeemed {
				t.Errorf("made, and the request is %s", got)
			}
		}
		b := h.join()
		r, err := h.approveAs(h.ada, h.key, typed(b))
		must(t, err)
		k := h.newKey("Laptop", r)
		h.between(func() { must(t, h.make(b, r, k)) }) // after the look, before the commit
		_, err = h.core.Undo(t.Context(), r.ID, h.from(h.key))
		must(t, err)
		h.wantKey(k, account.PasskeyRevoked)
		h.wantKey(h.key, account.PasskeyActive)
	})
}

func TestUndo_of_an_added_passkey_twice_at_once(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		r, k := h.added("Laptop", h.key)
		device := h.letInWith(k)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				_, err := h.core.Undo(t.Context(), r.ID, h.from(h.key))
				must(t, err)
			})
		}
		all.Wait()
		h.wantKey(k, account.PasskeyRevoked)
		h.wantEnded("what it let in", device, approval.ByPasskeyEnded)
		if got := h.events(h.ada); got[approval.EventPasskeyRevoked] != 1 || got[approval.EventDeviceRevoked] != 1 {
			t.Errorf("audit rows %v, want one of the passkey and one of the device", got)
		}
	})
}

// What the thief lets in between the look and the commit ends as well.
func TestUndo_of_an_added_passkey_that_is_just_used(t *testing.T) {
	h := onDisk(t)
	r, k := h.added("Laptop", h.key)
	var late string
	h.between(func() { late = h.letInWith(k) })
	_, err := h.core.Undo(t.Context(), r.ID, h.from(h.key))
	must(t, err)
	h.wantEnded("what it let in meanwhile", late, approval.ByPasskeyEnded)
}

func TestUndo_of_an_added_passkey_keeps_the_last_one(t *testing.T) {
	h := onDisk(t)
	r, k := h.added("Laptop", h.key)
	device := h.letInWith(k)
	_, err := h.people.RevokePasskey(t.Context(), h.ada, h.key, true)
	must(t, err)
	for range 2 {
		_, err = h.core.Undo(t.Context(), r.ID, h.from(k))
		wantError(t, "undone by the last passkey", err, approval.ErrForbidden)
	}
	h.wantKey(k, account.PasskeyActive)
	h.wantStanding("what it let in", device)

	got, first, err := h.core.Report(t.Context(), listedID(r.ID), h.from(k))
	if err != nil || !first || got.EndedBy != approval.ByReport {
		t.Errorf("reported with that passkey: first %v, by %q, %v; want it noted", first, got.EndedBy, err)
	}
	h.wantKey(k, account.PasskeyActive)

	// Nobody says which passkey the session began with, so the thief's goes.
	_, _, err = h.core.Report(t.Context(), listedID(r.ID), h.viewer(h.ada))
	must(t, err)
	h.wantKey(k, account.PasskeyRevoked)
	h.wantEnded("what it let in", device, approval.ByPasskeyEnded)
}

// Whoever signed in with a passkey that came of it goes on with that.
func TestReport_of_an_added_passkey_spares_who_reports(t *testing.T) {
	h := onDisk(t)
	r, laptop := h.added("Laptop", h.key)
	_, tablet := h.added("Tablet", laptop)
	_, phone := h.added("New phone", tablet)
	_, _, err := h.core.Report(t.Context(), listedID(r.ID), h.from(tablet))
	must(t, err)
	h.wantKey(laptop, account.PasskeyRevoked)
	h.wantKey(tablet, account.PasskeyActive)
	h.wantKey(phone, account.PasskeyActive)
}

// The version before wrote down of no passkey what it was added by.
func TestUndo_of_a_passkey_from_nobody_knows_where(t *testing.T) {
	h := onDisk(t)
	b := h.join()
	r, err := h.approveAs(h.ada, h.key, typed(b))
	must(t, err)
	k := h.newKey("Laptop", r)
	k.RequestID, k.VouchedBy = "", ""
	must(t, h.make(b, r, k))
	_, err = h.core.Undo(t.Context(), r.ID, h.from(h.key))
	wantError(t, "undone", err, approval.ErrDecided)
	_, first, err := h.core.Report(t.Context(), listedID(r.ID), h.from(h.key))
	if err != nil || !first {
		t.Errorf("reported: first %v, %v; want it noted", first, err)
	}
	h.wantKey(k, account.PasskeyActive)
}

// A backend that may sign devices out may not delete passkeys with that.
func TestTakeBack_of_an_added_passkey(t *testing.T) {
	h := onDisk(t)
	r, k := h.added("Laptop", h.key)
	_, err := h.core.TakeBack(t.Context(), r.ID, h.ada, approval.Revoker{By: approval.ByBackend})
	wantError(t, "taken back", err, approval.ErrDecided)
	h.wantKey(k, account.PasskeyActive)
}

// What is more than one transaction takes ends all the same.
func TestUndo_of_an_added_passkey_that_let_many_in(t *testing.T) {
	h := onDisk(t)
	r, k := h.added("Laptop", h.key)
	one := h.stored(h.letInWith(k))
	var more []approval.Effect
	for range 501 { // a batch and one
		d := one
		d.ID, d.RequestID = approval.NewOp(), r.ID
		more = append(more, approval.AddDevice{Device: d})
	}
	must(t, h.store.Apply(t.Context(), approval.Change{Op: approval.NewOp(), Effects: more}))
	_, err := h.core.Undo(t.Context(), r.ID, h.from(h.key))
	must(t, err)
	found, err := h.core.Added(t.Context(), h.ada, r)
	must(t, err)
	for _, d := range found.Devices {
		if d.RevokedAt.IsZero() {
			t.Fatalf("device %s of %d stands", d.ID, len(found.Devices))
		}
	}
	if len(found.Devices) != 502 {
		t.Errorf("%d devices, want 502", len(found.Devices))
	}
}
