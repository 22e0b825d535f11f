package push

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics answer: does each channel work, and how long does it take from the
// commit of a message until a provider has it.
type metrics struct {
	attempts *prometheus.CounterVec
	taken    prometheus.Histogram
}

// The outcomes of an attempt, as label values.
const (
	outcomeTaken  = "taken"
	outcomeGone   = "gone"
	outcomeRetry  = "retry"
	outcomeFailed = "failed"
)

func newMetrics(to prometheus.Registerer) *metrics {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nod_push_messages_total",
			Help: "Attempts to deliver a message to one phone, hook or server that asked to be told, by channel and by what came of them.",
		}, []string{"channel", "outcome"}),
		taken: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "nod_push_seconds",
			Help: "Time from the commit of a message until the first provider had taken it.",
			// 5 ms to 82 s by twos: wanted is a second, and a few retries fit in.
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 15),
		}),
	}
	if to != nil {
		to.MustRegister(m.attempts, m.taken)
	}
	return m
}

func (m *metrics) attempt(channel, outcome string) {
	m.attempts.WithLabelValues(channel, outcome).Inc()
}

func (m *metrics) reached(after time.Duration) { m.taken.Observe(max(0, after.Seconds())) }
