package sqlstore_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
	"github.com/nod-auth/nod/approval/storetest"
)

func TestStore_conforms(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		f := newFixture(t)
		return storetest.Backend{Truth: f.Store, Advance: f.advance, Crash: f.crash}
	})
}

// fixture is a store on a file of its own, with a clock that stands still.
type fixture struct {
	*sqlstore.Store
	path string
	now  atomic.Pointer[time.Time]
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{path: filepath.Join(t.TempDir(), "data", "nod.db")}
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.now.Store(&start)
	f.Store = f.open(t, f.path)
	return f
}

func (f *fixture) open(t *testing.T, path string) *sqlstore.Store {
	s, err := sqlstore.Open(t.Context(), path, sqlstore.WithClock(func() time.Time { return *f.now.Load() }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (f *fixture) advance(d time.Duration) {
	now := f.now.Load().Add(d)
	f.now.Store(&now)
}

// crash copies the files while the store is open, as kill -9 would leave them,
// and opens the copy. A reader that stays meanwhile keeps the log from being
// started over between the two copies.
func (f *fixture) crash(t *testing.T) storetest.Truth {
	db, err := sql.Open("sqlite", f.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	reader, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback()
	var n int
	if err := reader.QueryRow(`SELECT COUNT(*) FROM settings`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	path := freshdb.File(t)
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(f.path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f.open(t, path)
}
