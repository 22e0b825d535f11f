package sqlstore

import (
	"context"
	"iter"
	"sync/atomic"
)

// stacks lends stacks to run SQLite on. In Go it needs some 20 KiB, and Go does
// not give a stack back while a quarter of it is in use: a wait that had read on
// its own stack would hold 32 KiB for its two minutes instead of 8. So the work
// is done in a coroutine. Switching to one and back costs a tenth of a
// microsecond; handing the work to other goroutines was measured, too, and cost
// a flow more than anything here saved.
type stacks struct {
	free chan *stack // closed after all were ended
	n    int
	runs atomic.Int64 // pieces of work since the beginning
}

// stack is a coroutine between two pieces of work.
type stack struct {
	work func()
	next func() (struct{}, bool) // nil before the first use and after a panic
	stop func()
}

// newStacks has n to lend; each begins when it is first needed. close ends them.
func newStacks(n int) *stacks {
	s := &stacks{free: make(chan *stack, n), n: n}
	for range n {
		s.free <- new(stack)
	}
	return s
}

// do runs the work on a borrowed stack as soon as one is free; the error is that
// of ctx when it ends before, or errClosed. A panic is the caller's.
func (s *stacks) do(ctx context.Context, work func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case one, open := <-s.free:
		if !open {
			return errClosed
		}
		defer func() { s.free <- one }()
		s.runs.Add(1)
		one.run(work)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close waits for the work under way and ends all stacks.
func (s *stacks) close() {
	for range s.n {
		one, open := <-s.free
		if !open {
			return // closed before
		}
		one.end()
	}
	close(s.free)
}

func (s *stack) run(work func()) {
	if s.next == nil {
		s.next, s.stop = iter.Pull(s.loop)
	}
	next := s.next
	s.work, s.next = work, nil
	next()
	s.work, s.next = nil, next
}

func (s *stack) end() {
	if s.next != nil {
		s.stop()
		s.next = nil
	}
}

func (s *stack) loop(yield func(struct{}) bool) {
	for {
		s.work()
		if !yield(struct{}{}) {
			return
		}
	}
}
