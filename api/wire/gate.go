package wire

import "sync"

// Gate counts held calls, so that nobody, and not even all of them together, can
// hold more than their share. One gate serves all faces of a node. Safe for
// concurrent use.
type Gate struct {
	max int

	mu    sync.Mutex
	total int
	by    map[string]int
}

// NewGate makes a gate with max places.
func NewGate(max int) *Gate { return &Gate{max: max, by: make(map[string]int)} }

// Enter takes a place for key, of which there are limit; ok is false when there
// is none. Whoever got in calls leave once.
func (g *Gate) Enter(key string, limit int) (leave func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= g.max || g.by[key] >= limit {
		return nil, false
	}
	g.total++
	g.by[key]++
	return func() { g.leave(key) }, true
}

func (g *Gate) leave(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.by[key]--; g.by[key] == 0 {
		delete(g.by, key)
	}
}

// Held is how many are inside.
func (g *Gate) Held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total
}
