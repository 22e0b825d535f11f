package oauth

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
)

// metrics answer: how do polls end, and how long does a poll that is held wait
// after the decision.
type metrics struct {
	polls *prometheus.CounterVec
	wake  prometheus.Histogram
}

func newMetrics(to prometheus.Registerer) *metrics {
	m := &metrics{
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nod_oauth_polls_total",
			Help: "Polls of the token endpoint, by the grant and by how they ended.",
		}, []string{"grant", "outcome"}),
		wake: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "nod_oauth_decision_to_reply_seconds",
			Help: "Time from a decision to the reply to the poll that was held for it.",
			// 0.1 ms to 6.5 s by fours, like the native face's.
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}),
	}
	if to != nil {
		to.MustRegister(m.polls, m.wake)
	}
	return m
}

// polled notes how a poll ended.
func (m *metrics) polled(grant string, got *approval.Collected, err error) {
	m.polls.WithLabelValues(grant, outcome(err)).Inc()
	if err == nil && got.Slept && got.Request.Decision != nil {
		m.wake.Observe(max(0, time.Since(got.Request.Decision.At).Seconds()))
	}
}

// outcome is a short, fixed set of label values.
func outcome(err error) string {
	if err == nil {
		return "collected"
	}
	for _, o := range []struct {
		word  error
		label string
	}{
		{errLost, "lost"}, {context.Canceled, "left"}, {approval.ErrPending, "pending"}, {approval.ErrDenied, "denied"}, {approval.ErrExpired, "expired"},
		{approval.ErrNotFound, "not_found"}, {approval.ErrMismatch, "mismatch"}, {approval.ErrInactive, "inactive"},
		{approval.ErrUnavailable, "unavailable"},
	} {
		if errors.Is(err, o.word) {
			return o.label
		}
	}
	if reply, ok := errors.AsType[*wire.Error](err); ok && reply.Code == codeSlowDown {
		return "slow_down"
	}
	return "other"
}
