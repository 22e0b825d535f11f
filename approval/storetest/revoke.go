package storetest

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var revokeTests = []test{
	{"Device_revokedWhateverItsVersion", deviceRevoked},
	{"Device_lostIsRevokedForGood", deviceLostRevoked},
	{"Device_revokedBy64AtOnceIsRevokedOnce", revokedTogether},
	{"Device_revokedWhile64Refresh", revokedWhileRefreshed},
	{"Device_keptAMonthAfterItWasSeen", deviceKeptLonger},
	{"Session_listedAndEndedByItsOwner", sessionsOfUser},
}

func revoke(d account.Device, by approval.By, must bool) approval.RevokeDevice {
	return approval.RevokeDevice{Device: d, By: by, Must: must}
}

func deviceRevoked(w *world) {
	d, other := w.newDevice(), w.newDevice()
	w.do(approval.AddDevice{Device: d}, approval.AddDevice{Device: other})
	refreshed, next := moving(d, func(d *account.Device) { d.Generation = 2 })
	w.do(refreshed)
	began := w.now()
	w.do(revoke(d, approval.ByOwner, true)) // as it was read before the refresh
	want := next
	want.Version++
	got := w.device(d.ID)
	if got.RevokedAt.Before(began) || got.RevokedAt.After(w.now()) {
		w.Errorf("revoked at %s, want the store's time, between %s and now", got.RevokedAt, began)
	}
	want.RevokedAt, want.RevokedBy = got.RevokedAt, string(approval.ByOwner)
	w.same("revoked", got, want)

	late, _ := moving(next, func(d *account.Device) { d.Generation = 3 })
	w.dont(approval.ErrConflict, late) // a refresh that had read it before
	w.dont(approval.ErrConflict, revoke(d, approval.ByBackend, true))
	w.do(revoke(d, approval.ByBackend, false))
	w.same("revoked again by another", w.device(d.ID), want)
	w.same("the other", w.device(other.ID), other)

	stray := w.newDevice()
	w.dont(approval.ErrConflict, revoke(stray, approval.ByOwner, true))
	w.do(revoke(stray, approval.ByOwner, false))
	list := value[[]account.Device](w, "Devices")(w.Devices(w.ctx, w.user.ID))
	if len(list) != 2 {
		w.Errorf("listed %d devices, want the one that ended too", len(list))
	}
}

func deviceLostRevoked(w *world) {
	d := w.newDevice()
	w.do(approval.AddDevice{Device: d})
	lost, _ := moving(d, func(d *account.Device) { d.RevokedAt, d.RevokedBy = w.start, string(approval.ByLost) })
	w.do(lost)
	w.do(revoke(d, approval.ByOwner, true))
	got := w.device(d.ID)
	if got.Version != 3 || got.RevokedBy != string(approval.ByOwner) {
		w.Errorf("after all: version %d, revoked by %q; want 3 and the owner", got.Version, got.RevokedBy)
	}
	again, _ := moving(lost.Is, func(*account.Device) {}) // what a second hand-out rests on
	w.dont(approval.ErrConflict, again)
}

func revokedTogether(w *world) {
	for range 10 {
		d := w.newDevice()
		w.do(approval.AddDevice{Device: d})
		got := w.together(crowd, func(int) error { return w.Apply(w.ctx, effects(revoke(d, approval.ByOwner, true))) })
		w.same("outcomes", got, map[error]int{nil: 1, approval.ErrConflict: crowd - 1})
		w.same("version", w.device(d.ID).Version, int64(2))
	}
}

// revokedWhileRefreshed lets one revocation meet many refreshes, each of which reads
// and swaps until it wins or sees the end: the revocation needs one try.
func revokedWhileRefreshed(w *world) {
	for range 5 {
		d := w.newDevice()
		w.do(approval.AddDevice{Device: d})
		var refreshed atomic.Int64
		got := w.together(crowd, func(i int) error {
			if i == 0 {
				return w.Apply(w.ctx, effects(revoke(d, approval.ByOwner, true)))
			}
			for {
				was, err := w.Device(w.ctx, d.ID)
				if err != nil || !was.RevokedAt.IsZero() {
					return err
				}
				swap, _ := moving(was, func(d *account.Device) { d.Generation++ })
				switch err := w.Apply(w.ctx, effects(swap)); {
				case err == nil:
					refreshed.Add(1)
				case errors.Is(err, approval.ErrConflict):
				default:
					return err
				}
			}
		})
		w.same("outcomes", got, map[error]int{nil: crowd})
		end := w.device(d.ID)
		if end.RevokedBy != string(approval.ByOwner) || end.Generation != 1+refreshed.Load() || end.Version != 2+refreshed.Load() {
			w.Errorf("after %d refreshes: revoked by %q, generation %d, version %d", refreshed.Load(), end.RevokedBy, end.Generation, end.Version)
		}
	}
}

func deviceKeptLonger(w *world) {
	w.needAdvance()
	d := w.newDevice()
	d.Expires = d.SeenAt.Add(time.Minute)
	w.do(approval.AddDevice{Device: d})
	end := d.SeenAt.Add(account.KeepDevice)
	value[int64](w, "Purge")(w.Purge(w.ctx, end.Add(-time.Microsecond)))
	w.same("a tick before a month", w.device(d.ID), d)
	w.do(revoke(d, approval.ByOwner, true)) // long after its tokens ran out
	value[int64](w, "Purge")(w.Purge(w.ctx, end))
	_, err := w.Device(w.ctx, d.ID)
	w.is("Device after a month", err, approval.ErrNotFound)
}

func sessionsOfUser(w *world) {
	grace := w.newUser("grace")
	w.do(approval.AddUser{User: grace})
	add := func(u account.User, seen time.Duration) account.Session {
		s := account.Session{
			Hash: hash(), UserID: u.ID, PasskeyID: w.passkey.ID, Name: "Chrome on “Küche”", Address: "192.0.2.9",
			CreatedAt: w.start, SeenAt: w.start.Add(seen),
		}
		w.is("AddSession", w.AddSession(w.ctx, s), nil)
		return s
	}
	first, second, third, hers := add(w.user, 1), add(w.user, 3*time.Hour), add(w.user, 2*time.Hour), add(grace, 0)
	first.SeenAt = first.SeenAt.Truncate(time.Microsecond)
	list := func(u account.User) []account.Session {
		w.Helper()
		return value[[]account.Session](w, "Sessions")(w.Sessions(w.ctx, u.ID))
	}
	w.same("sessions", list(w.user), []account.Session{second, third, first})
	w.dont(approval.ErrNotFound, approval.EndSession{UserID: grace.ID, Hash: first.Hash})
	w.do(approval.EndSession{UserID: w.user.ID, Hash: first.Hash})
	w.dont(approval.ErrNotFound, approval.EndSession{UserID: w.user.ID, Hash: first.Hash})
	w.do(approval.EndOtherSessions{UserID: w.user.ID, Except: second.Hash})
	w.same("the one that stays", list(w.user), []account.Session{second})
	w.do(approval.EndOtherSessions{UserID: w.user.ID})
	w.same("none stays", list(w.user), []account.Session(nil))
	w.same("somebody else's", list(grace), []account.Session{hers})
}
