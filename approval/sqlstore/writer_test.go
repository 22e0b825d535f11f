package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nod-auth/nod/approval"
)

func opened(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, func(s *Store) { s.patient = 10 * time.Millisecond })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func spend(key string) approval.Change {
	return approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{approval.Spend{Box: approval.BoxNonce, Key: key}}}
}

// spent lists the keys that were spent.
func spent(t *testing.T, s *Store) string {
	t.Helper()
	keys, err := list(context.Background(), s.reads, scanText, `SELECT key FROM spent ORDER BY key`)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(keys, " ")
}

// grouped runs the writes in one group, in this order, in a bubble, and returns
// their errors.
func grouped(s *Store, writes ...func() error) []error {
	errs := make([]error, len(writes))
	var wg sync.WaitGroup
	s.engine.(*file).writer.lead <- struct{}{} // until everybody has queued up
	for i, write := range writes {
		wg.Go(func() { errs[i] = write() })
		synctest.Wait()
	}
	<-s.engine.(*file).writer.lead
	wg.Wait()
	return errs
}

func TestWriter_oneFailingJobOfAGroupFailsAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nod.db")
	synctest.Test(t, func(t *testing.T) {
		s, ctx := opened(t, path), t.Context()
		leaving, leave := context.WithCancel(ctx)
		var panicked any
		errs := grouped(s,
			func() error { return s.Apply(ctx, spend("a")) },
			func() error { return s.Apply(ctx, spend("b"), spend("a")) },
			func() (err error) {
				defer func() { panicked = recover() }()
				return s.write(ctx, "fall over", func(ctx context.Context, t *tx) error {
					t.apply(ctx, spend("c"))
					panic("on purpose")
				})
			},
			func() error { return s.Apply(leaving, spend("d")) },
			func() error { leave(); return s.Apply(ctx, spend("e")) },
		)
		for i, want := range []error{nil, approval.ErrReplayed, nil, approval.ErrUnavailable, nil} {
			if !errors.Is(errs[i], want) {
				t.Errorf("job %d = %v, want %v", i, errs[i], want)
			}
		}
		if !strings.Contains(fmt.Sprint(panicked), "on purpose") {
			t.Errorf("its caller recovered %v, want the panic", panicked)
		}
		if got := spent(t, s); got != "a e" {
			t.Errorf("spent = %q, want a and e", got)
		}
	})
}

func TestWriter_fullDiskFailsTheWholeGroupAndHeals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nod.db")
	synctest.Test(t, func(t *testing.T) {
		s, ctx := opened(t, path), t.Context()
		if err := s.Apply(ctx, spend("a")); err != nil {
			t.Fatal(err)
		}
		// The writer's connection may not grow the file any more.
		if _, err := list(ctx, s.engine.(*file).writer.conn.statements, scanNumber, `PRAGMA max_page_count = 1`); err != nil {
			t.Fatal(err)
		}
		big := spend("c")
		big.Event = approval.Event{Name: approval.EventRequested, Detail: strings.Repeat("x", 1<<20)}
		errs := grouped(s,
			func() error { return s.Apply(ctx, spend("b")) },
			func() error { return s.Apply(ctx, big) },
			func() error { return s.Apply(ctx, spend("d")) },
		)
		for i, err := range errs {
			if !errors.Is(err, approval.ErrUnavailable) {
				t.Errorf("job %d = %v, want %v", i, err, approval.ErrUnavailable)
			}
		}
		if got := spent(t, s); got != "a" {
			t.Errorf("spent = %q, want a alone", got)
		}
		if err := s.Ping(ctx); err != nil { // a new connection, without the limit
			t.Errorf("ping when there is room again = %v", err)
		}
		if err := s.Apply(ctx, spend("b")); err != nil {
			t.Errorf("apply when there is room again = %v", err)
		}
	})
}

func TestWriter_fileLockedByAnotherProcessIsUnavailable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nod.db")
	s, ctx := opened(t, path), t.Context()
	other, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	lock, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(ctx); err != nil {
		t.Errorf("ping before anybody noticed = %v", err)
	}
	for what, err := range map[string]error{"apply": s.Apply(ctx, spend("a")), "ping": s.Ping(ctx)} {
		if !errors.Is(err, approval.ErrUnavailable) {
			t.Errorf("%s while locked = %v, want %v", what, err, approval.ErrUnavailable)
		}
	}
	if _, err := s.Find(ctx, approval.Key{ID: "x"}); !errors.Is(err, approval.ErrNotFound) {
		t.Errorf("find while locked = %v, want %v: reads go on", err, approval.ErrNotFound)
	}
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"ping": s.Ping(ctx), "apply": s.Apply(ctx, spend("a"))} {
		if err != nil {
			t.Errorf("%s after the lock = %v", what, err)
		}
	}
}

func TestWriter_callerLeavesAtOnceAndItsJobGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nod.db")
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, path)
		slow, ctx := make(chan struct{}), t.Context()
		leader := make(chan error)
		go func() { // leads, and its job takes its time
			leader <- s.write(ctx, "wait", func(context.Context, *tx) error { <-slow; return nil })
		}()
		synctest.Wait()
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		err := s.Apply(short, spend("a"))
		if !errors.Is(err, approval.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("queued apply = %v, want unavailable by its deadline", err)
		}
		close(slow)
		if err := <-leader; err != nil {
			t.Errorf("leader = %v", err)
		}
		if got := spent(t, s); got != "" {
			t.Errorf("spent = %q, want nothing: the job was withdrawn", got)
		}
	})
}

func TestWriter_closeAnswersWhatIsQueued(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nod.db")
	synctest.Test(t, func(t *testing.T) {
		s, ctx := opened(t, path), t.Context()
		errs := grouped(s,
			func() error { return s.Close() }, // queues for the lead like everybody else
			func() error { return s.Apply(ctx, spend("a")) },
		)
		if errs[0] != nil {
			t.Errorf("close = %v", errs[0])
		}
		for what, err := range map[string]error{
			"queued apply": errs[1], "later apply": s.Apply(ctx, spend("a")), "ping": s.Ping(ctx),
			"watch": s.WatchForeign(ctx, func() {}),
		} {
			if !errors.Is(err, approval.ErrUnavailable) {
				t.Errorf("%s = %v, want %v", what, err, approval.ErrUnavailable)
			}
		}
	})
}

func TestWriter_servesMoreThanOneGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nod.db")
	s, ctx := opened(t, path), t.Context()
	var wg sync.WaitGroup
	for i := range 3 * maxGroup {
		wg.Go(func() {
			if err := s.Apply(ctx, spend(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(strings.Fields(spent(t, s))); got != 3*maxGroup {
		t.Errorf("spent %d, want %d", got, 3*maxGroup)
	}
}

func TestWatchForeign_hearsOthersAndNotItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nod.db")
	synctest.Test(t, func(t *testing.T) {
		server, other := opened(t, path), opened(t, path)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		heard, end := 0, make(chan error)
		go func() { end <- server.WatchForeign(ctx, func() { heard++ }) }()
		for i, step := range []struct {
			who  *Store
			want int
		}{{server, 0}, {other, 1}, {server, 1}, {server, 1}, {other, 2}} {
			synctest.Wait()
			if err := step.who.Apply(ctx, spend(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
			time.Sleep(foreignEvery)
			synctest.Wait()
			if heard != step.want {
				t.Errorf("after write %d: heard %d, want %d", i, heard, step.want)
			}
		}
		cancel()
		if err := <-end; err != nil {
			t.Errorf("watch = %v", err)
		}
	})
}
