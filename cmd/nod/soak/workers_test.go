package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// person is a user of the cluster's. Nobody takes back what a calm one's codes
// allow, so that nothing of it may be lost.
type person struct {
	name, id string
	calm     bool
}

// stage is where workers and faults meet.
type stage struct {
	c       *cluster
	h       *history
	people  []person
	stop    context.Context // no new sessions after it
	end     context.Context // nothing after it
	mu      sync.Mutex
	lost    []string // waiters that never came back
	oldest  []worked // collected early, to be asked for again when it is too late
	latency []time.Duration
}

// worked is a code in use.
type worked struct {
	who      person
	code, id string
	expires  time.Time
	approved *atomic.Int64 // when an approval was acknowledged, in Unix ns; 0: it was not
}

// worker is one line of sessions: a code is made, waited for, decided and
// collected, and then asked for again.
type worker struct {
	*stage
	rng *rand.Rand
}

// codeLife is how long codes live on this stage: short, so that some run out.
const codeLife = 10 * time.Second

// addresses from which devices wait; redelivery is bound to them.
var addresses = []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"}

func (w *worker) run() {
	for w.stop.Err() == nil {
		w.session()
	}
}

func (w *worker) node() *node { return w.c.nodes[w.rng.IntN(len(w.c.nodes))] }

// pause gives the others time: up to so long.
func (w *worker) pause(most time.Duration) {
	select {
	case <-time.After(time.Duration(w.rng.Int64N(int64(most)))):
	case <-w.end.Done():
	}
}

// once makes one call and writes it down.
func (s *stage) once(n *node, a act, c call) (reply, outcome) {
	a.node, a.asked = n.name, time.Now()
	got := s.c.api.do(s.end, n.reached, c)
	return got, s.h.note(a, got)
}

// until makes a call again, on any node, until the answer is known.
func (w *worker) until(a act, c call) outcome {
	for w.end.Err() == nil {
		if _, o := w.once(w.node(), a, c); o != unknown {
			return o
		}
		w.pause(200 * time.Millisecond)
	}
	return unknown
}

func (w *worker) session() {
	k, ok := w.generate()
	if !ok {
		w.pause(300 * time.Millisecond)
		return
	}
	var waiters sync.WaitGroup
	for range 1 + w.rng.IntN(3) {
		other := &worker{w.stage, rand.New(rand.NewPCG(w.rng.Uint64(), 0))}
		waiters.Go(func() { other.wait(k) })
	}
	w.pause(400 * time.Millisecond)
	w.decide(k)
	waiters.Wait()
	for range w.rng.IntN(3) {
		w.collect(k, false)
	}
	if !k.who.calm && w.rng.IntN(3) == 0 {
		w.invalidate(k.who)
		w.collect(k, false)
	}
	if !k.who.calm && w.rng.IntN(4) == 0 {
		w.until(act{verb: revokes, user: k.who.name}, revoking(k.who.name, ""))
		w.collect(k, false)
	}
}

func (w *worker) generate() (worked, bool) {
	who := w.people[w.rng.IntN(len(w.people))]
	c, vouched := generating(who.name), w.rng.IntN(10) == 0
	c.body["authorize"] = vouched
	got, o := w.once(w.node(), act{verb: generates, user: who.name, vouched: vouched}, c)
	return worked{who: who, code: got.Code, id: got.RequestID, expires: got.ExpiresAt, approved: new(atomic.Int64)}, o == done
}

// decide lets a backend have its say: mostly yes, sometimes no, sometimes both at
// once, sometimes nothing.
func (w *worker) decide(k worked) {
	draw := w.rng.IntN(100)
	switch {
	case draw < 3:
	case k.who.calm, draw < 50:
		w.authorize(k)
	case draw < 75:
		other := &worker{w.stage, rand.New(rand.NewPCG(w.rng.Uint64(), 1))}
		var both sync.WaitGroup
		both.Go(func() { other.invalidate(k.who) })
		w.authorize(k)
		both.Wait()
	case draw < 90:
		w.invalidate(k.who)
	default:
		w.until(act{verb: deactivates, user: k.who.name}, setting(k.who.id, "deactivate"))
		w.collect(k, false)
		w.until(act{verb: activates, user: k.who.name}, setting(k.who.id, "activate"))
	}
}

func (w *worker) authorize(k worked) {
	if w.until(act{verb: authorizes, user: k.who.name, request: k.id}, authorizing(k.who.name, k.code)) != done {
		return
	}
	k.approved.Store(time.Now().UnixNano())
}

func (w *worker) invalidate(who person) {
	w.until(act{verb: invalidates, user: who.name}, invalidating(who.name))
}

// collect asks once.
func (w *worker) collect(k worked, held bool) outcome {
	from := addresses[w.rng.IntN(len(addresses))]
	_, o := w.once(w.node(), act{verb: collects, user: k.who.name, request: k.id, from: from}, collecting(k.who.name, k.code, from, held))
	return o
}

// wait waits as a device does, until there is an answer.
func (w *worker) wait(k worked) {
	from := addresses[w.rng.IntN(len(addresses))]
	a := act{verb: collects, user: k.who.name, request: k.id, from: from}
	for w.end.Err() == nil {
		n := w.node()
		_, o := w.once(n, a, collecting(k.who.name, k.code, from, true))
		switch o {
		case again:
		case unknown:
			w.pause(200 * time.Millisecond)
		case done:
			w.came(k, time.Now())
			return
		default:
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost = append(w.lost, fmt.Sprintf("%s of %s", k.id, k.who.name))
}

// came notes when a token came.
func (s *stage) came(k worked, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.oldest) < 20 {
		s.oldest = append(s.oldest, k)
	}
	if yes := k.approved.Load(); yes != 0 {
		s.latency = append(s.latency, max(0, at.Sub(time.Unix(0, yes))))
	}
}

// tooLate asks again for what was collected in the beginning.
func (s *stage) tooLate() {
	for _, k := range s.oldest {
		a := act{verb: collects, user: k.who.name, request: k.id, from: addresses[0]}
		s.once(s.c.nodes[0], a, collecting(k.who.name, k.code, addresses[0], false))
	}
}

// open makes the people.
func (s *stage) open(calm, moody int) error {
	for i := range calm + moody {
		p := person{name: fmt.Sprintf("person %d", i), calm: i < calm}
		got := s.c.api.do(context.Background(), s.c.nodes[0].reached, call{path: "/manage/users", scope: "users.create", user: p.name})
		if got.status != http.StatusOK {
			return fmt.Errorf("create %s: %s", p.name, got)
		}
		p.id = got.ID
		s.people = append(s.people, p)
	}
	return nil
}
