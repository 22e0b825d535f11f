package sqlstore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
)

func accept(sqlstore.Contents) error { return nil }

// What was acknowledged before the backup began is in it, whoever writes meanwhile,
// and what is in it belongs together: each user has its audit row.
func TestBackup_whileOthersWrite(t *testing.T) {
	f := newFixture(t)
	must(t, f.Apply(t.Context(), approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{
		approval.AddNamespace{Namespace: account.Namespace{ID: "ns", Name: "default"}},
	}}))
	add := func() error {
		op := approval.NewOp()
		u := account.User{ID: op, NamespaceID: "ns", Username: op, Status: account.UserActive}
		return f.Apply(t.Context(), approval.Change{
			Op: op, Event: approval.Event{Name: approval.EventUserCreated, UserID: u.ID}, Effects: []approval.Effect{approval.AddUser{User: u}},
		})
	}
	for range 100 {
		must(t, add())
	}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := add(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	least := int64(100)
	for i := range 5 {
		to := filepath.Join(t.TempDir(), "nod.backup")
		has, err := sqlstore.Backup(t.Context(), f.path, to)
		must(t, err)
		if has.Users < least || has.Schema != sqlstore.Schema() || !has.Last.Equal(*f.now.Load()) {
			t.Errorf("backup %d holds %+v, want %d users or more of schema %d", i, has, least, sqlstore.Schema())
		}
		least = has.Users
		restored := filepath.Join(t.TempDir(), "nod.db")
		again, err := sqlstore.Restore(t.Context(), to, restored, accept)
		if d := cmp.Diff(has, again); d != "" || err != nil {
			t.Errorf("restored: %v (-backup +restored):\n%s", err, d)
		}
		for _, path := range []string{to, restored} {
			info, err := os.Stat(path)
			must(t, err)
			if got := info.Mode().Perm(); got != 0o600 {
				t.Errorf("%s: mode %04o, want 0600", path, got)
			}
			if there, err := sqlstore.Files(path); len(there) != 1 || err != nil {
				t.Errorf("got files %v, %v; want one", there, err)
			}
		}
		s := f.open(t, restored)
		users, err := s.Users(t.Context(), "ns", "", int(has.Users)+1)
		must(t, err)
		if int64(len(users)) != has.Users {
			t.Errorf("lists %d users, want %d", len(users), has.Users)
		}
		for _, u := range users {
			if es, err := s.Events(t.Context(), u.ID, 2); len(es) != 1 || err != nil {
				t.Errorf("user %s has %d audit rows, %v; want 1", u.ID, len(es), err)
			}
		}
	}
	close(stop)
	writing.Wait()
}

func TestBackup_replacesNothing(t *testing.T) {
	f := newFixture(t)
	folder := t.TempDir()
	to := filepath.Join(folder, "nod.backup")
	must(t, os.WriteFile(to, []byte("mine"), 0o644))
	if _, err := sqlstore.Backup(t.Context(), f.path, to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want %v", err, fs.ErrExist)
	}
	if b, err := os.ReadFile(to); string(b) != "mine" {
		t.Errorf("the file is now %q, %v", b, err)
	}
	if _, err := sqlstore.Backup(t.Context(), filepath.Join(folder, "none.db"), filepath.Join(folder, "a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: got %v, want %v", err, fs.ErrNotExist)
	}
	if left, err := os.ReadDir(folder); len(left) != 1 || err != nil {
		t.Errorf("left behind %v, %v", left, err)
	}
}

func TestRestore_refusesWhatIsNotWhole(t *testing.T) {
	f := newFixture(t)
	folder := t.TempDir()
	good := filepath.Join(folder, "good")
	_, err := sqlstore.Backup(t.Context(), f.path, good)
	must(t, err)
	whole, err := os.ReadFile(good)
	must(t, err)
	no := errors.New("no")
	for name, c := range map[string]struct {
		is    []byte
		check func(sqlstore.Contents) error
		want  error
	}{
		"cut short":     {whole[:len(whole)/2], accept, sqlstore.ErrDamaged},
		"pages changed": {append(append(append([]byte{}, whole[:5000]...), make([]byte, 8192)...), whole[5000+8192:]...), accept, sqlstore.ErrDamaged},
		"empty":         {nil, accept, sqlstore.ErrDamaged},
		"a text":        {[]byte("not a database, and longer than a header of one hundred bytes would be, so that it is looked at: no."), accept, sqlstore.ErrDamaged},
		"refused":       {whole, func(sqlstore.Contents) error { return no }, no},
	} {
		from, to := filepath.Join(folder, "bad"), filepath.Join(folder, "nod.db")
		must(t, os.WriteFile(from, c.is, 0o600))
		if _, err := sqlstore.Restore(t.Context(), from, to, c.check); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if there, err := sqlstore.Files(to); len(there) != 0 || err != nil {
			t.Errorf("%s: left behind %v, %v", name, there, err)
		}
	}
}

// A plain copy of a live file lacks what stands in its log.
func TestRestore_refusesALiveFile(t *testing.T) {
	f := newFixture(t)
	must(t, f.PutSetting(t.Context(), "a", "b"))
	_, err := sqlstore.Restore(t.Context(), f.path, filepath.Join(t.TempDir(), "nod.db"), accept)
	if !errors.Is(err, sqlstore.ErrUnfolded) {
		t.Errorf("got %v, want %v", err, sqlstore.ErrUnfolded)
	}
}

func TestUnused_tellsWhetherAnybodyHasTheFileOpen(t *testing.T) {
	f := newFixture(t)
	if _, err := f.Setting(t.Context(), "a"); !errors.Is(err, approval.ErrNotFound) {
		t.Fatal(err)
	}
	if err := sqlstore.Unused(t.Context(), f.path); !errors.Is(err, sqlstore.ErrInUse) {
		t.Errorf("while a store is open: got %v, want %v", err, sqlstore.ErrInUse)
	}
	must(t, f.PutSetting(t.Context(), "a", "b")) // it was not harmed
	must(t, f.Close())
	must(t, sqlstore.Unused(t.Context(), f.path))
	if there, err := sqlstore.Files(f.path); len(there) != 1 || err != nil {
		t.Errorf("got files %v, %v; want everything in one", there, err)
	}
	must(t, os.WriteFile(f.path, []byte("no database at all"), 0o600))
	must(t, sqlstore.Unused(t.Context(), f.path))
	must(t, sqlstore.Unused(t.Context(), f.path+".none"))
}
