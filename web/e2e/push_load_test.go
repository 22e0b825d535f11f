package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nod-auth/nod/push/virtual"
)

// A crash right after generate's 200 loses no prompt: neither one that nobody has
// taken up yet, nor one that was under way. That one is late by its lease, 15 s.
func TestKill_rightAfterGenerate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault virtual.Fault
	}{{name: "at any moment"}, {"under way", virtual.Fault{Hang: true}}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := startHousehold(t)
			const people = 8
			if c.fault.Hang {
				h.fcm.Fail(-1, c.fault)
			}
			var apps []*virtual.App
			for i := range people {
				apps = append(apps, h.installApp(t, h.backend.createUser(t, fmt.Sprintf("user%d", i))))
			}
			var asking sync.WaitGroup
			for i := range people {
				asking.Go(func() {
					if got := h.backend.tryPrompt(t.Context(), fmt.Sprintf("user%d", i)); got.Status != http.StatusOK || got.Push != "queued" {
						t.Errorf("generate: got %+v, want 200 and queued", got)
					}
				})
			}
			asking.Wait()
			if c.fault.Hang {
				await(t, "all prompts to be under way", func() bool { return h.fcm.Sends() == people })
			}
			h.kill(t)
			early := 0
			for _, app := range apps {
				early += app.Pending()
			}
			h.fcm.Fail(0, virtual.Fault{})
			restarted := time.Now()
			h.restart(t)
			var last time.Time
			for _, app := range apps {
				n := receive(t, app, patience)
				last = slices.MaxFunc([]time.Time{last, n.At}, time.Time.Compare)
				assertLeft(t, n.Android.TTL)
			}
			t.Logf("%d of %d prompts arrived before the crash, the last one %v after the restart began", early, people, last.Sub(restarted))
		})
	}
}

// assertLeft checks that a message that comes late lives no longer for it.
func assertLeft(t *testing.T, got time.Duration) {
	t.Helper()
	if got <= 0 || got > shortLife {
		t.Errorf("life: got %v, want what is left of %v", got, shortLife)
	}
}

// However many sign-ins are started in somebody's name, their phone rings once
// while one is waiting (threats A3).
func TestFlood_thousandGenerates(t *testing.T) {
	t.Parallel()
	const (
		calls, callers = 1000, 64
		mostPrompts    = 3
	)
	h := startHousehold(t)
	user := h.backend.createUser(t, "alice")
	app := h.installApp(t, user)
	var mu sync.Mutex
	answers := map[string]int{}
	var asking sync.WaitGroup
	turns := make(chan struct{}, calls)
	for range calls {
		turns <- struct{}{}
	}
	close(turns)
	asked := time.Now()
	for range callers {
		asking.Go(func() {
			for range turns {
				got := h.backend.tryPrompt(t.Context(), user)
				mu.Lock()
				answers[fmt.Sprintf("%d %s", got.Status, cmp.Or(got.Push, got.answer.Code))]++
				mu.Unlock()
			}
		})
	}
	asking.Wait()
	t.Logf("%d calls in %v: %v", calls, time.Since(asked), answers)
	receive(t, app, patience)
	// One that is approved in between lets the next one through; here is none.
	if got := answers["200 queued"]; got != 1 {
		t.Errorf("answers that say queued: got %d, want 1", got)
	}
	h.caughtUp(t)
	if got := h.fcm.Sends(); got < 1 || got > mostPrompts {
		t.Errorf("prompts at Firebase: got %d, want 1 to %d", got, mostPrompts)
	} else if got != 1 {
		t.Errorf("prompts at Firebase while one is live: got %d, want 1", got)
	}
	if answers["200 none"]+answers["200 queued"] == 0 {
		t.Errorf("answers: got %v, want codes", answers)
	}
}
