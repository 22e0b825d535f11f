package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// preparing bounds how many requests are in flight while a round is set up: it
// must not be the thing measured.
const preparing = 64

// hold fills the server with n waits and empties it again, several times: the
// first fill pays for the heap's growth, the third shows what a wait costs a
// server that has been busy before. Resident memory holds garbage and SQLite's
// caches, too; the stacks, the part that grows unnoticed, are counted exactly.
func hold(ctx context.Context, t *target, n, fills int) (report, error) {
	r := report{Title: fmt.Sprintf("memory of %d held waits", n)}
	if t.pid == 0 || t.metrics == "" {
		return r, fmt.Errorf("hold: --pid and --metrics-url are needed with --url")
	}
	idle, err := t.rss()
	if err != nil {
		return r, err
	}
	r.add("server RSS when idle", idle/(1<<20), "MiB")
	unused, err := t.gauge(ctx, stacks)
	if err != nil {
		return r, err
	}
	for fill := range fills {
		codes, err := t.codes(ctx, n)
		if err != nil {
			return r, err
		}
		before, err := t.rss()
		if err != nil {
			return r, err
		}
		waits, err := t.fill(ctx, codes)
		if err != nil {
			return r, err
		}
		full, err := t.rss()
		if err != nil {
			return r, err
		}
		used, err := t.gauge(ctx, stacks)
		if err != nil {
			return r, err
		}
		waits.drop()
		if err := t.awaitHeld(ctx, 0); err != nil {
			return r, err
		}
		if err := t.invalidate(ctx); err != nil {
			return r, err
		}
		r.add(fmt.Sprintf("fill %d: RSS per held wait, from idle", fill+1), (full-idle)/float64(n)/1024, "KiB")
		r.add(fmt.Sprintf("fill %d: RSS per held wait, from just before", fill+1), (full-before)/float64(n)/1024, "KiB")
		r.add(fmt.Sprintf("fill %d: stack per held wait", fill+1), (used-unused)/float64(n)/1024, "KiB")
	}
	return r, nil
}

// stacks is the metric of the memory that the server's goroutines use as stack.
const stacks = "go_memstats_stack_inuse_bytes"

// wake measures decisions one after the other, first with nothing else held,
// then with n waits held that nobody decides.
func wake(ctx context.Context, t *target, n, samples int) (report, error) {
	r := report{Title: fmt.Sprintf("decision to token, %d samples a round", samples)}
	trip, err := t.roundTrip(ctx, samples)
	if err != nil {
		return r, err
	}
	r.add("HTTP round trip (/livez), p50", micros(quantile(trip, .5)), "us")
	if err := t.wakeRound(ctx, &r, samples, "1 held"); err != nil {
		return r, err
	}
	codes, err := t.codes(ctx, n)
	if err != nil {
		return r, err
	}
	waits, err := t.fill(ctx, codes)
	if err != nil {
		return r, err
	}
	defer waits.drop()
	return r, t.wakeRound(ctx, &r, samples, fmt.Sprintf("%d held", n))
}

func (t *target) wakeRound(ctx context.Context, r *report, samples int, name string) error {
	sent, answered := make([]time.Duration, 0, samples), make([]time.Duration, 0, samples)
	for range samples {
		code, err := t.generate(ctx)
		if err != nil {
			return err
		}
		held, err := t.startWait(ctx, code)
		if err != nil {
			return err
		}
		asked := time.Now()
		if err := t.authorize(ctx, code); err != nil {
			return err
		}
		committed := time.Now()
		got := <-held
		if got.err != nil {
			return got.err
		}
		sent = append(sent, got.at.Sub(asked))
		answered = append(answered, max(0, got.at.Sub(committed)))
	}
	for _, q := range []struct {
		name string
		q    float64
	}{{"p50", .5}, {"p99", .99}} {
		r.add(fmt.Sprintf("%s: authorize sent to last byte, %s", name, q.name), micros(quantile(sent, q.q)), "us")
		r.add(fmt.Sprintf("%s: authorize answered to last byte, %s", name, q.name), micros(quantile(answered, q.q)), "us")
	}
	return nil
}

// flows runs complete flows: a code is generated, a wait is held, the code is
// authorized, the wait returns the token.
func flows(ctx context.Context, t *target, workers int, d time.Duration) (report, error) {
	r := report{Title: fmt.Sprintf("complete flows, %d at once, %s", workers, d)}
	cpuBefore, err := t.cpu()
	if err != nil {
		return r, err
	}
	var done atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	began := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	for range workers {
		g.Go(func() error {
			var own []time.Duration
			for time.Since(began) < d {
				one, err := t.flow(gctx)
				if err != nil {
					return err
				}
				own = append(own, one)
				done.Add(1)
			}
			mu.Lock()
			took = append(took, own...)
			mu.Unlock()
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return r, err
	}
	elapsed := time.Since(began)
	cpuAfter, err := t.cpu()
	if err != nil {
		return r, err
	}
	n := float64(done.Load())
	r.add("complete flows", n, "")
	r.add("complete flows per second", n/elapsed.Seconds(), "1/s")
	if t.pid != 0 {
		r.add("server processor time per flow", micros(cpuAfter-cpuBefore)/n, "us")
	}
	r.add("authorize sent to token, p50", micros(quantile(took, .5)), "us")
	r.add("authorize sent to token, p99", micros(quantile(took, .99)), "us")
	return r, nil
}

// flow is one complete flow; it returns the time from the decision to the token.
func (t *target) flow(ctx context.Context) (time.Duration, error) {
	code, err := t.generate(ctx)
	if err != nil {
		return 0, err
	}
	held, err := t.startWait(ctx, code)
	if err != nil {
		return 0, err
	}
	asked := time.Now()
	if err := t.authorize(ctx, code); err != nil {
		return 0, err
	}
	got := <-held
	return got.at.Sub(asked), got.err
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, int(q*float64(len(d))))]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
