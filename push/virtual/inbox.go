package virtual

import (
	"context"
	"sync"
)

// inbox holds what arrived until somebody receives it.
type inbox[T any] struct {
	mu      sync.Mutex
	waiting []T
	arrived chan struct{} // closed and replaced with each arrival
}

func newInbox[T any]() *inbox[T] { return &inbox[T]{arrived: make(chan struct{})} }

func (b *inbox[T]) put(item T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, item)
	close(b.arrived)
	b.arrived = make(chan struct{})
}

func (b *inbox[T]) take() (item T, ok bool, arrived <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return item, false, b.arrived
	}
	item, b.waiting = b.waiting[0], b.waiting[1:]
	return item, true, nil
}

// receive waits for the oldest item.
func (b *inbox[T]) receive(ctx context.Context) (T, error) {
	for {
		item, ok, arrived := b.take()
		if ok {
			return item, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return item, context.Cause(ctx)
		}
	}
}

func (b *inbox[T]) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting)
}
