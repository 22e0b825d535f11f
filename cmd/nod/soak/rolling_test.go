package soak

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// front is the proxy before the nodes, without a process of its own: it sends each
// request to the next node and, when that one does not even take the connection, to
// the one after it. What has been sent is never sent again, so a reset is seen.
type front struct {
	nodes []*node
	next  atomic.Uint64
	by    *http.Transport
	moved atomic.Int64 // requests that a node did not take
}

func newFront(t *testing.T, nodes []*node) *front {
	f := &front{nodes: nodes, by: &http.Transport{
		DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		// A connection each, as proxies have it to what is behind them unless they are
		// told otherwise.
		DisableKeepAlives: true, DisableCompression: true,
	}}
	t.Cleanup(f.by.CloseIdleConnections)
	return f
}

// RoundTrip implements http.RoundTripper.
func (f *front) RoundTrip(r *http.Request) (*http.Response, error) {
	var err error
	first := int(f.next.Add(1) % uint64(len(f.nodes)))
	for i := range f.nodes {
		to := f.nodes[(first+i)%len(f.nodes)]
		sent := r.Clone(r.Context())
		sent.URL.Host = to.listen
		if sent.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
		var res *http.Response
		if res, err = f.by.RoundTrip(sent); err == nil {
			return res, nil
		}
		if dial := (*net.OpError)(nil); !errors.As(err, &dial) || dial.Op != "dial" {
			return nil, fmt.Errorf("%s: %w", to.name, err)
		}
		f.moved.Add(1)
	}
	return nil, err
}

// crowd is devices that wait through the front while the nodes are replaced.
type crowd struct {
	api             *api
	codes           []string
	answered, again atomic.Int64
	mu              sync.Mutex
	wrong           []string
	late            time.Duration // the longest from an acknowledged yes to its token
	approved        []time.Time   // by code; zero: not yet
}

const crowdUser = "zoe"

// device waits until it has its token.
func (d *crowd) device(ctx context.Context, i int) {
	for {
		got := d.api.do(ctx, "front", collecting(crowdUser, d.codes[i], "", true))
		switch {
		case got.err == nil && got.Code == tryAgain:
			d.again.Add(1)
		case got.JWT != "":
			d.answered.Add(1)
			d.mu.Lock()
			if yes := d.approved[i]; !yes.IsZero() {
				d.late = max(d.late, time.Since(yes))
			}
			d.mu.Unlock()
			return
		default:
			d.complain("device %d: %s", i, got)
			return
		}
	}
}

// approve is the backend's part, once: what is not answered with a yes is wrong.
func (d *crowd) approve(ctx context.Context, i int) {
	c := authorizing(crowdUser, d.codes[i])
	c.within = patience // it meets hundreds of waits that come back at once
	if got := d.api.do(ctx, "front", c); got.status != http.StatusOK {
		d.complain("approval %d: %s", i, got)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.approved[i] = time.Now()
}

func (d *crowd) complain(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wrong = append(d.wrong, fmt.Sprintf(format, args...))
}

// TestRolling_restart_loses_nothing replaces three nodes one after the other under
// 2,000 held waits and 20 approvals a second.
func TestRolling_restart_loses_nothing(t *testing.T) {
	const devices, perSecond = 2_000, 20
	rounds := 1
	if soaking {
		rounds = 10
	}
	c := startCluster(t, plan{nodes: 3})
	c.api.newUser(t, c.nodes[0].reached, crowdUser)
	f := newFront(t, c.nodes)
	d := &crowd{api: c.api.through(f), codes: codes(t, c, devices), approved: make([]time.Time, devices)}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute) // the codes live for ten
	defer cancel()
	var waiting, backend sync.WaitGroup
	for i := range devices {
		waiting.Go(func() { d.device(ctx, i) })
	}
	eventually(t, patience, "all wait", func() error { return c.hold(devices) })
	restarted, over := context.WithCancel(ctx)
	decided := 0
	backend.Go(func() {
		tick := time.NewTicker(time.Second / perSecond)
		defer tick.Stop()
		for ; restarted.Err() == nil && decided < devices; decided++ {
			<-tick.C
			i := decided
			backend.Go(func() { d.approve(ctx, i) })
		}
	})
	for range rounds {
		for _, n := range c.nodes {
			if took := n.stop(); took > drainedWithin+slack {
				t.Errorf("%s ended after %s, want within %s", n.name, took, drainedWithin)
			}
			n.start()
			n.awaitReady(t)
			time.Sleep(2 * time.Second) // as long as a deploy gives a new node at least
		}
	}
	over()
	backend.Wait()
	d.approveRest(ctx, decided)
	waiting.Wait()
	if len(d.wrong) > 0 || d.answered.Load() != devices {
		t.Errorf("%d of %d devices have their token; %d complaints:\n%s", d.answered.Load(), devices, len(d.wrong), strings.Join(d.wrong[:min(len(d.wrong), 10)], "\n"))
	}
	if most := sweptWithin + 4*slack; d.late > most { // its device may be on its way from one node to the next
		t.Errorf("a token came %s after its approval, want within %s", d.late, most)
	}
	t.Logf("%d approved meanwhile; %d waits were told to try again, %d requests went to the next node; the latest token came %s after its approval",
		decided, d.again.Load(), f.moved.Load(), d.late)
}

// approveRest lets everybody go home.
func (d *crowd) approveRest(ctx context.Context, from int) {
	var all sync.WaitGroup
	places := make(chan struct{}, 16)
	for i := from; i < len(d.codes); i++ {
		places <- struct{}{}
		all.Go(func() { d.approve(ctx, i); <-places })
	}
	all.Wait()
}

// codes makes n codes.
func codes(t *testing.T, c *cluster, n int) []string {
	t.Helper()
	out := make([]string, n)
	var all sync.WaitGroup
	places := make(chan struct{}, 16)
	for i := range out {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			got := c.api.do(t.Context(), c.nodes[i%len(c.nodes)].reached, generating(crowdUser))
			if out[i] = got.Code; got.status != http.StatusOK {
				t.Errorf("generate: %s", got)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return out
}

// hold is nil when the nodes hold so many waits together.
func (c *cluster) hold(want int) error {
	held := 0
	for _, n := range c.nodes {
		v, err := n.metric("nod_waits_held")
		if err != nil {
			return err
		}
		held += int(v)
	}
	if held != want {
		return fmt.Errorf("%d are held", held)
	}
	return nil
}
