package push

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const (
	// hookLease is lease for what may take hookTime.
	hookLease = hookTime + 5*time.Second
	// hooksInFlight is how many announcements this node has under way at once, to all
	// receivers together: one connection for hookTime each when all of them hang.
	hooksInFlight = 128
	// perHook is how many of them go to one receiver: at 50 ms for an answer that is
	// 160 a second.
	perHook = 8
	// A receiver that failed downAfter times in a row is down: it is told one thing at a
	// time, and no sooner than after a pause that doubles from firstHookPause up to
	// lastHookPause. So, whatever waits for it, it costs an attempt a minute, or one
	// connection when it hangs. It is told as before once it took something. A single
	// event that it cannot stomach slows nothing else down.
	downAfter      = 5
	firstHookPause = time.Second
	lastHookPause  = time.Minute
	// longestHookPause is the longest between two attempts of one announcement, and the
	// most that a receiver can ask for.
	longestHookPause = 2 * time.Hour
)

// hookBackoff are the pauses between the attempts of one announcement; the last comes
// again until approval.AnnounceFor is over, which makes 18 attempts in all.
var hookBackoff = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, longestHookPause,
}

// hookQueue delivers announcements, those of each webhook apart from the others'.
type hookQueue struct {
	*queue
	hooks     *Hooks
	directory *approval.Directory
	first     time.Duration // firstHookPause, except in tests
	last      time.Duration // lastHookPause, likewise

	mu   sync.Mutex
	ends map[string]*hookEnd // by webhook
}

// hookEnd is what this node knows of a receiver. A node that starts knows nothing and
// asks.
type hookEnd struct {
	flying int
	failed int           // times in a row
	pause  time.Duration // before the next attempt; 0: it is not down
	after  time.Time     // by the store's clock: nothing is sent before
}

func newHookQueue(p *Push) *hookQueue {
	return &hookQueue{
		queue: newQueue(p, approval.TopicWebhook, hooksInFlight, hookBackoff),
		hooks: p.hooks, first: firstHookPause, last: lastHookPause, ends: make(map[string]*hookEnd),
	}
}

// run claims announcements, has each delivered on a goroutine of its own, and outlives
// them all.
func (q *hookQueue) run(ctx context.Context, directory *approval.Directory) {
	q.directory = directory
	var under sync.WaitGroup
	defer under.Wait()
	for ctx.Err() == nil {
		pause, err := q.take(ctx, &under)
		if err != nil && ctx.Err() == nil {
			q.log.WarnContext(ctx, "webhooks go on later", "error", err)
			pause = pauseAfterFault
		}
		q.sleep(ctx, pause)
	}
}

// take claims what is due at receivers that may be asked, and says how long there
// will be nothing. Maps are walked in no order, so that none is always first.
func (q *hookQueue) take(ctx context.Context, under *sync.WaitGroup) (pause time.Duration, err error) {
	due, err := q.store.DueHooks(ctx)
	if err != nil {
		return 0, err
	}
	now, err := q.store.Now(ctx)
	if err != nil {
		return 0, err
	}
	q.forget(due, now)
	pause = pollEvery
	for id, next := range due {
		room, from := q.room(id)
		if from.After(next) {
			next = from
		}
		if next.After(now) {
			pause = min(pause, next.Sub(now))
			continue
		}
		hands := q.grab(room) // with none, whoever ends an attempt looks again
		if hands == 0 {
			continue
		}
		claimed, err := q.claimHook(ctx, id, hands, under)
		switch {
		case err != nil:
			return 0, err
		case claimed == 0: // somebody else was faster
			pause = min(pause, pauseWhenLate)
		default: // there may be more
			pause = 0
		}
	}
	return pause, nil
}

// grab takes up to so many free hands without waiting for any.
func (q *hookQueue) grab(most int) (n int) {
	for ; n < most; n++ {
		select {
		case q.hands <- struct{}{}:
		default:
			return n
		}
	}
	return n
}

func (q *hookQueue) claimHook(ctx context.Context, id string, hands int, under *sync.WaitGroup) (claimed int, err error) {
	defer func() {
		for range hands - claimed {
			<-q.hands
		}
	}()
	now, err := q.store.Now(ctx)
	if err != nil {
		return 0, err
	}
	started := time.Now()
	rows, err := q.store.ClaimHook(ctx, id, hands, hookLease)
	if err != nil {
		return 0, err
	}
	q.begin(id, len(rows))
	for _, m := range rows {
		under.Go(func() {
			defer func() { <-q.hands }()
			q.deliver(ctx, turn{queue: q.queue, row: m, claimed: now, started: started})
			q.look()
		})
	}
	return len(rows), nil
}

// room is how much may be sent to a receiver, and from when on.
func (q *hookQueue) room(id string) (n int, from time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.ends[id]
	switch {
	case e == nil:
		return perHook, time.Time{}
	case e.pause > 0:
		return max(0, 1-e.flying), e.after
	default:
		return max(0, perHook-e.flying), e.after
	}
}

func (q *hookQueue) begin(id string, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.ends[id]
	if e == nil {
		e = &hookEnd{}
		q.ends[id] = e
	}
	e.flying += n
}

// end notes how a receiver answered; answered is false where it was not asked, or cut
// off. Several attempts that were under way together when it went down are one failure
// to the pause: that grows with those that began after it.
func (q *hookQueue) end(id string, answered bool, began, now time.Time, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.ends[id]
	e.flying--
	switch {
	case !answered:
		return
	case err == nil:
		e.failed, e.pause, e.after = 0, 0, time.Time{}
		return
	}
	e.failed++
	switch {
	case e.failed < downAfter:
	case e.pause == 0:
		e.pause = q.first
	case !began.Before(e.after):
		e.pause = min(2*e.pause, q.last)
	}
	wait := jittered(e.pause)
	if retry, ok := errors.AsType[*RetryError](err); ok {
		wait = max(wait, retry.After)
	}
	if after := now.Add(wait); after.After(e.after) {
		e.after = after
	}
}

// forget drops what is known of receivers for which nothing waits.
func (q *hookQueue) forget(due map[string]time.Time, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for id, e := range q.ends {
		if _, waits := due[id]; !waits && e.flying == 0 && !e.after.After(now) {
			delete(q.ends, id)
		}
	}
}

// deliver makes one attempt and gives the message back.
func (q *hookQueue) deliver(ctx context.Context, t turn) {
	began, answered := t.now(), false
	var err error
	defer func() { q.end(t.row.Key, answered, began, t.now(), err) }()
	w, a, over, unread := q.prepare(ctx, t.row)
	switch {
	case unread != nil:
		t.log.WarnContext(ctx, "webhook goes on later", "webhook", t.row.Key, "error", unread)
		t.settle(ctx, approval.Outcome{State: approval.DeliveryQueued, Next: t.now().Add(pollEvery)})
		return
	case over != "":
		t.settle(ctx, approval.Outcome{State: approval.DeliveryFailed, Note: over})
		return
	}
	trying, cancel := context.WithTimeout(ctx, min(q.hooks.within, t.row.Until.Sub(began)))
	answer, err := q.hooks.send(trying, w, a, began)
	cancel()
	if err != nil && ctx.Err() != nil { // cut off: nobody knows what came of it
		t.settle(ctx, approval.Outcome{State: approval.DeliveryQueued, Next: t.now()})
		return
	}
	answered = true
	q.conclude(ctx, t, a, answer, err)
	if errors.Is(err, ErrGone) {
		q.disable(ctx, w, answer)
	}
}

// prepare reads afresh whom to tell. over says why nobody is to be told any more.
func (q *hookQueue) prepare(ctx context.Context, m approval.Message) (w account.Webhook, a approval.Announcement, over string, err error) {
	if a, err = approval.ReadAnnouncement(m.Body, m.CreatedAt); err != nil {
		return w, a, "its body cannot be read", nil //nolint:nilerr // nor ever will be
	}
	w, err = q.store.Webhook(ctx, m.Key)
	switch {
	case errors.Is(err, approval.ErrNotFound):
		return w, a, "the webhook was removed", nil
	case err == nil && !w.Works():
		return w, a, "the webhook is disabled", nil
	}
	return w, a, "", err
}

// conclude writes what came of an attempt: into the row, which is the delivery log,
// the server's log and the metrics.
func (q *hookQueue) conclude(ctx context.Context, t turn, a approval.Announcement, answer string, err error) {
	level, outcome := slog.LevelDebug, outcomeTaken
	o := approval.Outcome{State: approval.DeliverySent, Note: answer}
	if err != nil {
		level, outcome, o.State = slog.LevelWarn, outcomeFailed, approval.DeliveryFailed
		if next := q.next(t.row.Tries, err, t.now()); !errors.Is(err, ErrGone) && next.Before(t.row.Until) {
			level, outcome = slog.LevelInfo, outcomeRetry
			o.State, o.Next = approval.DeliveryQueued, next
		}
	}
	q.metrics.attempt(hookLabel, outcome)
	t.log.LogAttrs(ctx, level, "webhook "+outcome, slog.String("webhook", t.row.Key), slog.String("event", a.ID),
		slog.String("type", a.Type), slog.String("answer", answer))
	t.settle(ctx, o)
}

// hookLabel is the webhooks' among the channels in metrics.
const hookLabel = "webhooks"

// next is when to try again after the tries-th attempt failed.
func (q *hookQueue) next(tries int64, err error, now time.Time) time.Time {
	pause := jittered(q.backoff[min(max(tries, 1), int64(len(q.backoff)))-1])
	if retry, ok := errors.AsType[*RetryError](err); ok {
		pause = max(pause, retry.After)
	}
	return now.Add(pause).Truncate(time.Microsecond) // as the store keeps it: due there is due here
}

// disable ends a webhook whose receiver said that it is gone for good.
func (q *hookQueue) disable(ctx context.Context, w account.Webhook, answer string) {
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	_, err := q.directory.DisableWebhook(writing, w, answer+", Gone")
	if err != nil && !errors.Is(err, approval.ErrNotFound) {
		q.log.WarnContext(ctx, "webhook not disabled: its next answer may do it", "webhook", w.ID, "error", err)
		return
	}
	q.log.WarnContext(ctx, "webhook disabled: its receiver wants nothing more; enable it with nod webhook enable", "webhook", w.ID)
}
