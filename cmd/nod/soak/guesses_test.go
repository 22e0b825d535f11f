package soak

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// TestGuesses_judged_are_exactly_the_limit lets many guess one person's code at
// once, through all nodes. Every guess that is judged costs a try; exactly as many
// are as there are tries, whoever comes first (I12).
func TestGuesses_judged_are_exactly_the_limit(t *testing.T) {
	const workers, limit = 64, 500
	guesses := 5_000
	if soaking {
		guesses = 100_000
	}
	open := fmt.Sprint(10 * guesses)
	c := startCluster(t, plan{nodes: 3, flags: []string{
		"--guesses-per-user-hourly", fmt.Sprint(limit), // in an hour: no window ends meanwhile
		"--guesses-per-user", open, "--guesses-per-address", open, "--guesses-per-client", open,
	}})
	const user = "zoe"
	c.api.newUser(t, c.nodes[0].reached, user)
	var next, judged, refused, strange atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := next.Add(1); i <= int64(guesses); i = next.Add(1) {
				guess := collecting(user, fmt.Sprintf("%06d", i), fmt.Sprintf("192.0.2.%d", i%250), false)
				guess.body["authentication_code"] = map[string]any{"code": fmt.Sprintf("%06d", i), "type": "short"}
				switch got := c.api.do(t.Context(), c.nodes[i%3].reached, guess); got.status {
				case http.StatusNotFound:
					judged.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
				default:
					if strange.Add(1) < 5 {
						t.Logf("guess %d: %s", i, got)
					}
				}
			}
		})
	}
	all.Wait()
	if judged.Load() != limit || strange.Load() != 0 {
		t.Errorf("of %d guesses: %d judged, %d refused, %d neither; want exactly %d judged and none neither",
			guesses, judged.Load(), refused.Load(), strange.Load(), limit)
	}
	var taken int64
	const budget = `SELECT MAX(taken) FROM budgets WHERE key LIKE 'user:%/hour'`
	if err := c.database(t).QueryRowContext(t.Context(), budget).Scan(&taken); err != nil || taken != limit {
		t.Errorf("tries taken in the database: got %d, %v; want %d", taken, err, limit)
	}
}
