package sqlstore_test

import (
	"fmt"
	"path/filepath"
	"sync"
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
