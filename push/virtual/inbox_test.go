package virtual

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestInbox_handsOverInOrderAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newInbox[int]()
		go func() {
			for i := range 3 {
				time.Sleep(time.Second)
				b.put(i)
			}
		}()
		for want := range 3 {
			if got, err := b.receive(t.Context()); err != nil || got != want {
				t.Errorf("got %d, %v, want %d", got, err, want)
			}
		}
	})
}

func TestInbox_endsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := newInbox[int]().receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

func TestInbox_givesEachItemToOneReceiver(t *testing.T) {
	const items, receivers = 100, 8
	b := newInbox[int]()
	got := make(chan int, items)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, receivers)
	for range receivers {
		go func() {
			defer func() { ended <- struct{}{} }()
			for {
				item, err := b.receive(ctx)
				if err != nil {
					return
				}
				got <- item
			}
		}()
	}
	for i := range items {
		b.put(i)
	}
	seen := map[int]bool{}
	for range items {
		seen[<-got] = true
	}
	cancel()
	for range receivers {
		<-ended
	}
	if len(seen) != items || b.len() != 0 {
		t.Errorf("got %d items once and %d left, want %d and 0", len(seen), b.len(), items)
	}
}
