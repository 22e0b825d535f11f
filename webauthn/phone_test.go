package webauthn_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/webauthn"
	"github.com/nod-auth/nod/webauthn/virtual"
)

func TestSignIn_withDiscoverablePasskeyFindsItsOwner(t *testing.T) {
	w := newWorld(t)
	o, err := w.BeginSignIn(t.Context())
	w.ok(err)
	if len(o.AllowCredentials) != 0 || o.UserVerification != "required" || o.RPID != rpID || o.Timeout != 120_000 {
		t.Errorf("options: got %+v, want any credential, verification required, %s, 120 s", o, rpID)
	}
	u, k, err := w.SignIn(t.Context(), w.answered(w.phone, ownOrigin, o), "192.0.2.1")
	w.ok(err)
	if u.ID != w.alice.ID || k.ID != w.passkey.ID {
		t.Errorf("signed in: got user %s passkey %s, want %s %s", u.ID, k.ID, w.alice.ID, w.passkey.ID)
	}
	if got := w.count(u.ID, approval.EventSignedIn); got != 2 { // the other is the enrolment's
		t.Errorf("audit rows: got %d, want 2", got)
	}
	if w.stored().UsedAt.IsZero() {
		t.Error("last use: not stored")
	}
}

// Everything about an answer that must be right: each case makes one thing wrong.
func TestSignIn_withOneThingWrongIsRefusedAndDead(t *testing.T) {
	page := func(change func(*virtual.ClientData)) func(*world) {
		return func(w *world) { w.phone.Page = change }
	}
	cases := map[string]struct {
		before func(*world)
		after  func(*webauthn.Assertion)
	}{
		"user not verified":    {before: func(w *world) { w.phone.Unverified = true }},
		"another origin":       {before: page(func(d *virtual.ClientData) { d.Origin = "https://evil.example" })},
		"a client's origin":    {before: page(func(d *virtual.ClientData) { d.Origin = appOrigin })},
		"origin in upper case": {before: page(func(d *virtual.ClientData) { d.Origin = "https://NOD.example" })},
		"origin with a port":   {before: page(func(d *virtual.ClientData) { d.Origin = ownOrigin + ":443" })},
		"a frame":              {before: page(func(d *virtual.ClientData) { d.CrossOrigin = true })},
		"a frame that says where": {before: page(func(d *virtual.ClientData) {
			d.CrossOrigin, d.TopOrigin = true, ownOrigin
		})},
		"a top origin alone":    {before: page(func(d *virtual.ClientData) { d.TopOrigin = ownOrigin })},
		"the other ceremony":    {before: page(func(d *virtual.ClientData) { d.Type = "webauthn.create" })},
		"signature":             {after: func(a *webauthn.Assertion) { a.Signature[10] ^= 1 }},
		"no signature":          {after: func(a *webauthn.Assertion) { a.Signature = nil }},
		"authenticator data":    {after: func(a *webauthn.Assertion) { a.AuthenticatorData[36] ^= 1 }},
		"no authenticator data": {after: func(a *webauthn.Assertion) { a.AuthenticatorData = nil }},
		"another user's handle": {after: func(a *webauthn.Assertion) { a.UserHandle[0] ^= 1 }},
		"no user handle":        {after: func(a *webauthn.Assertion) { a.UserHandle = nil }},
		"unknown credential":    {after: func(a *webauthn.Assertion) { a.CredentialID = []byte("unknown") }},
		"no credential":         {after: func(a *webauthn.Assertion) { a.CredentialID = nil }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			o, err := w.BeginSignIn(t.Context())
			w.ok(err)
			good := w.answered(w.phone, ownOrigin, o)
			if c.before != nil {
				c.before(w)
			}
			bad := w.answered(w.phone, ownOrigin, o)
			if c.after != nil {
				c.after(&bad)
			}
			wants(t, "wrong answer", w.signIn(bad), approval.ErrMismatch)
			wants(t, "right answer after it", w.signIn(good), approval.ErrReplayed)
		})
	}
}

func TestSignIn_withAnotherRelyingPartysSignatureIsRefused(t *testing.T) {
	w := newWorld(t)
	o, err := w.BeginSignIn(t.Context())
	w.ok(err)
	w.phone.Credentials()[0].RPID, o.RPID = "evil.example", "evil.example"
	wants(t, "sign in", w.signIn(w.answered(w.phone, ownOrigin, o)), approval.ErrMismatch)
}

func TestSignIn_withChallengeThatWasNotSignedIsRefused(t *testing.T) {
	w := newWorld(t)
	a := w.signingIn()
	a.Challenge = slices.Clone(a.Challenge)
	a.Challenge[0] ^= 1
	wants(t, "page's word against the signed one", w.signIn(a), approval.ErrMismatch)
	invented := w.answered(w.phone, ownOrigin, webauthn.RequestOptions{RPID: rpID, Challenge: a.Challenge})
	wants(t, "challenge nobody drew", w.signIn(invented), approval.ErrMismatch)
}

func TestSignIn_repeated64TimesSucceedsOnce(t *testing.T) {
	w := newWorld(t)
	w.phone.Counting = true // a replay must not look like a copied passkey
	a := w.signingIn()
	errs := make([]error, 64)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = w.signIn(a) })
	}
	wg.Wait()
	succeeded := 0
	for _, err := range errs {
		if err == nil {
			succeeded++
		} else {
			wants(t, "replay", err, approval.ErrReplayed)
		}
	}
	if succeeded != 1 {
		t.Errorf("successes: got %d, want 1", succeeded)
	}
	if got := w.stored().Status; got != account.PasskeyActive {
		t.Errorf("passkey after replays: got %s, want active", got)
	}
}

func TestSignIn_atTheLastMomentAndTooLate(t *testing.T) {
	w := newWorld(t)
	// The store's clock alone decides, even where it is far from this machine's.
	w.ahead.Store(int64(-time.Hour))
	last, late := w.signingIn(), w.signingIn()
	w.ahead.Add(int64(webauthn.Life - 20*time.Second))
	w.ok(w.signIn(last))
	w.ahead.Add(int64(20 * time.Second))
	wants(t, "after 120 s", w.signIn(late), approval.ErrReplayed)
}

func TestSignIn_begunOnNodeWhoseClockIsFarBehindStillWorks(t *testing.T) {
	w := newWorld(t)
	a := w.signingIn()
	// What the library noted there by the machine's clock says nothing here.
	w.tamper(`UPDATE ceremonies SET session = CAST(json_set(CAST(session AS TEXT), '$.expires', '2000-01-01T00:00:00Z') AS BLOB)`)
	w.ok(w.signIn(a))
}

func TestSignIn_ofInactiveUserSaysSoToThePasskeyOnly(t *testing.T) {
	w := newWorld(t)
	_, err := w.dir.Deactivate(t.Context(), w.alice)
	w.ok(err)
	wants(t, "good answer", w.signIn(w.signingIn()), approval.ErrInactive)
	bad := w.signingIn()
	bad.Signature[10] ^= 1
	wants(t, "bad answer", w.signIn(bad), approval.ErrMismatch)
}

func TestSignIn_withRevokedPasskeyIsRefused(t *testing.T) {
	w := newWorld(t)
	begun := w.signingIn()
	_, err := w.dir.RevokePasskey(t.Context(), w.alice, w.passkey, false)
	w.ok(err)
	wants(t, "begun before", w.signIn(begun), approval.ErrRevoked)
	wants(t, "begun after", w.signIn(w.signingIn()), approval.ErrRevoked)
}

func TestCounter_goingBackwardsSuspendsAndRevokesWhatItApproved(t *testing.T) {
	w := newWorld(t)
	w.phone.Counting = true
	w.ok(w.signIn(w.signingIn()))
	if got := w.stored().SignCount; got != 1 {
		t.Errorf("counter: got %d, want 1", got)
	}
	b, ref := w.ask(approval.Context{})
	w.ok(w.approve(ref, w.approving(ref))) // counter 2
	w.phone.Credentials()[0].Counter = 1   // a copy that was made then
	a := w.signingIn()
	wants(t, "copy", w.signIn(a), approval.ErrRevoked)
	if got := w.stored().Status; got != account.PasskeyInactive {
		t.Errorf("passkey: got %s, want inactive", got)
	}
	if got := w.state(b.Request.ID); got != approval.Canceled {
		t.Errorf("what it approved: got %s, want canceled", got)
	}
	if got := w.count(w.alice.ID, approval.EventPasskeySuspect); got != 1 {
		t.Errorf("audit rows: got %d, want 1", got)
	}
	wants(t, "the same answer again", w.signIn(a), approval.ErrRevoked)
	w.phone.Credentials()[0].Counter = 9
	wants(t, "original, later", w.signIn(w.signingIn()), approval.ErrRevoked)
}

func TestCounter_standingStillSuspends(t *testing.T) {
	w := newWorld(t)
	w.phone.Counting = true
	w.ok(w.signIn(w.signingIn()))
	w.phone.Credentials()[0].Counter = 0
	wants(t, "same count again", w.signIn(w.signingIn()), approval.ErrRevoked)
}

// between is the store, with something that happens after passkeys were read.
type between struct {
	*sqlstore.Store
	happens func() error // once
}

func (b *between) PasskeyByCredential(ctx context.Context, id []byte) (account.Passkey, error) {
	k, err := b.Store.PasskeyByCredential(ctx, id)
	if f := b.happens; f != nil {
		b.happens = nil
		err = errors.Join(err, f())
	}
	return k, err
}

// after returns the ceremonies of the world with something happening once,
// after the next passkey is read.
func (w *world) after(happens func() error) *webauthn.Ceremonies {
	w.Helper()
	cfg := w.config
	cfg.Accounts = &between{w.store, happens}
	c, err := webauthn.New(cfg)
	w.ok(err)
	return c
}

func TestCounter_movedByAnotherAnswerMeanwhileIsJudgedAgain(t *testing.T) {
	w := newWorld(t)
	w.phone.Counting = true
	first, second := w.signingIn(), w.signingIn()
	_, _, err := w.after(func() error { return w.signIn(first) }).SignIn(t.Context(), second, "")
	w.ok(err)
	if got := w.stored().SignCount; got != 2 {
		t.Errorf("counter: got %d, want 2", got)
	}
}

func TestSignIn_withPasskeyRevokedMeanwhileIsRefused(t *testing.T) {
	w := newWorld(t)
	c := w.after(func() error {
		_, err := w.dir.RevokePasskey(t.Context(), w.alice, w.passkey, false)
		return err
	})
	_, _, err := c.SignIn(t.Context(), w.signingIn(), "")
	wants(t, "sign in", err, approval.ErrRevoked)
}

func TestAnswer_thatCouldNotBeJudgedMayBeSentAgain(t *testing.T) {
	w := newWorld(t)
	a := w.signingIn()
	_, _, err := w.after(func() error { return approval.ErrUnavailable }).SignIn(t.Context(), a, "")
	wants(t, "store away", err, approval.ErrUnavailable)
	w.ok(w.signIn(a))
}

func TestEnrol_byInvitation(t *testing.T) {
	w := newWorld(t)
	bob := w.newUser("bob")
	secret, _, err := w.dir.Invite(t.Context(), bob)
	w.ok(err)
	o, _, err := w.BeginEnrol(t.Context(), secret)
	w.ok(err)
	second, _, err := w.BeginEnrol(t.Context(), secret)
	w.ok(err)
	s := o.AuthenticatorSelection
	if s.ResidentKey != "required" || !s.RequireResidentKey || s.UserVerification != "required" || o.Attestation != "none" {
		t.Errorf("options: got %+v attestation %s, want discoverable, verified, none", s, o.Attestation)
	}
	phone := virtual.New()
	a := w.made(phone, ownOrigin, o)
	u, k, err := w.Enrol(t.Context(), secret, a, "", "192.0.2.1")
	w.ok(err)
	if u.ID != bob.ID || k.Name != "Passkey" || k.ID != o.PasskeyID || !slices.Equal(k.Transports, []string{"internal", "hybrid"}) {
		t.Errorf("enrolled: got %+v for %s, want Passkey %s of %s", k, u.ID, o.PasskeyID, bob.ID)
	}
	for _, name := range []approval.EventName{approval.EventPasskeyAdded, approval.EventSignedIn} {
		if got := w.count(bob.ID, name); got != 1 {
			t.Errorf("%s rows: got %d, want 1", name, got)
		}
	}
	_, _, err = w.Enrol(t.Context(), secret, a, "", "192.0.2.1")
	wants(t, "same answer again", err, approval.ErrReplayed)
	_, _, err = w.Enrol(t.Context(), secret, w.made(virtual.New(), ownOrigin, second), "", "192.0.2.1")
	wants(t, "same invitation again", err, approval.ErrReplayed)
	_, _, err = w.BeginEnrol(t.Context(), secret)
	wants(t, "begin again", err, approval.ErrNotFound)
}

func TestEnrol_withWrongInvitationOrName(t *testing.T) {
	w := newWorld(t)
	mine, _, err := w.dir.Invite(t.Context(), w.newUser("bob"))
	w.ok(err)
	other, _, err := w.dir.Invite(t.Context(), w.newUser("carol"))
	w.ok(err)
	o, _, err := w.BeginEnrol(t.Context(), mine)
	w.ok(err)
	a := w.made(virtual.New(), ownOrigin, o)
	_, _, err = w.Enrol(t.Context(), mine, a, "bad\u202ename", "192.0.2.1")
	wants(t, "name that deceives", err, approval.ErrInvalid)
	_, _, err = w.Enrol(t.Context(), other, a, "", "192.0.2.1")
	wants(t, "another's invitation", err, approval.ErrMismatch)
	_, _, err = w.Enrol(t.Context(), mine, a, "", "192.0.2.1")
	wants(t, "dead ceremony", err, approval.ErrReplayed)
	w.ahead.Store(int64(25 * time.Hour))
	_, _, err = w.BeginEnrol(t.Context(), mine)
	wants(t, "invitation a day later", err, approval.ErrExpired)
}

func TestEnrol_withOneThingWrongIsRefused(t *testing.T) {
	cases := map[string]struct {
		before func(*virtual.Authenticator)
		after  func(*webauthn.Attestation)
	}{
		"user not verified": {before: func(a *virtual.Authenticator) { a.Unverified = true }},
		"another origin": {before: func(a *virtual.Authenticator) {
			a.Page = func(d *virtual.ClientData) { d.Origin = appOrigin }
		}},
		"a frame": {before: func(a *virtual.Authenticator) {
			a.Page = func(d *virtual.ClientData) { d.CrossOrigin = true }
		}},
		"another credential's name": {after: func(a *webauthn.Attestation) { a.CredentialID[0] ^= 1 }},
		"another rp id":             {after: func(a *webauthn.Attestation) { a.AttestationObject[30] ^= 1 }},
		"no attestation":            {after: func(a *webauthn.Attestation) { a.AttestationObject = nil }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			secret, _, err := w.dir.Invite(t.Context(), w.newUser("bob"))
			w.ok(err)
			o, _, err := w.BeginEnrol(t.Context(), secret)
			w.ok(err)
			device := virtual.New()
			if c.before != nil {
				c.before(device)
			}
			a := w.made(device, ownOrigin, o)
			if c.after != nil {
				c.after(&a)
			}
			_, _, err = w.Enrol(t.Context(), secret, a, "", "192.0.2.1")
			wants(t, "enrol", err, approval.ErrMismatch)
		})
	}
}
