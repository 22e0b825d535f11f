package approval_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func transaction(h *house, payload string) approval.Ask {
	return approval.Ask{
		Face: face, Client: h.backend, User: h.ada, Purpose: approval.Transaction, Kind: approval.PollCode,
		Context: approval.Context{Payload: payload, Nonce: "n"},
	}
}

func TestTransaction_isFrozenAndHashedToTheByte(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		const payload = "Pay 20 €\r\n\tto Bo\u0308b"
		a := transaction(h, payload)
		a.Context.ServerNonce = "chosen by the asker"
		first, err := h.core.Begin(t.Context(), a)
		must(t, err)
		second, err := h.core.Begin(t.Context(), a)
		must(t, err)
		c := first.Request.Context
		if c.Payload != payload || c.PayloadType != approval.DefaultPayloadType {
			t.Errorf("got %q of type %q, want %q, of type text", c.Payload, c.PayloadType, payload)
		}
		if c.ServerNonce == a.Context.ServerNonce || c.ServerNonce == second.Request.Context.ServerNonce {
			t.Errorf("server nonces %q and %q: want nod's own, another each time", c.ServerNonce, second.Request.Context.ServerNonce)
		}
		hash := sha256.Sum256([]byte(payload + "n" + c.ServerNonce))
		if got, want := c.TransactionHash(), base64.RawURLEncoding.EncodeToString(hash[:]); got != want {
			t.Errorf("hash: got %s, want %s", got, want)
		}
		stored, err := h.store.Find(t.Context(), approval.Key{ID: first.Request.ID})
		must(t, err)
		if stored.Context.TransactionHash() != c.TransactionHash() {
			t.Errorf("stored: got %+v, want %+v", stored.Context, c)
		}
		agreed, ok := approval.ReadRecord(approval.Record(stored, h.ada.ID, approval.OnPage, approval.Approve))
		if !ok || agreed.Context.Payload != payload || agreed.Context.ServerNonce != c.ServerNonce || agreed.Way != approval.OnPage {
			t.Errorf("read from the record: got %+v, want what was frozen", agreed)
		}
	})
}

func TestTransaction_confirmedByThoseItIsNotFor(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b, err := h.core.Begin(t.Context(), transaction(h, "x"))
		must(t, err)
		holder := approval.Holder{Face: face, Client: h.page}
		eve := account.User{ID: "eve", NamespaceID: h.ada.NamespaceID, Status: account.UserActive}
		for name, c := range map[string]struct {
			holder approval.Holder
			id     string
			user   account.User
			proof  approval.Proof
			want   error
		}{
			"another face":      {approval.Holder{Face: "oauth", Client: h.page}, b.Request.ID, h.ada, approval.Proof{}, approval.ErrNotFound},
			"another namespace": {approval.Holder{Face: face, Client: account.Client{ID: "c", NamespaceID: "far"}}, b.Request.ID, h.ada, approval.Proof{}, approval.ErrNotFound},
			"unknown":           {holder, "nothing", h.ada, approval.Proof{}, approval.ErrNotFound},
			"somebody else":     {holder, b.Request.ID, eve, approval.Proof{}, approval.ErrForbidden},
			"without a proof":   {holder, b.Request.ID, h.ada, approval.Proof{}, approval.ErrMismatch},
			"a proof of another way": {holder, b.Request.ID, h.ada, approval.Proof{
				UserID: h.ada.ID, Way: approval.Scanned, Record: approval.Record(b.Request, h.ada.ID, approval.Scanned, approval.Approve),
			}, approval.ErrMismatch},
			"a proof over another way": {holder, b.Request.ID, h.ada, approval.Proof{
				UserID: h.ada.ID, Way: approval.OnPage, Record: approval.Record(b.Request, h.ada.ID, approval.Scanned, approval.Approve),
			}, approval.ErrMismatch},
		} {
			if _, err := h.core.Confirm(t.Context(), c.holder, c.id, c.user, c.proof); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
		}
		if r, err := h.store.Find(t.Context(), approval.Key{ID: b.Request.ID}); err != nil || r.State != approval.Pending {
			t.Errorf("afterwards: got %s, %v; want it pending", r.State, err)
		}
		time.Sleep(h.core.Lives[approval.PollCode])
		proof := approval.Proof{UserID: h.ada.ID, PasskeyID: h.key.ID, Way: approval.OnPage, Record: approval.Record(b.Request, h.ada.ID, approval.OnPage, approval.Approve)}
		if _, err := h.core.Confirm(t.Context(), holder, b.Request.ID, h.ada, proof); !errors.Is(err, approval.ErrExpired) {
			t.Errorf("too late: got %v, want %v", err, approval.ErrExpired)
		}
	})
}

func TestReceipt_isReadableByWhoAskedAndWhoCollected(t *testing.T) {
	r := approval.Receipt{Record: approval.Record(approval.Request{ClientID: "asked"}, "u", approval.Scanned, approval.Approve), CollectedBy: "collected"}
	for id, want := range map[string]bool{"asked": true, "collected": true, "other": false, "": false} {
		if got := r.ReadableBy(id); got != want {
			t.Errorf("readable by %q: got %t, want %t", id, got, want)
		}
	}
	r.CollectedBy = ""
	if r.ReadableBy("") || (approval.Receipt{Record: []byte("{}")}).ReadableBy("") {
		t.Error("readable by nobody: got true, want false")
	}
	if (approval.Receipt{Record: []byte("no record"), CollectedBy: "c"}).ReadableBy("c") {
		t.Error("a receipt that cannot be read: got readable")
	}
}
