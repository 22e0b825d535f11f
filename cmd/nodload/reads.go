package main

import (
	"context"
	"fmt"
	"time"
)

// reads counts what n waits ask of the database while they sleep: first a window
// with nobody waiting, for what a node does anyhow, then the same with all asleep.
// The nodes count themselves; PostgreSQL, where it can, tells it from outside.
func reads(ctx context.Context, t *target, n int, window time.Duration) (report, error) {
	r := report{Title: fmt.Sprintf("database work of %d sleeping waits in %s, %d nodes", n, window, len(t.nodes))}
	idle, err := t.work(ctx, window)
	if err != nil {
		return r, err
	}
	codes, err := t.codes(ctx, n)
	if err != nil {
		return r, err
	}
	waits, err := t.fill(ctx, codes, t.nodes...)
	if err != nil {
		return r, err
	}
	defer waits.drop()
	// What comes with arrival has been done when all have been looked at once.
	if err := pause(ctx, settled); err != nil {
		return r, err
	}
	busy, err := t.work(ctx, window)
	if err != nil {
		return r, err
	}
	if err := t.awaitHeld(ctx, n, t.nodes...); err != nil {
		return r, fmt.Errorf("not all slept all the while: %w", err)
	}
	minutes := float64(n) * window.Minutes()
	r.add("reads with nobody waiting", idle.reads, "")
	r.add("reads with all waiting", busy.reads, "")
	r.add("more reads per waiter and minute", (busy.reads-idle.reads)/minutes, "")
	if busy.told {
		r.add("PostgreSQL: statements of the nodes' sweeps", busy.sweep, "")
		r.add("PostgreSQL: other statements on requests", busy.requests, "")
		r.add("PostgreSQL: the same with nobody waiting", idle.requests, "")
		r.add("PostgreSQL: more of these per waiter and minute", (busy.requests-idle.requests)/minutes, "")
		r.add("PostgreSQL: statements on anything else", busy.other, "")
		r.add("PostgreSQL: the same with nobody waiting", idle.other, "")
	}
	return r, nil
}

// settled is longer than the sweep's 5 s.
const settled = 6 * time.Second

// work is what was asked of the database in a window.
type work struct {
	reads float64 // the nodes' own count
	told  bool    // calls are known
	calls
}

func (t *target) work(ctx context.Context, window time.Duration) (w work, err error) {
	before, err := t.worked(ctx)
	if err != nil {
		return w, err
	}
	if err := pause(ctx, window); err != nil {
		return w, err
	}
	after, err := t.worked(ctx)
	if err != nil {
		return w, err
	}
	return work{after.reads - before.reads, after.told, calls{
		after.sweep - before.sweep, after.requests - before.requests, after.other - before.other,
	}}, nil
}

func (t *target) worked(ctx context.Context) (w work, err error) {
	if w.reads, err = t.sum(ctx, "nod_store_reads_total", t.nodes...); err != nil {
		return w, err
	}
	if t.postgres != nil && t.postgres.countsStatements(ctx) {
		w.told = true
		w.calls, err = t.postgres.statements(ctx)
	}
	return w, err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
