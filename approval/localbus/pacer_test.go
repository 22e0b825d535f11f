package localbus

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPacer_bursts_then_spreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer()
		take := func() time.Duration { return p.Take(t.Context(), "address", 10, time.Minute) }
		for i := range 10 {
			if got := take(); got != 0 {
				t.Fatalf("event %d of 10: wait %s, want 0", i+1, got)
			}
		}
		// One event every 60 s / 10 = 6 s.
		if got, want := take(), 6*time.Second; got != want {
			t.Fatalf("event 11: wait %s, want %s", got, want)
		}
		time.Sleep(5 * time.Second)
		if got, want := take(), time.Second; got != want {
			t.Fatalf("after 5 s: wait %s, want %s: a refused event must cost nothing", got, want)
		}
		time.Sleep(time.Second)
		if got := take(); got != 0 {
			t.Fatalf("after the wait it named: wait %s, want 0", got)
		}
		time.Sleep(time.Minute)
		for i := range 10 {
			if got := take(); got != 0 {
				t.Fatalf("after a quiet window, event %d of 10: wait %s, want 0", i+1, got)
			}
		}
	})
}

func TestPacer_keeps_keys_and_limits_apart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer()
		p.Take(t.Context(), "a", 1, time.Minute)
		for _, c := range []struct {
			about  string
			key    string
			limit  int
			window time.Duration
			want   time.Duration
		}{
			{"the same", "a", 1, time.Minute, time.Minute},
			{"another key", "b", 1, time.Minute, 0},
			{"another limit", "a", 2, time.Minute, 0},
			{"another window", "a", 1, time.Hour, 0},
			{"no limit", "a", 0, time.Minute, 0},
			{"no window", "a", 1, 0, 0},
		} {
			if got := p.Take(t.Context(), c.key, c.limit, c.window); got != c.want {
				t.Errorf("%s: wait %s, want %s", c.about, got, c.want)
			}
		}
	})
}

func TestPacer_is_exact_in_a_crowd(t *testing.T) {
	p := NewPacer()
	const limit, crowd, each = 100, 16, 50
	var welcome atomic.Int64
	var all sync.WaitGroup
	for range crowd {
		all.Go(func() {
			for range each {
				if p.Take(context.Background(), "one", limit, time.Hour) == 0 {
					welcome.Add(1)
				}
			}
		})
	}
	all.Wait()
	// An hour's limit of 100 earns one event every 36 s: none during this test.
	if got := welcome.Load(); got != limit {
		t.Errorf("%d of %d events at once were welcome, want %d", got, crowd*each, limit)
	}
}

func TestPacer_remembers_a_bounded_number_of_keys(t *testing.T) {
	p := NewPacer()
	p.Take(t.Context(), "first", 1, time.Hour)
	for i := range maxKeys {
		p.Take(t.Context(), fmt.Sprint(i), 1, time.Hour)
	}
	if got := p.Take(t.Context(), "first", 1, time.Hour); got != 0 {
		t.Errorf("the key that was quiet longest: wait %s, want 0: it should be forgotten", got)
	}
	if got := p.Take(t.Context(), fmt.Sprint(maxKeys-1), 1, time.Hour); got == 0 {
		t.Error("the latest key: wait 0, want it remembered")
	}
}

// add counts how often a key was noted.
func add(was []byte) []byte { return append(slices.Clone(was), 'x') }

func TestPacer_notes_what_is_made_of_what_was_there(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer()
		note := func(key string) (was string) {
			calls := 0
			p.Note(t.Context(), key, 10*time.Second, func(b []byte) []byte {
				calls++
				was = string(b)
				if len(b) == 0 && b != nil {
					t.Error("nothing that is remembered: got no bytes, want nil")
				}
				return add(b)
			})
			if calls != 1 {
				t.Errorf("asked %d times, want once", calls)
			}
			return was
		}
		for _, c := range []struct {
			about string
			pass  time.Duration
			key   string
			want  string
		}{
			{"the first", 0, "a", ""},
			{"the second", 0, "a", "x"},
			{"another key", 0, "b", ""},
			{"just before it is forgotten", 10*time.Second - 1, "a", "xx"},
			{"just before that is forgotten", 10*time.Second - 1, "a", "xxx"},
			{"when it is forgotten", 10 * time.Second, "a", ""},
			{"what was forgotten meanwhile", 0, "b", ""},
		} {
			time.Sleep(c.pass)
			if got := note(c.key); got != c.want {
				t.Errorf("%s: got %q, want %q", c.about, got, c.want)
			}
		}
	})
}

func TestPacer_notes_of_a_crowd_are_all_made(t *testing.T) {
	p := NewPacer()
	const crowd, each = 16, 50
	var all sync.WaitGroup
	for range crowd {
		all.Go(func() {
			for range each {
				p.Note(context.Background(), "one", time.Hour, add)
			}
		})
	}
	all.Wait()
	p.Note(t.Context(), "one", time.Hour, func(was []byte) []byte {
		if len(was) != crowd*each {
			t.Errorf("%d of %d notes count", len(was), crowd*each)
		}
		return was
	})
}

func TestPacer_notes_a_bounded_number_of_keys(t *testing.T) {
	p := NewPacer()
	p.Note(t.Context(), "first", time.Hour, add)
	p.Note(t.Context(), "used", time.Hour, add)
	for i := range maxKeys {
		p.Note(t.Context(), fmt.Sprint(i), time.Hour, add)
		if i == maxKeys/2 {
			p.Note(t.Context(), "used", time.Hour, add)
		}
	}
	if got := p.notes.Len(); got != maxKeys {
		t.Errorf("%d keys are kept, want %d", got, maxKeys)
	}
	for key, want := range map[string]string{"first": "", "used": "xx", fmt.Sprint(maxKeys - 1): "x"} {
		p.Note(t.Context(), key, time.Hour, func(was []byte) []byte {
			if string(was) != want {
				t.Errorf("%s: got %q, want %q", key, was, want)
			}
			return was
		})
	}
}
