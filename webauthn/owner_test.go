package webauthn_test

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn"
	"github.com/nod-auth/nod/webauthn/virtual"
)

// vouching is the phone's answer to a fresh ceremony of Alice's for one purpose.
func (w *world) vouching(purpose approval.CeremonyPurpose) webauthn.Assertion {
	w.Helper()
	o, err := w.BeginVouch(w.Context(), w.viewer(), purpose)
	w.ok(err)
	return w.answered(w.phone, ownOrigin, o)
}

// adding are the options for one more passkey, which the phone has vouched for.
func (w *world) adding() webauthn.CreationOptions {
	w.Helper()
	o, err := w.BeginAddHere(w.Context(), w.viewer(), w.vouching(approval.CeremonyVouch))
	w.ok(err)
	return o
}

func (w *world) passkeys() []account.Passkey {
	w.Helper()
	all, err := w.store.Passkeys(w.Context(), w.alice.ID)
	w.ok(err)
	return all
}

func TestBeginVouch_onlyForWhatItIsMadeFor(t *testing.T) {
	w := newWorld(t)
	for _, p := range []approval.CeremonyPurpose{
		approval.CeremonySignIn, approval.CeremonyApprove, approval.CeremonyAdd, approval.CeremonyAddHere, "",
	} {
		_, err := w.BeginVouch(t.Context(), w.viewer(), p)
		wants(t, "purpose "+string(p), err, approval.ErrMismatch)
	}
	w.ok(w.dir.SuspendPasskey(t.Context(), w.alice, w.passkey))
	_, err := w.BeginVouch(t.Context(), w.viewer(), approval.CeremonyVouch)
	wants(t, "without a passkey that may", err, approval.ErrRevoked)
}

func TestVouch_ofSomebodyElseIsRefused(t *testing.T) {
	w := newWorld(t)
	bob := approval.Viewer{User: w.newUser("bob")}
	for purpose, present := range map[approval.CeremonyPurpose]func(webauthn.Assertion) error{
		approval.CeremonyRecovery: func(a webauthn.Assertion) error { _, err := w.MakeRecovery(t.Context(), bob, a); return err },
		approval.CeremonyInvite:   func(a webauthn.Assertion) error { _, _, err := w.Invite(t.Context(), bob, a); return err },
		approval.CeremonyVouch:    func(a webauthn.Assertion) error { _, err := w.BeginAddHere(t.Context(), bob, a); return err },
	} {
		wants(t, string(purpose), present(w.vouching(purpose)), approval.ErrMismatch)
	}
	_, err := w.AddHere(t.Context(), bob, w.made(virtual.New(), ownOrigin, w.adding()), "")
	wants(t, "another's new passkey", err, approval.ErrMismatch)
	if n := w.count(bob.User.ID, approval.EventRecoveryMade) + w.count(bob.User.ID, approval.EventInvited); n != 0 {
		t.Errorf("%d audit rows of bob's, want none", n)
	}
}

func TestMakeRecovery_oneAnswerMakesOneSet(t *testing.T) {
	w := newWorld(t)
	a := w.vouching(approval.CeremonyRecovery)
	var made, replayed atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			set, err := w.MakeRecovery(t.Context(), w.viewer(), a)
			switch {
			case err == nil && len(set.Codes) == approval.RecoveryCodes:
				made.Add(1)
			case errors.Is(err, approval.ErrReplayed):
				replayed.Add(1)
			default:
				t.Errorf("got %d codes, %v", len(set.Codes), err)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 || replayed.Load() != 63 || w.count(w.alice.ID, approval.EventRecoveryMade) != 1 {
		t.Errorf("made %d sets, refused %d; want 1 and 63", made.Load(), replayed.Load())
	}
}

func TestVouch_tooLateIsRefused(t *testing.T) {
	w := newWorld(t)
	a := w.vouching(approval.CeremonyRecovery)
	w.ahead.Add(int64(webauthn.Life))
	_, err := w.MakeRecovery(t.Context(), w.viewer(), a)
	wants(t, "after 120 s", err, approval.ErrReplayed)
}

func TestAddHere_storesOneMoreOnAnotherAuthenticator(t *testing.T) {
	w := newWorld(t)
	o := w.adding()
	if !slices.ContainsFunc(o.ExcludeCredentials, func(d webauthn.Descriptor) bool { return bytes.Equal(d.ID, w.passkey.CredentialID) }) {
		t.Error("the passkey that is there is not excluded")
	}
	if _, err := w.phone.Create(ownOrigin, o); err == nil {
		t.Error("the same authenticator makes another")
	}
	second := virtual.New()
	k, err := w.AddHere(t.Context(), w.viewer(), w.made(second, ownOrigin, o), "Key ring")
	w.ok(err)
	if all := w.passkeys(); len(all) != 2 || k.Name != "Key ring" || k.UserID != w.alice.ID {
		t.Errorf("got %+v of %d, want the second of Alice's", k, len(all))
	}
	w.phone = second
	w.ok(w.signIn(w.signingIn()))
	if n := w.count(w.alice.ID, approval.EventPasskeyAdded); n != 2 {
		t.Errorf("%d audit rows, want one for each", n)
	}
}

func TestAddHere_afterThePasskeyThatVouchedEnded(t *testing.T) {
	w := newWorld(t)
	_, spare := w.enrol(w.alice, virtual.New())
	att := w.made(virtual.New(), ownOrigin, w.adding())
	_, err := w.dir.RevokePasskey(t.Context(), w.alice, w.passkey, true)
	w.ok(err)
	_, err = w.AddHere(t.Context(), w.viewer(), att, "")
	wants(t, "add", err, approval.ErrRevoked)
	for _, k := range w.passkeys() {
		if k.Status == account.PasskeyActive && k.ID != spare.ID {
			t.Errorf("%s is active", k.Name)
		}
	}
}

func TestInvite_enrolsAnotherDeviceOnceWhileThePasskeyStands(t *testing.T) {
	w := newWorld(t)
	enrolling := func(secret account.Secret) (webauthn.CreationOptions, error) {
		o, _, err := w.BeginEnrol(t.Context(), secret)
		return o, err
	}
	invite := func() account.Secret {
		secret, _, err := w.Invite(t.Context(), w.viewer(), w.vouching(approval.CeremonyInvite))
		w.ok(err)
		return secret
	}
	used := invite()
	o, err := enrolling(used)
	w.ok(err)
	_, second, err := w.Enrol(t.Context(), used, w.made(virtual.New(), ownOrigin, o), "", "")
	w.ok(err)
	_, err = enrolling(used)
	wants(t, "a second time", err, approval.ErrNotFound)

	late := invite()
	w.ahead.Add(int64(approval.RecoverWithin))
	_, err = enrolling(late)
	wants(t, "after 15 minutes", err, approval.ErrExpired)

	begun, open := invite(), invite()
	o, err = enrolling(begun)
	w.ok(err)
	_, err = w.dir.RevokePasskey(t.Context(), w.alice, w.passkey, true)
	w.ok(err)
	_, err = enrolling(open)
	wants(t, "begun after the passkey ended", err, approval.ErrNotFound)
	_, _, err = w.Enrol(t.Context(), begun, w.made(virtual.New(), ownOrigin, o), "", "")
	wants(t, "answered after the passkey ended", err, approval.ErrRevoked)
	if n := len(w.passkeys()); n != 2 || second.Status != account.PasskeyActive {
		t.Errorf("%d passkeys, want the first and the second", n)
	}
}

// An invitation that a recovery code gave does not hang on what was lost.
func TestEnrol_afterRecovery(t *testing.T) {
	w := newWorld(t)
	set, err := w.MakeRecovery(t.Context(), w.viewer(), w.vouching(approval.CeremonyRecovery))
	w.ok(err)
	w.ok(w.dir.SuspendPasskey(t.Context(), w.alice, w.passkey))
	secret, err := w.dir.Recover(t.Context(), "alice", set.Codes[0], "192.0.2.7")
	w.ok(err)
	inv, _, err := w.Invited(t.Context(), secret)
	w.ok(err)
	if !inv.Recovers || inv.Expires.Sub(inv.CreatedAt) != 15*time.Minute {
		t.Errorf("got %+v, want a recovery's", inv)
	}
	o, _, err := w.BeginEnrol(t.Context(), secret)
	w.ok(err)
	_, _, err = w.Enrol(t.Context(), secret, w.made(virtual.New(), ownOrigin, o), "", "")
	w.ok(err)
}
