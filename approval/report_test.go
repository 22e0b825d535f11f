package approval_test

import (
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func (h *house) report(b approval.Begun) (approval.Request, error) {
	r, _, err := h.core.Report(h.t.Context(), listed(b), h.viewer(h.ada))
	return r, err
}

func TestReport_in_every_state(t *testing.T) {
	for name, tc := range map[string]struct {
		before func(h *house, b approval.Begun)
		want   approval.State
	}{
		"pending":  {func(*house, approval.Begun) {}, approval.Denied},
		"declined": {func(h *house, b approval.Begun) { h.decline(scanned(b)) }, approval.Denied},
		"approved": {func(h *house, b approval.Begun) { h.yes(b) }, approval.Canceled},
		"collected": {func(h *house, b approval.Begun) {
			h.yes(b)
			h.collected(h.holder(b))
		}, approval.Redeemed},
		"undone": {func(h *house, b approval.Begun) {
			h.yes(b)
			_, err := h.core.Undo(h.t.Context(), b.Request.ID, h.viewer(h.ada))
			must(h.t, err)
		}, approval.Canceled},
		"run out": {func(h *house, _ approval.Begun) { time.Sleep(approval.DefaultLives[approval.Long]) }, approval.Expired},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *house) {
				h.withPush()
				b := h.begin(approval.Long)
				tc.before(h, b)
				for _, want := range []bool{true, false} { // twice is once
					r, first, err := h.core.Report(t.Context(), listed(b), h.viewer(h.ada))
					must(t, err)
					if first != want {
						t.Errorf("first %v, want %v", first, want)
					}
					if r.State != tc.want || r.EndedBy != approval.ByReport {
						t.Errorf("%s, ended by %q; want %s by a report", r.State, r.EndedBy, tc.want)
					}
				}
				if n := h.events(h.ada)[approval.EventReported]; n != 1 {
					t.Errorf("%d audit rows, want 1", n)
				}
				until, err := h.core.Muted(t.Context(), h.ada.ID)
				must(t, err)
				if left := time.Until(until); left != approval.MuteFor {
					t.Errorf("muted for %v, want %v", left, approval.MuteFor)
				}
				h.wantPrompted(h.notify(approval.Long), false)
				if g := h.stands(b).Grant; g != nil {
					h.wantEnded("what was collected", g.SID, approval.ByOwner)
				}
				_, err = h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
				if err == nil {
					t.Error("somebody collected after that")
				}
			})
		})
	}
}

// yes approves what was scanned.
func (h *house) yes(b approval.Begun) {
	h.t.Helper()
	_, err := h.approve(scanned(b), "")
	must(h.t, err)
}

// A yes that another phone gives in the moment of the report is a yes, and the report
// says so instead of hiding it.
func TestReport_loses_to_an_approval(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	b := h.begin(approval.Long)
	h.between(func() { h.yes(b) })
	_, err := h.report(b)
	wantError(t, "reported too late", err, approval.ErrDecided)
	if got := h.stands(b).State; got != approval.Approved {
		t.Errorf("state %s, want the approval to stand", got)
	}
	r, err := h.report(b)
	if err != nil || r.State != approval.Canceled {
		t.Errorf("reported again: %s, %v; want it undone", r.State, err)
	}
}

// What nobody is named in is reported by who scanned it, and says so.
func TestReport_of_what_was_for_anybody(t *testing.T) {
	h := onDisk(t)
	b := h.device(h.oauth())
	r, _, err := h.core.Report(t.Context(), typed(b), h.viewer(h.ada))
	if err != nil || r.State != approval.Denied || r.UserID != h.ada.ID {
		t.Errorf("%s of %q, %v; want it declined, and ada's", r.State, r.UserID, err)
	}
}

func TestSameSource_is_what_the_same_network_obtained_today(t *testing.T) {
	inQuietBubble(t, func(t *testing.T, h *house) {
		letIn := func(asked, collects string) string {
			t.Helper()
			a := h.ask(approval.Long)
			a.Context.Address = asked
			b, err := h.core.Begin(t.Context(), a)
			must(t, err)
			h.yes(b)
			p := h.holder(b)
			p.Address = collects
			return h.collected(p).Grant.SID
		}
		yesterday := letIn("2001:db8:0:1::1", "2001:db8:0:1::1")
		time.Sleep(24*time.Hour + time.Second)
		asked := letIn("2001:db8:0:1::2", "198.51.100.1")
		collected := letIn("", "2001:db8:0:1:ffff::3")
		ended := letIn("2001:db8:0:1::2", "2001:db8:0:1::2")
		_, err := h.people.RevokeDevices(t.Context(), h.ada, []string{ended}, owner)
		must(t, err)
		letIn("2001:db8:0:2::2", "198.51.100.2")
		letIn("", "192.0.2.7")
		c := h.oauth()
		server := h.device(c, h.toAda, func(a *approval.Ask) { a.Context.Address = "203.0.113.5" })
		_, err = h.approve(listed(server), approval.MessageSeen)
		must(t, err)
		atServer := poller(c, server)
		atServer.Address = "2001:db8:0:1::4" // the application's own, which says nothing
		_, err = h.poll(atServer)
		must(t, err)

		same := func(asked string, g *approval.Grant) (ids []string) {
			t.Helper()
			found, err := h.people.SameSource(t.Context(), h.ada, approval.Request{Context: approval.Context{Address: asked}, Grant: g})
			must(t, err)
			for _, d := range found {
				ids = append(ids, d.ID)
			}
			return ids
		}
		want := map[string]bool{asked: true, collected: true}
		for name, got := range map[string][]string{
			"asked from there":     same("2001:db8:0:1::5", nil),
			"collected from there": same("", &approval.Grant{Address: "2001:db8:0:1::5"}),
		} {
			if len(got) != len(want) || !want[got[0]] || !want[got[1]] || got[0] == got[1] {
				t.Errorf("%s: got %v, want %v and %v, without yesterday's %s", name, got, asked, collected, yesterday)
			}
		}
		if got := same("", nil); len(got) != 0 {
			t.Errorf("of a request from nowhere: got %v, want none", got)
		}
		if got := same("203.0.113.5", nil); len(got) != 1 {
			t.Errorf("of where a backend's person sits: got %d devices, want the one it asked for", len(got))
		}
		bob, _ := h.person(account.Namespace{ID: h.ada.NamespaceID}, "bob")
		found, err := h.people.SameSource(t.Context(), bob, approval.Request{Context: approval.Context{Address: "2001:db8:0:1::5"}})
		if err != nil || len(found) != 0 {
			t.Errorf("somebody else sees %d of them, %v", len(found), err)
		}
	})
}
