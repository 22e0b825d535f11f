package soak

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// linear is the sequential specification of one request, as its clients see it
// over HTTP: what a single, reliable node would do, one call after the other.
type linear struct {
	state   string // pending, approved, redeemed, canceled, expired
	from    string // who collected
	token   string // its jti; "" while nobody heard it
	revoked bool
}

// asked is the input of one call.
type asked struct {
	request string
	verb    verb
	from    string
	// By the clock, which is not part of the state: whether the code's end may have
	// come by the answer, and whether it had come before the call.
	mayEnd, hasEnded bool
}

// heard is its output.
type heard struct {
	outcome outcome
	token   string
}

func (l linear) expire() linear { l.state = "expired"; return l }

// step is what may be true after a call that was answered so; nothing when the
// answer is wrong.
func (l linear) step(in asked, out heard) []linear {
	var is []linear
	if l.state == "pending" && in.mayEnd { // time may act first
		is = l.expire().judge(in, out)
		// A backend that comes too late is told so, and that is not written down: until
		// somebody does, a backend can still take the request back.
		if in.verb == authorizes && out.outcome == expired {
			is = append(is, l)
		}
	}
	if l.state == "pending" && in.hasEnded && in.verb != invalidates && out.outcome != unknown {
		return is
	}
	return append(is, l.judge(in, out)...)
}

func (l linear) judge(in asked, out heard) []linear {
	after, said := l.act(in)
	switch {
	case out.outcome == unknown: // it happened, or it did not
		return []linear{l, after}
	case said != out.outcome:
		return nil
	case in.verb == collects && out.outcome == done:
		if l.token != "" && l.token != out.token {
			return nil
		}
		after.token = out.token
	}
	return []linear{after}
}

// act is what a call does and what it answers.
func (l linear) act(in asked) (linear, outcome) {
	switch in.verb {
	case authorizes:
		switch l.state {
		case "pending", "approved":
			l.state = "approved"
			return l, done
		case "expired":
			return l, expired
		}
		return l, notFound
	case invalidates:
		switch l.state {
		case "pending", "approved":
			l.state = "canceled"
		case "redeemed":
			l.revoked = true
		}
		return l, done
	default:
		return l.collect(in)
	}
}

func (l linear) collect(in asked) (linear, outcome) {
	switch l.state {
	case "pending":
		return l, pending
	case "expired":
		return l, expired
	case "canceled":
		return l, denied
	case "approved":
		l.state, l.from = "redeemed", in.from
		return l, done
	}
	switch {
	case l.revoked:
		return l, denied
	case l.from == in.from:
		return l, done
	default:
		return l, notFound
	}
}

var sequential = porcupine.NondeterministicModel{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		by := make(map[string][]porcupine.Operation)
		for _, o := range all {
			id := o.Input.(asked).request
			by[id] = append(by[id], o)
		}
		var out [][]porcupine.Operation
		for _, o := range by {
			out = append(out, o)
		}
		return out
	},
	Init: func() []any { return []any{linear{state: "pending"}} },
	Step: func(state, in, out any) []any {
		var next []any
		for _, l := range state.(linear).step(in.(asked), out.(heard)) {
			if !slices.Contains(next, any(l)) {
				next = append(next, l)
			}
		}
		return next
	},
}

var specification = sequential.ToModel()

// bench is where linear histories are made: requests with a user each, so that
// taking back all of a user's is taking back this one.
type bench struct {
	c     *cluster
	users chan string // free ones
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
	sure  int // answers that say what happened
}

// The calls on one request: so many clients at once, so many calls each.
const (
	clientsOfOne = 4
	callsOfEach  = 5
	atOnce       = 12
)

// request is one request's life.
func (b *bench) request(ctx context.Context, rng *rand.Rand) {
	user := <-b.users
	defer func() { b.users <- user }()
	nodes := b.c.nodes
	var made reply
	for made.status != 200 {
		if made = b.c.api.do(ctx, nodes[rng.IntN(len(nodes))].reached, generating(user)); ctx.Err() != nil {
			return
		}
	}
	slow := rng.IntN(10) == 0 // it runs out in the middle
	var clients sync.WaitGroup
	for range clientsOfOne {
		own := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
		clients.Go(func() {
			for i := range callsOfEach {
				if slow && i == callsOfEach/2 {
					time.Sleep(time.Until(made.ExpiresAt) + time.Duration(own.Int64N(int64(100*time.Millisecond))))
				}
				b.call(ctx, own, user, made)
			}
		})
	}
	clients.Wait()
}

// call makes one random call and notes it. What was not answered may still take
// effect: it never returns.
func (b *bench) call(ctx context.Context, rng *rand.Rand, user string, made reply) {
	in := asked{request: made.RequestID, from: addresses[rng.IntN(len(addresses))]}
	var c call
	switch draw := rng.IntN(100); {
	case draw < 25:
		in.verb, c = authorizes, authorizing(user, made.Code)
	case draw < 32:
		in.verb, c = invalidates, invalidating(user)
	default:
		in.verb, c = collects, collecting(user, made.Code, in.from, false)
	}
	var h history
	n := b.c.nodes[rng.IntN(len(b.c.nodes))]
	c.within = 2 * time.Second
	called := time.Now()
	got := b.c.api.do(ctx, n.reached, c)
	out := h.note(act{verb: in.verb, request: made.RequestID}, got)
	returned, jti := h.acts[0].answered, ""
	if said, err := claimsOf(h.acts[0].token); err == nil {
		jti = said.JTI
	}
	in.mayEnd = out == unknown || returned.After(made.ExpiresAt.Add(-readingError))
	in.hasEnded = called.After(made.ExpiresAt.Add(readingError))
	o := porcupine.Operation{
		Input: in, Call: int64(called.Sub(b.began)), Output: heard{out, jti}, Return: int64(returned.Sub(b.began)),
	}
	if out == unknown {
		o.Return = math.MaxInt64
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ops = append(b.ops, o)
	if out != unknown {
		b.sure++
	}
}

// check judges what was noted, and forgets it: each request is over.
func (b *bench) check(t *testing.T) int {
	t.Helper()
	ops, wrong := b.ops, 0
	b.ops = nil
	for _, one := range specification.Partition(ops) {
		result := porcupine.CheckOperationsTimeout(specification, one, patience)
		if result == porcupine.Ok {
			continue
		}
		if wrong++; wrong <= 3 {
			t.Errorf("request %s is not linearizable (%s):\n%s", one[0].Input.(asked).request, result, describe(one))
		}
	}
	if wrong > 0 {
		t.Errorf("%d requests in this batch are not linearizable", wrong)
	}
	return len(ops)
}

// describe writes the calls on one request down in the order of asking.
func describe(calls []porcupine.Operation) string {
	slices.SortFunc(calls, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var text strings.Builder
	for _, o := range calls {
		in, out, until := o.Input.(asked), o.Output.(heard), "never"
		if o.Return != math.MaxInt64 {
			until = time.Duration(o.Return).String()
		}
		fmt.Fprintf(&text, "  %s to %s: %s from %s: %s %s\n", time.Duration(o.Call), until, in.verb, in.from, out.outcome, out.token)
	}
	return text.String()
}

// TestRequests_are_linearizable makes random calls on requests through three
// nodes, some of which lose connections and die meanwhile, and lets porcupine
// judge whether one reliable node could have answered so.
func TestRequests_are_linearizable(t *testing.T) {
	want := 20_000
	if soaking {
		want = 1_000_000
	}
	const batch = 5_000
	from := seed(t)
	c := startCluster(t, plan{nodes: 3, proxied: true, flags: []string{"--code-life-long", "2s"}})
	b := &bench{c: c, users: make(chan string, atOnce), began: time.Now()}
	for i := range atOnce {
		name := fmt.Sprintf("person %d", i)
		c.api.newUser(t, c.nodes[0].reached, name)
		b.users <- name
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var breaking sync.WaitGroup
	breaking.Go(func() { harass(ctx, t, c, from) })
	for total := 0; total < want && !t.Failed(); {
		b.run(ctx, rand.New(rand.NewPCG(from, uint64(total))), batch/(clientsOfOne*callsOfEach))
		total += b.check(t)
	}
	cancel()
	breaking.Wait()
	took := time.Since(b.began)
	t.Logf("%d answers, %.0f a second", b.sure, float64(b.sure)/took.Seconds())
}

// run is so many requests, a few at a time.
func (b *bench) run(ctx context.Context, rng *rand.Rand, requests int) {
	var all sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for range requests {
		own := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			b.request(ctx, own)
		})
	}
	all.Wait()
}

// harass breaks small things all the time.
func harass(ctx context.Context, t *testing.T, c *cluster, from uint64) {
	rng := rand.New(rand.NewPCG(from, math.MaxUint64))
	m := &nemesis{t: t, c: c, rng: rng, long: 300 * time.Millisecond}
	for ctx.Err() == nil {
		f := nodeFaults[rng.IntN(6)] // dies, freezes, loses replies
		f.do(m, c.nodes[rng.IntN(len(c.nodes))])
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}
