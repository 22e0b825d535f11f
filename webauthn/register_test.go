package webauthn_test

import (
	"testing"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn"
	"github.com/nod-auth/nod/webauthn/virtual"
)

func TestRegister_ofNewNameStoresUserAndPasskeyTogether(t *testing.T) {
	for _, token := range []bool{true, false} {
		w := newWorld(t)
		session, o, err := w.BeginRegister(t.Context(), w.client, nil, "bob", webauthn.RegisterOptions{
			DisplayName: "Bob B.", Name: "bob@acme", Roaming: true,
		}, nonce("n"))
		w.ok(err)
		if session == "" || o.User.DisplayName != "Bob B." || o.User.Name != "bob@acme" || o.AuthenticatorSelection.Attachment != "cross-platform" {
			t.Errorf("options: got session %q, %+v", session, o)
		}
		_, err = w.store.UserByName(t.Context(), w.client.NamespaceID, "bob")
		wants(t, "user before the passkey", err, approval.ErrNotFound)

		a := w.made(virtual.New(), appOrigin, o)
		got, u, k, err := w.Complete(t.Context(), w.holder(), "bob", approval.CeremonyRegister, a, "Laptop", token)
		w.ok(err)
		if k.Name != "Laptop" || k.ID != o.PasskeyID || u.Username != "bob" || u.ClientID != w.client.ID {
			t.Errorf("registered: got %+v of %+v", k, u)
		}
		if (got != nil) != token || token && (got.Grant.Subject != u.ID || got.Request.Decision.PasskeyID != k.ID) {
			t.Errorf("token wanted %t: got %+v", token, got)
		}
		for _, name := range []approval.EventName{approval.EventUserCreated, approval.EventPasskeyAdded} {
			if got := w.count(u.ID, name); got != 1 {
				t.Errorf("%s rows: got %d, want 1", name, got)
			}
		}
		_, _, _, err = w.Complete(t.Context(), w.holder(), "bob", approval.CeremonyRegister, a, "", token)
		wants(t, "again", err, approval.ErrReplayed)
	}
}

func TestRegister_ofExistingName(t *testing.T) {
	w := newWorld(t)
	bare, gone := w.newUser("bare"), w.newUser("gone")
	_, err := w.dir.Deactivate(t.Context(), gone)
	w.ok(err)
	gone.Status = account.UserInactive
	for _, c := range []struct {
		what    string
		user    *account.User
		vouched bool
		want    error
	}{
		{"with a passkey", &w.alice, false, approval.ErrExists},
		{"with a passkey, vouched for", &w.alice, true, approval.ErrExists},
		{"without a passkey", &bare, false, approval.ErrExists},
		{"deactivated", &gone, false, approval.ErrExists},
		{"deactivated, vouched for", &gone, true, approval.ErrInactive},
		{"without a passkey, vouched for", &bare, true, nil},
	} {
		_, o, err := w.BeginRegister(t.Context(), w.client, c.user, c.user.Username, webauthn.RegisterOptions{Vouched: c.vouched})
		wants(t, c.what, err, c.want)
		if err == nil {
			w.ok(w.complete(c.user.Username, approval.CeremonyRegister, w.made(virtual.New(), appOrigin, o)))
		}
	}
}

func TestRegister_ofSuspendedPasskeysOwnerIsStillRegistered(t *testing.T) {
	w := newWorld(t)
	w.ok(w.dir.SuspendPasskey(t.Context(), w.alice, w.passkey))
	_, _, err := w.BeginRegister(t.Context(), w.client, &w.alice, "alice", webauthn.RegisterOptions{Vouched: true})
	wants(t, "suspended", err, approval.ErrExists)
	k := w.stored()
	_, err = w.dir.RevokePasskey(t.Context(), w.alice, k, false)
	w.ok(err)
	_, _, err = w.BeginRegister(t.Context(), w.client, &w.alice, "alice", webauthn.RegisterOptions{Vouched: true})
	w.ok(err)
}

func TestRegister_racedByAnotherOfTheSameName(t *testing.T) {
	w := newWorld(t)
	begin := func(u *account.User, name string, vouched bool) webauthn.Attestation {
		_, o, err := w.BeginRegister(t.Context(), w.client, u, name, webauthn.RegisterOptions{Vouched: vouched})
		w.ok(err)
		return w.made(virtual.New(), appOrigin, o)
	}
	first, second := begin(nil, "bob", false), begin(nil, "bob", false)
	w.ok(w.complete("bob", approval.CeremonyRegister, second))
	wants(t, "new name", w.complete("bob", approval.CeremonyRegister, first), approval.ErrExists)

	bare := w.newUser("bare")
	first, second = begin(&bare, "bare", true), begin(&bare, "bare", true)
	w.ok(w.complete("bare", approval.CeremonyRegister, second))
	wants(t, "known name", w.complete("bare", approval.CeremonyRegister, first), approval.ErrExists)
}

func TestRegister_withTextsThatDeceive(t *testing.T) {
	w := newWorld(t)
	bad := "a\u202eb"
	for what, begin := range map[string]func() error{
		"username": func() error {
			_, _, err := w.BeginRegister(t.Context(), w.client, nil, bad, webauthn.RegisterOptions{})
			return err
		},
		"display name": func() error {
			_, _, err := w.BeginRegister(t.Context(), w.client, nil, "bob", webauthn.RegisterOptions{DisplayName: bad})
			return err
		},
		"override name": func() error {
			_, _, err := w.BeginRegister(t.Context(), w.client, nil, "bob", webauthn.RegisterOptions{Name: bad})
			return err
		},
	} {
		wants(t, what, begin(), approval.ErrInvalid)
	}
	_, o, err := w.BeginRegister(t.Context(), w.client, nil, "bob", webauthn.RegisterOptions{})
	w.ok(err)
	a := w.made(virtual.New(), appOrigin, o)
	_, _, _, err = w.Complete(t.Context(), w.holder(), "bob", approval.CeremonyRegister, a, bad, true)
	wants(t, "credential name", err, approval.ErrInvalid)
	w.ok(w.complete("bob", approval.CeremonyRegister, a)) // nothing was spent
}

func TestRegister_withoutUserVerificationIsRefused(t *testing.T) {
	w := newWorld(t)
	_, o, err := w.BeginRegister(t.Context(), w.client, nil, "bob", webauthn.RegisterOptions{})
	w.ok(err)
	a := w.made(&virtual.Authenticator{Unverified: true}, appOrigin, o)
	wants(t, "complete", w.complete("bob", approval.CeremonyRegister, a), approval.ErrMismatch)
	_, err = w.store.UserByName(t.Context(), w.client.NamespaceID, "bob")
	wants(t, "user", err, approval.ErrNotFound)
}

func TestAdd_byCodeSpendsTheCodeWithTheKey(t *testing.T) {
	w := newWorld(t)
	b, err := w.service.Begin(t.Context(), approval.Ask{
		Face: face, Client: w.client, User: w.alice, Purpose: approval.AddCredential, Kind: approval.Short,
	})
	w.ok(err)
	begin := func() webauthn.Attestation {
		r, err := w.store.Find(t.Context(), approval.Key{ID: b.Request.ID})
		w.ok(err)
		o, err := w.BeginAdd(t.Context(), w.client, w.alice, r, webauthn.RegisterOptions{})
		w.ok(err)
		if len(o.ExcludeCredentials) == 0 {
			t.Error("excluded: got none, want what Alice has")
		}
		return w.made(virtual.New(), appOrigin, o)
	}
	early := begin()
	wants(t, "code not approved yet", w.complete("alice", approval.CeremonyAdd, early), approval.ErrPending)

	ref := approval.Ref{Way: approval.Scanned, Secret: b.Handle}
	w.ok(w.approve(ref, w.approving(ref)))
	first, second := begin(), begin()
	got, u, k, err := w.Complete(t.Context(), w.holder(), "alice", approval.CeremonyAdd, first, "", true)
	w.ok(err)
	if u.ID != w.alice.ID || k.Name != "Passkey 2" || got.Request.ID != b.Request.ID || got.Grant.Subject != u.ID {
		t.Errorf("added: got %+v, %+v", k, got.Request)
	}
	if state := w.state(b.Request.ID); state != approval.Redeemed {
		t.Errorf("code: got %s, want redeemed", state)
	}
	wants(t, "second key by the same code", w.complete("alice", approval.CeremonyAdd, second), approval.ErrReplayed)
	keys, err := w.store.Passkeys(t.Context(), w.alice.ID)
	w.ok(err)
	if len(keys) != 2 {
		t.Fatalf("passkeys: got %d, want 2", len(keys))
	}
	if got := keys[1]; got.RequestID != b.Request.ID || got.VouchedBy != keys[0].ID {
		t.Errorf("added by request %q and passkey %q, want %q and %q", got.RequestID, got.VouchedBy, b.Request.ID, keys[0].ID)
	}
}

func TestAdd_byForce(t *testing.T) {
	w := newWorld(t)
	o, err := w.BeginAdd(t.Context(), w.client, w.alice, approval.Request{}, webauthn.RegisterOptions{})
	w.ok(err)
	device := &virtual.Authenticator{Transports: []string{"usb", "nfc", "made-up"}}
	_, _, k, err := w.Complete(t.Context(), w.holder(), "alice", approval.CeremonyAdd, w.made(device, appOrigin, o), "", false)
	w.ok(err)
	if k.Name != "Security key" || len(k.Transports) != 2 {
		t.Errorf("added: got %q by %v, want Security key by usb, nfc", k.Name, k.Transports)
	}
	if got := w.count(w.alice.ID, approval.EventPasskeyAdded); got != 2 {
		t.Errorf("audit rows: got %d, want 2", got)
	}
}

func TestAdd_ofCredentialThatIsKnownIsRefused(t *testing.T) {
	w := newWorld(t)
	o, err := w.BeginAdd(t.Context(), w.client, w.alice, approval.Request{}, webauthn.RegisterOptions{})
	w.ok(err)
	if _, err := w.phone.Create(appOrigin, o); err == nil {
		t.Error("authenticator that holds an excluded credential: got an answer, want none")
	}
	device := virtual.New()
	w.ok(w.complete("alice", approval.CeremonyAdd, w.made(device, appOrigin, o)))
	again, err := w.BeginAdd(t.Context(), w.client, w.alice, approval.Request{}, webauthn.RegisterOptions{})
	w.ok(err)
	a := w.made(virtual.New(), appOrigin, again)
	copied := device.Credentials()[0].ID // both the page and the authenticator lie about the id
	at := len(a.AttestationObject) - 77 - len(copied)
	copy(a.AttestationObject[at:], copied)
	a.CredentialID = copied
	wants(t, "complete", w.complete("alice", approval.CeremonyAdd, a), approval.ErrExists)
}

func TestAdd_forInactiveUser(t *testing.T) {
	w := newWorld(t)
	o, err := w.BeginAdd(t.Context(), w.client, w.alice, approval.Request{}, webauthn.RegisterOptions{})
	w.ok(err)
	gone, err := w.dir.Deactivate(t.Context(), w.alice)
	w.ok(err)
	wants(t, "complete", w.complete("alice", approval.CeremonyAdd, w.made(virtual.New(), appOrigin, o)), approval.ErrInactive)
	_, err = w.BeginAdd(t.Context(), w.client, gone, approval.Request{}, webauthn.RegisterOptions{})
	wants(t, "begin", err, approval.ErrInactive)
}

func TestComplete_ofAnotherPurposeIsRefused(t *testing.T) {
	w := newWorld(t)
	wants(t, "enrol", w.complete("alice", approval.CeremonyEnrol, webauthn.Attestation{}), approval.ErrMismatch)
}
