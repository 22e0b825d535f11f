package soak

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// smallDisk is a file system of so many MiB that ends with the test.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Skipf("no small disk can be mounted here (root can): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", folder, err)
		}
	})
	return folder
}

// fill takes the room that is left but for half a MiB, until the file is removed.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); len(block) > 0; {
		switch _, err := f.Write(block); {
		case errors.Is(err, syscall.ENOSPC):
			block = block[:len(block)/2]
		case err != nil:
			t.Fatal(err)
		}
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		err = f.Truncate(size - 512<<10)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestNode_with_a_full_disk acknowledges nothing that it cannot keep, goes on
// holding, and goes on by itself once there is room (threats, D6).
func TestNode_with_a_full_disk(t *testing.T) {
	disk := smallDisk(t, 8)
	c := startCluster(t, plan{nodes: 1, file: filepath.Join(disk, "nod.db")})
	n, user := c.nodes[0], "zoe"
	c.api.newUser(t, n.reached, user)
	held, answer := begin(t, c, n, user)
	spare := make([]string, 20)
	for i := range spare {
		spare[i] = c.api.newCode(t, n.reached, user).Code
	}
	filler := filepath.Join(disk, "filler")
	fill(t, filler)
	kept, refused := approveUntilFull(t, c, user, spare)
	if refused.status != http.StatusServiceUnavailable || refused.retryAfter == "" {
		t.Errorf("on a full disk: got %s, Retry-After %q; want 503 with one", refused, refused.retryAfter)
	}
	// What readiness tries is smaller than an approval, and may fit in where that did
	// not. Then the next one does not.
	var ready readiness
	for range 50 {
		if got := c.api.do(t.Context(), n.reached, authorizing(user, held)); got.status != http.StatusServiceUnavailable {
			t.Fatalf("authorize on a full disk: got %s, want 503", got)
		}
		var err error
		if ready, err = n.readiness(); err != nil {
			t.Fatal(err)
		}
		if ready.status == http.StatusServiceUnavailable {
			break
		}
	}
	if ready.status != http.StatusServiceUnavailable || ready.Checks["store"] == "ok" {
		t.Errorf("readyz on a full disk: got %+v; want 503", ready)
	}
	select {
	case got := <-answer:
		t.Fatalf("wait on a full disk: got %s, want it held", got)
	default:
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	n.awaitReady(t)
	authorize(t, c, n, user, held)
	answered(t, answer, time.Now(), sweptWithin)
	n.kill()
	n.start()
	n.awaitReady(t)
	for i, code := range kept {
		if got := c.api.do(t.Context(), n.reached, collecting(user, code, "", false)); got.JWT == "" {
			t.Fatalf("code %d of %d, approved with 200: got %s, want its token", i, len(kept), got)
		}
	}
	t.Logf("%d approvals were acknowledged before the disk was full", len(kept))
}

// approveUntilFull makes and approves codes until that fails, and returns those
// whose approval was acknowledged. When no code can be made any more there may be room
// for an approval, which writes less: then spare codes are approved until that fails.
func approveUntilFull(t *testing.T, c *cluster, user string, spare []string) (kept []string, refused reply) {
	t.Helper()
	n := c.nodes[0]
	for range 5_000 {
		made := c.api.do(t.Context(), n.reached, generating(user))
		if made.err != nil && len(spare) > 0 {
			made, spare = reply{Code: spare[0]}, spare[1:]
		}
		if made.err != nil {
			return kept, made
		}
		if got := c.api.do(t.Context(), n.reached, authorizing(user, made.Code)); got.err != nil {
			return kept, got
		}
		kept = append(kept, made.Code)
	}
	t.Fatal("the disk does not get full")
	return nil, reply{}
}
