package sqlstore_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/audit"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
)

// fragile is a store that can be away.
type fragile struct {
	*sqlstore.Store
	away     atomic.Bool
	extended atomic.Int64 // transactions
}

func (f *fragile) Head(ctx context.Context) (audit.Head, error) {
	if f.away.Load() {
		return audit.Head{}, approval.ErrUnavailable
	}
	return f.Store.Head(ctx)
}

func (f *fragile) Extend(ctx context.Context, from, to audit.Head, links []audit.Link) error {
	f.extended.Add(1)
	return f.Store.Extend(ctx, from, to, links)
}

// inSealingBubble runs a test in fake time while a sealer runs on a fresh file.
func inSealingBubble(t *testing.T, test func(t *testing.T, s *fragile, sealer *audit.Sealer, log *bytes.Buffer)) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	path := freshdb.File(t)
	synctest.Test(t, func(t *testing.T) {
		store, err := sqlstore.Open(t.Context(), path)
		must(t, err)
		defer store.Close()
		s, log := &fragile{Store: store}, &bytes.Buffer{}
		sealer := audit.NewSealer(s, auditKey, slog.New(slog.NewTextHandler(log, nil)))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- sealer.Run(ctx) }()
		test(t, s, sealer, log)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run = %v, want nil when it was told to stop", err)
		}
	})
}

func denied(t *testing.T, s *fragile) {
	t.Helper()
	must(t, s.Apply(t.Context(), approval.Change{Op: approval.NewOp(), Event: approval.Event{Name: approval.EventDenied}}))
}

func TestSealer_sealsEveryFewSecondsAndOnlyWhatThereIs(t *testing.T) {
	inSealingBubble(t, func(t *testing.T, s *fragile, sealer *audit.Sealer, log *bytes.Buffer) {
		time.Sleep(time.Hour)
		if got := s.extended.Load(); got != 0 {
			t.Errorf("%d transactions in an hour without rows, want none", got)
		}
		denied(t, s)
		time.Sleep(3*time.Second + time.Millisecond)
		synctest.Wait()
		if got := sealer.Sealed(); got != 1 {
			t.Errorf("sealed %d rows after three seconds, want 1", got)
		}
		time.Sleep(48 * time.Hour)
		if got := s.extended.Load(); got != 1 {
			t.Errorf("%d transactions for one row in two days, want 1", got)
		}
		if err := sealer.Stuck(); err != nil || log.Len() > 0 {
			t.Errorf("stuck = %v, log %q; want all quiet", err, log)
		}
	})
}

func TestSealer_saysWhenItIsStuck(t *testing.T) {
	inSealingBubble(t, func(t *testing.T, s *fragile, sealer *audit.Sealer, log *bytes.Buffer) {
		denied(t, s)
		time.Sleep(5 * time.Second)
		s.away.Store(true)
		denied(t, s)
		time.Sleep(30 * time.Second)
		if err := sealer.Stuck(); err != nil {
			t.Errorf("after half a minute: stuck = %v, want nil", err)
		}
		time.Sleep(time.Minute)
		if err := sealer.Stuck(); err == nil || strings.Contains(err.Error(), approval.ErrUnavailable.Error()) {
			t.Errorf("after a minute: stuck = %v, want a sentence without the cause", err)
		}
		s.away.Store(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if err := sealer.Stuck(); err != nil || sealer.Sealed() != 2 {
			t.Errorf("when the store is back: stuck = %v, %d sealed; want nil and 2", err, sealer.Sealed())
		}
		if got := strings.Count(log.String(), "audit rows are sealed later"); got != 1 {
			t.Errorf("said so %d times, want once: %s", got, log)
		}
	})
}

// A follower sees that another seals, and that nobody does.
func TestSealer_whoOnlyLooksIsStuckWithTheOther(t *testing.T) {
	inSealingBubble(t, func(t *testing.T, s *fragile, _ *audit.Sealer, _ *bytes.Buffer) {
		follower := newSealer(s.Store)
		for range 100 {
			denied(t, s)
			time.Sleep(4 * time.Second)
			synctest.Wait()
			must(t, follower.Turn(t.Context()))
			if err := follower.Stuck(); err != nil || follower.Sealed() > 0 {
				t.Fatalf("beside one that seals: stuck = %v, sealed %d; want nothing to do", err, follower.Sealed())
			}
		}
	})
}

func TestSettings_haveAnAuditRowWhenTheyChange(t *testing.T) {
	onEachEngine(t, func(t *testing.T, a, b *sqlstore.Store) {
		_, first := a.KeepSetting(t.Context(), "rp_id", "nod.example")
		_, again := b.KeepSetting(t.Context(), "rp_id", "other.example")
		_, sealed := a.KeepSealed(t.Context(), "vapid_key", "ciphertext")
		must(t, errors.Join(first, again, sealed,
			a.PutSetting(t.Context(), "public_url", "https://a.example"), b.PutSetting(t.Context(), "public_url", "https://a.example"),
			b.PutSetting(t.Context(), "public_url", "https://b.example"), a.TryWriting(t.Context())))
		all, err := a.Events(t.Context(), "", 100)
		must(t, err)
		var got []string
		for _, e := range all {
			if e.Name == approval.EventSettingChanged {
				got = append(got, e.Detail)
			}
		}
		slices.Sort(got) // the clock of one of them stands still
		want := "public_url https://a.example, public_url https://b.example, rp_id nod.example, vapid_key"
		if strings.Join(got, ", ") != want {
			t.Errorf("audited %q, want %s", got, want)
		}
	})
}

func TestEndSession_hasAnAuditRow(t *testing.T) {
	onEachEngine(t, func(t *testing.T, a, b *sqlstore.Store) {
		now, err := a.Now(t.Context())
		must(t, err)
		ns := account.Namespace{ID: "0123456789abcdef", Name: "default", CreatedAt: now}
		u := account.User{ID: "u", NamespaceID: ns.ID, Username: "zoe", Status: account.UserActive, CreatedAt: now, UpdatedAt: now}
		must(t, a.Apply(t.Context(), approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{
			approval.AddNamespace{Namespace: ns}, approval.AddUser{User: u},
		}}))
		v := account.Session{Hash: []byte("hash"), UserID: u.ID, PasskeyID: "p", Name: "Firefox", CreatedAt: now, SeenAt: now}
		must(t, a.AddSession(t.Context(), v))
		must(t, b.EndSession(t.Context(), v.Hash))
		if err := a.EndSession(t.Context(), v.Hash); !errors.Is(err, approval.ErrNotFound) {
			t.Errorf("ended twice: %v, want %v", err, approval.ErrNotFound)
		}
		got, err := a.Events(t.Context(), u.ID, 10)
		must(t, err)
		want := approval.Event{Name: approval.EventSignedOut, NamespaceID: ns.ID, UserID: u.ID, PasskeyID: "p", Detail: "Firefox"}
		if len(got) == 1 {
			got[0].At = time.Time{}
		}
		if d := cmp.Diff([]approval.Event{want}, got); d != "" {
			t.Errorf("audit rows (-want +got):\n%s", d)
		}
	})
}
