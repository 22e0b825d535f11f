package native

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
)

// metrics answer: how long does a waiting device wait after the decision, how
// many wait now, and how do waits end.
type metrics struct {
	wake     prometheus.Histogram
	outcomes *prometheus.CounterVec
}

func newMetrics(to prometheus.Registerer, held func() int) *metrics {
	m := &metrics{
		wake: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "nod_decision_to_reply_seconds",
			Help: "Time from a decision to the reply of the device that waited for it.",
			// 0.1 ms to 6.5 s by fours: promised are 1 s, and 6 s under a fault.
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nod_waits_total",
			Help: "Waits of the native face, by how they ended.",
		}, []string{"outcome"}),
	}
	if to != nil {
		to.MustRegister(m.wake, m.outcomes, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "nod_waits_held",
			Help: "Calls of all faces that this node holds right now.",
		}, func() float64 { return float64(held()) }))
	}
	return m
}

// waited notes how a wait ended, and how quickly after the decision when it was
// slept for.
func (m *metrics) waited(got *approval.Collected, err error) {
	m.outcomes.WithLabelValues(outcome(err)).Inc()
	if err == nil && got.Slept && got.Request.Decision != nil {
		m.wake.Observe(max(0, time.Since(got.Request.Decision.At).Seconds()))
	}
}

// outcome is a short, fixed set of label values.
func outcome(err error) string {
	if err == nil {
		return "collected"
	}
	if reply, ok := errors.AsType[*wire.Error](err); ok && reply.Status == http.StatusTooManyRequests {
		return "no_place"
	}
	for _, o := range []struct {
		word  error
		label string
	}{
		{approval.ErrPending, "pending"}, {approval.ErrDenied, "denied"}, {approval.ErrExpired, "expired"},
		{approval.ErrNotFound, "not_found"}, {approval.ErrTooMany, "too_many"}, {approval.ErrInactive, "inactive"},
		{approval.ErrUnavailable, "unavailable"}, {context.Canceled, "left"},
	} {
		if errors.Is(err, o.word) {
			return o.label
		}
	}
	return "other"
}
