package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var upkeepTests = []test{
	{"Due_listsWhatRanOut", due},
	{"Purge_takesSettledRequestsOnly", purgeRequests},
	{"Purge_takesWhatHasItsOwnTime", purgeTimed},
	{"Purge_leavesTheAudit", purgeAudit},
}

func due(w *world) {
	w.needAdvance()
	pending, approved, settled := w.request(), w.apply(w.approving(w.request())), w.apply(step(w.request(), approval.Denied, approval.EventDenied))
	longer := w.newRequest()
	longer.Expires = longer.Expires.Add(time.Hour)
	w.apply(w.creating(longer))
	list := func(limit int) (ids []string) {
		for _, r := range value[[]approval.Request](w, "Due")(w.Due(w.ctx, limit)) {
			ids = append(ids, r.ID)
		}
		slices.Sort(ids)
		return ids
	}
	w.Advance(pending.Expires.Sub(w.now()) - time.Microsecond)
	w.same("due a tick before", list(10), []string(nil))
	w.Advance(time.Microsecond)
	w.same("due at Expires", list(10), []string{pending.ID})
	w.Advance(approval.CollectGrace - time.Microsecond)
	w.same("due a tick before the grace is over", list(10), []string{pending.ID})
	w.Advance(time.Microsecond)
	both := []string{pending.ID, approved.ID}
	slices.Sort(both)
	w.same("due after the grace", list(10), both)
	w.same("due, one at most", len(list(1)), 1)

	for _, r := range value[[]approval.Request](w, "Due")(w.Due(w.ctx, 10)) {
		w.apply(step(r, approval.Expired, approval.EventExpired))
	}
	w.same("due when settled", list(10), []string(nil))
	w.same("the settled one", w.find(settled.ID), settled)
}

func purgeRequests(w *world) {
	open := []approval.Request{w.request(), w.apply(w.approving(w.request()))}
	var over []approval.Request
	for _, s := range []approval.State{approval.Denied, approval.Canceled, approval.Expired, approval.Lapsed} {
		over = append(over, w.apply(step(w.request(), s, approval.EventDenied)))
	}
	granted := w.apply(w.redeeming(w.apply(w.approving(w.request()))))
	young := w.newRequest()
	young.Expires = young.Expires.Add(time.Hour)
	denied := w.apply(step(w.apply(w.creating(young)), approval.Denied, approval.EventDenied))

	gone := func(r approval.Request) bool {
		_, err := w.Find(w.ctx, approval.Key{ID: r.ID})
		return errors.Is(err, approval.ErrNotFound)
	}
	w.same("purged too early", value[int64](w, "Purge")(w.Purge(w.ctx, over[0].Expires)), int64(0))
	w.same("purged", value[int64](w, "Purge")(w.Purge(w.ctx, over[0].Expires.Add(time.Microsecond))), int64(len(over)))
	for _, r := range over {
		if !gone(r) {
			w.Errorf("a request that is %s was not purged", r.State)
		}
	}
	for _, r := range append(open, granted, denied) {
		if gone(r) {
			w.Errorf("a request that is %s was purged too early", r.State)
		}
	}
	w.same("purged", value[int64](w, "Purge")(w.Purge(w.ctx, granted.Grant.Expires.Add(time.Microsecond))), int64(1))
	if !gone(granted) {
		w.Error("a redeemed request outlived its grant")
	}
	again := w.newRequest()
	again.CodeHash, again.TypedHash, again.HandleHash = over[0].CodeHash, over[0].TypedHash, over[0].HandleHash
	w.apply(w.creating(again)) // the codes are free again
}

func purgeTimed(w *world) {
	w.needAdvance()
	end := w.now().Add(time.Hour)
	nonce := approval.Spend{Box: approval.BoxNonce, Key: id(), Until: end}
	ceremony := approval.Ceremony{ID: id(), Purpose: approval.CeremonySignIn, Expires: end}
	invitation := account.Invitation{Hash: hash(), UserID: w.user.ID, Expires: end}
	session := account.Session{Hash: hash(), UserID: w.user.ID, CreatedAt: w.now(), SeenAt: end.Add(-account.SessionIdle)}
	bs := []approval.Budget{{Key: id(), Limit: 1, Window: time.Hour}}
	w.do(nonce, approval.AddInvitation{Invitation: invitation})
	w.is("AddCeremony", w.AddCeremony(w.ctx, ceremony), nil)
	w.is("AddSession", w.AddSession(w.ctx, session), nil)
	w.is("Guess", w.guess(hash(), bs), approval.ErrNotFound)

	purge := func() int64 { return value[int64](w, "Purge")(w.Purge(w.ctx, w.now().Add(-time.Hour))) }
	w.Advance(time.Hour - time.Microsecond)
	purge()
	w.dont(approval.ErrReplayed, nonce)
	w.is("Guess a tick before", w.guess(hash(), bs), approval.ErrTooMany)
	for what, read := range w.timed(ceremony, invitation, session) {
		w.is(what+" a tick before its end", read(), nil)
	}
	w.Advance(time.Microsecond)
	if n := purge(); n < 5 {
		w.Errorf("purged %d rows, want 5 at least", n)
	}
	w.do(nonce)
	w.is("Guess after the end", w.guess(hash(), bs), approval.ErrNotFound)
	for what, read := range w.timed(ceremony, invitation, session) {
		w.is(what+" after its end", read(), approval.ErrNotFound)
	}
}

func (w *world) timed(c approval.Ceremony, i account.Invitation, s account.Session) map[string]func() error {
	return map[string]func() error{
		"Ceremony":   func() error { _, err := w.Ceremony(w.ctx, c.ID); return err },
		"Invitation": func() error { _, err := w.Invitation(w.ctx, i.Hash); return err },
		"Session":    func() error { _, err := w.Session(w.ctx, s.Hash); return err },
	}
}

func purgeAudit(w *world) {
	denying := step(w.request(), approval.Denied, approval.EventDenied)
	r := w.apply(denying)
	before := w.events()
	value[int64](w, "Purge")(w.Purge(w.ctx, r.Expires.Add(time.Hour)))
	w.same("audit rows", w.events(), before)
	w.apply(denying) // and with them the operation ids
}
