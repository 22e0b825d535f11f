package sqlstore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOpen_createsFilesForTheirOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	s, err := sqlstore.Open(t.Context(), filepath.Join(dir, "nod.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.KeepSetting(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	got := map[string]fs.FileMode{}
	for _, name := range []string{"..", ".", "nod.db", "nod.db-wal", "nod.db-shm"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got[name] = info.Mode().Perm()
	}
	want := map[string]fs.FileMode{"..": 0o700, ".": 0o700, "nod.db": 0o600, "nod.db-wal": 0o600, "nod.db-shm": 0o600}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("modes (-want +got):\n%s", d)
	}
}

func TestOpen_pathOfOddCharacters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c=d#e%20f.db")
	for range 2 {
		s, err := sqlstore.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.KeepSetting(t.Context(), "a", "b"); got != "b" || err != nil {
			t.Errorf("KeepSetting = %q, %v", got, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestOpen_whereNothingCanBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("not a database, and longer than a header of one hundred bytes would be, so that it is looked at: no."), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "nod.db")} {
		if s, err := sqlstore.Open(t.Context(), path); err == nil {
			s.Close()
			t.Errorf("Open %s succeeded", path)
		}
	}
}

func TestOpen_byManyAtOnceOnANewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nod.db")
	const many = 8
	stood := make([]string, many)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			s, err := sqlstore.Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if stood[i], err = s.KeepSetting(t.Context(), "issuer", fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, v := range stood {
		if v == "" || v != stood[0] {
			t.Fatalf("settings that stand: %q, want one and the same", stood)
		}
	}
}

func TestStore_twoProcessesOnOneFile(t *testing.T) {
	f := newFixture(t)
	cli := f.open(t, f.path)
	var wg sync.WaitGroup
	for i, s := range []*sqlstore.Store{f.Store, cli} {
		for n := range 50 {
			wg.Go(func() {
				ns := account.Namespace{ID: fmt.Sprintf("%016x", i<<8|n), Name: fmt.Sprint(i, n)}
				err := s.Apply(t.Context(), approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{approval.AddNamespace{Namespace: ns}}})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for i := range 2 {
		for n := range 50 {
			for _, s := range []*sqlstore.Store{f.Store, cli} {
				if _, err := s.Namespace(t.Context(), fmt.Sprint(i, n)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestSetting_firstValueStandsUntilItIsReplaced(t *testing.T) {
	f := newFixture(t)
	if _, err := f.Setting(t.Context(), "a"); !errors.Is(err, approval.ErrNotFound) {
		t.Errorf("Setting = %v, want %v", err, approval.ErrNotFound)
	}
	for _, value := range []string{"first", "second"} {
		if got, err := f.KeepSetting(t.Context(), "a", value); got != "first" || err != nil {
			t.Errorf("KeepSetting %s = %q, %v; want first", value, got, err)
		}
	}
	if got, err := f.Setting(t.Context(), "a"); got != "first" || err != nil {
		t.Errorf("Setting = %q, %v; want first", got, err)
	}
	if err := f.PutSetting(t.Context(), "a", "third"); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Setting(t.Context(), "a"); got != "third" || err != nil {
		t.Errorf("Setting = %q, %v; want third", got, err)
	}
}

func TestApply_keepsReceiptAndOutbox(t *testing.T) {
	f := newFixture(t)
	want := approval.Receipt{
		RequestID: "r", UserID: "u", PasskeyID: "p", PublicKey: []byte("cose"), Random: []byte("random"), Record: []byte("{}"),
		AuthenticatorData: []byte("auth"), ClientData: []byte("client"), Signature: []byte("sig"),
	}
	deliver := func(topic approval.Topic, key string) approval.Effect {
		return approval.Deliver{Topic: topic, Key: key, Body: []byte(`{"to":1}`), Until: f.now.Load().Add(time.Hour)}
	}
	c := approval.Change{Op: "op", Effects: []approval.Effect{
		approval.KeepReceipt{Receipt: want}, deliver(approval.TopicPrompt, "1"), deliver("webhook", "2"), deliver(approval.TopicPrompt, "3"),
	}}
	for range 2 {
		if err := f.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	again := approval.Change{Op: "other", Effects: c.Effects[:1]}
	if err := f.Apply(t.Context(), again); !errors.Is(err, approval.ErrExists) {
		t.Errorf("a second receipt = %v, want %v", err, approval.ErrExists)
	}
	got, err := f.Receipt(t.Context(), "r")
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("receipt: %v (-want +got):\n%s", err, d)
	}
	if _, err := f.Receipt(t.Context(), "x"); !errors.Is(err, approval.ErrNotFound) {
		t.Errorf("no receipt = %v, want %v", err, approval.ErrNotFound)
	}
	ms, err := f.Claim(t.Context(), approval.TopicPrompt, 10, time.Minute)
	message := func(id, key string) approval.Message {
		return approval.Message{ID: id, Topic: approval.TopicPrompt, Key: key, Body: []byte(`{"to":1}`),
			CreatedAt: *f.now.Load(), Until: f.now.Load().Add(time.Hour), Attempt: 1}
	}
	if d := cmp.Diff([]approval.Message{message("op/1", "1"), message("op/3", "3")}, ms); d != "" || err != nil {
		t.Errorf("outbox: %v (-want +got):\n%s", err, d)
	}
}

func TestOrigins_ofAllClients(t *testing.T) {
	f := newFixture(t)
	var es []approval.Effect
	for i, origins := range [][]string{{"https://b", "https://a"}, nil, {"https://c", "https://a"}} {
		ns := account.Namespace{ID: fmt.Sprint(i), Name: fmt.Sprint("ns", i)}
		es = append(es, approval.AddNamespace{Namespace: ns},
			approval.AddClient{Client: account.Client{ID: fmt.Sprint(i), NamespaceID: ns.ID, Origins: origins}})
	}
	if err := f.Apply(t.Context(), approval.Change{Op: "op", Effects: es}); err != nil {
		t.Fatal(err)
	}
	got, err := f.Origins(t.Context())
	if d := cmp.Diff([]string{"https://a", "https://b", "https://c"}, got); d != "" || err != nil {
		t.Errorf("origins: %v (-want +got):\n%s", err, d)
	}
}

func TestPurge_moreThanOneBatch(t *testing.T) {
	f := newFixture(t)
	var es []approval.Effect
	for i := range 1200 {
		es = append(es, approval.Spend{Box: approval.BoxNonce, Key: fmt.Sprint(i), Until: *f.now.Load()})
	}
	if err := f.Apply(t.Context(), approval.Change{Op: "op", Effects: es}); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Purge(t.Context(), *f.now.Load()); n != 1200 || err != nil {
		t.Errorf("Purge = %d, %v; want 1200", n, err)
	}
}
