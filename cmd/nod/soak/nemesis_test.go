package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
)

// nemesis breaks things, one after the other, and mends each.
type nemesis struct {
	t    *testing.T
	c    *cluster
	to   *receiver // of webhooks
	rng  *rand.Rand
	long time.Duration // the most that something stays broken
	turn int           // of manners
}

// fault is one thing that can break. Those of nodes may happen to one node while
// something else happens to the others.
type fault struct {
	name string
	do   func(m *nemesis, n *node)
}

var nodeFaults = []fault{
	{"kill -9 and start", func(m *nemesis, n *node) { n.kill(); m.last(); n.start() }},
	{"SIGTERM and start", func(m *nemesis, n *node) { m.terminate(n) }},
	{"SIGSTOP", func(m *nemesis, n *node) { n.freeze(); m.last(); n.thaw() }},
	{"PostgreSQL's replies to it dropped", func(m *nemesis, n *node) { m.spoil(n.toStore, "timeout", `"timeout": 300`) }},
	{"PostgreSQL's replies to it late", func(m *nemesis, n *node) { m.spoil(n.toStore, "latency", `"latency": 300, "jitter": 250`) }},
	{"its replies to clients dropped", func(m *nemesis, n *node) { m.spoil(n.toClients, "timeout", `"timeout": 300`) }},
	{"its replies to clients late", func(m *nemesis, n *node) { m.spoil(n.toClients, "latency", `"latency": 300, "jitter": 250`) }},
	{"its clock 300 s ahead, then behind", func(m *nemesis, n *node) { m.stepClock(n) }},
}

var houseFaults = []fault{
	{"Redis loses its subscribers", func(m *nemesis, _ *node) { m.killSubscriptions() }},
	{"Redis loses everything", func(m *nemesis, _ *node) { m.c.redis.Do("FLUSHALL") }},
	{"Redis is killed and started", func(m *nemesis, _ *node) { m.c.redis.Kill(); m.last(); m.c.redis.Start() }},
	{"Redis is frozen", func(m *nemesis, _ *node) { m.c.redis.Freeze(); m.last(); m.c.redis.Thaw() }},
	{"PostgreSQL stops at once and starts", func(m *nemesis, _ *node) { m.c.pg.StopImmediately(); m.last(); m.c.pg.Start() }},
	{"PostgreSQL is frozen", func(m *nemesis, _ *node) { m.c.pg.Freeze(); m.last(); m.c.pg.Thaw() }},
	{"all nodes are killed while webhooks are under way", func(m *nemesis, _ *node) { m.killTelling() }},
	{"the webhook gets another secret", func(m *nemesis, _ *node) { m.rotate() }},
}

// last lets what is broken be broken for a while.
func (m *nemesis) last() {
	time.Sleep(m.long/3 + time.Duration(m.rng.Int64N(int64(m.long*2/3))))
}

func (m *nemesis) terminate(n *node) {
	if took := n.stop(); took > drainedWithin+slack {
		m.t.Errorf("SIGTERM: %s ended after %s, want within %s", n.name, took, drainedWithin)
	}
	n.start()
}

func (m *nemesis) spoil(p *toxiproxy.Proxy, kind, attributes string) {
	if err := spoil(p, kind, attributes); err != nil {
		m.t.Error(err)
		return
	}
	m.last()
	heal(p)
}

func (m *nemesis) killSubscriptions() {
	for range 10 {
		m.c.redis.Do("CLIENT", "KILL", "TYPE", "pubsub")
		time.Sleep(m.long / 10)
	}
}

func (m *nemesis) stepClock(n *node) {
	if !clocksMove {
		m.t.Log("no node's clock can be set on this machine; injected clocks stand in (approval/sqlstore)")
		return
	}
	for _, by := range []time.Duration{300 * time.Second, -300 * time.Second} {
		n.setClock(by)
		m.last()
	}
	n.setClock(0)
}

// killTelling is kill -9 of everybody between the commit of an event and its delivery.
func (m *nemesis) killTelling() {
	m.to.be(hangs)
	m.to.awaitHanging()
	for _, n := range m.c.nodes {
		n.kill()
	}
	m.to.be(well)
	for _, n := range m.c.nodes {
		n.start()
	}
}

// rotate leaves the secret before good for a while, as who cannot change at once does.
func (m *nemesis) rotate() {
	var made struct{ Secret string }
	m.c.cli(&made, "webhook", "rotate")
	m.to.knows(made.Secret)
}

// rounds does every fault once in random order, and goes on until the time is
// over.
func (m *nemesis) rounds(until time.Time) {
	for first := true; first || time.Now().Before(until); first = false {
		all := slices.Concat(nodeFaults, houseFaults)
		m.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, f := range all {
			m.step(f)
		}
	}
	for _, how := range manners { // while all was broken perhaps nothing came its way
		m.to.be(how)
		m.to.awaitMet(how)
	}
}

// step is one fault, beside the next manner of the receiver of webhooks; in the long
// form a second one to some node at the same time.
func (m *nemesis) step(f fault) {
	order := m.rng.Perm(len(m.c.nodes))
	how := manners[m.turn%len(manners)]
	m.turn++
	m.t.Logf("%s %s: %s; the receiver %s", time.Now().Format("05.000"), m.c.nodes[order[0]].name, f.name, how)
	m.to.be(how)
	var second sync.WaitGroup
	if soaking && m.rng.IntN(2) == 0 {
		g, n := nodeFaults[m.rng.IntN(len(nodeFaults))], m.c.nodes[order[1]]
		own := &nemesis{t: m.t, c: m.c, rng: rand.New(rand.NewPCG(m.rng.Uint64(), 2)), long: m.long}
		m.t.Logf("%s %s: and %s", time.Now().Format("05.000"), n.name, g.name)
		second.Go(func() { g.do(own, n) })
	}
	f.do(m, m.c.nodes[order[0]])
	second.Wait()
	m.to.be(well)
	time.Sleep(m.long / 4) // in between everything is well for a moment
}

// TestCluster_under_a_nemesis lets workers use a cluster while everything in it
// breaks, and judges afterwards what they saw.
func TestCluster_under_a_nemesis(t *testing.T) {
	duration, long, workers := time.Duration(0), 2*time.Second, 10 // each fault once, which takes half a minute
	if soaking {
		duration, long, workers = soakFor(20*time.Minute), 10*time.Second, 24
	}
	from := seed(t)
	c := startCluster(t, plan{nodes: 3, proxied: true, flags: []string{
		"--code-life-long", codeLife.String(), "--wait-hold", "10s", "--push-allow-networks", loopback,
	}})
	before := c.burden(t)
	told := newReceiver(t)
	c.hook(told) // before anything happens that it has to hear of
	stop, halt := context.WithCancel(t.Context())
	end, cut := context.WithCancel(t.Context())
	defer cut()
	s := &stage{c: c, h: &history{}, stop: stop, end: end}
	if err := s.open(6, 4); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var crew sync.WaitGroup
	for i := range workers {
		w := &worker{s, rand.New(rand.NewPCG(from, uint64(i)+1))}
		crew.Go(w.run)
	}
	m := &nemesis{t: t, c: c, to: told, rng: rand.New(rand.NewPCG(from, 0)), long: long}
	m.rounds(began.Add(duration))
	halt()
	for _, n := range c.nodes {
		n.awaitReady(t)
	}
	finish(t, &crew, cut)
	s.tooLate()
	if len(s.lost) > 0 {
		t.Errorf("%d waiters never came back: %v", len(s.lost), s.lost)
	}
	owed := c.drained(t, told)
	c.settled(t, before)
	heard, faults := told.heard() // first: the audit has what it tells of
	c.snapshot(t, func(is snapshot) {
		records := is.records()
		faults = slices.Concat(faults, judge(s.h.acts, records), judgeTold(heard, owed, is.audited(), records), is.counted())
	})
	for _, f := range faults[:min(len(faults), 20)] {
		t.Error(f)
	}
	c.sealed(t)
	told.report(t)
	s.report(t, len(faults))
	c.tampered(t, m.rng)
}

// finish lets the sessions under way come to their end.
func finish(t *testing.T, crew *sync.WaitGroup, cut func()) {
	t.Helper()
	over := make(chan struct{})
	go func() { crew.Wait(); close(over) }() // ends at the latest with cut
	select {
	case <-over:
	case <-time.After(codeLife + patience):
		t.Error("sessions do not end")
		cut()
		<-over
	}
}

// burden is what a node at rest carries.
type burden struct{ goroutines, descriptors float64 }

func (c *cluster) burden(t *testing.T) (most burden) {
	t.Helper()
	for _, n := range c.nodes {
		b, err := n.burden()
		if err != nil {
			t.Fatal(err)
		}
		most = burden{max(most.goroutines, b.goroutines), max(most.descriptors, b.descriptors)}
	}
	return most
}

func (n *node) burden() (b burden, err error) {
	var bad error
	b.goroutines, err = n.metric("go_goroutines")
	b.descriptors, bad = n.metric("process_open_fds")
	return b, errors.Join(err, bad)
}

// settled judges I17: nothing is held, nothing is queued, and the nodes carry what
// they carried before, a full pool of connections to PostgreSQL (24) excepted.
func (c *cluster) settled(t *testing.T, before burden) {
	t.Helper()
	const pool, slack = 24, 16
	c.api.http.CloseIdleConnections()
	for _, n := range c.nodes {
		eventually(t, patience, n.name+" is at rest", func() error {
			for _, name := range []string{"nod_waits_held", "nod_hub_sleepers"} {
				if v, err := n.metric(name); err != nil || v != 0 {
					return errors.Join(err, fmt.Errorf("%s is %.0f", name, v))
				}
			}
			b, err := n.burden()
			if err == nil && (b.goroutines > before.goroutines+slack || b.descriptors > before.descriptors+pool+slack) {
				err = fmt.Errorf("it carries %+v, before the load %+v", b, before)
			}
			return err
		})
	}
	db := c.database(t)
	eventually(t, patience, "the outbox is empty", func() error {
		var left int
		err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM outbox WHERE next_at > 0`).Scan(&left)
		if err == nil && left > 0 {
			err = fmt.Errorf("%d messages", left)
		}
		return err
	})
}

// report says what the run was made of, so that a run that did nothing is seen.
func (s *stage) report(t *testing.T, faults int) {
	t.Helper()
	count := make(map[string]int)
	for _, a := range s.h.acts {
		count[string(a.verb)+" "+string(a.outcome)]++
	}
	slices.Sort(s.latency)
	if len(s.latency) == 0 {
		t.Fatal("not one wait was answered")
	}
	t.Logf("%d calls: %v", len(s.h.acts), count)
	t.Logf("from the acknowledged yes to the token: p50 %s, p99 %s, worst %s; %d faults found",
		s.latency[len(s.latency)/2], s.latency[len(s.latency)*99/100], s.latency[len(s.latency)-1], faults)
}
