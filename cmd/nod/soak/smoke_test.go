package soak

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The house's own promises about a wait (architecture, I10) and about Redis's
// return (threats, D2).
const (
	wokenWithin   = time.Second
	sweptWithin   = 6 * time.Second
	redisBackIn   = 2 * time.Second
	drainedWithin = 5 * time.Second
	// slack is for a machine that is busy with other tests meanwhile.
	slack = time.Second
)

// answered returns the token of a wait and how long after since it came.
func answered(t *testing.T, answer <-chan reply, since time.Time, within time.Duration) {
	t.Helper()
	select {
	case got := <-answer:
		if took := time.Since(since); got.JWT == "" || took > within+slack {
			t.Errorf("wait: got %s after %s, want a token within %s", got, took, within)
		}
	case <-time.After(within + 5*time.Second):
		t.Errorf("wait: no answer long after %s", within)
	}
}

// begin makes a code and holds a wait for it on a node.
func begin(t *testing.T, c *cluster, on *node, user string) (code string, answer <-chan reply) {
	t.Helper()
	code = c.api.newCode(t, on.reached, user).Code
	held, err := on.metric("nod_waits_held")
	if err != nil {
		t.Fatal(err)
	}
	answer = c.api.hold(t.Context(), on.reached, user, code)
	awaitHeld(t, on, int(held)+1)
	return code, answer
}

func authorize(t *testing.T, c *cluster, on *node, user, code string) {
	t.Helper()
	if got := c.api.do(t.Context(), on.reached, authorizing(user, code)); got.status != http.StatusOK {
		t.Fatalf("authorize on %s: got %s, want 200", on.name, got)
	}
}

// TestCluster_answers_on_one_node_what_is_decided_on_another goes through the
// single faults one after the other; the nemesis mixes them.
func TestCluster_answers_on_one_node_what_is_decided_on_another(t *testing.T) {
	c := startCluster(t, plan{nodes: 2})
	a, b := c.nodes[0], c.nodes[1]
	user := "zoe"
	c.api.newUser(t, a.reached, user)

	t.Run("all is well", func(t *testing.T) {
		code, answer := begin(t, c, a, user)
		authorize(t, c, b, user, code)
		answered(t, answer, time.Now(), wokenWithin)
	})
	t.Run("Redis is frozen", func(t *testing.T) { redisFrozen(t, c, user) })
	t.Run("SIGTERM", func(t *testing.T) { sigterm(t, c, user) })
	t.Run("PostgreSQL stops", func(t *testing.T) { postgresStops(t, c, user) })
}

func redisFrozen(t *testing.T, c *cluster, user string) {
	a, b := c.nodes[0], c.nodes[1]
	code, answer := begin(t, c, a, user)
	c.redis.Freeze()
	for _, n := range c.nodes {
		eventually(t, 5*time.Second, n.name+" names redis and stays ready", func() error {
			r, err := n.readiness()
			if err == nil && (r.status != http.StatusOK || r.Checks["redis"] == "ok" || r.Checks["redis"] == "") {
				err = fmt.Errorf("readyz?verbose says %d %v", r.status, r.Checks)
			}
			return err
		})
	}
	authorize(t, c, b, user, code)
	answered(t, answer, time.Now(), sweptWithin)
	c.redis.Thaw()
	for _, n := range c.nodes {
		took := eventually(t, redisBackIn+slack, n.name+" is well again", n.whole)
		t.Logf("%s is well %s after Redis's return", n.name, took.Round(time.Millisecond))
	}
	code, answer = begin(t, c, a, user)
	authorize(t, c, b, user, code)
	answered(t, answer, time.Now(), wokenWithin)
}

// sigterm: whoever waits is told at once to try again, elsewhere.
func sigterm(t *testing.T, c *cluster, user string) {
	a, b := c.nodes[0], c.nodes[1]
	code, answer := begin(t, c, a, user)
	asked := time.Now()
	if took := a.stop(); took > drainedWithin+slack {
		t.Errorf("SIGTERM: ended after %s, want within %s", took, drainedWithin)
	}
	got := <-answer
	if took := time.Since(asked); got.Code != tryAgain || took > drainedWithin+slack {
		t.Errorf("wait: got %s after %s, want %s", got, took, tryAgain)
	}
	answer = c.api.hold(t.Context(), b.reached, user, code)
	awaitHeld(t, b, 1)
	authorize(t, c, b, user, code)
	answered(t, answer, time.Now(), wokenWithin)
	a.start()
	a.awaitReady(t)
}

// postgresStops: nothing is decided, and nothing is given up, while the truth is
// away.
func postgresStops(t *testing.T, c *cluster, user string) {
	a, b := c.nodes[0], c.nodes[1]
	code, answer := begin(t, c, a, user)
	// A crash may take a question back that nobody has decided yet. It is safe once
	// something durable was written after it.
	c.api.newUser(t, a.reached, "written later")
	c.pg.StopImmediately()
	for range 3 {
		got := c.api.do(t.Context(), b.reached, authorizing(user, code))
		if got.status != http.StatusServiceUnavailable || got.retryAfter == "" {
			t.Errorf("authorize: got %s, Retry-After %q; want 503 with one", got, got.retryAfter)
		}
	}
	if r, err := b.readiness(); err != nil || r.status != http.StatusServiceUnavailable {
		t.Errorf("readyz: got %d, %v; want 503", r.status, err)
	}
	select {
	case got := <-answer:
		t.Fatalf("wait: got %s while PostgreSQL was away, want it held", got)
	case <-time.After(2 * time.Second):
	}
	c.pg.Start()
	eventually(t, patience, "authorize works again", func() error {
		if got := c.api.do(t.Context(), b.reached, authorizing(user, code)); got.status != http.StatusOK {
			return errors.New(got.String())
		}
		return nil
	})
	answered(t, answer, time.Now(), sweptWithin)
	for _, n := range c.nodes {
		n.awaitReady(t)
	}
}

// TestNode_without_Redis_stays_alone: two nodes that cannot hear each other never
// serve at once.
func TestNode_without_Redis_stays_alone(t *testing.T) {
	c := startCluster(t, plan{nodes: 1, lonely: true})
	second := c.newNode(1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := second.command(ctx).Run()
	if err == nil || ctx.Err() != nil {
		t.Fatalf("a second node: got %v, want it refused", errors.Join(err, ctx.Err()))
	}
	if said := second.said.end(); !strings.Contains(said, "--redis-url") || !strings.Contains(said, "another node serves") {
		t.Errorf("it said %q, want a sentence that names --redis-url", said)
	}
	if err := c.nodes[0].whole(); err != nil {
		t.Errorf("the first node: %v", err)
	}
}
