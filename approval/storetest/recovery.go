package storetest

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var recoveryTests = []test{
	{"Take_upToTheLimitAndNoFurther", takeLimit},
	{"Take_from64TogetherTakesTheLimit", takeTogether},
	{"Take_refusedByOneTakesNone", takeAll},
	{"Take_windowEndsAndAnotherBegins", takeWindow},
	{"Recovery_setReplacesTheOneBefore", recoverySet},
	{"Recovery_codeIsSpentOnce", recoverySpend},
	{"Recovery_endsWithThePasskeyThatVouched", recoveryEnded},
	{"Recovery_setsMadeTogetherLeaveOne", recoveryTogether},
	{"Recovery_goesWithItsUser", recoveryDeleted},
	{"EndInvitations_takesBackAUsersOwn", endInvitations},
}

func takeLimit(w *world) {
	bs := budget(3)
	for range 3 {
		w.is("Take", w.Take(w.ctx, bs), nil)
	}
	err := w.Take(w.ctx, bs)
	var limit *approval.LimitError
	if !errors.As(err, &limit) || limit.RetryAfter <= 0 || limit.RetryAfter > bs[0].Window {
		w.Errorf("Take beyond the limit = %v, want a LimitError within (0, %s]", err, bs[0].Window)
	}
	w.is("Take of nothing", w.Take(w.ctx, nil), nil)
	w.is("Guess from the same budget", w.guess(hash(), bs), approval.ErrTooMany)
}

func takeTogether(w *world) {
	const limit, each = 50, 20
	bs := budget(limit)
	var taken atomic.Int64
	w.together(crowd, func(int) error {
		for range each {
			switch err := w.Take(w.ctx, bs); {
			case err == nil:
				taken.Add(1)
			case !errors.Is(err, approval.ErrTooMany):
				w.Errorf("Take = %v", err)
			}
		}
		return nil
	})
	w.same("tries taken", taken.Load(), int64(limit))
}

func takeAll(w *world) {
	wide, narrow := budget(2)[0], budget(1)[0]
	both := []approval.Budget{wide, narrow}
	w.is("Take", w.Take(w.ctx, both), nil)
	for range 3 {
		w.is("Take that the narrow one refuses", word(w.Take(w.ctx, both)), approval.ErrTooMany)
	}
	w.is("Take from the wide one", w.Take(w.ctx, both[:1]), nil)
	w.is("one too many", word(w.Take(w.ctx, both[:1])), approval.ErrTooMany)
}

func takeWindow(w *world) {
	w.needAdvance()
	bs := budget(1)
	w.is("Take", w.Take(w.ctx, bs), nil)
	w.Advance(bs[0].Window - time.Second)
	w.is("Take", word(w.Take(w.ctx, bs)), approval.ErrTooMany)
	w.Advance(time.Second)
	w.is("Take in the next window", w.Take(w.ctx, bs), nil)
}

func (w *world) recovery() account.Recovery {
	w.Helper()
	return value[account.Recovery](w, "Recovery")(w.Recovery(w.ctx, w.user.ID))
}

func (w *world) set(n int) approval.SetRecovery {
	s := approval.SetRecovery{UserID: w.user.ID, MadeAt: w.now()}
	for range n {
		s.Hashes = append(s.Hashes, hash())
	}
	return s
}

// owner is the user that a code's hash belongs to, or the word for none.
func (w *world) owner(h []byte) (string, error) {
	id, err := w.RecoveryOwner(w.ctx, h)
	return id, word(err)
}

func (w *world) wantOwner(what string, h []byte, want string) {
	w.Helper()
	if got, err := w.owner(h); got != want || (want == "") != errors.Is(err, approval.ErrNotFound) {
		w.Errorf("%s: got the owner %q, %v; want %q", what, got, err, want)
	}
}

func recoverySet(w *world) {
	w.same("without a set", w.recovery(), account.Recovery{})
	first, second := w.set(10), w.set(2)
	w.dont(approval.ErrNotFound, approval.SetRecovery{UserID: id(), MadeAt: w.now(), Hashes: [][]byte{hash()}})
	w.do(first)
	w.same("first set", w.recovery(), account.Recovery{Made: 10, Left: 10, MadeAt: first.MadeAt})
	w.wantOwner("of the first set", first.Hashes[9], w.user.ID)
	w.do(approval.SpendRecovery{Hash: first.Hashes[0]})
	w.do(second)
	w.same("second set", w.recovery(), account.Recovery{Made: 2, Left: 2, MadeAt: second.MadeAt})
	for _, h := range first.Hashes {
		w.wantOwner("of the set before", h, "")
		w.dont(approval.ErrReplayed, approval.SpendRecovery{Hash: h})
	}
	stranger := w.newUser("bob")
	w.do(approval.AddUser{User: stranger})
	w.dont(approval.ErrExists, approval.SetRecovery{UserID: stranger.ID, MadeAt: w.now(), Hashes: second.Hashes})
	w.do(w.set(0))
	w.same("an empty set", w.recovery(), account.Recovery{})
}

func recoverySpend(w *world) {
	set := w.set(3)
	w.do(set)
	w.do(approval.SpendRecovery{Hash: set.Hashes[1]})
	w.same("one spent", w.recovery(), account.Recovery{Made: 3, Left: 2, MadeAt: set.MadeAt})
	w.wantOwner("spent", set.Hashes[1], "")
	w.dont(approval.ErrReplayed, approval.SpendRecovery{Hash: hash()})
	got := w.together(crowd, func(int) error {
		return word(w.Apply(w.ctx, effects(approval.SpendRecovery{Hash: set.Hashes[2]})))
	})
	w.same("outcomes of one code", got, map[error]int{nil: 1, approval.ErrReplayed: crowd - 1})
}

func recoveryEnded(w *world) {
	set := w.set(2)
	set.PasskeyID = "vouched"
	w.do(set)
	w.do(approval.EndRecovery{UserID: w.user.ID, PasskeyID: "another"}, approval.EndRecovery{UserID: id(), PasskeyID: "vouched"})
	w.same("codes that another passkey, or user, ended", w.recovery(), account.Recovery{Made: 2, Left: 2, MadeAt: set.MadeAt})
	w.do(approval.EndRecovery{UserID: w.user.ID, PasskeyID: "vouched"})
	w.same("codes that ended", w.recovery(), account.Recovery{})
	w.wantOwner("ended", set.Hashes[0], "")
}

func recoveryTogether(w *world) {
	w.together(crowd, func(int) error {
		if err := w.Apply(w.ctx, effects(w.set(4))); err != nil {
			w.Errorf("Apply = %v", err)
		}
		return nil
	})
	got := w.recovery()
	w.same("codes after many sets", []int{got.Made, got.Left}, []int{4, 4})
}

func recoveryDeleted(w *world) {
	set := w.set(2)
	w.do(set)
	w.do(approval.DeleteUser{ID: w.user.ID})
	w.wantOwner("of a deleted user", set.Hashes[0], "")
	w.same("set of a deleted user", w.recovery(), account.Recovery{})
}

func endInvitations(w *world) {
	other := w.newUser("bob")
	w.do(approval.AddUser{User: other})
	kept := map[string]account.Invitation{}
	for _, u := range []account.User{w.user, w.user, other} {
		i := account.Invitation{
			Hash: hash(), UserID: u.ID, PasskeyID: w.passkey.ID, Recovers: true, CreatedAt: w.now(), Expires: w.now().Add(time.Hour),
		}
		w.do(approval.AddInvitation{Invitation: i})
		w.same("invitation", value[account.Invitation](w, "Invitation")(w.Invitation(w.ctx, i.Hash)), i)
		kept[string(i.Hash)] = i
	}
	w.do(approval.EndInvitations{UserID: w.user.ID})
	w.do(approval.EndInvitations{UserID: w.user.ID}) // none is no error
	for h, i := range kept {
		_, err := w.Invitation(w.ctx, []byte(h))
		w.same("gone", errors.Is(err, approval.ErrNotFound), i.UserID == w.user.ID)
	}
}
