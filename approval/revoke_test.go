package approval_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var owner = approval.Revoker{By: approval.ByOwner, Address: "192.0.2.9"}

// letIn is a native device that ada let in.
func (h *house) letIn() (approval.Begun, *approval.Collected) {
	h.t.Helper()
	b := h.begin(approval.Long)
	_, err := h.approve(scanned(b), "")
	must(h.t, err)
	return b, h.collected(h.holder(b))
}

func (h *house) collected(p approval.Holder) *approval.Collected {
	h.t.Helper()
	got, err := h.core.Collect(h.t.Context(), p, approval.SignIn, 0)
	must(h.t, err)
	return got
}

func TestCollect_natively_signs_a_device_in(t *testing.T) {
	h := onDisk(t)
	b, got := h.letIn()
	if got.Device != nil || got.Refresh != "" {
		t.Errorf("handed out device %+v and a refresh token: %v; natively there is none of it", got.Device, got.Refresh != "")
	}
	g := got.Grant
	want := account.Device{
		ID: g.SID, Version: 1, NamespaceID: h.ada.NamespaceID, ClientID: h.page.ID, UserID: h.ada.ID, RequestID: b.Request.ID,
		PasskeyID: h.key.ID, Username: "ada", Name: "Living-room TV", App: h.backend.Name, Kind: account.DeviceScreen,
		CollectedFrom: "192.0.2.7", ApprovedBy: "passkey", ApprovedWith: h.key.Name, ApprovedVia: "scanned",
		AMR: g.AMR, ACR: g.ACR, AuthTime: g.AuthTime, CreatedAt: g.IssuedAt, SeenAt: g.IssuedAt, Expires: g.Expires,
	}
	if diff := cmp.Diff(want, h.stored(g.SID)); diff != "" {
		t.Errorf("device (-want +got):\n%s", diff)
	}
	h.wantStanding("the device", g.SID)
}

func TestLogin_signs_a_device_in(t *testing.T) {
	h := onDisk(t)
	p := approval.Proof{UserID: h.ada.ID, PasskeyID: h.key.ID, PasskeyName: h.key.Name}
	got, err := h.core.Login(t.Context(), approval.Holder{Face: face, Client: h.page, Address: "192.0.2.7"}, h.ada, p)
	must(t, err)
	d := h.stored(got.Grant.SID)
	if d.Kind != account.DevicePage || d.App != h.page.Name || d.ApprovedWith != h.key.Name || d.CollectedFrom != "192.0.2.7" {
		t.Errorf("device %+v, want the page of %s with %s", d, h.page.Name, h.key.Name)
	}
}

// What only adds a passkey or gives consent signs nobody in, and a server's device is
// called one.
func TestDevice_is_of_sign_ins_alone(t *testing.T) {
	h := onDisk(t)
	a := h.ask(approval.Long)
	a.Purpose = approval.AddCredential
	b, err := h.core.Begin(t.Context(), a)
	must(t, err)
	_, err = h.approve(scanned(b), "")
	must(t, err)
	_, err = h.core.Redeem(t.Context(), h.holder(b), b.Request.ID)
	must(t, err)
	ds, err := h.people.Devices(t.Context(), h.ada)
	if err != nil || len(ds) != 0 {
		t.Errorf("%d devices, %v; want none of a code that adds a passkey", len(ds), err)
	}
	c := h.oauth()
	server := h.device(c, h.toAda)
	_, err = h.approve(listed(server), approval.MessageSeen)
	must(t, err)
	got, err := h.poll(poller(c, server))
	must(t, err)
	if got.Device.Kind != account.DeviceServer {
		t.Errorf("CIBA signed in a %q, want a server", got.Device.Kind)
	}
}

// Within the minute in which a lost reply is given again, what was signed out is not.
func TestCollect_gives_nothing_again_of_what_was_signed_out(t *testing.T) {
	for name, end := range map[string]func(h *house, id string) error{
		"signed out": func(h *house, id string) error {
			_, err := h.people.RevokeDevices(h.t.Context(), h.ada, []string{id}, owner)
			return err
		},
		"all signed out": func(h *house, _ string) error {
			_, err := h.people.RevokeAllDevices(h.t.Context(), h.ada, owner)
			return err
		},
		"undone": func(h *house, id string) error {
			_, err := h.core.Undo(h.t.Context(), h.stored(id).RequestID, h.viewer(h.ada))
			return err
		},
		"reported": func(h *house, id string) error {
			ref := approval.Ref{Way: approval.Listed, Secret: account.Secret(h.stored(id).RequestID)}
			_, _, err := h.core.Report(h.t.Context(), ref, h.viewer(h.ada))
			return err
		},
		"invalidated": func(h *house, _ string) error {
			_, err := h.core.InvalidateAll(h.t.Context(), h.target())
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := onDisk(t)
			b, got := h.letIn()
			if again := h.collected(h.holder(b)); !again.Again || again.Grant.JTI != got.Grant.JTI {
				t.Errorf("before: got %+v, want the same grant again", again)
			}
			must(t, end(h, got.Grant.SID))
			_, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
			wantError(t, "again after the end", err, approval.ErrDenied)
			_, _, err = h.people.Standing(t.Context(), got.Grant.SID)
			wantError(t, "the device", err, approval.ErrRevoked)
		})
	}
}

func TestRevokeDevices_of_somebody_else_ends_none(t *testing.T) {
	h := onDisk(t)
	_, mine := h.letIn()
	bob, _ := h.person(account.Namespace{ID: h.ada.NamespaceID}, "bob")
	for name, ids := range map[string][]string{
		"hers": {mine.Grant.SID}, "nobody's": {"no such device"}, "": {""},
	} {
		n, err := h.people.RevokeDevices(t.Context(), bob, ids, owner)
		wantError(t, name, err, approval.ErrNotFound)
		if n != 0 {
			t.Errorf("%s: ended %d", name, n)
		}
	}
	_, err := h.people.RevokeDevices(t.Context(), h.ada, []string{mine.Grant.SID, "no such device"}, owner)
	wantError(t, "one of hers and a stranger's", err, approval.ErrNotFound)
	if n, err := h.people.RevokeAllDevices(t.Context(), bob, owner); n != 0 || err != nil {
		t.Errorf("all of bob's: ended %d, %v; want none", n, err)
	}
	h.wantStanding("ada's device", mine.Grant.SID)
	_, err = h.core.Undo(t.Context(), mine.Request.ID, h.viewer(bob))
	wantError(t, "undone by bob", err, approval.ErrNotFound)
	_, _, err = h.core.Report(t.Context(), approval.Ref{Way: approval.Listed, Secret: account.Secret(mine.Request.ID)}, h.viewer(bob))
	wantError(t, "reported by bob", err, approval.ErrNotFound)
	h.wantStanding("ada's device, after all that", mine.Grant.SID)
}

func TestRevokeDevices_tells_it_once(t *testing.T) {
	h := onDisk(t)
	_, got := h.letIn()
	for i, want := range []int{1, 0} {
		if n, err := h.people.RevokeDevices(t.Context(), h.ada, []string{got.Grant.SID}, owner); n != want || err != nil {
			t.Errorf("time %d: ended %d, %v; want %d", i, n, err, want)
		}
	}
	if n := h.events(h.ada)[approval.EventDeviceRevoked]; n != 1 {
		t.Errorf("%d audit rows, want 1", n)
	}
	es, err := h.store.Events(t.Context(), h.ada.ID, 1)
	must(t, err)
	if e := es[0]; e.Detail != "owner Living-room TV" || e.Address != owner.Address || e.RequestID != got.Request.ID {
		t.Errorf("audit row %+v, want who, what and from where", e)
	}
}

func TestRevokeAllDevices_also_ends_what_nobody_collected(t *testing.T) {
	h := onDisk(t)
	_, in := h.letIn()
	waiting := h.begin(approval.Long)
	pending := h.begin(approval.Long)
	_, err := h.approve(scanned(waiting), "")
	must(t, err)
	if n, err := h.people.RevokeAllDevices(t.Context(), h.ada, owner); n != 1 || err != nil {
		t.Errorf("ended %d, %v; want one", n, err)
	}
	h.wantEnded("the device", in.Grant.SID, approval.ByOwner)
	_, err = h.core.Collect(t.Context(), h.holder(waiting), approval.SignIn, 0)
	wantError(t, "what was approved before", err, approval.ErrDenied)
	if got := h.stands(pending).State; got != approval.Pending {
		t.Errorf("a question nobody has answered is %s, want it pending", got)
	}
	_, err = h.approve(scanned(pending), "")
	must(t, err)
	h.wantStanding("what was approved afterwards", h.collected(h.holder(pending)).Grant.SID)
}

// More than one step of a batch, each device once.
// What was approved before does not slip through because it is collected while the
// devices and the approvals are looked at.
func TestRevokeAllDevices_of_what_is_collected_meanwhile(t *testing.T) {
	for name, around := range map[string]func(collect, list func()){
		"before the approvals are read": func(collect, list func()) { collect(); list() },
		"after the approvals were read": func(collect, list func()) { list(); collect() },
	} {
		inQuietBubble(t, func(t *testing.T, h *house) {
			b := h.begin(approval.Long)
			_, err := h.approve(scanned(b), "")
			must(t, err)
			time.Sleep(3 * time.Second) // in the bubble
			var got *approval.Collected
			h.tamper.set(func(s *tampered) {
				s.onList = func(list func()) {
					h.tamper.set(func(s *tampered) { s.onList = nil })
					around(func() {
						time.Sleep(3 * time.Second)
						got = h.collected(h.holder(b))
					}, list)
				}
			})
			n, err := h.people.RevokeAllDevices(t.Context(), h.ada, owner)
			if n != 1 || err != nil {
				t.Errorf("%s: ended %d devices, %v; want 1", name, n, err)
			}
			h.wantEnded(name, got.Grant.SID, owner.By)
		})
	}
}

func TestRevokeAllDevices_of_many(t *testing.T) {
	h := onDisk(t)
	_, one := h.letIn()
	pattern := h.stored(one.Grant.SID)
	var add []approval.Effect
	for i := range 1200 {
		d := pattern
		d.ID = fmt.Sprint("device ", i)
		add = append(add, approval.AddDevice{Device: d})
	}
	must(t, h.store.Apply(t.Context(), approval.Change{Op: approval.NewOp(), Effects: add}))
	if n, err := h.people.RevokeAllDevices(t.Context(), h.ada, owner); n != 1201 || err != nil {
		t.Errorf("ended %d, %v; want 1201", n, err)
	}
	ds, err := h.people.Devices(t.Context(), h.ada)
	must(t, err)
	for _, d := range ds {
		if d.RevokedAt.IsZero() {
			t.Fatalf("%s stands", d.ID)
		}
	}
	if n := h.events(h.ada)[approval.EventDeviceRevoked]; n != 1000 { // as many as are asked for
		t.Errorf("%d audit rows, want one for each", n)
	}
}

// Whatever a redemption, a refresh and the owner do at once: what was signed in before
// the owner signed everything out is out, and each device ends once.
func TestRevoke_against_refresh_and_redeem(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		c := h.oauth()
		rounds := map[bool]int{false: 30, true: 5}[testing.Short()]
		for range rounds {
			got := h.signedIn(c)
			b := h.begin(approval.Long)
			_, err := h.approve(scanned(b), "")
			must(t, err)
			var all sync.WaitGroup
			var refreshed *approval.Refreshed
			var refusal, late error
			var in *approval.Collected
			all.Go(func() { refreshed, refusal = h.refresh(c, got.Refresh) })
			all.Go(func() { in, late = h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0) })
			for range 2 {
				all.Go(func() {
					_, err := h.people.RevokeAllDevices(t.Context(), h.ada, owner)
					must(t, err)
				})
			}
			all.Wait()
			h.wantEnded("the device", got.Device.ID, approval.ByOwner)
			switch {
			case refusal == nil:
				_, err = h.refresh(c, refreshed.Token)
				wantError(t, "what the refresh gave", err, approval.ErrRevoked)
			case !errors.Is(refusal, approval.ErrRevoked):
				t.Errorf("refresh: %v, want the next token or that it was revoked", refusal)
			}
			// The redemption was before that, and is signed out; or after, and stands; or
			// the owner had taken the approval back.
			if late != nil {
				wantError(t, "redemption", late, approval.ErrDenied)
			} else if r := h.stands(b); r.Grant.JTI != in.Grant.JTI {
				t.Errorf("collected %s, stored %s", in.Grant.JTI, r.Grant.JTI)
			}
			_, err = h.people.RevokeAllDevices(t.Context(), h.ada, owner)
			must(t, err)
		}
		ds, err := h.people.Devices(t.Context(), h.ada)
		must(t, err)
		if n := h.events(h.ada)[approval.EventDeviceRevoked]; n != len(ds) {
			t.Errorf("%d devices ended and %d audit rows, want one for each", len(ds), n)
		}
	})
}

func TestUndo_before_anybody_collected(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		_, err := h.approve(scanned(b), "")
		must(t, err)
		for range 2 { // undone already is fine
			r, err := h.core.Undo(t.Context(), b.Request.ID, h.viewer(h.ada))
			must(t, err)
			if r.State != approval.Canceled || r.EndedBy != approval.ByOwner {
				t.Errorf("undone: %s by %q, want it canceled by its owner", r.State, r.EndedBy)
			}
		}
		end := <-h.wait(t.Context(), h.holder(b))
		wantError(t, "who waits after that", end.err, approval.ErrDenied)
		if n := h.events(h.ada)[approval.EventCanceled]; n != 1 {
			t.Errorf("%d audit rows, want 1", n)
		}
	})
}

func TestUndo_races_the_redemption(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		for range map[bool]int{false: 30, true: 5}[testing.Short()] {
			b := h.begin(approval.Long)
			_, err := h.approve(scanned(b), "")
			must(t, err)
			var both sync.WaitGroup
			var got *approval.Collected
			var no error
			both.Go(func() { got, no = h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0) })
			both.Go(func() {
				_, err := h.core.Undo(t.Context(), b.Request.ID, h.viewer(h.ada))
				must(t, err)
			})
			both.Wait()
			if no != nil {
				wantError(t, "too late", no, approval.ErrDenied)
				continue
			}
			h.wantEnded("what was collected before", got.Grant.SID, approval.ByOwner)
		}
	})
}

func TestUndo_of_what_was_no_approval(t *testing.T) {
	h := onDisk(t)
	pending, declined := h.begin(approval.Long), h.begin(approval.Long)
	h.decline(scanned(declined))
	a := h.ask(approval.Long)
	a.Purpose = approval.AddCredential
	added, err := h.core.Begin(t.Context(), a)
	must(t, err)
	_, err = h.approve(scanned(added), "")
	must(t, err)
	_, err = h.core.Redeem(t.Context(), h.holder(added), added.Request.ID)
	must(t, err)
	for name, b := range map[string]approval.Begun{"pending": pending, "declined": declined, "a passkey was added": added} {
		before := h.stands(b)
		_, err := h.core.Undo(t.Context(), b.Request.ID, h.viewer(h.ada))
		wantError(t, name, err, approval.ErrDecided)
		if after := h.stands(b); after.Version != before.Version {
			t.Errorf("%s: version %d after %d, want nothing changed", name, after.Version, before.Version)
		}
	}
}

func TestDevices_of_a_user_who_is_locked_or_gone(t *testing.T) {
	h := onDisk(t)
	_, got := h.letIn()
	locked, err := h.people.Deactivate(t.Context(), h.ada)
	must(t, err)
	_, _, err = h.people.Standing(t.Context(), got.Grant.SID)
	wantError(t, "locked", err, approval.ErrInactive)
	must(t, h.people.DeleteUser(t.Context(), locked))
	_, _, err = h.people.Standing(t.Context(), got.Grant.SID)
	wantError(t, "deleted", err, approval.ErrNotFound)
}

func TestSignOutEverywhere_keeps_one_session(t *testing.T) {
	h := onDisk(t)
	_, got := h.letIn()
	now, err := h.store.Now(t.Context())
	must(t, err)
	var sessions []account.Session
	for i := range byte(3) {
		s := account.Session{Hash: []byte{i}, UserID: h.ada.ID, PasskeyID: h.key.ID, Name: "Chrome", CreatedAt: now, SeenAt: now}
		must(t, h.store.AddSession(t.Context(), s))
		sessions = append(sessions, s)
	}
	must(t, h.people.EndSession(t.Context(), h.ada, sessions[0], owner))
	wantError(t, "ended twice", h.people.EndSession(t.Context(), h.ada, sessions[0], owner), approval.ErrNotFound)
	n, err := h.people.SignOutEverywhere(t.Context(), h.ada, owner, sessions[1].Hash)
	if n != 1 || err != nil {
		t.Errorf("ended %d devices, %v; want one", n, err)
	}
	h.wantEnded("the device", got.Grant.SID, approval.ByOwner)
	left, err := h.store.Sessions(t.Context(), h.ada.ID)
	must(t, err)
	if diff := cmp.Diff([]account.Session{sessions[1]}, left); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	if n := h.events(h.ada)[approval.EventSessionEnded]; n != 2 {
		t.Errorf("%d audit rows, want one for each call", n)
	}
}

func TestDevice_is_kept_a_month_after_it_was_seen(t *testing.T) {
	inQuietBubble(t, func(t *testing.T, h *house) {
		_, got := h.letIn()
		time.Sleep(account.KeepDevice - time.Hour)
		synctest.Wait()
		_, _, err := h.people.Standing(t.Context(), got.Grant.SID)
		wantError(t, "its token", err, approval.ErrExpired)
		if n, err := h.people.RevokeDevices(t.Context(), h.ada, []string{got.Grant.SID}, owner); n != 1 || err != nil {
			t.Errorf("ended %d, %v; want it to be there to be signed out", n, err)
		}
	})
}
