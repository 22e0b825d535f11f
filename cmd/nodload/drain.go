package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// drain sends SIGTERM to a node that holds n waits. Each that is told to try again
// does so on the next of the other nodes, after a random part of spread; with none,
// all come together, and take the processors that the answers need. Whoever is
// refused there pauses, and tries again as any client should.
func drain(ctx context.Context, t *target, n int, spread time.Duration) (report, error) {
	r := report{Title: fmt.Sprintf("SIGTERM to one of %d nodes with %d held waits", len(t.nodes), n)}
	codes, err := t.codes(ctx, n)
	if err != nil {
		return r, err
	}
	leaves, stay := t.nodes[0], t.nodes[1:]
	held, err := t.fill(ctx, codes, leaves)
	if err != nil {
		return r, err
	}
	defer held.drop()
	back, cancel := context.WithCancel(ctx)
	m := &move{t: t, codes: codes, to: stay, spread: spread, faults: make(map[string]int)}
	defer m.all.Wait()
	defer cancel()
	began := time.Now()
	if err := leaves.terminate(); err != nil {
		return r, err
	}
	ended := make(chan time.Time, 1)
	go func() { // ends with the node, which SIGTERM ends
		<-leaves.ended
		ended <- time.Now()
	}()
	m.start(back, held)
	m.told.Wait()
	if len(m.answered) == 0 {
		return r, fmt.Errorf("no wait was told to try again: %v", m.faults)
	}
	answered := make([]time.Duration, len(m.answered))
	for i, at := range m.answered {
		answered[i] = at.Sub(began)
	}
	r.quantiles("SIGTERM to the answer", answered)
	r.add("SIGTERM to the last answer", slices.Max(answered).Seconds(), "s")
	r.add("waits not told to try again", float64(n-len(answered)), "")
	r.add("SIGTERM to the end of the process", (<-ended).Sub(began).Seconds(), "s")
	if len(stay) > 0 {
		if err := t.awaitHeld(ctx, len(answered), stay...); err != nil {
			return r, fmt.Errorf("%w; refused: %v", err, m.refusals())
		}
		r.add("SIGTERM to all of these held by the other nodes", time.Since(began).Seconds(), "s")
	}
	for what, times := range m.refusals() {
		r.add("told otherwise: "+what, float64(times), "")
	}
	return r, nil
}

// move is waits on their way from one node to the others.
type move struct {
	t     *target
	codes []string
	to    []*node

	spread time.Duration
	told   sync.WaitGroup // until every wait on the old node has ended
	all    sync.WaitGroup

	mu       sync.Mutex
	answered []time.Time    // when waits were told to try again
	faults   map[string]int // what else they were told, and how often
}

// start follows every wait until ctx ends.
func (m *move) start(ctx context.Context, held waits) {
	m.told.Add(len(held.ends))
	for i, end := range held.ends {
		m.all.Go(func() {
			got := <-end
			told := is(got.err, tryAgain)
			m.note(told, got)
			m.told.Done()
			_ = pause(ctx, rand.N(m.spread+1)) // its end is seen below
			for told && len(m.to) > 0 && ctx.Err() == nil {
				m.hold(ctx, i)
			}
		})
	}
}

func (m *move) note(told bool, got got) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if told {
		m.answered = append(m.answered, got.at)
	} else {
		m.faults[kind(got.err)]++
	}
}

// hold is one attempt to wait on one of the other nodes; it returns when that wait
// has ended, after a pause.
func (m *move) hold(ctx context.Context, i int) {
	end, err := m.t.startWait(ctx, m.to[i%len(m.to)], m.t.other, m.codes[i])
	if err == nil {
		err = (<-end).err
	}
	if ctx.Err() != nil {
		return
	}
	m.note(false, got{err: err})
	_ = pause(ctx, shortPause+rand.N(shortPause)) // its end is seen by the caller
}

// shortPause is before a client tries again what failed; up to twice as long.
const shortPause = 250 * time.Millisecond

func (m *move) refusals() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.faults)
}

// tryAgain is the contract's word for a wait that ended without a decision.
const tryAgain = "remote_session_timeout"

// kind says what an error is, without what differs from wait to wait.
func kind(err error) string {
	if no, ok := errors.AsType[*refused](err); ok {
		return fmt.Sprintf("status %d", no.status)
	}
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return fmt.Sprint(err)
}
