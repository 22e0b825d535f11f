package storetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/nod-auth/nod/approval"
)

var outboxTests = []test{
	{"Claim_oldestFirstUpToTheLimit", claimOrder},
	{"Claim_leaseKeepsOthersAwayAndEnds", claimLease},
	{"Claim_by64AtOnceGivesEachMessageOnce", claimTogether},
	{"Claim_afterItsTimeGivesNothing", claimTooLate},
	{"Claim_afterACrashWaitsForTheLease", claimCrash},
	{"Settle_onlyByWhoClaimedLast", settleAttempt},
	{"Settle_forLaterIsClaimedThen", settleLater},
	{"NextDue_isTheEarliestClaim", nextDue},
	{"Delivery_words", deliveryWords},
	{"Delivery_tellsOfTheNewestMessage", deliveryNewest},
	{"Deliver_appliedAgainIsOneMessage", deliverAgain},
	{"Purge_keepsMessagesForAWhile", purgeMessages},
}

// queue puts a message about a new key into the outbox and returns the key.
func (w *world) queue(topic approval.Topic, until time.Time) (key string) {
	w.Helper()
	key = id()
	w.do(approval.Deliver{Topic: topic, Key: key, Body: []byte(`{"a":1}`), Until: until})
	return key
}

func (w *world) claim(limit int, lease time.Duration) []approval.Message {
	w.Helper()
	return value[[]approval.Message](w, "Claim")(w.Claim(w.ctx, approval.TopicPrompt, limit, lease))
}

// claimOne is for when there must be exactly one to claim.
func (w *world) claimOne(lease time.Duration) approval.Message {
	w.Helper()
	ms := w.claim(10, lease)
	if len(ms) != 1 {
		w.Fatalf("claimed %d messages, want 1: %+v", len(ms), ms)
	}
	return ms[0]
}

func (w *world) delivery(key string) approval.Delivery {
	w.Helper()
	return value[approval.Delivery](w, "Delivery")(w.Delivery(w.ctx, approval.TopicPrompt, key))
}

func (w *world) settle(word error, m approval.Message, o approval.Outcome) {
	w.Helper()
	w.is("Settle", w.Settle(w.ctx, m, o), word)
}

func keysOf(ms []approval.Message) (keys []string) {
	for _, m := range ms {
		keys = append(keys, m.Key)
	}
	return keys
}

func claimOrder(w *world) {
	until := w.now().Add(time.Minute)
	var want []string
	for range 5 {
		want = append(want, w.queue(approval.TopicPrompt, until))
	}
	notice := w.queue(approval.TopicNotice, time.Time{})
	first := w.claim(3, time.Hour)
	w.same("the first three", keysOf(first), want[:3])
	m := first[0]
	if m.ID == "" || m.ID == first[1].ID {
		w.Errorf("message ids %q and %q, want two different ones", m.ID, first[1].ID)
	}
	if age := w.now().Sub(m.CreatedAt); age < 0 || w.Advance != nil && age != 0 {
		w.Errorf("message is %s old, want the store's time", age)
	}
	w.same("message", m, approval.Message{
		ID: m.ID, Topic: approval.TopicPrompt, Key: want[0], Body: []byte(`{"a":1}`), CreatedAt: m.CreatedAt, Until: until, Attempt: 1,
	})
	w.same("the rest", keysOf(w.claim(3, time.Hour)), want[3:])
	w.same("nothing is left", w.claim(3, time.Hour), []approval.Message(nil))
	of := value[[]approval.Message](w, "Claim")(w.Claim(w.ctx, approval.TopicNotice, 3, time.Hour))
	w.same("another topic's", keysOf(of), []string{notice})
	w.same("that lasts for good", of[0].Until, time.Time{})
}

func claimLease(w *world) {
	w.needAdvance()
	w.queue(approval.TopicPrompt, w.now().Add(time.Hour))
	const lease = 20 * time.Second
	one := w.claimOne(lease)
	w.Advance(lease - time.Microsecond)
	w.same("claimed within the lease", w.claim(10, lease), []approval.Message(nil))
	w.Advance(time.Microsecond)
	two := w.claimOne(lease)
	one.Attempt = 2
	w.same("claimed after the lease", two, one)
	w.Advance(lease)
	w.same("attempts", w.claimOne(lease).Attempt, int64(3))
}

func claimTogether(w *world) {
	const messages = 300
	var all []approval.Effect
	for range messages {
		all = append(all, approval.Deliver{Topic: approval.TopicPrompt, Key: id(), Until: w.now().Add(time.Hour)})
	}
	w.do(all...)
	var mu sync.Mutex
	times := map[string]int{}
	got := w.together(crowd, func(i int) error {
		for {
			ms, err := w.Claim(w.ctx, approval.TopicPrompt, 1+i%7, time.Hour)
			if err != nil || len(ms) == 0 {
				return err
			}
			mu.Lock()
			for _, m := range ms {
				times[m.ID]++
			}
			mu.Unlock()
			for n, m := range ms { // some are settled while others claim
				if n%2 == 0 {
					err = w.Settle(w.ctx, m, approval.Outcome{State: approval.DeliverySent})
				}
				if err != nil {
					return err
				}
			}
		}
	})
	w.same("outcomes", got, map[error]int{nil: crowd})
	w.same("claimed messages", len(times), messages)
	for id, n := range times {
		if n != 1 {
			w.Errorf("message %s was claimed %d times within a lease", id, n)
		}
	}
}

func claimTooLate(w *world) {
	w.needAdvance()
	key := w.queue(approval.TopicPrompt, w.now().Add(time.Minute))
	w.Advance(time.Minute - time.Microsecond)
	w.claimOne(time.Microsecond)
	w.Advance(time.Microsecond)
	w.same("claimed at its end", w.claim(10, time.Hour), []approval.Message(nil))
	w.same("delivery", w.delivery(key), approval.DeliveryFailed)
}

// claimCrash dies between claim and settle: the message is delivered again, but
// not while the dead one could still be at it.
func claimCrash(w *world) {
	w.needCrash()
	w.needAdvance()
	done, open := w.queue(approval.TopicPrompt, w.now().Add(time.Hour)), w.queue(approval.TopicPrompt, w.now().Add(time.Hour))
	ms := w.claim(10, time.Minute)
	w.settle(nil, ms[0], approval.Outcome{State: approval.DeliverySent})
	after := w.crash()
	claim := func() []approval.Message {
		return value[[]approval.Message](w, "Claim")(after.Claim(w.ctx, approval.TopicPrompt, 10, time.Minute))
	}
	w.same("claimed at once", claim(), []approval.Message(nil))
	w.Advance(time.Minute)
	again := claim()
	w.same("claimed after the lease", keysOf(again), []string{open})
	w.same("attempt", again[0].Attempt, int64(2))
	w.same("the same message", again[0].ID, ms[1].ID)
	w.same("the settled one", value[approval.Delivery](w, "Delivery")(after.Delivery(w.ctx, approval.TopicPrompt, done)), approval.DeliverySent)
}

func settleAttempt(w *world) {
	stray := approval.Message{ID: id(), Topic: approval.TopicPrompt, Attempt: 1}
	w.settle(approval.ErrConflict, stray, approval.Outcome{State: approval.DeliverySent})
	w.needAdvance()
	key := w.queue(approval.TopicPrompt, w.now().Add(time.Hour))
	slow := w.claimOne(time.Second)
	w.Advance(time.Second)
	fast := w.claimOne(time.Second)
	w.settle(approval.ErrConflict, slow, approval.Outcome{State: approval.DeliverySent})
	w.same("after who was too slow", w.delivery(key), approval.DeliveryQueued)
	w.Advance(time.Minute) // late, but nobody else came
	w.settle(nil, fast, approval.Outcome{State: approval.DeliveryFailed, Note: "503"})
	w.same("after who was in time", w.delivery(key), approval.DeliveryFailed)
	w.settle(approval.ErrConflict, slow, approval.Outcome{State: approval.DeliverySent})
	w.same("after who was too slow, again", w.delivery(key), approval.DeliveryFailed)
	w.Advance(time.Minute)
	w.same("claimed when done", w.claim(10, time.Second), []approval.Message(nil))
}

func settleLater(w *world) {
	w.needAdvance()
	key := w.queue(approval.TopicPrompt, w.now().Add(time.Hour))
	m := w.claimOne(time.Minute)
	later := w.now().Add(5 * time.Second) // before the lease ends: settling gives it back
	w.settle(nil, m, approval.Outcome{State: approval.DeliveryQueued, Next: later, Body: []byte(`{"b":2}`)})
	w.Advance(5*time.Second - time.Microsecond)
	w.same("claimed too early", w.claim(10, time.Minute), []approval.Message(nil))
	w.Advance(time.Microsecond)
	m.Attempt, m.Body = 2, []byte(`{"b":2}`)
	again := w.claimOne(time.Minute)
	w.same("claimed then", again, m)
	w.settle(nil, again, approval.Outcome{State: approval.DeliverySent, Next: w.now()}) // one phone has it, another does not yet
	w.same("delivery", w.delivery(key), approval.DeliverySent)
	m.Attempt = 3
	w.same("body nobody replaced", w.claimOne(time.Minute), m)
}

func nextDue(w *world) {
	due := func() time.Time {
		return value[time.Time](w, "NextDue")(w.NextDue(w.ctx, approval.TopicPrompt))
	}
	w.same("with no message", due(), time.Time{})
	w.queue(approval.TopicNotice, time.Time{})
	w.same("with another topic's message", due(), time.Time{})
	w.needAdvance()
	written := w.now()
	w.queue(approval.TopicPrompt, written.Add(time.Hour))
	w.Advance(time.Second)
	w.same("with one message", due(), written)
	m := w.claimOne(time.Minute)
	w.same("with one that is leased", due(), w.now().Add(time.Minute))
	w.queue(approval.TopicPrompt, w.now().Add(time.Second))
	w.same("with a newer one", due(), w.now())
	w.Advance(time.Second)
	w.same("when that is too late", due(), written.Add(time.Second+time.Minute))
	w.settle(nil, m, approval.Outcome{State: approval.DeliveryQueued, Next: written.Add(30 * time.Minute)})
	w.same("when it was put off", due(), written.Add(30*time.Minute))
	w.Advance(30 * time.Minute)
	w.settle(nil, w.claimOne(time.Minute), approval.Outcome{State: approval.DeliverySent})
	w.same("when it is done", due(), time.Time{})
}

func deliveryWords(w *world) {
	until := w.now().Add(time.Hour)
	w.same("of nothing", w.delivery(id()), approval.DeliveryNone)
	keys := map[approval.Delivery]string{}
	for _, d := range []approval.Delivery{approval.DeliverySent, approval.DeliveryFailed, approval.DeliveryQueued} {
		keys[d] = w.queue(approval.TopicPrompt, until)
		w.same("of a new message", w.delivery(keys[d]), approval.DeliveryQueued)
		m := w.claimOne(time.Hour)
		w.same("of a claimed one", w.delivery(keys[d]), approval.DeliveryQueued)
		w.settle(nil, m, approval.Outcome{State: d, Note: fmt.Sprint(d)})
		w.same("of a settled one", w.delivery(keys[d]), d)
	}
	other := value[approval.Delivery](w, "Delivery")(w.Delivery(w.ctx, approval.TopicNotice, keys[approval.DeliverySent]))
	w.same("under another topic", other, approval.DeliveryNone)
	forGood := w.queue(approval.TopicPrompt, time.Time{})
	w.needAdvance()
	w.Advance(time.Hour)
	w.same("of a sent one after its time", w.delivery(keys[approval.DeliverySent]), approval.DeliverySent)
	w.same("of one that was queued until too late", w.delivery(keys[approval.DeliveryQueued]), approval.DeliveryFailed)
	w.same("of one without an end", w.delivery(forGood), approval.DeliveryQueued)
}

func deliveryNewest(w *world) {
	key := w.queue(approval.TopicPrompt, w.now().Add(time.Hour))
	w.settle(nil, w.claimOne(time.Hour), approval.Outcome{State: approval.DeliverySent})
	w.do(approval.Deliver{Topic: approval.TopicPrompt, Key: key, Until: w.now().Add(time.Hour)})
	w.same("with a newer message", w.delivery(key), approval.DeliveryQueued)
	w.settle(nil, w.claimOne(time.Hour), approval.Outcome{State: approval.DeliveryFailed})
	w.same("when that failed", w.delivery(key), approval.DeliveryFailed)
}

// deliverAgain retries operations whose answer was lost: with an audit row and
// without one, also when the message is claimed already.
func deliverAgain(w *world) {
	deliver := approval.Deliver{Topic: approval.TopicPrompt, Key: id(), Until: w.now().Add(time.Hour)}
	creating := w.creating(w.newRequest())
	creating.Effects = []approval.Effect{deliver, deliver} // two of one change are two
	silent := effects(deliver)
	for range 3 {
		w.apply(creating, silent)
	}
	w.same("messages", len(w.claim(10, time.Hour)), 3)
	w.apply(creating)
	w.apply(silent)
	w.same("messages after they were claimed", len(w.claim(10, time.Hour)), 0)
}

func purgeMessages(w *world) {
	w.needAdvance()
	end := w.now().Add(time.Minute)
	sent, late, forGood := w.queue(approval.TopicPrompt, end), w.queue(approval.TopicPrompt, end), w.queue(approval.TopicPrompt, time.Time{})
	w.settle(nil, w.claim(1, time.Hour)[0], approval.Outcome{State: approval.DeliverySent})
	w.Advance(24 * time.Hour)
	purge := func(before time.Time) { value[int64](w, "Purge")(w.Purge(w.ctx, before)) }
	purge(end.Add(-time.Microsecond)) // over for long, and still to be asked for
	w.same("a sent message", w.delivery(sent), approval.DeliverySent)
	w.same("one that came too late", w.delivery(late), approval.DeliveryFailed)
	purge(end)
	w.same("a purged message", w.delivery(sent), approval.DeliveryNone)
	w.same("a purged message that came too late", w.delivery(late), approval.DeliveryNone)
	w.same("one without an end", w.delivery(forGood), approval.DeliveryQueued)
}
