package storetest

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/nod-auth/nod/approval"
)

var guessTests = []test{
	{"Guess_rightCostsNothing", guessRight},
	{"Guess_rightFromManyAtOnceAllSucceed", guessRightTogether},
	{"Guess_wrongUpToTheLimitAndNoFurther", guessWrong},
	{"Guess_10000WrongFrom64AreEvaluatedUpToTheLimit", guessFlood},
	{"Guess_everyBudgetCounts", guessBudgets},
	{"Guess_windowEndsAndAnotherBegins", guessWindow},
	{"Guess_findsSettledRequestsToo", guessSettled},
}

func budget(limit int) []approval.Budget {
	return []approval.Budget{{Key: id(), Limit: limit, Window: 2 * time.Minute}}
}

// guess is a guess's outcome as a word.
func (w *world) guess(code []byte, bs []approval.Budget) error {
	_, err := w.Guess(w.ctx, approval.Key{CodeHash: code}, bs)
	return word(err)
}

func guessRight(w *world) {
	r, bs := w.request(), budget(2)
	for range 10 {
		w.same("found", value[approval.Request](w, "Guess")(w.Guess(w.ctx, approval.Key{CodeHash: r.CodeHash}, bs)), r)
	}
	w.is("first wrong guess", w.guess(hash(), bs), approval.ErrNotFound)
	w.is("right guess", w.guess(r.CodeHash, bs), nil)
	w.is("second wrong guess", w.guess(hash(), bs), approval.ErrNotFound)
	w.is("right guess, no try left", w.guess(r.CodeHash, bs), approval.ErrTooMany)
}

func guessRightTogether(w *world) {
	r, bs := w.request(), budget(1)
	got := w.together(crowd, func(int) error { return w.guess(r.CodeHash, bs) })
	w.same("outcomes", got, map[error]int{nil: crowd})
}

func guessWrong(w *world) {
	bs := budget(3)
	for range 3 {
		w.is("wrong guess", w.guess(hash(), bs), approval.ErrNotFound)
	}
	_, err := w.Guess(w.ctx, approval.Key{CodeHash: hash()}, bs)
	var limit *approval.LimitError
	if !errors.As(err, &limit) {
		w.Fatalf("guess beyond the limit = %v, want a LimitError", err)
	}
	if limit.RetryAfter <= 0 || limit.RetryAfter > bs[0].Window {
		w.Errorf("RetryAfter = %s, want within (0, %s]", limit.RetryAfter, bs[0].Window)
	}
	w.is("guess without any budget left at all", w.guess(hash(), budget(0)), approval.ErrTooMany)
}

// guessFlood is threat B1: however many guess at once, the limit is exact (I12).
// A few right guesses in between neither help nor hurt.
func guessFlood(w *world) {
	const limit, each = 200, 10_000 / crowd
	r, bs := w.request(), budget(limit)
	var evaluated, refused, right atomic.Int64
	w.together(crowd, func(i int) error {
		for n := range each {
			if n == each/2 && w.guess(r.CodeHash, bs) == nil {
				right.Add(1)
			}
			switch err := w.guess(hash(), bs); {
			case errors.Is(err, approval.ErrNotFound):
				evaluated.Add(1)
			case errors.Is(err, approval.ErrTooMany):
				refused.Add(1)
			default:
				w.Errorf("wrong guess = %v", err)
			}
		}
		return nil
	})
	w.same("wrong guesses evaluated", evaluated.Load(), int64(limit))
	w.same("wrong guesses refused", refused.Load(), int64(crowd*each-limit))
}

func guessBudgets(w *world) {
	wide, narrow := budget(5)[0], budget(2)[0]
	both := []approval.Budget{wide, narrow}
	for range 2 {
		w.is("wrong guess", w.guess(hash(), both), approval.ErrNotFound)
	}
	for range 10 { // refused by the narrow one: that costs the wide one nothing
		w.is("wrong guess", w.guess(hash(), both), approval.ErrTooMany)
	}
	for range 3 {
		w.is("wrong guess against the wide one", w.guess(hash(), both[:1]), approval.ErrNotFound)
	}
	w.is("one too many", w.guess(hash(), both[:1]), approval.ErrTooMany)
	r := w.request()
	w.is("right guess without a budget", w.guess(r.CodeHash, nil), nil)
}

func guessWindow(w *world) {
	w.needAdvance()
	bs := budget(2)
	w.is("first", w.guess(hash(), bs), approval.ErrNotFound)
	w.Advance(bs[0].Window - time.Second) // the window began with the first
	w.is("second", w.guess(hash(), bs), approval.ErrNotFound)
	_, err := w.Guess(w.ctx, approval.Key{CodeHash: hash()}, bs)
	var limit *approval.LimitError
	if !errors.As(err, &limit) || limit.RetryAfter != time.Second {
		w.Fatalf("third = %v, want a LimitError of 1s", err)
	}
	w.Advance(limit.RetryAfter)
	for range 2 {
		w.is("in the next window", w.guess(hash(), bs), approval.ErrNotFound)
	}
	w.is("third in the next window", w.guess(hash(), bs), approval.ErrTooMany)
}

func guessSettled(w *world) {
	r := w.apply(step(w.request(), approval.Denied, approval.EventDenied))
	w.same("found", value[approval.Request](w, "Guess")(w.Guess(w.ctx, approval.Key{CodeHash: r.CodeHash}, budget(1))), r)
}
