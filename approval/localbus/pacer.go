// Package localbus is what nodes need between each other when there is only one
// of them: it paces, and keeps notes about pacing, in memory. Wakes need no carrier on one node, so there is no
// approval.Signals here; a nil one is right.
//
// A Pacer decides nothing that a restart must not undo: it forgets everything
// when the process ends, and the keys that were quiet longest when there are too
// many. Budgets that must hold are the store's.
package localbus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"

	"github.com/nod-auth/nod/approval"
)

const (
	// maxKeys bounds the memory: an entry is about 200 bytes, so 13 MB at most.
	// Whoever could use more addresses than that (an IPv6 address counts by its
	// /64) is not stopped by pacing addresses.
	maxKeys = 1 << 16

	// maxSwaps is how often a count is tried again when others of the same key
	// were faster. A swap takes well under a microsecond, so whoever loses this
	// many is in a crowd that should wait anyway.
	maxSwaps = 1000
)

// Pacer counts events in memory by the generic cell rate algorithm: a key may
// burst its whole limit and then earns one event every window/limit. Beside the
// counts it keeps as many notes, of whatever size their callers make them. Safe for
// concurrent use.
type Pacer struct {
	store throttled.GCRAStoreCtx

	mu     sync.Mutex
	quotas map[quota]*throttled.GCRARateLimiterCtx

	noting sync.Mutex // held while a note is replaced
	notes  *simplelru.LRU[string, note]
}

var _ approval.Pacer = (*Pacer)(nil)

// quota is the parameters of one limiter: a handful in a whole program.
type quota struct {
	limit  int
	window time.Duration
}

// NewPacer makes a pacer that has seen nothing.
func NewPacer() *Pacer {
	store, err := memstore.NewCtx(maxKeys)
	if err != nil { // only for a negative size
		panic(err)
	}
	notes, err := simplelru.NewLRU[string, note](maxKeys, nil)
	if err != nil { // likewise
		panic(err)
	}
	return &Pacer{store: store, quotas: make(map[quota]*throttled.GCRARateLimiterCtx), notes: notes}
}

// Take counts one event of key and says how long to wait before the next is
// welcome; 0 means that this one is. An event that is not welcome costs nothing.
// A limit or window that is not positive is no limit.
func (p *Pacer) Take(ctx context.Context, key string, limit int, window time.Duration) time.Duration {
	q := quota{limit, window}
	if limit <= 0 || window < time.Duration(limit) {
		return 0
	}
	limited, result, err := p.limiter(q).RateLimitCtx(ctx, fmt.Sprintf("%d/%s/%s", limit, window, key), 1)
	switch {
	case err != nil:
		return q.interval()
	case limited:
		return max(result.RetryAfter, 1)
	default:
		return 0
	}
}

// interval is the time between two events at the sustained rate.
func (q quota) interval() time.Duration { return q.window / time.Duration(q.limit) }

func (p *Pacer) limiter(q quota) *throttled.GCRARateLimiterCtx {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, known := p.quotas[q]
	if !known {
		var err error
		l, err = throttled.NewGCRARateLimiterCtx(p.store, throttled.RateQuota{
			MaxRate: throttled.PerDuration(q.limit, q.window), MaxBurst: q.limit - 1,
		})
		if err != nil { // only for a rate of nothing, which Take refuses
			panic(err)
		}
		l.SetMaxCASAttemptsLimit(maxSwaps)
		p.quotas[q] = l
	}
	return l
}

// note is what is remembered under a key, until it is over.
type note struct {
	text []byte
	over time.Time
}

// Note implements approval.Pacer, one call after the other, so next must not call
// back. The keys used least lately are forgotten when there are too many.
func (p *Pacer) Note(_ context.Context, key string, ttl time.Duration, next func(was []byte) []byte) {
	p.noting.Lock()
	defer p.noting.Unlock()
	now := time.Now()
	var was []byte
	if n, ok := p.notes.Get(key); ok && now.Before(n.over) {
		was = n.text
	}
	p.notes.Add(key, note{next(was), now.Add(ttl)})
}
