package sqlstore_test

import (
	"context"
	"errors"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/storetest"
	"github.com/nod-auth/nod/approval/testservers"
)

func TestStore_onPostgreSQL_conforms(t *testing.T) {
	server, migrated := migratedServer(t)
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		url := server.Copy(migrated)
		var now atomic.Pointer[time.Time]
		start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		now.Store(&start)
		open := func(t *testing.T) *sqlstore.Store {
			return opened(t, url, sqlstore.WithClock(func() time.Time { return *now.Load() }))
		}
		return storetest.Backend{
			Truth:   open(t),
			Advance: func(d time.Duration) { next := now.Load().Add(d); now.Store(&next) },
			// What a node leaves when it dies is what the server has.
			Crash: func(t *testing.T) storetest.Truth { return open(t) },
		}
	})
}

// migratedServer is a server, and the name of a database on it with the schema.
func migratedServer(t *testing.T) (*testservers.Postgres, string) {
	t.Helper()
	server := testservers.StartPostgres(t)
	url := server.Fresh()
	opened(t, url).Close()
	name, _, _ := strings.Cut(path.Base(url), "?")
	return server, name
}

func opened(t *testing.T, url string, o ...sqlstore.Option) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), url, o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestOpen_nodesThatStartTogetherMigrateOnce(t *testing.T) {
	url := testservers.StartPostgres(t).Fresh()
	var nodes sync.WaitGroup
	for range 5 {
		nodes.Go(func() {
			s, err := sqlstore.Open(context.Background(), url)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.KeepSetting(context.Background(), "a", "b"); err != nil {
				t.Error(err)
			}
		})
	}
	nodes.Wait()
}

func TestOpen_refusesAServerThatForgets(t *testing.T) {
	url := testservers.StartPostgres(t, "synchronous_commit=off").Fresh()
	_, err := sqlstore.Open(t.Context(), url)
	if err == nil || !strings.Contains(err.Error(), "synchronous_commit") {
		t.Errorf("got %v, want it to say what synchronous_commit does", err)
	}
	if err != nil && strings.Contains(err.Error(), "postgres://") {
		t.Errorf("the error repeats the URL, which may hold a password: %v", err)
	}
}

func TestNow_isTheServersClock(t *testing.T) {
	server := testservers.StartPostgres(t)
	s := opened(t, server.Fresh())
	for range 3 {
		before := server.Do(`SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint`)
		now, err := s.Now(t.Context())
		after := server.Do(`SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint`)
		if err != nil {
			t.Fatal(err)
		}
		const off = 50 * time.Millisecond // of an estimate, on a busy machine
		if b, a := micro(t, before), micro(t, after); now.Before(b.Add(-off)) || now.After(a.Add(off)) {
			t.Errorf("Now = %s, and the server said %s before and %s after", now, b, a)
		}
	}
}

func micro(t *testing.T, text string) time.Time {
	t.Helper()
	us, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.UnixMicro(us).UTC()
}

// An answer that got lost: the transaction stands, its connection does not.
func TestApply_again_afterItsConnectionWasCutOff(t *testing.T) {
	server := testservers.StartPostgres(t)
	s := opened(t, server.Fresh())
	ctx, stop := context.WithCancel(t.Context())
	var cutter sync.WaitGroup
	cutter.Go(func() {
		for ctx.Err() == nil {
			server.Do(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'nod'`)
		}
	})
	for i := range 200 {
		key := strconv.Itoa(i)
		c := approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{approval.Spend{Box: approval.BoxNonce, Key: key}}}
		err := s.Apply(t.Context(), c)
		if err != nil && !errors.Is(err, approval.ErrUnavailable) {
			t.Fatalf("apply %d = %v", i, err) // ErrReplayed: it was repeated without its claim
		}
	}
	stop()
	cutter.Wait()
}

func TestStore_whileTheServerIsAway(t *testing.T) {
	server := testservers.StartPostgres(t)
	s := opened(t, server.Fresh())
	server.StopImmediately()
	err := s.Apply(t.Context(), approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{approval.Spend{Box: approval.BoxNonce, Key: "a"}}})
	if !errors.Is(err, approval.ErrUnavailable) {
		t.Errorf("apply = %v, want %v", err, approval.ErrUnavailable)
	}
	if _, err := s.Find(t.Context(), approval.Key{ID: "x"}); !errors.Is(err, approval.ErrUnavailable) {
		t.Errorf("find = %v, want %v", err, approval.ErrUnavailable)
	}
	server.Start()
	if err := s.Apply(t.Context(), approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{approval.Spend{Box: approval.BoxNonce, Key: "a"}}}); err != nil {
		t.Errorf("apply after it came back = %v", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("ping after it came back = %v", err)
	}
}
