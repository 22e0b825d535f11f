package webauthn_test

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn"
	"github.com/nod-auth/nod/webauthn/virtual"
)

func TestApprove_keepsReceiptThatVerifiesOffline(t *testing.T) {
	w := newWorld(t)
	b, ref := w.ask(approval.Context{DeviceName: "Living room", BindingMessage: "Über 20 €"})
	o, err := w.BeginApproval(t.Context(), ref, w.viewer(), "")
	w.ok(err)
	r, err := w.Approve(t.Context(), ref, w.viewer(), w.answered(w.phone, ownOrigin, o))
	w.ok(err)
	if r.ID != b.Request.ID || r.State != approval.Approved || r.Decision.PasskeyID != w.passkey.ID {
		t.Errorf("approved: got %+v", r)
	}
	kept, err := w.store.Receipt(t.Context(), r.ID)
	w.ok(err)
	w.ok(webauthn.VerifyReceipt(kept, rpID, ownOrigin))
	if got := webauthn.ReceiptChallenge(kept); !bytes.Equal(got, o.Challenge) {
		t.Errorf("challenge recomputed: got %x, want %x", got, o.Challenge)
	}
	if want := approval.Record(b.Request, w.alice.ID, approval.Scanned, approval.Approve); !bytes.Equal(kept.Record, want) {
		t.Errorf("record: got %s, want %s", kept.Record, want)
	}
	wants(t, "another rp id", webauthn.VerifyReceipt(kept, "other.example", ownOrigin), approval.ErrMismatch)
	wants(t, "another origin", webauthn.VerifyReceipt(kept, rpID, appOrigin), approval.ErrMismatch)
}

func TestReceiptChallenge_isTheHashThatIsDocumented(t *testing.T) {
	r := approval.Receipt{Random: bytes.Repeat([]byte{7}, 32), Record: []byte(`{"a":1}`)}
	want := sha256.Sum256([]byte("nod/approval-challenge/1" + string(r.Random) + string(r.Record)))
	if got := webauthn.ReceiptChallenge(r); !bytes.Equal(got, want[:]) {
		t.Errorf("challenge: got %x, want %x", got, want)
	}
}

func TestVerifyReceipt_withAnyByteChangedFails(t *testing.T) {
	w := newWorld(t)
	good := w.receipt()
	v := reflect.ValueOf(&good).Elem()
	for i := range v.NumField() {
		name, field := v.Type().Field(i).Name, v.Field(i)
		switch name {
		case "PasskeyID", "Username", "PasskeyName", "CredentialID", "At", "CollectedBy":
			continue // nod's word, not signed: VerifyDocument's affair
		}
		original := reflect.ValueOf(field.Interface())
		text := []byte(original.Convert(reflect.TypeFor[string]()).String())
		for at := range text {
			for _, flip := range flips(name) {
				changed := bytes.Clone(text)
				changed[at] ^= flip
				field.Set(reflect.ValueOf(changed).Convert(field.Type()))
				if err := webauthn.VerifyReceipt(good, rpID, ownOrigin); !errors.Is(err, approval.ErrMismatch) {
					t.Errorf("%s byte %d changed by %#x: got %v, want %v", name, at, flip, err, approval.ErrMismatch)
				}
			}
		}
		for _, cut := range [][]byte{nil, text[:len(text)-1], append(bytes.Clone(text), 0)} {
			field.Set(reflect.ValueOf(cut).Convert(field.Type()))
			if err := webauthn.VerifyReceipt(good, rpID, ownOrigin); !errors.Is(err, approval.ErrMismatch) {
				t.Errorf("%s of %d bytes for %d: got %v, want %v", name, len(cut), len(text), err, approval.ErrMismatch)
			}
		}
		field.Set(original)
	}
	w.ok(webauthn.VerifyReceipt(good, rpID, ownOrigin))
}

// flips are the changes to try on each byte: in the key all of them, because its
// first bytes say what kind of key it is and more than one kind verifies.
func flips(field string) []byte {
	if field != "PublicKey" {
		return []byte{0x01, 0x20, 0x80}
	}
	all := make([]byte, 255)
	for i := range all {
		all[i] = byte(i + 1)
	}
	return all
}

func TestVerifyReceipt_ofUnverifiedUserFails(t *testing.T) {
	w := newWorld(t)
	r := w.receipt()
	w.phone.Unverified = true
	a := w.answered(w.phone, ownOrigin, webauthn.RequestOptions{RPID: rpID, Challenge: webauthn.ReceiptChallenge(r)})
	r.AuthenticatorData, r.ClientData, r.Signature = a.AuthenticatorData, a.ClientData, a.Signature
	wants(t, "well signed, user not verified", webauthn.VerifyReceipt(r, rpID, ownOrigin), approval.ErrMismatch)
}

func (w *world) receipt() approval.Receipt {
	w.Helper()
	b, ref := w.ask(approval.Context{DeviceName: "Living room"})
	w.ok(w.approve(ref, w.approving(ref)))
	r, err := w.store.Receipt(w.Context(), b.Request.ID)
	w.ok(err)
	return r
}

func TestApprove_withoutUserVerificationIsRefused(t *testing.T) {
	w := newWorld(t)
	b, ref := w.ask(approval.Context{})
	w.phone.Unverified = true
	wants(t, "approve", w.approve(ref, w.approving(ref)), approval.ErrMismatch)
	if got := w.state(b.Request.ID); got != approval.Pending {
		t.Errorf("request: got %s, want pending", got)
	}
}

func TestApprove_withProofForAnotherRequestIsRefused(t *testing.T) {
	w := newWorld(t)
	_, one := w.ask(approval.Context{})
	b, other := w.ask(approval.Context{})
	a := w.approving(one)
	wants(t, "other request", w.approve(other, a), approval.ErrMismatch)
	wants(t, "its own, afterwards", w.approve(one, a), approval.ErrReplayed)
	if got := w.state(b.Request.ID); got != approval.Pending {
		t.Errorf("other request: got %s, want pending", got)
	}
}

func TestApprove_byAnotherWayIsRefused(t *testing.T) {
	w := newWorld(t)
	b, scanned := w.ask(approval.Context{})
	typed := approval.Ref{Way: approval.Typed, Secret: b.Code}
	listed := approval.Ref{Way: approval.Listed, Secret: account.Secret(b.Request.ID)}
	for _, other := range []approval.Ref{typed, listed} {
		wants(t, "scanned for "+string(other.Way), w.approve(other, w.approving(scanned)), approval.ErrMismatch)
	}
	wants(t, "typed for scanned", w.approve(scanned, w.approving(typed)), approval.ErrMismatch)
	w.ok(w.approve(typed, w.approving(typed)))
}

func TestApprove_listedNeedsTheNumberAndKeepsThatItWasRight(t *testing.T) {
	w := newWorld(t)
	b, _ := w.ask(approval.Context{})
	listed := approval.Ref{Way: approval.Listed, Secret: account.Secret(b.Request.ID)}
	_, err := w.BeginApproval(t.Context(), listed, w.viewer(), "")
	wants(t, "no number", err, approval.ErrMismatch)
	o, err := w.BeginApproval(t.Context(), listed, w.viewer(), b.MatchNumber.Reveal())
	w.ok(err)
	r, err := w.Approve(t.Context(), listed, w.viewer(), w.answered(w.phone, ownOrigin, o))
	w.ok(err)
	if !r.Decision.Matched {
		t.Error("decision: does not say that the number matched")
	}
}

func TestApprove_byAnotherViewerIsRefused(t *testing.T) {
	w := newWorld(t)
	bob, _ := w.enrol(w.newUser("bob"), w.phone) // the same device holds both
	_, ref := w.ask(approval.Context{})
	_, err := w.Approve(t.Context(), ref, approval.Viewer{User: bob, Address: "192.0.2.1"}, w.approving(ref))
	wants(t, "viewer", err, approval.ErrMismatch)

	o, err := w.BeginApproval(t.Context(), ref, w.viewer(), "")
	w.ok(err)
	o.AllowCredentials = nil // Bob's is newer: it answers
	wants(t, "passkey", w.approve(ref, w.answered(w.phone, ownOrigin, o)), approval.ErrMismatch)
}

func TestApprove_onApplicationsPageIsRefused(t *testing.T) {
	w := newWorld(t)
	_, ref := w.ask(approval.Context{})
	o, err := w.BeginApproval(t.Context(), ref, w.viewer(), "")
	w.ok(err)
	wants(t, "approve", w.approve(ref, w.answered(w.phone, appOrigin, o)), approval.ErrMismatch)
}

func TestApprove_repeated64TimesSucceedsOnce(t *testing.T) {
	w := newWorld(t)
	w.phone.Counting = true
	b, ref := w.ask(approval.Context{})
	a := w.approving(ref)
	errs := make([]error, 64)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = w.approve(ref, a) })
	}
	wg.Wait()
	succeeded := 0
	for _, err := range errs {
		switch {
		case err == nil:
			succeeded++
		case !errors.Is(err, approval.ErrReplayed) && !errors.Is(err, approval.ErrDecided):
			t.Errorf("replay: got %v, want already used or already decided", err)
		}
	}
	if succeeded != 1 {
		t.Errorf("successes: got %d, want 1", succeeded)
	}
	if got := w.state(b.Request.ID); got != approval.Approved {
		t.Errorf("request: got %s, want approved", got)
	}
	if got := w.count(w.alice.ID, approval.EventApproved); got != 1 {
		t.Errorf("audit rows: got %d, want 1", got)
	}
}

func TestApprove_afterDeclineSaysSo(t *testing.T) {
	w := newWorld(t)
	_, ref := w.ask(approval.Context{})
	a := w.approving(ref)
	_, err := w.service.Decide(t.Context(), ref, w.viewer(), approval.Answer{Verdict: approval.Decline})
	w.ok(err)
	var decided *approval.DecidedError
	if err := w.approve(ref, a); !errors.As(err, &decided) || decided.State != approval.Denied {
		t.Errorf("approve: got %v, want already decided: denied", err)
	}
}

func TestApprove_afterTwoMinutesIsTooLate(t *testing.T) {
	w := newWorld(t)
	_, ref := w.ask(approval.Context{})
	a := w.approving(ref)
	w.ahead.Store(int64(webauthn.Life))
	wants(t, "approve", w.approve(ref, a), approval.ErrReplayed)
}

func TestApprove_withQuestionChangedBehindItIsRefused(t *testing.T) {
	changes := map[string]string{
		"app":            `context = json_set(context, '$.app', 'Evil')`,
		"username":       `context = json_set(context, '$.username', 'mallory')`,
		"device":         `context = json_set(context, '$.device_name', 'Evil')`,
		"message":        `context = json_set(context, '$.binding_message', 'Evil')`,
		"address":        `context = json_set(context, '$.requester_ip', '203.0.113.1')`,
		"user agent":     `context = json_set(context, '$.requester_agent', 'Evil')`,
		"client":         `client_id = 'evil'`,
		"audience":       `audience = 'evil'`,
		"purpose":        `purpose = 'add_credential'`,
		"face":           `face = 'evil'`,
		"expiry":         `expires = expires + 1000000`,
		"nothing at all": ``,
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b, ref := w.ask(approval.Context{
				DeviceName: "TV", BindingMessage: "Hello", Address: "192.0.2.9", UserAgent: "TV/1",
			})
			a := w.approving(ref)
			if change == "" {
				w.ok(w.approve(ref, a))
				return
			}
			w.tamper(`UPDATE requests SET `+change+` WHERE id = ?`, b.Request.ID)
			wants(t, "approve", w.approve(ref, a), approval.ErrMismatch)
		})
	}
}

// tamper writes to the database as only an intruder would.
func (w *world) tamper(query string, args ...any) {
	w.Helper()
	db, err := sql.Open("sqlite", w.path+"?_pragma=busy_timeout(5000)")
	w.ok(err)
	defer db.Close()
	_, err = db.ExecContext(w.Context(), query, args...)
	w.ok(err)
}

func TestBeginApproval_ofViewerWithoutPasskeyCostsNoTry(t *testing.T) {
	w := newWorld(t)
	b, _ := w.ask(approval.Context{})
	_, err := w.dir.RevokePasskey(t.Context(), w.alice, w.passkey, false)
	w.ok(err)
	listed := approval.Ref{Way: approval.Listed, Secret: account.Secret(b.Request.ID)}
	_, err = w.BeginApproval(t.Context(), listed, w.viewer(), "wrong")
	wants(t, "begin", err, approval.ErrRevoked)
	r, err := w.store.Find(t.Context(), approval.Key{ID: b.Request.ID})
	w.ok(err)
	if r.Tries != 0 {
		t.Errorf("tries: got %d, want 0", r.Tries)
	}
}

func TestBeginApproval_namesActivePasskeysOnly(t *testing.T) {
	w := newWorld(t)
	_, second := w.enrol(w.alice, virtual.New())
	_, err := w.dir.RevokePasskey(t.Context(), w.alice, w.passkey, true)
	w.ok(err)
	_, ref := w.ask(approval.Context{})
	o, err := w.BeginApproval(t.Context(), ref, w.viewer(), "")
	w.ok(err)
	if len(o.AllowCredentials) != 1 || !bytes.Equal(o.AllowCredentials[0].ID, second.CredentialID) {
		t.Errorf("allowed: got %v, want the one that is left", o.AllowCredentials)
	}
}

func TestApprove_atTheEndOfTheRequestItself(t *testing.T) {
	w := newWorld(t)
	b, ref := w.ask(approval.Context{})
	w.ahead.Store(int64(approval.DefaultLives[approval.Short] - 30*time.Second))
	a := w.approving(ref)
	w.ahead.Add(int64(30 * time.Second))
	wants(t, "approve", w.approve(ref, a), approval.ErrExpired)
	if got := w.state(b.Request.ID); got == approval.Approved {
		t.Errorf("request: got %s", got)
	}
}
