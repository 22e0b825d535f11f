package sqlstore_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
)

// The core's tests run a real store in a bubble of fake time; this holds the
// store to what that needs.
func TestStore_insideABubbleFollowsItsClock(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	path := freshdb.File(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s, err := sqlstore.Open(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		watching := make(chan error)
		go func() {
			watching <- s.WatchForeign(ctx, func() { t.Error("own writes were reported as foreign") })
		}()
		before, _ := s.Now(ctx)
		spend := func() error {
			return s.Apply(ctx, approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{
				approval.Spend{Box: approval.BoxNonce, Key: "n", Until: before.Add(time.Minute)},
			}})
		}
		if err := spend(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if now, _ := s.Now(ctx); now.Sub(before) != time.Hour {
			t.Errorf("the store's clock moved by %s, want 1h", now.Sub(before))
		}
		if n, err := s.Purge(ctx, before); err != nil || n != 2 {
			t.Errorf("purge after an hour = %d, %v; want the nonce and its operation id", n, err)
		}
		if err := spend(); err != nil {
			t.Errorf("spend after the purge = %v", err)
		}
		cancel()
		if err := <-watching; err != nil {
			t.Errorf("watch = %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close = %v", err)
		}
	})
}
