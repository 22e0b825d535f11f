package approval_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func TestRegisterPhone_same_place_is_the_same_phone(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		first := h.withPush()
		must(t, h.people.Record(t.Context(), approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{
			approval.NotePhone{ID: first.ID}, approval.NotePhone{ID: first.ID, Fault: "503"},
		}}))
		time.Sleep(time.Hour)
		n := webPush("https://push.example/ada")
		n.Name = "Firefox"
		again, err := h.people.RegisterPhone(t.Context(), h.ada, n, "192.0.2.9")
		must(t, err)
		stored, err := h.people.PhoneOf(t.Context(), h.ada, first.ID)
		must(t, err)
		if again.ID != first.ID || !again.CreatedAt.Equal(first.CreatedAt) || again.Name != "Firefox" || again.ReachedAt.IsZero() {
			t.Errorf("got %+v, want %s again", again, first.ID)
		}
		if stored.Name != "Firefox" || stored.Fault != "" || !stored.SeenAt.Equal(again.SeenAt) || !strings.HasPrefix(string(stored.Sealed), first.ID) {
			t.Errorf("stored %+v", stored)
		}
		ps, err := h.store.Phones(t.Context(), h.ada.ID)
		must(t, err)
		if len(ps) != 1 || h.events(h.ada)[approval.EventPhoneAdded] != 1 {
			t.Errorf("%d phones, audit rows %v; want one of each", len(ps), h.events(h.ada))
		}
	})
}

func TestRegisterPhone_place_of_another_user_moves(t *testing.T) {
	h := onDisk(t)
	first := h.withPush()
	elsewhere, err := h.people.Namespace(t.Context(), "elsewhere")
	must(t, err)
	bob, _ := h.person(elsewhere, "bob")
	moved := h.register(bob, "https://push.example/ada")
	if moved.ID == first.ID || moved.UserID != bob.ID {
		t.Errorf("got %+v, want a phone of bob's", moved)
	}
	_, err = h.people.PhoneOf(t.Context(), h.ada, first.ID)
	wantError(t, "ada's phone", err, approval.ErrNotFound)
	if got := h.events(bob)[approval.EventPhoneAdded]; got != 1 {
		t.Errorf("bob has %d rows, want one", got)
	}
	es, err := h.store.Events(t.Context(), h.ada.ID, 1)
	must(t, err)
	if len(es) != 1 || es[0].Name != approval.EventPhoneRemoved || es[0].NamespaceID != h.ada.NamespaceID || es[0].Detail != first.Name {
		t.Errorf("got %+v, want ada told in her own namespace", es)
	}
}

func TestRegisterPhone_at_once_is_one_phone_of_one_user(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	bob, _ := h.person(account.Namespace{ID: h.ada.NamespaceID}, "bob")
	users := []account.User{h.ada, bob}
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			p, err := h.people.RegisterPhone(t.Context(), users[i%2], webPush("https://push.example/shared"), "")
			if err != nil || p.UserID != users[i%2].ID {
				t.Errorf("register: %v", err)
			}
		})
	}
	all.Wait()
	phones := 0
	for _, u := range users {
		ps, err := h.store.Phones(t.Context(), u.ID)
		must(t, err)
		got := h.events(u)
		if on := got[approval.EventPhoneAdded] - got[approval.EventPhoneRemoved]; on != len(ps) {
			t.Errorf("%s has %d phones and audit rows %v", u.Username, len(ps), got)
		}
		phones += len(ps)
	}
	if phones != 2 { // ada's own and the shared one
		t.Errorf("%d phones, want 2", phones)
	}
}

func TestRegisterPhone_refuses_what_it_cannot_reach(t *testing.T) {
	h := onDisk(t)
	_, err := h.people.RegisterPhone(t.Context(), h.ada, webPush("https://push.example/a"), "")
	wantError(t, "without push", err, approval.ErrInvalid)
	h.withPush()
	for name, n := range map[string]approval.NewPhone{
		"unknown kind":   {Kind: "pager", Target: "x"},
		"no kind":        {Target: "x"},
		"no target":      {Kind: account.PhoneFCM},
		"deceptive name": {Kind: account.PhoneFCM, Target: "x", Name: "a\u202eb"},
	} {
		_, err := h.people.RegisterPhone(t.Context(), h.ada, n, "")
		wantError(t, name, err, approval.ErrInvalid)
	}
	p, err := h.people.RegisterPhone(t.Context(), h.ada, approval.NewPhone{Kind: account.PhoneFCM, Target: "x"}, "")
	must(t, err)
	if p.Name == "" {
		t.Error("a phone without a name got none by its kind")
	}
	_, err = h.people.Deactivate(t.Context(), h.ada)
	must(t, err)
	_, err = h.people.RegisterPhone(t.Context(), h.ada, webPush("https://push.example/b"), "")
	wantError(t, "by a user who ended", err, approval.ErrInactive)
}

func TestRegisterPhone_is_bounded(t *testing.T) {
	h := onDisk(t)
	first := h.withPush()
	for n := range account.MaxPhones - 1 {
		h.register(h.ada, fmt.Sprint("https://push.example/", n))
	}
	_, err := h.people.RegisterPhone(t.Context(), h.ada, webPush("https://push.example/more"), "")
	wantError(t, "one more", err, approval.ErrTooMany)
	h.register(h.ada, "https://push.example/ada") // not a new one
	bob, _ := h.person(account.Namespace{ID: h.ada.NamespaceID}, "bob")
	theirs := h.register(bob, "https://push.example/bob")
	_, err = h.people.RegisterPhone(t.Context(), h.ada, webPush("https://push.example/bob"), "")
	wantError(t, "another user's place", err, approval.ErrTooMany)
	_, err = h.people.PhoneOf(t.Context(), bob, theirs.ID)
	must(t, err) // stays theirs
	must(t, h.people.RemovePhone(t.Context(), h.ada, first.ID, ""))
	h.register(h.ada, "https://push.example/more")
}

func TestRegisterPhone_single_use_effect_guards_it(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	nonce := approval.Spend{Box: approval.BoxNonce, Key: "n", Until: time.Now().Add(time.Hour)}
	_, err := h.people.RegisterPhone(t.Context(), h.ada, webPush("https://push.example/b"), "", nonce)
	must(t, err)
	for _, place := range []string{"https://push.example/b", "https://push.example/c"} {
		_, err = h.people.RegisterPhone(t.Context(), h.ada, webPush(place), "", nonce)
		wantError(t, "the same nonce", err, approval.ErrReplayed)
	}
}

func TestRemovePhone_is_for_its_owner(t *testing.T) {
	h := onDisk(t)
	p := h.withPush()
	bob, _ := h.person(account.Namespace{ID: h.ada.NamespaceID}, "bob")
	wantError(t, "by another user", h.people.RemovePhone(t.Context(), bob, p.ID, ""), approval.ErrNotFound)
	wantError(t, "of another id", h.people.RemovePhone(t.Context(), h.ada, "x", ""), approval.ErrNotFound)
	_, err := h.people.PhoneOf(t.Context(), bob, p.ID)
	wantError(t, "read by another user", err, approval.ErrNotFound)
	must(t, h.people.RemovePhone(t.Context(), h.ada, p.ID, "192.0.2.9"))
	wantError(t, "again", h.people.RemovePhone(t.Context(), h.ada, p.ID, ""), approval.ErrNotFound)
	if got := h.events(h.ada)[approval.EventPhoneRemoved]; got != 1 {
		t.Errorf("%d audit rows, want one", got)
	}
}

func TestPhoneGone_is_audited_once_and_forgives(t *testing.T) {
	h := onDisk(t)
	p := h.withPush()
	for range 2 {
		must(t, h.people.PhoneGone(t.Context(), p))
	}
	if got := h.events(h.ada)[approval.EventPhoneGone]; got != 1 {
		t.Errorf("%d audit rows, want one", got)
	}
	p = h.register(h.ada, "https://push.example/ada")
	must(t, h.people.DeleteUser(t.Context(), h.ada))
	must(t, h.people.PhoneGone(t.Context(), p))
}

func TestSuspendPasskey_tells_the_phones(t *testing.T) {
	h := onDisk(t)
	must(t, h.people.SuspendPasskey(t.Context(), h.ada, h.key)) // nobody can be told
	bob, key := h.person(account.Namespace{ID: h.ada.NamespaceID}, "bob")
	h.withPush()
	h.register(bob, "https://push.example/bob")
	must(t, h.people.SuspendPasskey(t.Context(), bob, key))
	ms := h.queued(approval.TopicNotice)
	if len(ms) != 1 || ms[0].Key != bob.ID || string(ms[0].Body) != `"passkey_suspended"` {
		t.Errorf("got %+v, want one notice for bob", ms)
	}
}

// What is told moves a row that others move too; the suspension must not fail for
// it, with requests to cancel or without.
func TestSuspendPasskey_among_other_news(t *testing.T) {
	for _, open := range []int{0, 3} {
		h := onDisk(t)
		h.withPush()
		for range open {
			_, err := h.approve(scanned(h.begin(approval.Long)), "")
			must(t, err)
		}
		p, err := h.store.Prompting(t.Context(), h.ada.ID+"/passkey_suspended")
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
		must(t, h.people.SuspendPasskey(t.Context(), h.ada, h.key))
		if n := len(h.queued(approval.TopicNotice)); n != 1 {
			t.Errorf("%d open requests: %d notices, want one", open, n)
		}
		got := h.events(h.ada)
		if got[approval.EventPasskeySuspect] != 1 || got[approval.EventCanceled] != open {
			t.Errorf("%d open requests: got audit rows %v", open, got)
		}
	}
}
