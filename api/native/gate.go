package native

import "sync"

// gate counts held calls, so that no address, no client and not even all of
// them together can hold more than their share. Safe for concurrent use.
type gate struct {
	max int

	mu    sync.Mutex
	total int
	by    map[string]int
}

func newGate(max int) *gate { return &gate{max: max, by: make(map[string]int)} }

// enter takes a place for key, of which there are limit; ok is false when there
// is none. Whoever got in calls leave once.
func (g *gate) enter(key string, limit int) (leave func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= g.max || g.by[key] >= limit {
		return nil, false
	}
	g.total++
	g.by[key]++
	return func() { g.leave(key) }, true
}

func (g *gate) leave(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.by[key]--; g.by[key] == 0 {
		delete(g.by, key)
	}
}

// held is how many are inside.
func (g *gate) held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total
}
