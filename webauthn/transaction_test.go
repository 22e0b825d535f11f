package webauthn_test

import (
	"database/sql"
	"errors"
	"testing"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/webauthn"
	"github.com/nod-auth/nod/webauthn/virtual"
)

// transaction asks somebody, or anybody, to consent to a text.
func (w *world) transaction(change ...func(*approval.Ask)) approval.Request {
	w.Helper()
	a := approval.Ask{
		Face: face, Client: w.client, User: w.alice, Purpose: approval.Transaction, Kind: approval.PollCode,
		Context: approval.Context{Payload: "Pay 20 € to Bob", Nonce: "n-1"},
	}
	for _, f := range change {
		f(&a)
	}
	b, err := w.service.Begin(w.Context(), a)
	w.ok(err)
	return b.Request
}

// confirming is an answer to a fresh ceremony on the application's page.
func (w *world) confirming(id string) webauthn.Assertion {
	w.Helper()
	o, err := w.BeginConfirm(w.Context(), w.holder(), id, &w.alice, "alice", nonce(approval.NewOp()))
	w.ok(err)
	return w.answered(w.phone, appOrigin, o)
}

func TestConfirm_approvesCollectsAndKeepsTheReceipt(t *testing.T) {
	w := newWorld(t)
	r := w.transaction()
	got, err := w.Confirm(t.Context(), w.holder(), r.ID, "alice", w.confirming(r.ID))
	w.ok(err)
	if got.Request.State != approval.Redeemed || got.Grant.Subject != w.alice.ID || got.Grant.ACR != "phr" ||
		got.Request.Decision.Way != approval.OnPage || got.Request.Decision.PasskeyID != w.passkey.ID {
		t.Errorf("got %+v, %+v; want it redeemed by alice's passkey", got.Request, got.Grant)
	}
	kept, err := w.store.Receipt(t.Context(), r.ID)
	w.ok(err)
	w.ok(webauthn.VerifyReceipt(kept, rpID, appOrigin))
	if kept.Username != "alice" || kept.PasskeyName != w.passkey.Name || kept.At.IsZero() || string(kept.CredentialID) != string(w.passkey.CredentialID) {
		t.Errorf("got a receipt %+v without the names of the time", kept)
	}
	for name, want := range map[approval.EventName]int{approval.EventApproved: 1, approval.EventRedeemed: 1, approval.EventRequested: 1} {
		if got := w.count(w.alice.ID, name); got != want {
			t.Errorf("%s rows: got %d, want %d", name, got, want)
		}
	}
}

// TestConfirm_ofWhatWasChangedBehindIt_isNotDecided is threat A5, on a page that is not
// nod's.
func TestConfirm_ofWhatWasChangedBehindIt_isNotDecided(t *testing.T) {
	w := newWorld(t)
	db, err := sql.Open("sqlite", w.path+"?_pragma=busy_timeout(5000)")
	w.ok(err)
	defer db.Close()
	for _, change := range []string{
		`context = json_set(context, '$.tx_payload', 'Pay 20 € to Eve')`, `context = json_set(context, '$.tx_payload', 'Pay 20 € to Bob ')`,
		`context = json_set(context, '$.tx_type', 'json')`, `context = json_set(context, '$.nonce', 'n-2')`,
		`context = json_set(context, '$.server_nonce', 'x')`, `context = json_remove(context, '$.server_nonce')`,
		`expires = expires + 1`, `client_id = 'another'`, `audience = audience || ''`,
	} {
		r := w.transaction()
		answer := w.confirming(r.ID)
		_, err := db.ExecContext(t.Context(), `UPDATE requests SET `+change+` WHERE id = ?`, r.ID)
		w.ok(err)
		_, err = w.Confirm(t.Context(), w.holder(), r.ID, "alice", answer)
		_, changed := errors.AsType[*approval.ChangedError](err)
		if same := change == `audience = audience || ''`; changed == same || (err == nil) != same {
			t.Errorf("%s: got %v, want that it is another request: %t", change, err, !same)
		}
		if change != `audience = audience || ''` && w.state(r.ID) != approval.Pending {
			t.Errorf("%s: got %s, want it pending", change, w.state(r.ID))
		}
	}
}

func TestConfirm_isBoundToItsTransaction(t *testing.T) {
	w := newWorld(t)
	first, second := w.transaction(), w.transaction()
	_, err := w.Confirm(t.Context(), w.holder(), second.ID, "alice", w.confirming(first.ID))
	wants(t, "another transaction", err, approval.ErrMismatch)

	// An approval's answer from nod's page is none on the application's, nor the other
	// way round.
	b, ref := w.ask(approval.Context{})
	_, err = w.Confirm(t.Context(), w.holder(), first.ID, "alice", w.approving(ref))
	wants(t, "an approval's answer", err, approval.ErrMismatch)
	wants(t, "a confirmation's answer", w.approve(ref, w.confirming(first.ID)), approval.ErrMismatch)
	if got := w.state(b.Request.ID); got != approval.Pending {
		t.Errorf("the other request: got %s, want it pending", got)
	}

	for _, r := range []approval.Request{first, second} {
		_, err := w.Confirm(t.Context(), w.holder(), r.ID, "alice", w.confirming(r.ID))
		w.ok(err)
	}
}

func TestConfirm_whenUserOrPasskeyEnded(t *testing.T) {
	w := newWorld(t)
	open := w.transaction(func(a *approval.Ask) { a.User.ID, a.User.Username = "", "" }) // theirs to be canceled by nobody
	answer := w.confirming(open.ID)
	_, err := w.dir.Deactivate(t.Context(), w.alice)
	w.ok(err)
	_, err = w.Confirm(t.Context(), w.holder(), open.ID, "alice", answer)
	wants(t, "deactivated", err, approval.ErrInactive)
	if got := w.state(open.ID); got != approval.Pending {
		t.Errorf("got %s, want it pending", got)
	}
}

func TestBeginConfirm_ofSomebodyElses_asksForAnInventedPasskey(t *testing.T) {
	w := newWorld(t)
	bob := w.newUser("bob")
	bob, _ = w.enrol(bob, virtual.New())
	r := w.transaction()
	o, err := w.BeginConfirm(t.Context(), w.holder(), r.ID, &bob, "bob")
	w.ok(err)
	keys, err := w.store.Passkeys(t.Context(), bob.ID)
	w.ok(err)
	for _, d := range o.AllowCredentials {
		if string(d.ID) == string(keys[0].CredentialID) {
			t.Error("bob's own passkey was asked for a transaction of alice's")
		}
	}
}
