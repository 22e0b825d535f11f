package oauth_test

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/localbus"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
)

type (
	M    = apitest.M
	F    = apitest.F
	Call = apitest.Call
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a server with a pacer, whose store's clock can be put ahead and which can
// be made unreachable.
type house struct {
	*apitest.House
	store   *store
	metrics *prometheus.Registry
}

// store is the real one behind a switch and a clock.
type store struct {
	*sqlstore.Store
	ahead atomic.Int64
	down  atomic.Bool
	// onApply runs before each commit; nil: nothing does.
	onApply atomic.Pointer[func()]
}

func (s *store) fault() error {
	if s.down.Load() {
		return approval.ErrUnavailable
	}
	return nil
}

func (s *store) Now(ctx context.Context) (time.Time, error) {
	if err := s.fault(); err != nil {
		return time.Time{}, err
	}
	return s.Store.Now(ctx)
}

func (s *store) Client(ctx context.Context, id string) (account.Client, error) {
	if err := s.fault(); err != nil {
		return account.Client{}, err
	}
	return s.Store.Client(ctx, id)
}

func (s *store) Find(ctx context.Context, k approval.Key) (approval.Request, error) {
	if err := s.fault(); err != nil {
		return approval.Request{}, err
	}
	return s.Store.Find(ctx, k)
}

func (s *store) Apply(ctx context.Context, changes ...approval.Change) error {
	if err := s.fault(); err != nil {
		return err
	}
	err := s.Store.Apply(ctx, changes...)
	if hook := s.onApply.Load(); hook != nil {
		(*hook)()
	}
	return err
}

func open(t testing.TB, change ...func(*apitest.Setup)) *house {
	t.Helper()
	h := &house{store: &store{}, metrics: prometheus.NewRegistry()}
	now := func() time.Time { return time.Now().Add(time.Duration(h.store.ahead.Load())) }
	s, err := sqlstore.Open(t.Context(), freshdb.File(t), sqlstore.WithClock(now))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	h.store.Store = s
	ours := func(s *apitest.Setup) {
		s.API.Pacer, s.API.Metrics = localbus.NewPacer(), h.metrics
	}
	h.House = apitest.Open(t, h.store, append([]func(*apitest.Setup){ours}, change...)...)
	return h
}

func (h *house) advance(d time.Duration) { h.store.ahead.Add(int64(d)) }

// begun is a device authorization that a person is to answer.
type begun struct {
	deviceCode, userCode string
}

func begin(r *apitest.Relying, in F) begun {
	r.Helper()
	a := r.Begin(in)
	return begun{a.S("device_code"), a.S("user_code")}
}

func (b begun) ref() approval.Ref { return apitest.Typed(b.userCode) }

// claimsOf verifies a JWT of ours and reads it.
func claimsOf(h *apitest.House, compact, typ, audience string) M {
	h.Helper()
	now, err := h.Store.Now(context.Background())
	if err != nil {
		h.Fatal(err)
	}
	return verified(h, compact, typ, audience, now)
}

const (
	ok         = http.StatusOK
	badRequest = http.StatusBadRequest
	refused    = http.StatusUnauthorized
)

func verified(h *apitest.House, compact, typ, audience string, now time.Time) M {
	h.Helper()
	signed, err := h.Ring.Verify(context.Background(), compact, token.Expect{
		Issuer: h.URL, Audience: audience, Typ: typ, Now: now, Algs: []string{token.AlgES256, token.AlgRS256},
	})
	if err != nil {
		h.Fatalf("verify: %v", err)
	}
	var out M
	if err := signed.Decode(&out); err != nil {
		h.Fatal(err)
	}
	return out
}

// waits is how many calls the node holds.
func (h *house) waits() int {
	h.Helper()
	return int(h.metric("nod_waits_held"))
}

// metric is the value of a gauge or counter with these label values, or how often a
// histogram observed; 0 when there is none.
func (h *house) metric(name string, labels ...string) float64 {
	h.Helper()
	families, err := h.metrics.Gather()
	if err != nil {
		h.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			values := make([]string, len(m.Label))
			for i, l := range m.Label {
				values[i] = l.GetValue()
			}
			if slices.Equal(values, labels) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

// held makes a poll on its own goroutine and returns once it is held: House.Held
// could see the look that every poll begins with.
func (h *house) held(c Call) <-chan apitest.Reply {
	h.Helper()
	before := h.waits()
	out := h.try(c)
	h.Until("the poll is held", func() bool { return h.waits() > before && h.Service.Hub.Sleeping() > before })
	return out
}

// replacing is held for a poll that takes the place of another one, which is answered.
func (h *house) replacing(older <-chan apitest.Reply, c Call) <-chan apitest.Reply {
	h.Helper()
	out := h.try(c)
	h.Answer(older).WantError(badRequest, "authorization_pending")
	return out
}

func (h *house) try(c Call) <-chan apitest.Reply {
	out := make(chan apitest.Reply, 1)
	go func() {
		r, err := h.Try(c)
		if err != nil {
			r = apitest.Reply{House: h.House, Text: err.Error()}
		}
		out <- r
	}()
	return out
}
