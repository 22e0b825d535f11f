//go:build unix

package sqlstore_test

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/sqlstore"
)

// BenchmarkApply creates requests, each durable before its caller goes on.
func BenchmarkApply(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := benchStore(b)
			inParallel(b, callers, func() error {
				return s.Apply(b.Context(), created())
			})
		})
	}
}

// BenchmarkFind reads one of a thousand requests by its handle.
func BenchmarkFind(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := benchStore(b)
			c := created()
			for range 1000 {
				c = created()
				if err := s.Apply(b.Context(), c); err != nil {
					b.Fatal(err)
				}
			}
			inParallel(b, callers, func() error {
				_, err := s.Find(b.Context(), approval.Key{Handle: c.Request.HandleHash})
				return err
			})
		})
	}
}

func benchStore(b *testing.B) *sqlstore.Store {
	s, err := sqlstore.Open(b.Context(), filepath.Join(b.TempDir(), "nod.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func created() approval.Change {
	id, now := approval.NewOp(), time.Now().UTC()
	return approval.Change{
		Op: approval.NewOp(),
		Request: &approval.Request{
			ID: id, Face: "native", NamespaceID: "0123456789abcdef", ClientID: "client", Purpose: approval.SignIn,
			Context: approval.Context{App: "Acme TV", Username: "ada", DeviceName: "Living room"},
			UserID:  id, CodeKind: approval.Short, CodeHash: []byte("code " + id), HandleHash: []byte("handle " + id),
			CreatedAt: now, Expires: now.Add(3 * time.Minute), State: approval.Pending, Version: 1,
		},
		Event: approval.Event{Name: approval.EventRequested, RequestID: id, Version: 1, UserID: id},
	}
}

func inParallel(b *testing.B, callers int, do func() error) {
	b.ReportAllocs()
	var wg sync.WaitGroup
	work := make(chan struct{}, callers)
	for range callers {
		wg.Go(func() {
			for range work {
				if err := do(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for b.Loop() {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkFlow writes what a complete flow does: a request is created, approved
// and collected, each durable before the next. Beside the time it reports the
// processor time, which a slow disk does not spoil.
func BenchmarkFlow(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := benchStore(b)
			began := processorTime()
			inParallel(b, callers, func() error {
				for _, step := range flow() {
					if err := s.Apply(b.Context(), step); err != nil {
						return err
					}
				}
				return nil
			})
			b.ReportMetric(float64((processorTime()-began).Microseconds())/float64(b.N), "cpu-us/op")
		})
	}
}

func flow() []approval.Change {
	asked := created()
	asked.Effects = []approval.Effect{nonce()}
	approved := next(asked, approval.Approved, approval.EventApproved)
	approved.Effects = []approval.Effect{nonce()}
	approved.Request.Decision = &approval.Decision{By: approval.ByBackend, ClientID: "client", At: asked.Request.CreatedAt}
	redeemed := next(approved, approval.Redeemed, approval.EventRedeemed)
	redeemed.Request.Grant = &approval.Grant{JTI: approval.NewOp(), Audience: "client", Expires: asked.Request.Expires}
	return []approval.Change{asked, approved, redeemed}
}

// next is a further step of what c made.
func next(c approval.Change, to approval.State, name approval.EventName) approval.Change {
	r := *c.Request
	r.State, r.Version = to, r.Version+1
	return approval.Change{
		Op: approval.NewOp(), Request: &r, From: c.Request.Version,
		Event: approval.Event{Name: name, RequestID: r.ID, Version: r.Version, UserID: r.UserID},
	}
}

func nonce() approval.Effect {
	return approval.Spend{Box: approval.BoxNonce, Key: rand.Text(), Until: time.Now().Add(time.Minute)}
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
