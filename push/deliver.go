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

	// How many messages this node has in flight at once. Each is at most twelve
	// connections for ten seconds when every provider hangs. News must not take the
	// places of questions that somebody waits on.
	promptsInFlight = 32
	noticesInFlight = 8
)

// Run delivers what the outbox holds until ctx ends, and then returns nil: what was
// under way is cut off and handed back for another node, or the next start. Phones
// are noted and removed through directory. Call it once.
func (p *Push) Run(ctx context.Context, directory *approval.Directory) error {
	defer p.close()
	var running sync.WaitGroup
	for _, q := range []*queue{p.prompts, p.notices} {
		running.Go(func() { q.run(ctx, directory) })
	}
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

// run claims and starts rounds, and outlives them all.
func (q *queue) run(ctx context.Context, directory *approval.Directory) {
	var rounds sync.WaitGroup
	defer rounds.Wait()
	for ctx.Err() == nil {
		pause, err := q.take(ctx, func(r *round) {
			r.directory = directory
			rounds.Go(func() {
				defer func() { <-q.hands }()
				r.run(ctx)
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
func (q *queue) take(ctx context.Context, start func(*round)) (pause time.Duration, err error) {
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

func (q *queue) claim(ctx context.Context, limit int, start func(*round)) (int, error) {
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
		start(newRound(q, m, now))
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
