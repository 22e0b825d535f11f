package soak

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// listing asks what is signed in as a user, revoking ends one device or, with none
// named, all.
func listing(user string) call {
	return call{path: "/devices/list", scope: "devices.list", user: user}
}

func revoking(user, device string) call {
	body := map[string]any{"all": true}
	if device != "" {
		body = map[string]any{"device": map[string]any{"id": device}}
	}
	return call{path: "/devices/revoke", scope: "devices.revoke", user: user, body: body}
}

// standing counts the user's devices that are active, as a node sees it.
func standing(t *testing.T, c *cluster, on *node, user string) (active int, ids []string) {
	t.Helper()
	got := c.api.do(t.Context(), on.reached, listing(user))
	if got.err != nil || got.status != http.StatusOK {
		t.Fatalf("list devices on %s: got %s", on.name, got)
	}
	for _, d := range got.Devices {
		ids = append(ids, d.ID)
		if d.Active {
			active++
		}
	}
	return active, ids
}

// TestDevices_revoked_on_one_node_are_dead_on_all: three nodes, one of which does not
// hear the others over Redis for a while.
func TestDevices_revoked_on_one_node_are_dead_on_all(t *testing.T) {
	c := startCluster(t, plan{nodes: 3})
	const user = "zoe"
	c.api.newUser(t, c.nodes[0].reached, user)
	for i, how := range []string{"one", "all", "all, Redis frozen"} {
		t.Run(how, func(t *testing.T) {
			at, other := c.nodes[i], c.nodes[(i+1)%len(c.nodes)]
			var codes []string
			for range 2 {
				code := c.api.newCode(t, other.reached, user).Code
				authorize(t, c, other, user, code)
				if got := c.api.do(t.Context(), other.reached, collecting(user, code, "", false)); got.JWT == "" {
					t.Fatalf("collect: got %s, want a token", got)
				}
				codes = append(codes, code)
			}
			active, ids := standing(t, c, at, user)
			if active != 2 {
				t.Fatalf("%d active devices, want the two that were just let in", active)
			}
			if how == "all, Redis frozen" {
				c.redis.Freeze()
				defer c.redis.Thaw()
			}
			revoke, want := revoking(user, ""), 0
			if how == "one" {
				revoke, want = revoking(user, ids[0]), 1
			}
			if got := c.api.do(t.Context(), at.reached, revoke); got.status != http.StatusOK {
				t.Fatalf("revoke on %s: got %s, want 200", at.name, got)
			}
			revoked := time.Now()
			for _, n := range c.nodes {
				eventually(t, wokenWithin, n.name+" says so", func() error {
					if active, _ := standing(t, c, n, user); active != want {
						return fmt.Errorf("%d active devices, want %d", active, want)
					}
					return nil
				})
			}
			t.Logf("all nodes say so %s after the answer", time.Since(revoked).Round(time.Millisecond))
			// Nor is a lost reply given again of what was signed in last.
			for _, n := range c.nodes {
				got := c.api.do(t.Context(), n.reached, collecting(user, codes[1], "", false))
				if got.JWT != "" || got.status != http.StatusForbidden {
					t.Errorf("%s gives it again: %s, want failed_to_authenticate", n.name, got)
				}
			}
			if got := c.api.do(t.Context(), at.reached, revoking(user, "")); got.err != nil {
				t.Error(errors.Join(errors.New("revoke the rest"), got.err))
			}
		})
	}
}
