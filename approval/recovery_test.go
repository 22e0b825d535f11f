package approval_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// home is where ada types her recovery codes.
const home = "192.0.2.7"

func (h *house) codes(n int) []account.Secret {
	h.t.Helper()
	made, err := h.people.NewRecovery(h.t.Context(), h.ada, n, approval.Asker{PasskeyID: h.key.ID})
	must(h.t, err)
	return made.Codes
}

func (h *house) recover(name string, code account.Secret, address string) (account.Secret, error) {
	return h.people.Recover(h.t.Context(), name, code, address)
}

func (h *house) left() account.Recovery {
	h.t.Helper()
	r, err := h.people.Recovery(h.t.Context(), h.ada)
	must(h.t, err)
	return r
}

func TestRecover_ends_what_was_and_gives_a_quarter_of_an_hour(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	now, err := h.store.Now(t.Context())
	must(t, err)
	session := account.Session{Hash: []byte("session"), UserID: h.ada.ID, PasskeyID: h.key.ID, CreatedAt: now, SeenAt: now}
	must(t, h.store.AddSession(t.Context(), session))
	older, _, err := h.people.Invite(t.Context(), h.ada)
	must(t, err)
	codes := h.codes(approval.RecoveryCodes)
	if got := h.left(); got.Made != 10 || got.Left != 10 || got.MadeAt.Before(now) {
		t.Errorf("set before: got %+v, want ten of ten, made now", got)
	}

	secret, err := h.recover("ada", codes[3], home)
	must(t, err)
	inv, err := h.store.Invitation(t.Context(), secret.Hash())
	must(t, err)
	if got := inv.Expires.Sub(inv.CreatedAt); got != 15*time.Minute || inv.UserID != h.ada.ID || !inv.Recovers || inv.PasskeyID != "" {
		t.Errorf("got the invitation %+v, want one of ada's that is good for 15 minutes", inv)
	}
	_, err = h.store.Session(t.Context(), session.Hash)
	wantError(t, "the session from before", err, approval.ErrNotFound)
	_, err = h.store.Invitation(t.Context(), older.Hash())
	wantError(t, "the invitation from before", err, approval.ErrNotFound)
	if got := h.left(); got.Made != 10 || got.Left != 9 {
		t.Errorf("set afterwards: got %+v, want nine of ten", got)
	}
	var told []string
	for _, m := range h.queued(approval.TopicNotice) {
		told = append(told, string(m.Body))
	}
	if got := fmt.Sprint(told); got != `["recovery_codes_made" "recovery_code_used"]` {
		t.Errorf("phones are told %s", got)
	}
	es, err := h.store.Events(t.Context(), h.ada.ID, 1)
	must(t, err)
	if len(es) != 1 || es[0].Name != approval.EventRecovered || es[0].Address != home {
		t.Errorf("got the audit row %+v, want %s from %s", es, approval.EventRecovered, home)
	}
}

func TestRecover_wrong_answers_are_one(t *testing.T) {
	h := onDisk(t)
	bob, _ := h.person(account.Namespace{ID: h.ada.NamespaceID}, "bob")
	replaced := h.codes(2)
	codes := h.codes(2)
	theirs, err := h.people.NewRecovery(t.Context(), bob, 1, approval.Asker{})
	must(t, err)
	_, err = h.recover("ada", codes[0], "2001:db8::1")
	must(t, err)
	for name, guess := range map[string]struct {
		user string
		code account.Secret
	}{
		"a wrong code":            {"ada", "BCDF-GHJK-LMNP-QRST"},
		"no code":                 {"ada", ""},
		"one that was used":       {"ada", codes[0]},
		"one that was replaced":   {"ada", replaced[1]},
		"somebody else's":         {"ada", theirs.Codes[0]},
		"with somebody's name":    {"bob", codes[1]},
		"with a name nobody has":  {"carol", codes[1]},
		"a user code's own shape": {"ada", h.begin(approval.Short).Code},
	} {
		_, err := h.recover(guess.user, guess.code, name) // an address of its own: nothing here is about limits
		if got, want := fmt.Sprint(err), "recover: find recovery code: not found"; !errors.Is(err, approval.ErrNotFound) || got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	_, err = h.recover("ada", codes[1], home)
	must(t, err)
}

func TestRecover_takes_what_people_type(t *testing.T) {
	h := onDisk(t)
	u, err := h.people.CreateUser(t.Context(), h.ada.NamespaceID, "", "zo\u00eb")
	must(t, err)
	made, err := h.people.NewRecovery(t.Context(), u, 3, approval.Asker{})
	must(t, err)
	for i, typed := range []func(string) string{
		strings.ToLower,
		func(s string) string { return " " + strings.ReplaceAll(s, "-", " ") + "\t" },
		func(s string) string { return strings.ReplaceAll(s, "-", "") + "." },
	} {
		_, err := h.recover(" zoe\u0308 ", account.Secret(typed(made.Codes[i].Reveal())), home)
		must(t, err)
	}
}

// However many guess at once, the limit is exact (I12), and whoever guesses wrong on
// purpose keeps nobody out but themselves (B5).
func TestRecover_wrong_codes_are_counted_before_they_are_judged(t *testing.T) {
	h := onDisk(t)
	codes := h.codes(2)
	const attacker, limit = "203.0.113.66", 5
	var evaluated, refused atomic.Int64
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			for n := range 8 {
				_, err := h.recover("ada", account.Secret(fmt.Sprintf("BCDF-GHJK-%d-%d", i, n)), attacker)
				switch {
				case errors.Is(err, approval.ErrNotFound):
					evaluated.Add(1)
				case errors.Is(err, approval.ErrTooMany):
					refused.Add(1)
				default:
					t.Errorf("wrong code: %v", err)
				}
			}
		})
	}
	all.Wait()
	if evaluated.Load() != limit || refused.Load() != 64*8-limit {
		t.Errorf("evaluated %d, refused %d; want %d and all others", evaluated.Load(), refused.Load(), limit)
	}
	_, err := h.recover("ada", codes[0], attacker)
	wait, ok := errors.AsType[*approval.LimitError](err)
	if !ok || wait.RetryAfter <= 0 || wait.RetryAfter > 2*time.Minute {
		t.Errorf("a right code from there: got %v, want how long to wait, at most 2m0s", err)
	}
	_, err = h.recover("ada", codes[0], home)
	must(t, err)
}

func TestRecover_limits_end(t *testing.T) {
	inQuietBubble(t, func(t *testing.T, h *house) {
		h.codes(1)
		wrong := func() error { _, err := h.recover("ada", "X", home); return err }
		for range 2 { // ten an hour, five in two minutes
			for range 5 {
				wantError(t, "a try", wrong(), approval.ErrNotFound)
			}
			wantError(t, "a try too many", wrong(), approval.ErrTooMany)
			time.Sleep(2 * time.Minute)
		}
		if e, ok := errors.AsType[*approval.LimitError](wrong()); !ok || e.RetryAfter != 56*time.Minute {
			t.Errorf("got %v, want a LimitError of 56m0s", e)
		}
		time.Sleep(56 * time.Minute)
		wantError(t, "an hour after the first", wrong(), approval.ErrNotFound)
	})
}

func TestRecover_same_code_at_once_works_once(t *testing.T) {
	h := onDisk(t)
	code := h.codes(1)[0]
	var worked atomic.Int64
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			_, err := h.recover("ada", code, fmt.Sprintf("192.0.2.%d", i))
			if err == nil {
				worked.Add(1)
			} else if !errors.Is(err, approval.ErrNotFound) {
				t.Errorf("recover: %v", err)
			}
		})
	}
	all.Wait()
	if worked.Load() != 1 || h.events(h.ada)[approval.EventRecovered] != 1 {
		t.Errorf("worked %d times, audit rows %v; want one", worked.Load(), h.events(h.ada))
	}
}

func TestRecover_of_a_suspended_user_keeps_the_code(t *testing.T) {
	h := onDisk(t)
	codes := h.codes(2)
	suspended, err := h.people.Deactivate(t.Context(), h.ada)
	must(t, err)
	_, err = h.recover("ada", codes[0], home)
	wantError(t, "right code", err, approval.ErrInactive)
	_, err = h.recover("ada", "BCDF-GHJK-LMNP-QRST", home)
	wantError(t, "wrong code", err, approval.ErrNotFound)
	_, err = h.people.NewRecovery(t.Context(), suspended, 1, approval.Asker{})
	wantError(t, "new codes", err, approval.ErrInactive)
	_, err = h.people.Activate(t.Context(), suspended)
	must(t, err)
	_, err = h.recover("ada", codes[0], home)
	must(t, err)
}

// One name in two namespaces: each code opens the account it was made for.
func TestRecover_same_name_elsewhere(t *testing.T) {
	h := onDisk(t)
	ns, err := h.people.Namespace(t.Context(), "elsewhere")
	must(t, err)
	other, err := h.people.CreateUser(t.Context(), ns.ID, "", "ada")
	must(t, err)
	made, err := h.people.NewRecovery(t.Context(), other, 1, approval.Asker{})
	must(t, err)
	for owner, code := range map[string]account.Secret{h.ada.ID: h.codes(1)[0], other.ID: made.Codes[0]} {
		secret, err := h.recover("ada", code, home)
		must(t, err)
		inv, err := h.store.Invitation(t.Context(), secret.Hash())
		must(t, err)
		if inv.UserID != owner {
			t.Errorf("invitation for %s, want %s", inv.UserID, owner)
		}
	}
}

func TestNewRecovery_replaces_the_set_and_says_who_asked(t *testing.T) {
	h := onDisk(t)
	for n, want := range map[int]int{-1: 1, 0: 1, 1: 1, 10: 10, 11: 10} {
		codes := h.codes(n)
		if got := h.left(); len(codes) != want || got.Made != want || got.Left != want {
			t.Errorf("%d codes: got %d, stored %+v; want %d", n, len(codes), got, want)
		}
	}
	_, err := h.people.NewRecovery(t.Context(), h.ada, 1, approval.Asker{ClientID: h.backend.ID, Address: home})
	must(t, err)
	es, err := h.store.Events(t.Context(), h.ada.ID, 2)
	must(t, err)
	if len(es) != 2 || es[0].ClientID != h.backend.ID || es[0].Address != home || es[1].PasskeyID != h.key.ID {
		t.Errorf("got audit rows %+v, want the backend and then the passkey", es)
	}
}

// A notice moves a row that others move too; what is told must not fail for it.
func TestRecover_among_other_news(t *testing.T) {
	h := onDisk(t)
	code := h.codes(1)[0]
	h.withPush()
	p, err := h.store.Prompting(t.Context(), h.ada.ID+"/recovery_code_used")
	must(t, err)
	tries := 0
	h.tamper.set(func(s *tampered) {
		s.onApply = func() { // somebody else is faster, twice
			if tries++; tries > 2 {
				return
			}
			was := p.Version
			p.Version++
			must(t, s.Store.Apply(t.Context(), approval.Change{
				Op: approval.NewOp(), Effects: []approval.Effect{approval.SetPrompting{From: was, Is: p}},
			}))
		}
	})
	_, err = h.recover("ada", code, home)
	must(t, err)
	if n := len(h.queued(approval.TopicNotice)); n != 1 || tries != 3 {
		t.Errorf("%d notices at the %dth try, want one at the third", n, tries)
	}
}

// A conflict that is not about what is told is the caller's, at once.
func TestRecord_conflict_of_its_own_is_not_tried_again(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	tries := 0
	h.tamper.set(func(s *tampered) { s.onApply = func() { tries++ } })
	err := h.people.Record(t.Context(), approval.Change{
		Op: approval.NewOp(), Tells: []approval.Tell{{UserID: h.ada.ID, Notice: approval.NoticePasskeyAdded}},
		Event:   approval.Event{Name: approval.EventUserActivated, UserID: h.ada.ID},
		Effects: []approval.Effect{approval.SetUserStatus{ID: h.ada.ID, From: account.UserInactive, To: account.UserActive}},
	})
	wantError(t, "record", err, approval.ErrUnavailable)
	if tries != 1 || len(h.queued(approval.TopicNotice)) != 0 {
		t.Errorf("tried %d times, want once and nobody told", tries)
	}
}

func TestInviteAnotherDevice_hangs_on_the_passkey_that_vouched(t *testing.T) {
	h := onDisk(t)
	secret, inv, err := h.people.InviteAnotherDevice(t.Context(), h.ada, approval.Asker{PasskeyID: h.key.ID, Address: home})
	must(t, err)
	stored, err := h.store.Invitation(t.Context(), secret.Hash())
	must(t, err)
	if stored.PasskeyID != h.key.ID || stored.Recovers || !stored.Expires.Equal(inv.CreatedAt.Add(15*time.Minute)) {
		t.Errorf("got %+v, want one that the passkey vouched for, good for 15 minutes", stored)
	}
	_, err = h.people.RevokePasskey(t.Context(), h.ada, h.key, false)
	must(t, err)
	_, _, err = h.people.InviteAnotherDevice(t.Context(), h.ada, approval.Asker{PasskeyID: h.key.ID})
	wantError(t, "by a passkey that ended", err, approval.ErrRevoked)
}
