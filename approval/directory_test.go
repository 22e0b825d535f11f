package approval_test

import (
	"sync"
	"testing"

	"github.com/nod-auth/nod/approval"
)

func TestDirectory_ending_a_user_passkey_or_client_ends_what_hangs_on_it(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(h *house) error
		want error
	}{
		"user deactivated": {func(h *house) error { _, err := h.people.Deactivate(h.t.Context(), h.ada); return err }, approval.ErrInactive},
		"passkey revoked":  {func(h *house) error { _, err := h.people.RevokePasskey(h.t.Context(), h.ada, h.key, false); return err }, approval.ErrDenied},
		"client deleted":   {func(h *house) error { return h.people.DeleteClient(h.t.Context(), h.backend) }, approval.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			h := onDisk(t)
			b := h.begin(approval.Long)
			_, err := h.approve(scanned(b), "")
			must(t, err)
			must(t, tc.end(h))
			_, err = h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
			wantError(t, "collect", err, tc.want)
		})
	}
}

func TestDirectory_ending_a_user_leaves_no_request_of_a_concurrent_begin(t *testing.T) {
	h := onDisk(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for { // until the door is shut
				_, err := h.core.Begin(t.Context(), h.ask(approval.Long))
				if err != nil {
					wantError(t, "begin", err, approval.ErrInactive)
					return
				}
			}
		})
	}
	all.Go(func() {
		_, err := h.people.Deactivate(t.Context(), h.ada)
		if err != nil {
			t.Errorf("deactivate: %v", err)
		}
	})
	all.Wait()
	left, err := h.store.List(t.Context(), approval.Filter{UserID: h.ada.ID, States: []approval.State{approval.Pending, approval.Approved}}, 10)
	must(t, err)
	if len(left) != 0 {
		t.Errorf("%d open requests of an inactive user", len(left))
	}
}

func TestDirectory_last_passkey_stays(t *testing.T) {
	h := onDisk(t)
	_, err := h.people.RevokePasskey(t.Context(), h.ada, h.key, true)
	wantError(t, "revoke the last passkey", err, approval.ErrForbidden)
}

func TestDirectory_names_are_unique_in_their_namespace(t *testing.T) {
	h := onDisk(t)
	_, err := h.people.CreateUser(t.Context(), h.ada.NamespaceID, "", "ada")
	wantError(t, "the same name", err, approval.ErrExists)
	_, err = h.people.CreateUser(t.Context(), h.ada.NamespaceID, "", " ")
	wantError(t, "an empty name", err, approval.ErrInvalid)
	ns, err := h.people.Namespace(t.Context(), "elsewhere")
	must(t, err)
	_, err = h.people.CreateUser(t.Context(), ns.ID, "", "ada")
	must(t, err)
}
