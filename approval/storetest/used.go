package storetest

import (
	"sync/atomic"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var usedTests = []test{
	{"NoteUse_movesOnlyForward", noteUse},
	{"NoteUse_ofWhatHasEndedOrIsGone", noteUseEnded},
	{"NoteUse_isInNobodysWay", noteUseAside},
	{"NoteUse_keepsTheDevice", noteUseKeeps},
}

func noteUse(w *world) {
	d := w.newDevice()
	w.do(approval.AddDevice{Device: d})
	use := func(after time.Duration) approval.NoteUse {
		return approval.NoteUse{DeviceID: d.ID, At: d.SeenAt.Add(after)}
	}
	w.do(use(-time.Hour), use(0))
	w.same("used no later than it was seen", w.device(d.ID), d)
	w.do(use(2 * time.Hour))
	d.UsedAt = d.SeenAt.Add(2 * time.Hour)
	w.same("used", w.device(d.ID), d)
	w.do(use(time.Hour))
	w.same("used before that", w.device(d.ID), d)
	w.same("audit rows", w.events(), map[approval.EventName]int{})
}

func noteUseEnded(w *world) {
	d := w.newDevice()
	w.do(approval.AddDevice{Device: d}, revoke(d, approval.ByOwner, true))
	want := w.device(d.ID)
	w.do(approval.NoteUse{DeviceID: d.ID, At: d.SeenAt.Add(time.Hour)}, approval.NoteUse{DeviceID: id(), At: d.SeenAt})
	w.same("used after its end", w.device(d.ID), want)
}

// noteUseAside lets notes meet refreshes: whoever read a device before the note still
// writes, so that of the swaps each is exactly one, and a revocation needs one try.
func noteUseAside(w *world) {
	d := w.newDevice()
	w.do(approval.AddDevice{Device: d})
	w.do(approval.NoteUse{DeviceID: d.ID, At: d.SeenAt.Add(time.Hour)})
	refreshed, next := moving(d, func(d *account.Device) { d.Generation, d.SeenAt = 2, d.SeenAt.Add(2*time.Hour) })
	w.do(refreshed) // as it was read before the note
	w.same("refreshed", w.device(d.ID), next)

	var swaps atomic.Int64
	got := w.together(crowd, func(i int) error {
		if i%2 == 0 {
			return w.Apply(w.ctx, effects(approval.NoteUse{DeviceID: d.ID, At: next.SeenAt.Add(time.Duration(i) * time.Second)}))
		}
		swap, _ := moving(next, func(d *account.Device) { d.Generation = 3 })
		err := w.Apply(w.ctx, effects(swap))
		if err == nil {
			swaps.Add(1)
		}
		return err
	})
	w.same("outcomes", got, map[error]int{nil: crowd/2 + 1, approval.ErrConflict: crowd/2 - 1})
	if end := w.device(d.ID); swaps.Load() != 1 || end.Version != next.Version+1 || end.Generation != 3 {
		w.Errorf("after %d swaps: version %d, generation %d; want 1, %d and 3", swaps.Load(), end.Version, end.Generation, next.Version+1)
	}
	w.do(revoke(next, approval.ByOwner, true))
}

func noteUseKeeps(w *world) {
	w.needAdvance()
	d := w.newDevice()
	d.Expires = d.SeenAt.Add(time.Minute)
	w.do(approval.AddDevice{Device: d})
	d.UsedAt = d.SeenAt.Add(time.Hour)
	w.do(approval.NoteUse{DeviceID: d.ID, At: d.UsedAt})
	value[int64](w, "Purge")(w.Purge(w.ctx, d.SeenAt.Add(account.KeepDevice)))
	w.same("a month after its tokens", w.device(d.ID), d)
	value[int64](w, "Purge")(w.Purge(w.ctx, d.UsedAt.Add(account.KeepDevice)))
	_, err := w.Device(w.ctx, d.ID)
	w.is("Device a month after its use", err, approval.ErrNotFound)
}
