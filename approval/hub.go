package approval

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// sweepEvery is how long a lost wake can go unnoticed (architecture, "The Hub
// sweeps every 5 s"; it is the greater part of I10's 6 s).
const sweepEvery = 5 * time.Second

// sweepChunk is the most versions one question to the store compares.
const sweepChunk = 500

const shards = 64 // far more than cores: two waiters rarely meet on one lock

// Hub is where this node's waits sleep. A wake says "look again" and nothing
// else, and may be lost: the Hub asks the store for all sleepers at once every
// five seconds, and whenever Resync says that wakes may have been missed. All
// methods are safe for concurrent use and never block on a sleeper.
type Hub struct {
	seed     maphash.Seed
	shards   [shards]shard
	resync   chan struct{}
	drain    sync.Once
	draining chan struct{}
	sleeping atomic.Int64
}

type shard struct {
	mu    sync.Mutex
	seats map[string][]*seat
}

// seat is one sleeper. Whoever wakes it leaves a token in wake; a token that is
// there already is enough.
type seat struct {
	hub      *Hub
	id       string
	holds    bool   // it is the one wait that may collect
	from     string // the address that it comes from, when it holds
	wake     chan struct{}
	version  atomic.Int64 // last read by its sleeper
	replaced atomic.Bool  // a newer wait took its place
}

// NewHub makes an empty hub. It starts nothing; Service.Run drives its sweep.
func NewHub() *Hub {
	h := &Hub{seed: maphash.MakeSeed(), resync: make(chan struct{}, 1), draining: make(chan struct{})}
	for i := range h.shards {
		h.shards[i].seats = make(map[string][]*seat)
	}
	return h
}

func (h *Hub) shard(id string) *shard {
	return &h.shards[maphash.String(h.seed, id)%shards]
}

// sit registers a sleeper. From this moment no wake for id is missed, so the
// caller reads the store after it, never before. A holder's replaces an older
// wait for the same request, which wakes and sees that it was replaced.
func (h *Hub) sit(id string, holder *Holder) *seat {
	s := &seat{hub: h, id: id, wake: make(chan struct{}, 1)}
	if holder != nil {
		s.holds, s.from = true, holder.Address
	}
	sh := h.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s.holds {
		for _, old := range sh.seats[id] {
			if old.holds && !old.replaced.Swap(true) {
				old.ring()
			}
		}
	}
	sh.seats[id] = append(sh.seats[id], s)
	h.sleeping.Add(1)
	return s
}

// leave must be called once, when the sleeper goes.
func (s *seat) leave() {
	sh := s.hub.shard(s.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	seats := sh.seats[s.id]
	for i, other := range seats {
		if other == s {
			seats[i] = seats[len(seats)-1]
			seats[len(seats)-1] = nil
			sh.seats[s.id] = seats[:len(seats)-1]
			break
		}
	}
	if len(sh.seats[s.id]) == 0 {
		delete(sh.seats, s.id)
	}
	s.hub.sleeping.Add(-1)
}

func (s *seat) ring() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// holder is the address from which the request is waited for on this node, ""
// when nobody waits here.
func (h *Hub) holder(id string) string {
	sh := h.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, s := range sh.seats[id] {
		if s.holds && !s.replaced.Load() {
			return s.from
		}
	}
	return ""
}

// Wake makes every sleeper on the request look again.
func (h *Hub) Wake(id string) {
	sh := h.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, s := range sh.seats[id] {
		s.ring()
	}
}

// Resync says that wakes may have been missed: Run sweeps at once.
func (h *Hub) Resync() {
	select {
	case h.resync <- struct{}{}:
	default:
	}
}

// Drain makes every sleeper, present and future, leave with ErrPending: the
// node is about to stop, and the wait can be made again elsewhere.
func (h *Hub) Drain() { h.drain.Do(func() { close(h.draining) }) }

// Sleeping is how many waits this node holds.
func (h *Hub) Sleeping() int { return int(h.sleeping.Load()) }

// run sweeps until ctx ends. An unreachable store is asked again at the next
// turn: the sleepers keep sleeping.
func (h *Hub) run(ctx context.Context, store Store) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-h.resync:
		}
		h.sweep(ctx, store)
	}
}

func (h *Hub) sweep(ctx context.Context, store Store) {
	seen := h.seen()
	for len(seen) > 0 {
		n := min(len(seen), sweepChunk)
		moved, err := store.Changed(ctx, seen[:n])
		if err != nil {
			return
		}
		for _, id := range moved {
			h.Wake(id)
		}
		seen = seen[n:]
	}
}

// seen lists the oldest version that any sleeper on a request has read.
func (h *Hub) seen() []Seen {
	var out []Seen
	for i := range h.shards {
		sh := &h.shards[i]
		sh.mu.Lock()
		for id, seats := range sh.seats {
			oldest := seats[0].version.Load()
			for _, s := range seats[1:] {
				oldest = min(oldest, s.version.Load())
			}
			out = append(out, Seen{ID: id, Version: oldest})
		}
		sh.mu.Unlock()
	}
	return out
}
