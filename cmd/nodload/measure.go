package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// preparing bounds how many requests are in flight while a round is set up: it
// must not be the thing measured.
const preparing = 64

// hold fills a node with n waits and empties it again, several times: the
// first fill pays for the heap's growth, the third shows what a wait costs a
// server that has been busy before. Resident memory holds garbage and SQLite's
// caches, too; the stacks, the part that grows unnoticed, are counted exactly.
func hold(ctx context.Context, t *target, n, fills int) (report, error) {
	r := report{Title: fmt.Sprintf("memory of %d held waits on one node of %d", n, len(t.nodes))}
	on := t.nodes[0]
	if on.pid == 0 {
		return r, errors.New("hold: --pid is needed with --url")
	}
	idle, err := rss(on.pid)
	if err != nil {
		return r, err
	}
	r.add("server RSS when idle", idle/(1<<20), "MiB")
	unused, err := t.metric(ctx, on, stacks)
	if err != nil {
		return r, err
	}
	for fill := range fills {
		m, err := t.fillOnce(ctx, on, n)
		if err != nil {
			return r, err
		}
		each := float64(n) * 1024
		r.add(fmt.Sprintf("fill %d: RSS per held wait, from idle", fill+1), (m.full-idle)/each, "KiB")
		r.add(fmt.Sprintf("fill %d: RSS per held wait, from just before", fill+1), (m.full-m.before)/each, "KiB")
		r.add(fmt.Sprintf("fill %d: stack per held wait", fill+1), (m.stack-unused)/each, "KiB")
	}
	return r, nil
}

// stacks is the metric of the memory that the server's goroutines use as stack.
const stacks = "go_memstats_stack_inuse_bytes"

// memory is what one fill used, in bytes.
type memory struct{ before, full, stack float64 }

func (t *target) fillOnce(ctx context.Context, on *node, n int) (m memory, err error) {
	codes, err := t.codes(ctx, n)
	if err != nil {
		return m, err
	}
	if m.before, err = rss(on.pid); err != nil {
		return m, err
	}
	waits, err := t.fill(ctx, codes, on)
	if err != nil {
		return m, err
	}
	defer waits.drop()
	if m.full, err = rss(on.pid); err != nil {
		return m, err
	}
	if m.stack, err = t.metric(ctx, on, stacks); err != nil {
		return m, err
	}
	waits.drop()
	if err := t.awaitHeld(ctx, 0, on); err != nil {
		return m, err
	}
	return m, t.invalidate(ctx, on, t.other)
}

// wake measures decisions one after the other, first with nothing else held, then
// with n waits held that nobody decides, on the node that answers. With several
// nodes the decision is made on another one, so that its wake travels over Redis.
func wake(ctx context.Context, t *target, n, samples int) (report, error) {
	r := report{Title: fmt.Sprintf("decision to answer, %d samples a round, %d nodes", samples, len(t.nodes))}
	if err := t.floors(ctx, &r, samples); err != nil {
		return r, err
	}
	if err := t.wakeRound(ctx, &r, samples, 0); err != nil {
		return r, err
	}
	codes, err := t.codes(ctx, n)
	if err != nil {
		return r, err
	}
	waits, err := t.fill(ctx, codes, t.node(1))
	if err != nil {
		return r, err
	}
	defer waits.drop()
	return r, t.wakeRound(ctx, &r, samples, n)
}

// decision is one kind of it, and what the waiting side then hears.
type decision struct {
	name string
	make func(ctx context.Context, on *node, code string) error
	fits func(error) bool
}

func (t *target) wakeRound(ctx context.Context, r *report, samples, held int) error {
	decisions := []decision{{"token", t.authorize, func(err error) bool { return err == nil }}}
	if held == 0 || t.user != t.other {
		// Nothing is written or signed between this wake and its answer.
		decisions = append(decisions, decision{"no", func(ctx context.Context, on *node, _ string) error {
			return t.invalidate(ctx, on, t.user)
		}, func(err error) bool { return is(err, "failed_to_authenticate") }})
	}
	for _, d := range decisions {
		var sent, answered []time.Duration
		for range samples {
			asked, committed, at, err := t.decideOnce(ctx, d, held)
			if err != nil {
				return err
			}
			sent = append(sent, at.Sub(asked))
			answered = append(answered, at.Sub(committed)) // negative: the wait heard of it first
		}
		r.quantiles(fmt.Sprintf("%d held: decision answered to last byte of the %s", held+1, d.name), answered)
		r.quantiles(fmt.Sprintf("%d held: decision sent to last byte of the %s", held+1, d.name), sent)
	}
	return nil
}

// decideOnce decides a wait that sleeps: when the decision was sent, when it was
// answered, and when the wait's answer was here.
func (t *target) decideOnce(ctx context.Context, d decision, held int) (asked, committed, at time.Time, err error) {
	decides, waits := t.node(0), t.node(1)
	code, err := t.generate(ctx, decides, t.user)
	if err != nil {
		return asked, committed, at, err
	}
	end, err := t.startWait(ctx, waits, t.user, code)
	if err == nil {
		err = t.awaitSleepers(ctx, waits, held+1)
	}
	if err != nil {
		return asked, committed, at, err
	}
	asked = time.Now()
	if err := d.make(ctx, decides, code); err != nil {
		return asked, committed, at, err
	}
	committed = time.Now()
	got := <-end
	if !d.fits(got.err) {
		return asked, committed, at, fmt.Errorf("wait for a %s: %w", d.name, got.err)
	}
	return asked, committed, got.at, nil
}

// awaitSleepers returns when so many sleep in a node's hub, at least: a wait that
// is decided before it sleeps needs no wake.
func (t *target) awaitSleepers(ctx context.Context, on *node, n int) error {
	for range 1000 {
		asleep, err := t.metric(ctx, on, "nod_hub_sleepers")
		if err != nil {
			return err
		}
		if int(asleep) >= n {
			return nil
		}
	}
	return fmt.Errorf("the wait does not come to sleep")
}

// flows runs complete flows: a code is generated, a wait is held, the code is
// authorized, the wait returns the token; each of the three on another node, as
// far as there are others.
func flows(ctx context.Context, t *target, workers int, d time.Duration) (report, error) {
	r := report{Title: fmt.Sprintf("complete flows, %d at once, %s, %d nodes", workers, d, len(t.nodes))}
	before, err := t.used(ctx)
	if err != nil {
		return r, err
	}
	var count atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	began := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	for range workers {
		g.Go(func() error {
			var own []time.Duration
			for time.Since(began) < d {
				one, err := t.flow(gctx, int(count.Add(1)))
				if err != nil {
					return err
				}
				own = append(own, one)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return r, err
	}
	elapsed := time.Since(began)
	after, err := t.used(ctx)
	if err != nil {
		return r, err
	}
	n := float64(len(took))
	r.add("complete flows", n, "")
	r.add("complete flows per second", n/elapsed.Seconds(), "1/s")
	for _, of := range []string{"nod", "PostgreSQL", "Redis"} {
		if cpu, ok := after.cpu[of]; ok {
			r.add(of+": processor time per flow", micros(cpu-before.cpu[of])/n, "us")
		}
	}
	if t.nodes[0].metrics != "" {
		r.add("reads of the database per flow, beside its writes", (after.reads-before.reads)/n, "")
	}
	r.quantiles("authorize sent to token", took)
	return r, nil
}

// flow is one complete flow; it returns the time from the decision to the token.
func (t *target) flow(ctx context.Context, i int) (time.Duration, error) {
	code, err := t.generate(ctx, t.node(i), t.user)
	if err != nil {
		return 0, err
	}
	held, err := t.startWait(ctx, t.node(i+1), t.user, code)
	if err != nil {
		return 0, err
	}
	asked := time.Now()
	if err := t.authorize(ctx, t.node(i+2), code); err != nil {
		return 0, err
	}
	got := <-held
	return got.at.Sub(asked), got.err
}

// used is what has been used so far.
type used struct {
	cpu   map[string]time.Duration // of nod, PostgreSQL and Redis, as far as it can be told
	reads float64                  // that the nodes asked of their database
}

func (t *target) used(ctx context.Context) (u used, err error) {
	u.cpu = make(map[string]time.Duration)
	for _, n := range t.nodes {
		if n.pid == 0 {
			continue
		}
		one, err := processCPU(n.pid)
		if err != nil {
			return u, err
		}
		u.cpu["nod"] += one
	}
	if t.postgres != nil && t.postgres.pid != 0 {
		if u.cpu["PostgreSQL"], err = familyCPU(t.postgres.pid); err != nil {
			return u, err
		}
	}
	if t.redis != nil {
		if u.cpu["Redis"], err = t.redis.cpu(); err != nil {
			return u, err
		}
	}
	if t.nodes[0].metrics != "" {
		u.reads, err = t.sum(ctx, "nod_store_reads_total", t.nodes...)
	}
	return u, err
}
