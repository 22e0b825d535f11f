package approval_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func TestRefresh_rotates_and_keeps_the_device(t *testing.T) {
	inQuietBubble(t, func(t *testing.T, h *house) {
		c := h.oauth()
		got := h.signedIn(c)
		token := got.Refresh
		for range 3 {
			time.Sleep(29 * 24 * time.Hour) // a month of idling is allowed
			r, err := h.refresh(c, token)
			must(t, err)
			if r.Token == token || r.Device.ID != got.Device.ID || !slices.Equal(r.Scopes, got.Device.Scopes) || !r.At.Equal(r.Device.SeenAt) {
				t.Errorf("got %+v, want the next token of the same device", r)
			}
			token = r.Token
		}
		h.wantStanding("the device", got.Device.ID)
		part, err := h.refresh(c, token, "openid")
		must(t, err)
		if !slices.Equal(part.Scopes, []string{"openid"}) || len(part.Device.Scopes) != 3 {
			t.Errorf("got scopes %v of %v, want openid of all three", part.Scopes, part.Device.Scopes)
		}
		_, err = h.refresh(c, part.Token, "openid", "admin")
		wantError(t, "more than was granted", err, approval.ErrInvalid)
		time.Sleep(account.DefaultRefreshIdle)
		_, err = h.refresh(c, part.Token)
		wantError(t, "after idling for too long", err, approval.ErrExpired)
	})
}

func TestRefresh_reuse_ends_the_device(t *testing.T) {
	h := onDisk(t)
	c := h.oauth()
	got := h.signedIn(c)
	second, err := h.refresh(c, got.Refresh)
	must(t, err)
	third, err := h.refresh(c, second.Token)
	must(t, err)
	_, err = h.refresh(c, got.Refresh)
	wantError(t, "the first again", err, approval.ErrReplayed)
	h.wantEnded("the device", got.Device.ID, approval.ByReuse)
	_, err = h.refresh(c, third.Token)
	wantError(t, "the newest", err, approval.ErrRevoked)
	if n := h.events(h.ada)[approval.EventDeviceRevoked]; n != 1 {
		t.Errorf("%d audit rows, want 1", n)
	}
}

func TestRefresh_is_for_the_client_and_the_key_of_the_device(t *testing.T) {
	h := onDisk(t)
	c, other := h.oauth(), h.oauth()
	got := h.signedIn(c)
	_, err := h.refresh(other, got.Refresh)
	wantError(t, "another client", err, approval.ErrNotFound)
	for name, token := range map[string]account.Secret{"none": "", "another secret": account.NewSecret(), "the device code": h.core.Codes.Code(approval.PollCode, got.Request.ID)} {
		_, err := h.refresh(c, token)
		wantError(t, name, err, approval.ErrNotFound)
	}
	h.wantStanding("the device, after all that", got.Device.ID)
	bound, err := h.core.Refresh(t.Context(), approval.Refreshing{Token: got.Refresh, Client: c, JKT: "key"})
	must(t, err)
	_, err = h.core.Refresh(t.Context(), approval.Refreshing{Token: bound.Token, Client: c, JKT: "other"})
	wantError(t, "another key than the first that was shown", err, approval.ErrMismatch)
	_, err = h.refresh(c, bound.Token)
	wantError(t, "no key after that", err, approval.ErrMismatch)
}

// Revoked user, locked user, deleted client: a refresh asks again, before and in its
// own transaction.
func TestRefresh_judges_again_everybody_it_rests_on(t *testing.T) {
	for name, tc := range map[string]struct {
		end             func(h *house, c account.Client, deviceID string) error
		want, meanwhile error
	}{
		"user locked": {func(h *house, _ account.Client, _ string) error {
			_, err := h.people.Deactivate(h.t.Context(), h.ada)
			return err
		}, approval.ErrInactive, approval.ErrInactive},
		"user deleted": {func(h *house, _ account.Client, _ string) error {
			return h.people.DeleteUser(h.t.Context(), h.ada)
		}, approval.ErrNotFound, approval.ErrInactive},
		"client deleted": {func(h *house, c account.Client, _ string) error {
			return h.people.DeleteClient(h.t.Context(), c)
		}, approval.ErrNotFound, approval.ErrRevoked},
		"device ended": {func(h *house, _ account.Client, id string) error {
			return h.core.RevokeDevice(h.t.Context(), id, approval.ByOwner)
		}, approval.ErrRevoked, approval.ErrRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			h := onDisk(t)
			c := h.oauth()
			got := h.signedIn(c)
			end := func() { must(t, tc.end(h, c, got.Device.ID)) }
			h.between(end)
			_, err := h.refresh(c, got.Refresh)
			wantError(t, "meanwhile", err, tc.meanwhile)
			_, err = h.refresh(c, got.Refresh)
			wantError(t, "afterwards", err, tc.want)
			_, _, err = h.people.Standing(t.Context(), got.Device.ID)
			wantError(t, "standing", err, tc.want)
		})
	}
}

// Two that have the same token: one gets the next, and since nobody can tell which of
// them is the thief, neither keeps anything.
func TestRefresh_64_at_once_with_one_token(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		c := h.oauth()
		for range 5 {
			got := h.signedIn(c)
			var exchanged, replayed atomic.Int32
			var all sync.WaitGroup
			for range 64 {
				all.Go(func() {
					switch _, err := h.refresh(c, got.Refresh); {
					case err == nil:
						exchanged.Add(1)
					case errors.Is(err, approval.ErrReplayed), errors.Is(err, approval.ErrRevoked): // or too late even for that
						replayed.Add(1)
					default:
						t.Errorf("refresh: %v", err)
					}
				})
			}
			all.Wait()
			if exchanged.Load() != 1 || replayed.Load() != 63 {
				t.Errorf("%d were exchanged, %d refused; want 1 and 63", exchanged.Load(), replayed.Load())
			}
			h.wantEnded("the device", got.Device.ID, approval.ByReuse)
		}
	})
}

func TestRefresh_against_its_revocation(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		c := h.oauth()
		for range 20 {
			got := h.signedIn(c)
			var all sync.WaitGroup
			token := got.Refresh
			all.Go(func() {
				for range 5 {
					r, err := h.refresh(c, token)
					if err != nil {
						if !errors.Is(err, approval.ErrRevoked) {
							t.Errorf("refresh: %v", err)
						}
						return
					}
					token = r.Token
					if err := h.core.LostRefresh(t.Context(), r); err != nil { // which revives nothing
						t.Errorf("lost: %v", err)
					}
				}
			})
			all.Go(func() {
				if err := h.core.RevokeDevice(t.Context(), got.Device.ID, approval.ByOwner); err != nil {
					t.Errorf("revoke: %v", err)
				}
			})
			all.Wait()
			h.wantEnded("the device", got.Device.ID, approval.ByOwner)
			_, err := h.refresh(c, token)
			wantError(t, "afterwards", err, approval.ErrRevoked)
		}
	})
}

func TestLostRefresh_takes_the_token_before_once_more(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		c := h.oauth()
		got := h.signedIn(c)
		lost, err := h.refresh(c, got.Refresh)
		must(t, err)
		must(t, h.core.LostRefresh(t.Context(), lost))
		second, err := h.refresh(c, got.Refresh)
		must(t, err)
		if second.Token == lost.Token || second.Token == got.Refresh {
			t.Error("got a token that was given out before")
		}
		must(t, h.core.LostRefresh(t.Context(), lost)) // told twice, too late
		_, err = h.refresh(c, got.Refresh)
		wantError(t, "once more again", err, approval.ErrReplayed)
		h.wantEnded("the device", got.Device.ID, approval.ByReuse)

		other := h.signedIn(c)
		lost, err = h.refresh(c, other.Refresh)
		must(t, err)
		must(t, h.core.LostRefresh(t.Context(), lost))
		arrived, err := h.refresh(c, lost.Token) // it arrived after all
		must(t, err)
		_, err = h.refresh(c, other.Refresh)
		wantError(t, "the one before what arrived", err, approval.ErrReplayed)
		_, err = h.refresh(c, arrived.Token)
		wantError(t, "the newest", err, approval.ErrRevoked)
	})
}

func TestRevoke_ends_the_device_of_any_token_it_ever_had(t *testing.T) {
	h := onDisk(t)
	c, other := h.oauth(), h.oauth()
	got := h.signedIn(c)
	newest, err := h.refresh(c, got.Refresh)
	must(t, err)
	for name, tc := range map[string]struct {
		token  account.Secret
		client string
	}{
		"another client's": {newest.Token, other.ID}, "no token": {account.NewSecret(), c.ID}, "nothing": {"", c.ID},
	} {
		must(t, h.core.Revoke(t.Context(), tc.token, tc.client))
		h.wantStanding(name, got.Device.ID)
	}
	must(t, h.core.Revoke(t.Context(), got.Refresh, c.ID)) // an older one: its reply was lost, and now the person signs out
	h.wantEnded("the device", got.Device.ID, approval.ByHolder)
	must(t, h.core.Revoke(t.Context(), newest.Token, c.ID)) // again is no error
	must(t, h.core.RevokeDevice(t.Context(), "no such device", approval.ByOwner))
	if n := h.events(h.ada)[approval.EventDeviceRevoked]; n != 1 {
		t.Errorf("%d audit rows, want 1", n)
	}
}

func TestRefreshedDevice_is_for_the_newest_token(t *testing.T) {
	h := onDisk(t)
	c := h.oauth()
	got := h.signedIn(c)
	newest, err := h.refresh(c, got.Refresh)
	must(t, err)
	d, err := h.core.RefreshedDevice(t.Context(), newest.Token)
	if err != nil || d.ID != got.Device.ID {
		t.Errorf("got %q, %v; want the device", d.ID, err)
	}
	for name, token := range map[string]account.Secret{"an older one": got.Refresh, "none": "", "another secret": account.NewSecret()} {
		_, err := h.core.RefreshedDevice(t.Context(), token)
		wantError(t, name, err, approval.ErrNotFound)
	}
}

func TestStanding_is_of_a_live_device_and_an_active_user(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		c := h.oauth()
		short := h.signedIn(c, func(a *approval.Ask) { a.Context.Scopes = a.Context.Scopes[:1] })
		long := h.signedIn(c)
		_, _, err := h.people.Standing(t.Context(), "no such device")
		wantError(t, "unknown", err, approval.ErrNotFound)
		time.Sleep(account.DefaultAccessLife)
		_, _, err = h.people.Standing(t.Context(), short.Device.ID)
		wantError(t, "run out", err, approval.ErrExpired)
		h.wantStanding("one that may refresh", long.Device.ID)
		locked, err := h.people.Deactivate(t.Context(), h.ada)
		must(t, err)
		_, _, err = h.people.Standing(t.Context(), long.Device.ID)
		wantError(t, "locked", err, approval.ErrInactive)
		_, err = h.people.Activate(t.Context(), locked)
		must(t, err)
		h.wantStanding("unlocked", long.Device.ID)
	})
}
