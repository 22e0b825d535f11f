package webauthn_test

import (
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn"
	"github.com/nod-auth/nod/webauthn/virtual"
)

// joining asks for a passkey on nod's own page, and returns who waits for it.
func (w *world) joining() (approval.Begun, approval.Holder) {
	w.Helper()
	b, err := w.service.Begin(w.Context(), approval.Ask{
		Face: "nod", Client: account.Client{Name: "nod", Match: account.MatchNone, RotateQR: true},
		Purpose: approval.AddCredential, Kind: approval.PollCode, Typed: true,
	})
	w.ok(err)
	return b, approval.Holder{Face: "nod", Kind: approval.PollCode, Code: b.Code, Address: "192.0.2.9"}
}

// joined is a request that Alice's phone has approved.
func (w *world) joined() (approval.Begun, approval.Holder) {
	w.Helper()
	b, h := w.joining()
	ref := approval.Ref{Way: approval.Typed, Secret: b.UserCode}
	w.ok(w.approve(ref, w.approving(ref)))
	return b, h
}

func (w *world) keys() int {
	w.Helper()
	keys, err := w.store.Passkeys(w.Context(), w.alice.ID)
	w.ok(err)
	return len(keys)
}

func TestJoin_makesThePasskeyAndSpendsTheApproval(t *testing.T) {
	w := newWorld(t)
	b, h := w.joined()
	laptop := virtual.New()
	o, err := w.BeginJoin(t.Context(), h)
	w.ok(err)
	if string(o.User.ID) != w.alice.ID || len(o.ExcludeCredentials) != 1 {
		t.Errorf("options: got user %q without %d passkeys, want alice's, without the one she has", o.User.ID, len(o.ExcludeCredentials))
	}
	if got := w.state(b.Request.ID); got != approval.Approved {
		t.Errorf("begun: got %s, want approved as before", got)
	}
	made := w.made(laptop, ownOrigin, o)
	u, k, err := w.Join(t.Context(), h, made, "Laptop")
	w.ok(err)
	if u.ID != w.alice.ID || k.Name != "Laptop" || w.keys() != 2 || w.state(b.Request.ID) != approval.Redeemed {
		t.Errorf("made: got %q of %s, %d passkeys, %s; want Laptop of alice, 2, redeemed", k.Name, u.Username, w.keys(), w.state(b.Request.ID))
	}
	for name, want := range map[approval.EventName]int{approval.EventPasskeyAdded: 2, approval.EventRedeemed: 1, approval.EventSignedIn: 2} {
		if got := w.count(w.alice.ID, name); got != want {
			t.Errorf("%s: got %d rows, want %d", name, got, want)
		}
	}
	_, _, err = w.Join(t.Context(), h, made, "Laptop")
	wants(t, "once more", err, approval.ErrNotFound)
	_, err = w.BeginJoin(t.Context(), h)
	wants(t, "begun once more", err, approval.ErrNotFound)
}

func TestJoin_beforeAndAfterItsTime(t *testing.T) {
	w := newWorld(t)
	_, h := w.joining()
	_, err := w.BeginJoin(t.Context(), h)
	wants(t, "not approved", err, approval.ErrPending)

	_, h = w.joined()
	w.ahead.Add(int64(10*time.Minute + 30*time.Second)) // half of the minute's grace
	o, err := w.BeginJoin(t.Context(), h)
	w.ok(err)
	made := w.made(virtual.New(), ownOrigin, o)
	w.ahead.Add(int64(time.Minute))
	_, _, err = w.Join(t.Context(), h, made, "")
	wants(t, "too late", err, approval.ErrExpired)
	if w.keys() != 1 {
		t.Errorf("passkeys: got %d, want 1", w.keys())
	}
}

// A ceremony is good for its own request alone: neither another approval nor a
// ceremony of an application stands in for it.
func TestJoin_answerOfAnotherCeremony(t *testing.T) {
	w := newWorld(t)
	_, h := w.joined()
	_, other := w.joined()
	forced, err := w.BeginAdd(t.Context(), w.client, w.alice, approval.Request{}, webauthn.RegisterOptions{})
	w.ok(err)
	theirs, err := w.BeginJoin(t.Context(), other)
	w.ok(err)
	secret, _, err := w.dir.Invite(t.Context(), w.alice)
	w.ok(err)
	invited, _, err := w.BeginEnrol(t.Context(), secret)
	w.ok(err)
	for name, o := range map[string]webauthn.CreationOptions{"another approval's": theirs, "an application's": forced, "an invitation's": invited} {
		_, _, err := w.Join(t.Context(), h, w.made(virtual.New(), ownOrigin, o), "")
		wants(t, name, err, approval.ErrMismatch)
	}
	o, err := w.BeginJoin(t.Context(), h)
	w.ok(err)
	_, _, _, err = w.Complete(t.Context(), w.holder(), "alice", approval.CeremonyAdd, w.made(virtual.New(), ownOrigin, o), "", true)
	wants(t, "its own, at an application", err, approval.ErrMismatch)
	o, err = w.BeginJoin(t.Context(), h)
	w.ok(err)
	_, _, err = w.Join(t.Context(), h, w.made(virtual.New(), appOrigin, o), "")
	wants(t, "its own, on another origin", err, approval.ErrMismatch)
	if w.keys() != 1 {
		t.Errorf("passkeys: got %d, want 1", w.keys())
	}
}

func TestJoin_receiptVerifies(t *testing.T) {
	w := newWorld(t)
	b, _ := w.joined()
	kept, err := w.store.Receipt(t.Context(), b.Request.ID)
	w.ok(err)
	text, err := w.Document(kept)
	w.ok(err)
	got, err := webauthn.VerifyDocument(text)
	w.ok(err)
	if got.Purpose != approval.AddCredential || got.ClientID+got.NamespaceID != "" || got.UserID != w.alice.ID || got.Face != "nod" {
		t.Errorf("receipt: got %+v, want alice's yes to nod itself", got)
	}
}

func TestJoin_racesOnlyOnePasskey(t *testing.T) {
	w := newWorld(t)
	_, h := w.joined()
	answers := make(chan error, 8)
	all := make([]webauthn.Attestation, cap(answers))
	for i := range all {
		o, err := w.BeginJoin(t.Context(), h)
		w.ok(err)
		all[i] = w.made(virtual.New(), ownOrigin, o)
	}
	for _, made := range all {
		go func() {
			_, _, err := w.Join(t.Context(), h, made, "")
			answers <- err
		}()
	}
	won := 0
	for range cap(answers) {
		if <-answers == nil {
			won++
		}
	}
	if won != 1 || w.keys() != 2 {
		t.Errorf("got %d that were kept and %d passkeys, want 1 and 2", won, w.keys())
	}
}
