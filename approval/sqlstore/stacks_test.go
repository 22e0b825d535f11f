package sqlstore

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/nod-auth/nod/approval"
)

func TestStacks_runAsMuchAtOnceAsThereAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := newStacks(2), t.Context()
		hold, running := make(chan struct{}), 0
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				err := s.do(ctx, func() {
					mu.Lock()
					running++
					mu.Unlock()
					<-hold
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if running != 2 {
			t.Errorf("%d run at once, want 2", running)
		}
		left, leave := context.WithCancel(ctx)
		leave()
		if err := s.do(left, func() { t.Error("ran for a caller that left") }); !errors.Is(err, context.Canceled) {
			t.Errorf("with none free and a context that ended = %v", err)
		}
		close(hold)
		all.Wait()
		s.close()
		s.close()
		if err := s.do(ctx, func() { t.Error("ran after the end") }); !errors.Is(err, errClosed) {
			t.Errorf("after the end = %v, want %v", err, errClosed)
		}
	})
}

func TestStacks_aPanicIsItsCallersAndTheStackGoesOn(t *testing.T) {
	s := newStacks(1)
	defer s.close()
	for range 2 {
		var got any
		func() {
			defer func() { got = recover() }()
			s.do(t.Context(), func() { panic("on purpose") })
		}()
		if got != "on purpose" {
			t.Errorf("its caller recovered %v", got)
		}
		ran := false
		if err := s.do(t.Context(), func() { ran = true }); err != nil || !ran {
			t.Errorf("afterwards: ran = %t, %v", ran, err)
		}
	}
}

func TestStore_readAfterCloseIsUnavailable(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "nod.db"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(t.Context(), approval.Key{ID: "x"}); !errors.Is(err, approval.ErrUnavailable) {
		t.Errorf("find = %v, want %v", err, approval.ErrUnavailable)
	}
}
