package native_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn"
)

func isWord(err, word error) bool { return errors.Is(err, word) }

// receiptOf asks for a receipt in the app's name; client names another one.
func receiptOf(app *apitest.App, requestID string, client ...string) apitest.Reply {
	app.Helper()
	path := "/receipts/" + requestID
	if len(client) > 0 {
		path += "?client_id=" + client[0]
	}
	return app.Do(Call{Path: path, Token: app.Token(account.ReceiptsRead)})
}

// verified checks a receipt as a stranger would: with nothing but its text.
func verified(r apitest.Reply) webauthn.Agreement {
	r.Helper()
	got, err := webauthn.VerifyDocument([]byte(r.Text))
	if err != nil {
		r.Fatalf("verify: %v of %s", err, r.Text)
	}
	return got
}

func TestReceipt_isForWhoAskedAndWhoCollected(t *testing.T) {
	h := open(t)
	backend, page := h.NewApp(account.Client{}), h.NewApp(account.Client{Type: account.ClientWeb})
	mate, far := h.NewApp(account.Client{}), h.NewApp(account.Client{NamespaceID: h.Namespace("elsewhere").ID})
	p := newPerson(backend, "ada")
	code := backend.Generate("ada", "long", M{"device_name": "Living-room TV", "requester_ip": "203.0.113.7"})
	receiptOf(backend, code.RequestID).Want(http.StatusNotFound, "receipt_not_found") // nobody has decided
	p.approvesTx(h, scannedAt(code.ApprovalURL), "")
	receiptOf(page, code.RequestID).Want(http.StatusNotFound, "receipt_not_found") // it has not collected yet
	page.Wait(code, nil).Want(http.StatusOK)

	first := receiptOf(backend, code.RequestID).Want(http.StatusOK)
	got := verified(first)
	if got.RequestID != code.RequestID || got.UserID != p.ID || got.Purpose != approval.SignIn || got.Way != approval.Scanned ||
		got.Context.DeviceName != "Living-room TV" || got.ClientID != backend.Client.ID {
		t.Errorf("got %+v, want what was shown", got.Agreed)
	}
	d := got.Document
	if d.IssuedBy.Issuer != h.URL || d.IssuedBy.Origin != h.URL || d.IssuedBy.RPID != "localhost" || d.User.Name != "ada" ||
		d.Passkey.Name == "" || d.DecidedAt == "" || len(d.Passkey.CredentialID) == 0 {
		t.Errorf("got %+v, want who issued it and the names of the time", d)
	}
	for what, r := range map[string]apitest.Reply{
		"who collected": receiptOf(page, code.RequestID), "for another client of the namespace": receiptOf(mate, code.RequestID, backend.Client.ID),
	} {
		if r.Want(http.StatusOK); r.Text != first.Text {
			t.Errorf("%s: got %s, want the same receipt", what, r.Text)
		}
	}
	receiptOf(mate, code.RequestID).Want(http.StatusNotFound, "receipt_not_found")
	receiptOf(far, code.RequestID).Want(http.StatusNotFound, "receipt_not_found")
	receiptOf(far, code.RequestID, backend.Client.ID).Want(http.StatusNotFound, "client_not_found")
	h.Do(Call{Path: "/receipts/" + code.RequestID}).Want(http.StatusUnauthorized, "unauthorized")
	listed := backend.Post("/credentials/list", account.CredentialsList, M{"username": "ada"}).Want(http.StatusOK)
	if !strings.Contains(listed.Text, `"fingerprint":"`+got.Fingerprint+`"`) {
		t.Errorf("credentials: got %s, want the receipt's key %s among them", listed.Text, got.Fingerprint)
	}
	used := backend.Token(account.ReceiptsRead)
	h.Do(Call{Path: "/receipts/" + strings.ToUpper(code.RequestID), Token: used}).Want(http.StatusOK)
	h.Do(Call{Path: "/receipts/" + code.RequestID, Token: used}).Want(http.StatusUnauthorized, "unauthorized")
}

func TestReceipt_ofWhatNoPasskeyApproved_thereIsNone(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	authorized := app.Generate("ada", "long", nil)
	app.Authorize(authorized).Want(http.StatusOK)
	app.Wait(authorized, nil).Want(http.StatusOK)
	declined := app.Generate("ada", "long", nil)
	decline(h, declined, p.User)
	for _, c := range []apitest.Code{authorized, declined, {RequestID: "00000000-0000-4000-8000-000000000000"}, {RequestID: "x"}} {
		receiptOf(app, c.RequestID).Want(http.StatusNotFound, "receipt_not_found")
	}
}

func TestReceipt_ofATransaction_hasItsHash(t *testing.T) {
	h := open(t)
	backend := h.NewApp(account.Client{})
	page := h.NewApp(account.Client{Type: account.ClientWeb, Origins: []string{"https://shop.example"}})
	p := newPerson(backend, "ada")
	made := created(backend, nil)
	in := p.answered(page, "ada", beginTx(page, "ada", made.ID).Want(http.StatusOK), "https://shop.example")
	claims := txClaims(page, page.Post("/tx/complete", "", in).Want(http.StatusOK))
	got := verified(receiptOf(backend, made.ID).Want(http.StatusOK))
	if got.Context.Payload != transfer || got.Context.TransactionHash() != claims["tx_hash"] {
		t.Errorf("got %q with hash %s, want %q with %v", got.Context.Payload, got.Context.TransactionHash(), transfer, claims["tx_hash"])
	}
	if got.Way != approval.OnPage || got.Document.IssuedBy.Origin != "https://shop.example" || got.Document.User.Name != "ada" {
		t.Errorf("got way %s at %s by %q, want the application's own page", got.Way, got.Document.IssuedBy.Origin, got.Document.User.Name)
	}
	if text := receiptOf(page, made.ID).Want(http.StatusOK).Text; !strings.Contains(text, made.ID) {
		t.Errorf("who confirmed it: got %s", text)
	}
}

func TestReceipt_outlivesRequestPasskeyAndUser(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	made := created(app, nil)
	p.approvesTx(h, scannedAt(made.URL), "")
	app.Post("/tx/wait", "", M{"code": made.Code}).Want(http.StatusOK)
	before := receiptOf(app, made.ID).Want(http.StatusOK)
	app.Post("/manage/users/delete", account.UsersDelete, M{"username": "ada"}).Want(http.StatusNoContent)
	newPerson(app, "ada") // somebody else who is called so
	now, err := h.Store.Now(t.Context())
	h.ok(err)
	_, err = h.Store.Purge(t.Context(), now.Add(24*60*60*1e9))
	h.ok(err)
	if _, err := h.Store.Find(t.Context(), approval.Key{ID: made.ID}); !isWord(err, approval.ErrNotFound) {
		t.Fatalf("the request: got %v, want it purged", err)
	}
	if after := receiptOf(app, made.ID).Want(http.StatusOK); after.Text != before.Text {
		t.Errorf("got %s, want %s", after.Text, before.Text)
	}
	if got := verified(before); got.UserID != p.ID {
		t.Errorf("got user %s, want %s, whatever they are called", got.UserID, p.ID)
	}
}
