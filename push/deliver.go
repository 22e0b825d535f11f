package push

import (
	"context"
	"sync"
	"time"

	"github.com/nod-auth/nod/approval"
)

const (
	// attemptTime is how long one attempt may take (threats D9, a hang). Providers
	// answer in well under a second.
	attemptTime = 10 * time.Second
	// lease keeps a claimed message from others while an attempt may still be under
	// way, and five seconds for the store's part. It is what a prompt is late by
	// when the node that had it dies.
	lease = attemptTime + 5*time.Second
	// pollEvery is how late a message is seen that nobody announced here: one whose
	// node died, one that a command wrote. It costs a read that an index answers.
	pollEvery = 2 * time.Second
	// pauseAfterFault is the pause when the store is away.
	pauseAfterFault = time.Second
	// pauseWhenLate is the pause after somebody else was faster.
	pauseWhenLate = 50 * time.Millisecond
	// settleTime bounds what is still written after the node was told to stop.
	settleTime = 2 * time.Second
	// maxNote bounds what a row keeps of the answers, in characters.
	maxNote = 500

	// How many messages this node has in flight at once. Each is at most twelve
	// connections for ten seconds when every provider hangs; an answer is one. News
	// must not take the places of questions that somebody waits on.
	promptsInFlight = 32
	noticesInFlight = 8
	answersInFlight = 32
)

// Run delivers what the outbox holds until ctx ends, and then returns nil: what was
// under way is cut off and handed back for another node, or the next start. Phones
// are noted and removed through directory. Call it once.
func (p *Push) Run(ctx context.Context, directory *approval.Directory) error {
	defer p.close()
	var running sync.WaitGroup
	prompt := func(ctx context.Context, t turn) { newRound(t, directory).run(ctx) }
	running.Go(func() { p.prompts.run(ctx, prompt) })
	running.Go(func() { p.notices.run(ctx, prompt) })
	running.Go(func() { p.answers.run(ctx, p.servers.deliver) })
	running.Go(func() { p.told.run(ctx, directory) })
	running.Wait()
	return nil
}

// queue delivers the messages of one topic.
type queue struct {
	*Push
	topic   approval.Topic
	wake    chan struct{} // one token is enough: who wakes reads the store
	hands   chan struct{} // one token for each message in flight
	backoff []time.Duration
}

func newQueue(p *Push, topic approval.Topic, inFlight int, backoff []time.Duration) *queue {
	return &queue{
		Push: p, topic: topic, backoff: backoff,
		wake: make(chan struct{}, 1), hands: make(chan struct{}, inFlight),
	}
}

func (q *queue) look() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run claims messages, has each delivered on a goroutine of its own, and outlives
// them all. deliver gives back what it was given.
func (q *queue) run(ctx context.Context, deliver func(context.Context, turn)) {
	var under sync.WaitGroup
	defer under.Wait()
	for ctx.Err() == nil {
		pause, err := q.take(ctx, func(t turn) {
			under.Go(func() {
				defer func() { <-q.hands }()
				deliver(ctx, t)
			})
		})
		if err != nil && ctx.Err() == nil {
			q.log.WarnContext(ctx, "push goes on later", "topic", string(q.topic), "error", err)
			pause = pauseAfterFault
		}
		q.sleep(ctx, pause)
	}
}

func (q *queue) sleep(ctx context.Context, pause time.Duration) {
	if pause <= 0 {
		return
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-q.wake:
	case <-ctx.Done():
	}
}

// take claims what is due, as far as hands are free, and says how long nothing
// will be.
func (q *queue) take(ctx context.Context, start func(turn)) (pause time.Duration, err error) {
	next, err := q.store.NextDue(ctx, q.topic)
	if err != nil {
		return 0, err
	}
	now, err := q.store.Now(ctx)
	switch {
	case err != nil:
		return 0, err
	case next.IsZero():
		return pollEvery, nil
	case next.After(now):
		return min(next.Sub(now), pollEvery), nil
	}
	free := q.grasp(ctx)
	claimed, err := q.claim(ctx, free, start)
	for range free - claimed {
		<-q.hands
	}
	if err == nil && claimed == 0 {
		pause = pauseWhenLate
	}
	return pause, err
}

func (q *queue) claim(ctx context.Context, limit int, start func(turn)) (int, error) {
	if limit == 0 {
		return 0, ctx.Err()
	}
	now, err := q.store.Now(ctx)
	if err != nil {
		return 0, err
	}
	rows, err := q.store.Claim(ctx, q.topic, limit, lease)
	if err != nil {
		return 0, err
	}
	for _, m := range rows {
		start(turn{queue: q, row: m, claimed: now, started: time.Now()})
	}
	return len(rows), nil
}

// grasp waits for a free hand and takes all that are free with it; 0 when ctx
// ended first.
func (q *queue) grasp(ctx context.Context) int {
	select {
	case q.hands <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	for n := 1; ; n++ {
		select {
		case q.hands <- struct{}{}:
		default:
			return n
		}
	}
}

// turn is a claimed message: this node has it alone until the lease ends.
type turn struct {
	*queue
	row     approval.Message
	claimed time.Time // by the store's clock
	started time.Time // by this node's, at the same moment
}

// now is the store's clock, carried on by this node's.
func (t turn) now() time.Time { return t.claimed.Add(time.Since(t.started)) }

// settle writes the row, also when the node was just told to stop. ok is false when
// it could not: somebody else has the message by now, or will.
func (t turn) settle(ctx context.Context, o approval.Outcome) (ok bool) {
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	o.Note = clip(o.Note, maxNote)
	if err := t.store.Settle(writing, t.row, o); err != nil {
		t.log.WarnContext(ctx, "push message not settled: another attempt may repeat this one",
			"topic", string(t.topic), "message", t.row.ID, "error", err)
		return false
	}
	return true
}
