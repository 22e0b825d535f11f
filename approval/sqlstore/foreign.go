package sqlstore

import (
	"context"
	"errors"
	"time"
)

// foreignEvery is how often WatchForeign looks: the command line's change is
// seen by every waiter within a quarter of a second.
const foreignEvery = 250 * time.Millisecond

// watch implements engine. It may call once too often, after a failed write. While
// the file cannot be read it keeps trying.
func (f *file) watch(ctx context.Context, changed func()) error {
	tick := time.NewTicker(foreignEvery)
	defer tick.Stop()
	seen, err := f.writer.mark(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		was, failed := seen, err != nil
		if seen, err = f.writer.mark(ctx); errors.Is(err, errClosed) {
			return err
		} else if err == nil && (failed || seen != was) {
			changed()
		}
	}
}

// mark is a state of the file as the writer's connection sees it. Two marks of
// one connection are equal when nobody else wrote in between.
type mark struct {
	conn    *connection
	version int64
}

func (w *writer) mark(ctx context.Context) (mark, error) {
	select {
	case w.lead <- struct{}{}:
	case <-ctx.Done():
		return mark{}, ctx.Err()
	}
	defer func() { <-w.lead }()
	if w.closed {
		return mark{}, errClosed
	}
	c, err := w.connected(context.Background()) // it outlives ctx
	if err != nil {
		return mark{}, err
	}
	v, err := one(context.Background(), c.statements, scanNumber, `PRAGMA data_version`)
	return mark{c, v}, err
}
