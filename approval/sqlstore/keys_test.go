package sqlstore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/sqlstore"
)

// onEachEngine runs a test on two stores that share a database: two nodes.
func onEachEngine(t *testing.T, test func(t *testing.T, a, b *sqlstore.Store)) {
	t.Run("SQLite", func(t *testing.T) {
		f := newFixture(t)
		test(t, f.Store, f.open(t, f.path))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		server, migrated := migratedServer(t)
		url := server.Copy(migrated)
		test(t, opened(t, url), opened(t, url))
	})
}

// become is a change that makes these the keys.
func become(keys ...sqlstore.SigningKey) func(time.Time, []sqlstore.SigningKey) ([]sqlstore.SigningKey, error) {
	return func(time.Time, []sqlstore.SigningKey) ([]sqlstore.SigningKey, error) { return keys, nil }
}

func TestChangeSigningKeys_becomeWhatTheyShall(t *testing.T) {
	onEachEngine(t, func(t *testing.T, a, b *sqlstore.Store) {
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add
		old := sqlstore.SigningKey{KID: "b", Alg: "ES256", Public: []byte("pub"), Sealed: []byte("sealed"), UseFrom: at(0)}
		ended := old
		ended.UseUntil, ended.KeepUntil = at(time.Hour), at(2*time.Hour)
		next := sqlstore.SigningKey{KID: "a", Alg: "ES256", Public: []byte("pub"), Sealed: []byte("sealed"), UseFrom: at(time.Hour)}
		retired := ended
		retired.Sealed = nil
		for _, step := range []struct {
			about string
			keys  []sqlstore.SigningKey
			notes []approval.EventName
		}{
			{"the first", []sqlstore.SigningKey{old}, []approval.EventName{approval.EventKeyAdded}},
			{"the same again", []sqlstore.SigningKey{old}, nil},
			{"rotated", []sqlstore.SigningKey{ended, next}, []approval.EventName{approval.EventKeyAdded}},
			{"retired", []sqlstore.SigningKey{retired, next}, []approval.EventName{approval.EventKeyRetired}},
			{"removed", []sqlstore.SigningKey{next}, []approval.EventName{approval.EventKeyRemoved}},
		} {
			before := len(keyNotes(t, a))
			must(t, a.ChangeSigningKeys(t.Context(), become(step.keys...)))
			got, err := b.SigningKeys(t.Context())
			if d := cmp.Diff(step.keys, got); d != "" || err != nil {
				t.Errorf("%s: %v (-want +got):\n%s", step.about, err, d)
			}
			notes := keyNotes(t, a)
			var names []approval.EventName
			for _, e := range notes[:len(notes)-before] {
				names = append(names, e.Name)
				if kid := "b"; e.Name != approval.EventKeyAdded && e.Detail != kid {
					t.Errorf("%s: audited for %s, want %s", step.about, e.Detail, kid)
				}
			}
			if !slices.Equal(names, step.notes) {
				t.Errorf("%s: audited %v, want %v", step.about, names, step.notes)
			}
		}
	})
}

// keyNotes are the audit rows of keys, the newest first.
func keyNotes(t *testing.T, s *sqlstore.Store) []approval.Event {
	t.Helper()
	all, err := s.Events(t.Context(), "", 100)
	must(t, err)
	return slices.DeleteFunc(all, func(e approval.Event) bool { return !strings.HasPrefix(string(e.Name), "key.") })
}

func TestChangeSigningKeys_refusedChangesNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, a, b *sqlstore.Store) {
		must(t, a.ChangeSigningKeys(t.Context(), become(sqlstore.SigningKey{KID: "a", Public: []byte("pub")})))
		no := errors.New("no")
		err := b.ChangeSigningKeys(t.Context(), func(time.Time, []sqlstore.SigningKey) ([]sqlstore.SigningKey, error) { return nil, no })
		if err != no { //nolint:errorlint // as it is
			t.Errorf("got %v, want what change said", err)
		}
		if keys, err := a.SigningKeys(t.Context()); err != nil || len(keys) != 1 {
			t.Errorf("got %v, %v; want the one key", keys, err)
		}
	})
}

// Of many at the same moment, each sees what those before it made.
func TestChangeSigningKeys_oneAfterTheOther(t *testing.T) {
	onEachEngine(t, func(t *testing.T, a, b *sqlstore.Store) {
		taken := errors.New("taken")
		var all sync.WaitGroup
		won := make(chan string, 16)
		for i := range cap(won) {
			s, kid := a, string(rune('a'+i))
			if i%2 == 1 {
				s = b
			}
			all.Go(func() {
				err := s.ChangeSigningKeys(context.Background(), func(_ time.Time, keys []sqlstore.SigningKey) ([]sqlstore.SigningKey, error) {
					if len(keys) > 0 {
						return nil, taken
					}
					return []sqlstore.SigningKey{{KID: kid, Public: []byte("pub")}}, nil
				})
				if err == nil {
					won <- kid
				} else if !errors.Is(err, taken) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		keys, err := a.SigningKeys(t.Context())
		if err != nil || len(keys) != 1 || len(won) != 1 || <-won != keys[0].KID {
			t.Errorf("got %v, %v and %d who think it theirs; want one key and its maker", keys, err, len(won))
		}
	})
}

func TestChangeSigningKeys_atTheStoresTime(t *testing.T) {
	onEachEngine(t, func(t *testing.T, a, _ *sqlstore.Store) {
		before, err := a.Now(t.Context())
		must(t, err)
		must(t, a.ChangeSigningKeys(t.Context(), func(now time.Time, keys []sqlstore.SigningKey) ([]sqlstore.SigningKey, error) {
			if off := now.Sub(before); off < -time.Second || off > 10*time.Second {
				t.Errorf("shown at %s, want about %s", now, before)
			}
			return keys, nil
		}))
	})
}
