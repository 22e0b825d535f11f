package client

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	firstPause = 500 * time.Millisecond
	longPause  = 10 * time.Second // a server that is back is found within this
)

// backoff is how long to pause after trouble: twice as long each time (RFC 8628
// section 3.5), and not in step with everybody else whom a restart has cut off.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(firstPause, 2*b.last), longPause)
	return b.last*3/4 + rand.N(b.last/2)
}

// reset begins anew: an answer came.
func (b *backoff) reset() { b.last = 0 }

// sleepUntil returns at the time, or with ctx's error when that ends.
func sleepUntil(ctx context.Context, at time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d := time.Until(at)
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// later is the later of the two.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
