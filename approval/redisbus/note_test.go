package redisbus_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval/testservers"
)

// notes adds one to what is noted under a key and says what was there; next must be
// called once, whatever happens.
func (n *node) notes(key string, ttl time.Duration) (was string) {
	n.t.Helper()
	calls := 0
	n.Note(n.t.Context(), key, ttl, func(b []byte) []byte {
		if calls++; b != nil && len(b) == 0 {
			n.t.Error("nothing is remembered: got no bytes, want nil")
		}
		was = string(b)
		return []byte(was + "x")
	})
	if calls != 1 {
		n.t.Errorf("asked %d times, want once", calls)
	}
	return was
}

func TestBus_notes_over_all_nodes(t *testing.T) {
	for name, start := range forms {
		t.Run(name, func(t *testing.T) {
			url := start(t)
			nodes := []*node{startNode(t, url), startNode(t, url)}
			for i, want := range []string{"", "x", "xx", "xxx"} {
				if got := nodes[i%2].notes("device", time.Minute); got != want {
					t.Errorf("node %d: got %q, want %q", i%2, got, want)
				}
			}
			if got := nodes[0].notes("another", time.Minute); got != "" {
				t.Errorf("another key: got %q", got)
			}
		})
	}
}

func TestBus_every_note_has_a_lifetime(t *testing.T) {
	r := testservers.StartRedis(t)
	a := startNode(t, r.URL())
	a.notes("k", time.Minute)
	a.notes("none", 0)
	a.notes("negative", -time.Second)
	a.Note(t.Context(), "nothing", time.Minute, func([]byte) []byte { return nil })
	if keys := r.Do("KEYS", "*"); !strings.Contains(keys, "nod:note:k") {
		t.Fatalf("keys: %s", keys)
	}
	if out := r.Do("EVAL", "local n = 0 for _, k in ipairs(redis.call('KEYS', '*')) do if redis.call('PTTL', k) < 0 then n = n + 1 end end return n", "0"); out != "(integer) 0" {
		t.Errorf("keys without a lifetime: %s", out)
	}
	if got := a.notes("nothing", time.Minute); got != "" {
		t.Errorf("after nothing was noted: got %q", got)
	}
}

func TestBus_notes_alone_while_redis_is(t *testing.T) {
	for name, hurt := range map[string]func(r *testservers.Redis){
		"frozen": (*testservers.Redis).Freeze,
		"down":   (*testservers.Redis).Kill,
	} {
		t.Run(name, func(t *testing.T) {
			r := testservers.StartRedis(t)
			a := startNode(t, r.URL())
			a.notes("k", time.Minute)
			hurt(r)
			if name == "frozen" {
				defer r.Thaw()
			}
			began := time.Now()
			if got := a.notes("k", time.Minute); got != "" {
				t.Errorf("the first: got %q, want nothing: this node never heard of it", got)
			}
			// 50 ms, and room for a machine that is busy with other tests.
			if took := time.Since(began); took > 250*time.Millisecond {
				t.Errorf("the first took %s, want 50 ms", took)
			}
			began = time.Now()
			for i := range 100 {
				if got, want := a.notes("k", time.Minute), strings.Repeat("x", i+1); time.Since(began) < 500*time.Millisecond && got != want {
					t.Fatalf("note %d: got %q, want what this node noted itself, %q", i, got, want)
				}
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("100 notes took %s: each waits for Redis", took)
			}
		})
	}
}

// A client that leaves is no fault of Redis's: the next is noted there again.
func TestBus_notes_of_a_client_that_left_do_not_rest_redis(t *testing.T) {
	r := testservers.StartRedis(t)
	a := startNode(t, r.URL())
	gone, leave := context.WithCancel(t.Context())
	leave()
	calls := 0
	a.Note(gone, "k", time.Minute, func([]byte) []byte { calls++; return []byte("x") })
	if calls != 1 {
		t.Errorf("asked %d times, want once", calls)
	}
	a.notes("k", time.Minute)
	if keys := r.Do("KEYS", "nod:note:*"); !strings.Contains(keys, "nod:note:k") {
		t.Errorf("keys: %s, want the note of the second", keys)
	}
}
