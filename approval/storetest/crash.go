package storetest

import (
	"time"

	"github.com/nod-auth/nod/approval"
)

var crashTests = []test{
	{"Crash_afterSuccessKeepsEverything", crashKeeps},
	{"Crash_underLoadKeepsWhatWasAcknowledged", crashUnderLoad},
	{"Crash_doesNotForgetGuesses", crashGuesses},
}

func (w *world) needCrash() {
	if w.Crash == nil {
		w.Skip("this backend's crash cannot be simulated")
	}
}

func crashKeeps(w *world) {
	w.needCrash()
	done := everyKind(w)
	for _, c := range done[:5] {
		w.apply(c)
		w.same("after the crash", w.state(w.crash()), w.state(w.Truth))
	}
	w.apply(done[5:]...)
	after := w.crash()
	w.same("after the crash", w.state(after), w.state(w.Truth))
	w.is("everything again", after.Apply(w.ctx, done...), nil) // the reply was lost
	w.same("after everything again", w.state(after), w.state(w.Truth))
}

func (w *world) crash() Truth {
	w.Helper()
	return w.Crash(w.T)
}

// crashUnderLoad crashes while many write, and then holds the copy to every
// success that was reported before it was taken (I11).
func crashUnderLoad(w *world) {
	w.needCrash()
	acknowledged := make(chan approval.Request, 1000)
	stop := make(chan struct{})
	var after Truth
	var kept []approval.Request
	w.together(9, func(i int) error {
		if i == 0 {
			defer close(stop)
			for range 100 { // what is received here was acknowledged before the crash
				kept = append(kept, <-acknowledged)
			}
			after = w.crash()
			return nil
		}
		for {
			r, err := w.newRequest(), error(nil)
			c := w.creating(r)
			if err = w.Apply(w.ctx, c); err != nil {
				return err
			}
			select {
			case acknowledged <- *c.Request:
			case <-stop:
				return nil
			}
		}
	})
	for _, want := range kept {
		got, err := after.Find(w.ctx, approval.Key{ID: want.ID})
		w.is("Find what was acknowledged", err, nil)
		w.same("what was acknowledged", got, want)
	}
	r := w.newRequest()
	w.is("writing goes on", after.Apply(w.ctx, w.creating(r)), nil)
}

func crashGuesses(w *world) {
	w.needCrash()
	bs := []approval.Budget{{Key: id(), Limit: 3, Window: time.Hour}}
	w.is("first", w.guess(hash(), bs), approval.ErrNotFound)
	w.is("second", w.guess(hash(), bs), approval.ErrNotFound)
	after := w.crash()
	_, err := after.Guess(w.ctx, approval.Key{CodeHash: hash()}, bs)
	w.is("third, after the crash", err, approval.ErrNotFound)
	_, err = after.Guess(w.ctx, approval.Key{CodeHash: hash()}, bs)
	w.is("fourth", err, approval.ErrTooMany)
}
