package webauthn_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn"
)

func (w *world) authenticating(username string) webauthn.Assertion {
	w.Helper()
	o, err := w.BeginAuthenticate(w.Context(), w.client, &w.alice, username)
	w.ok(err)
	return w.answered(w.phone, appOrigin, o)
}

func nonce(key string) approval.Effect { return approval.Spend{Box: approval.BoxNonce, Key: key} }

func TestAuthenticate_onClientsPageGivesGrant(t *testing.T) {
	w := newWorld(t)
	got, err := w.Authenticate(t.Context(), w.holder(), "alice", w.authenticating("alice"))
	w.ok(err)
	g := got.Grant
	if g.Subject != w.alice.ID || g.Username != "alice" || g.Audience != w.client.ID || g.ACR != "phr" {
		t.Errorf("grant: got %+v", g)
	}
	if d := got.Request.Decision; d.PasskeyID != w.passkey.ID || d.PasskeyName != w.passkey.Name {
		t.Errorf("decision: got %+v, want passkey %s", d, w.passkey.ID)
	}
}

func TestAuthenticate_onPages(t *testing.T) {
	w := newWorld(t)
	for origin, want := range map[string]error{
		appOrigin: nil, ownOrigin: nil,
		"https://evil.example": approval.ErrMismatch, "http://app.example": approval.ErrMismatch,
		"https://app.example:8443": approval.ErrMismatch, "https://sub.app.example": approval.ErrMismatch,
		"https://App.example": approval.ErrMismatch, "null": approval.ErrMismatch, "": approval.ErrMismatch,
	} {
		o, err := w.BeginAuthenticate(t.Context(), w.client, &w.alice, "alice")
		w.ok(err)
		_, err = w.Authenticate(t.Context(), w.holder(), "alice", w.answered(w.phone, origin, o))
		wants(t, origin, err, want)
	}
}

func TestAuthenticate_withoutUserVerificationIsRefused(t *testing.T) {
	w := newWorld(t)
	w.phone.Unverified = true
	_, err := w.Authenticate(t.Context(), w.holder(), "alice", w.authenticating("alice"))
	wants(t, "authenticate", err, approval.ErrMismatch)
}

func TestAuthenticate_withoutUserHandleAsTheSDKsSendIt(t *testing.T) {
	w := newWorld(t)
	a := w.authenticating("alice")
	a.UserHandle = nil
	_, err := w.Authenticate(t.Context(), w.holder(), "alice", a)
	w.ok(err)
}

func TestAuthenticate_underAnotherNameIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"bob", "Alice", ""} {
		_, err := w.Authenticate(t.Context(), w.holder(), name, w.authenticating("alice"))
		wants(t, name, err, approval.ErrMismatch)
	}
	o, err := w.BeginAuthenticate(t.Context(), w.client, &w.alice, "ali\u0308ce") // decomposed
	w.ok(err)
	_, err = w.Authenticate(t.Context(), w.holder(), "al\u00efce", w.answered(w.phone, appOrigin, o))
	w.ok(err)
}

func TestAuthenticate_withEffectThatFailsSignsNobodyIn(t *testing.T) {
	w := newWorld(t)
	w.ok(w.service.Spend(t.Context(), nonce("used")))
	_, err := w.Authenticate(t.Context(), w.holder(), "alice", w.authenticating("alice"), nonce("used"))
	wants(t, "authenticate", err, approval.ErrReplayed)
	if got := w.count(w.alice.ID, approval.EventRedeemed); got != 0 {
		t.Errorf("redemptions: got %d, want 0", got)
	}
}

func TestBeginAuthenticate_spendsWhatItIsGivenOnce(t *testing.T) {
	w := newWorld(t)
	_, err := w.BeginAuthenticate(t.Context(), w.client, &w.alice, "alice", nonce("n"))
	w.ok(err)
	_, err = w.BeginAuthenticate(t.Context(), w.client, nil, "nobody", nonce("n"))
	wants(t, "again", err, approval.ErrReplayed)
}

func TestBeginAuthenticate_forNobodyLooksLikeSomebodyAndIsStable(t *testing.T) {
	w := newWorld(t)
	begin := func(u *account.User, name string) webauthn.RequestOptions {
		o, err := w.BeginAuthenticate(t.Context(), w.client, u, name)
		w.ok(err)
		return o
	}
	zoe, zed, bareName := w.nobody("zoe"), w.nobody("zed"), w.nobody("bare")
	real, one, again, other := begin(&w.alice, "alice"), begin(nil, zoe), begin(nil, zoe), begin(nil, zed)
	if !cmp.Equal(one.AllowCredentials, again.AllowCredentials) {
		t.Errorf("same name: got %v, want %v", again.AllowCredentials, one.AllowCredentials)
	}
	if cmp.Equal(one.AllowCredentials, other.AllowCredentials) || bytes.Equal(one.Challenge, again.Challenge) {
		t.Error("another name has the same credential, or a challenge came twice")
	}
	r, o := real.AllowCredentials, one.AllowCredentials
	if len(r) != 1 || len(o) != 1 || r[0].Type != o[0].Type || !slices.Equal(r[0].Transports, o[0].Transports) || len(o[0].ID) < 16 {
		t.Errorf("shape: got %+v, want like %+v", o, r)
	}
	real.Challenge, one.Challenge, real.AllowCredentials, one.AllowCredentials = nil, nil, nil, nil
	if d := cmp.Diff(real, one); d != "" {
		t.Errorf("the rest differs: %s", d)
	}
	restarted, err := webauthn.New(w.config)
	w.ok(err)
	after, err := restarted.BeginAuthenticate(t.Context(), w.client, nil, zoe)
	w.ok(err)
	if !cmp.Equal(after.AllowCredentials, o) {
		t.Errorf("after a restart: got %v, want %v", after.AllowCredentials, o)
	}
	bare := w.newUser(bareName)
	if got := begin(&bare, bareName); len(got.AllowCredentials) != 1 {
		t.Errorf("user without passkeys: got %v, want one invented", got.AllowCredentials)
	}
}

// nobody is a name that no user has and whose invented credential is shown: one
// in 128 is left out, as a real one would be.
func (w *world) nobody(name string) string {
	for i := range 20 {
		tried := fmt.Sprint(name, i)
		o, err := w.BeginAuthenticate(w.Context(), w.client, nil, tried)
		w.ok(err)
		if len(o.AllowCredentials) > 0 {
			return tried
		}
	}
	w.Fatal("twenty invented credentials in a row are left out")
	return ""
}

func TestAuthenticate_forNobodyFailsLikeWrongPasskey(t *testing.T) {
	w := newWorld(t)
	wrong := func(u *account.User, name string) string {
		o, err := w.BeginAuthenticate(t.Context(), w.client, u, name)
		w.ok(err)
		a := w.answered(w.phone, appOrigin, webauthn.RequestOptions{RPID: rpID, Challenge: o.Challenge})
		a.CredentialID, a.UserHandle = o.AllowCredentials[0].ID, nil
		a.Signature = append([]byte(nil), a.Signature...)
		a.Signature[len(a.Signature)-1] ^= 1
		_, err = w.Authenticate(t.Context(), w.holder(), name, a)
		wants(t, name, err, approval.ErrMismatch)
		return err.Error()
	}
	zoe := w.nobody("zoe")
	if got, want := wrong(nil, zoe), wrong(&w.alice, "alice"); got != want {
		t.Errorf("even the log tells them apart: got %q, want %q", got, want)
	}
	// A good passkey of somebody else's is no better.
	o, err := w.BeginAuthenticate(t.Context(), w.client, nil, zoe)
	w.ok(err)
	o.AllowCredentials = nil
	_, err = w.Authenticate(t.Context(), w.holder(), zoe, w.answered(w.phone, appOrigin, o))
	wants(t, "another's passkey", err, approval.ErrMismatch)
}

func TestChallenges_doNotEndInZeroBytesThatTheBrowserSDKLoses(t *testing.T) {
	w := newWorld(t)
	if h := w.phone.Credentials()[0].User; bytes.Contains(h, []byte{0}) {
		t.Errorf("user handle: got %x, want no zero byte", h)
	}
	for range 300 { // one in 128 would
		o, err := w.BeginSignIn(t.Context())
		w.ok(err)
		if c := o.Challenge; len(c) != 32 || c[30] == 0 || c[31] == 0 {
			t.Fatalf("challenge: got %x", []byte(c))
		}
	}
}

func TestSelfGenerate_makesCodeThatIsApprovedFromBirth(t *testing.T) {
	w := newWorld(t)
	for _, token := range []bool{true, false} {
		o, err := w.BeginSelfGenerate(t.Context(), w.client, &w.alice, "alice", approval.Long, approval.AddCredential)
		w.ok(err)
		a := w.answered(w.phone, appOrigin, o)
		begun, got, err := w.SelfGenerate(t.Context(), w.holder(), "alice", approval.Long, a, token)
		w.ok(err)
		r := begun.Request
		if r.State != approval.Approved || r.Purpose != approval.AddCredential || r.CodeKind != approval.Long || r.Decision.PasskeyID != w.passkey.ID {
			t.Errorf("request: got %+v", r)
		}
		if has := got != nil && got.Grant.Subject == w.alice.ID; has != token {
			t.Errorf("token: got %t, want %t", has, token)
		}
		_, _, err = w.SelfGenerate(t.Context(), w.holder(), "alice", approval.Long, a, token)
		wants(t, "again", err, approval.ErrReplayed)
	}
}

func TestSelfGenerate_ofAnotherKindIsRefused(t *testing.T) {
	w := newWorld(t)
	o, err := w.BeginSelfGenerate(t.Context(), w.client, &w.alice, "alice", approval.Long, approval.SignIn)
	w.ok(err)
	_, _, err = w.SelfGenerate(t.Context(), w.holder(), "alice", approval.Short, w.answered(w.phone, appOrigin, o), true)
	wants(t, "short for long", err, approval.ErrMismatch)
}

func TestSelfGenerate_withCountingPasskeyCountsOnce(t *testing.T) {
	w := newWorld(t)
	w.phone.Counting = true
	o, err := w.BeginSelfGenerate(t.Context(), w.client, &w.alice, "alice", approval.Short, approval.SignIn)
	w.ok(err)
	_, _, err = w.SelfGenerate(t.Context(), w.holder(), "alice", approval.Short, w.answered(w.phone, appOrigin, o), true)
	w.ok(err)
	if k := w.stored(); k.SignCount != 1 || k.Status != account.PasskeyActive {
		t.Errorf("passkey: got %s at %d, want active at 1", k.Status, k.SignCount)
	}
}

// The browser SDK cuts zero bytes off the end of what it decodes, so it could
// never ask for a passkey whose id ends in one.
func TestBeginAuthenticate_leavesOutIDsThatTheSDKCannotRead(t *testing.T) {
	w := newWorld(t)
	o, err := w.BeginAuthenticate(t.Context(), w.client, &w.alice, "alice")
	w.ok(err)
	if len(o.AllowCredentials) != 1 {
		t.Fatalf("passkeys: got %d, want 1", len(o.AllowCredentials))
	}
	k := w.passkey
	k.ID, k.CredentialID = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", []byte("an id with a zero at its end\x00")
	w.ok(w.store.Apply(t.Context(), approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{approval.AddPasskey{Passkey: k}}}))
	o, err = w.BeginAuthenticate(t.Context(), w.client, &w.alice, "alice")
	w.ok(err)
	if len(o.AllowCredentials) != 0 {
		t.Errorf("passkeys: got %d, want the list left out", len(o.AllowCredentials))
	}
	_, err = w.Authenticate(t.Context(), w.holder(), "alice", w.answered(w.phone, appOrigin, o))
	w.ok(err)
}
