package storetest

import (
	"time"

	"github.com/nod-auth/nod/approval"
)

var promptingTests = []test{
	{"Prompting_withoutARowIsZero", promptingZero},
	{"Prompting_isSwappedByItsVersion", promptingSwap},
	{"Prompting_thatMovedTakesEverythingBack", promptingAtomic},
	{"Prompting_by64AtOnceMovesOnce", promptingRace},
	{"Prompting_purgedWhenNothingCounts", promptingPurge},
}

func (w *world) prompting(key string) approval.Prompting {
	w.Helper()
	return value[approval.Prompting](w, "Prompting")(w.Prompting(w.ctx, key))
}

// counts is a row with something in every field.
func (w *world) counts(version int64) approval.Prompting {
	now := w.now()
	return approval.Prompting{
		Key: w.user.ID, Version: version, Live: id(), LiveUntil: now.Add(3 * time.Minute),
		Sent: []time.Time{now.Add(-time.Hour), now}, Declined: []time.Time{now.Add(-time.Microsecond)}, MutedUntil: now.Add(30 * time.Minute),
	}
}

func promptingZero(w *world) {
	w.same("no row", w.prompting(w.user.ID), approval.Prompting{Key: w.user.ID})
	w.do(approval.SetPrompting{Is: w.counts(7)})
	w.same("another key's", w.prompting(w.user.ID+"/notice"), approval.Prompting{Key: w.user.ID + "/notice"})
}

func promptingSwap(w *world) {
	first, second := w.counts(1_800_000_000_000_000), w.counts(1_800_000_000_000_005)
	second.Sent, second.Declined, second.MutedUntil = nil, nil, time.Time{}
	stranger := w.counts(9)
	stranger.Key = "somebody else"
	w.dont(approval.ErrConflict, approval.SetPrompting{From: 1, Is: first}) // there is no row
	w.do(approval.SetPrompting{Is: first}, approval.SetPrompting{Is: stranger})
	w.same("the row", w.prompting(first.Key), first)
	w.dont(approval.ErrConflict, approval.SetPrompting{Is: second})
	w.dont(approval.ErrConflict, approval.SetPrompting{From: first.Version - 1, Is: second})
	w.dont(approval.ErrConflict, approval.SetPrompting{From: second.Version, Is: second})
	w.same("the row after conflicts", w.prompting(first.Key), first)
	w.do(approval.SetPrompting{From: first.Version, Is: second})
	w.same("the row when it moved", w.prompting(first.Key), second)
	w.dont(approval.ErrConflict, approval.SetPrompting{From: first.Version, Is: second})
	w.same("another key's", w.prompting(stranger.Key), stranger)
}

// promptingAtomic is the flood guard's point: no count, no request, no prompt.
func promptingAtomic(w *world) {
	w.do(approval.SetPrompting{Is: w.counts(2)})
	creating := w.creating(w.newRequest())
	creating.Effects = []approval.Effect{
		approval.Deliver{Topic: approval.TopicPrompt, Key: creating.Request.ID, Until: creating.Request.Expires},
		approval.SetPrompting{From: 1, Is: w.counts(3)},
	}
	before := w.state(w.Truth)
	w.refuse(approval.ErrConflict, creating)
	w.same("after the conflict", w.state(w.Truth), before)
	w.same("delivery", w.delivery(creating.Request.ID), approval.DeliveryNone)
	_, err := w.Find(w.ctx, approval.Key{ID: creating.Request.ID})
	w.is("Find", err, approval.ErrNotFound)
}

func promptingRace(w *world) {
	rows := make([]approval.Prompting, crowd)
	var from int64
	for range 5 { // the first round makes the row
		for i := range rows {
			rows[i] = w.counts(from + 1 + int64(i))
		}
		got := w.together(crowd, func(i int) error {
			return w.Apply(w.ctx, effects(approval.SetPrompting{From: from, Is: rows[i]}))
		})
		w.same("outcomes", got, map[error]int{nil: 1, approval.ErrConflict: crowd - 1})
		is := w.prompting(w.user.ID)
		w.same("the row", is, rows[is.Version-from-1])
		from = is.Version
	}
}

func promptingPurge(w *world) {
	w.needAdvance()
	p, over := w.counts(4), w.counts(5)
	over.Key, over.LiveUntil, over.Sent, over.Declined, over.MutedUntil = "over", time.Time{}, nil, nil, time.Time{}
	w.do(approval.SetPrompting{Is: p}, approval.SetPrompting{Is: over})
	purge := func() { value[int64](w, "Purge")(w.Purge(w.ctx, w.now().Add(-time.Hour))) }
	purge()
	w.same("a row in which nothing counts", w.prompting(over.Key), approval.Prompting{Key: over.Key})
	w.Advance(p.KeepUntil().Sub(w.now()) - time.Microsecond)
	purge()
	w.same("a tick before its end", w.prompting(p.Key), p)
	w.Advance(time.Microsecond)
	purge()
	w.same("at its end", w.prompting(p.Key), approval.Prompting{Key: p.Key})
	w.dont(approval.ErrConflict, approval.SetPrompting{From: p.Version, Is: p})
	w.do(approval.SetPrompting{Is: p})
}
