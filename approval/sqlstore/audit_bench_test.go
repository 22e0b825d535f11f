//go:build unix

package sqlstore_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/audit"
	"github.com/nod-auth/nod/approval/sqlstore"
)

// timed is a store whose transactions that seal are timed.
type timed struct {
	*sqlstore.Store
	spent   time.Duration
	batches int
}

func (s *timed) Extend(ctx context.Context, from, to audit.Head, links []audit.Link) error {
	began := time.Now()
	defer func() { s.spent += time.Since(began); s.batches++ }()
	return s.Store.Extend(ctx, from, to, links)
}

// rows writes n audit rows, many to a transaction.
func rows(b *testing.B, s *sqlstore.Store, n int) {
	b.Helper()
	for n > 0 {
		batch := make([]approval.Change, min(n, 1000))
		for i := range batch {
			batch[i] = created()
			batch[i].Request = nil
		}
		if err := s.Apply(b.Context(), batch...); err != nil {
			b.Fatal(err)
		}
		n -= len(batch)
	}
}

// BenchmarkExtend seals rows that wait; an op is a row. Other writes wait for a
// batch, ms/batch.
func BenchmarkExtend(b *testing.B) {
	s := &timed{Store: benchStore(b)}
	rows(b, s.Store, b.N)
	sealer := audit.NewSealer(s, auditKey, slog.New(slog.DiscardHandler))
	b.ResetTimer()
	if err := sealer.Turn(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(s.spent.Microseconds())/1000/float64(s.batches), "ms/batch")
}

// BenchmarkVerify computes a chain anew; an op is a row.
func BenchmarkVerify(b *testing.B) {
	s := benchStore(b)
	rows(b, s, b.N)
	if err := newSealer(s).Turn(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	r, err := audit.Verify(b.Context(), s, auditKey)
	if err != nil || !r.Whole() || r.Sealed != int64(b.N) {
		b.Fatalf("verify = %+v, %v", r, err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkFlow_whileSealing is BenchmarkFlow with eight callers, beside a sealer as
// a server has it and without.
func BenchmarkFlow_whileSealing(b *testing.B) {
	for _, name := range []string{"no", "yes"} {
		b.Run("sealing="+name, func(b *testing.B) {
			s := benchStore(b)
			ctx, stop := context.WithCancel(b.Context())
			var sealing sync.WaitGroup
			if name == "yes" {
				sealing.Go(func() { _ = newSealer(s).Run(ctx) })
			}
			began := processorTime()
			inParallel(b, 8, func() error {
				for _, step := range flow() {
					if err := s.Apply(b.Context(), step); err != nil {
						return err
					}
				}
				return nil
			})
			b.ReportMetric(float64((processorTime()-began).Microseconds())/float64(b.N), "cpu-us/op")
			stop()
			sealing.Wait()
		})
	}
}
