package native_test

import (
	"context"
	"database/sql"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/api/native"
	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn"
)

func TestTransaction_isCreatedOnlyAsTheTokenSays(t *testing.T) {
	h := open(t)
	app, other := h.NewApp(account.Client{}), h.NewApp(account.Client{NamespaceID: h.Namespace("elsewhere").ID})
	ada, bob := newPerson(app, "ada"), newPerson(app, "bob")
	post := func(token string, more M) apitest.Reply {
		body := M{"client_id": app.Client.ID, "tx_payload": transfer, "nonce": txNonce}
		for k, v := range more {
			body[k] = v
		}
		return h.Do(Call{Path: "/tx", Body: body, Token: token})
	}
	post("", nil).Want(http.StatusUnauthorized, "unauthorized")
	post(app.Token(account.TxCreate), nil).Want(http.StatusForbidden, "forbidden")
	post(meant(app, transfer+" "), nil).Want(http.StatusForbidden, "forbidden")
	post(meant(app, transfer, func(s *token.Service) { s.PayloadHash += "=" }), nil).Want(http.StatusForbidden, "forbidden")
	post(meant(other, transfer), nil).Want(http.StatusNotFound, "client_not_found")
	for _, change := range []func(*token.Service){
		func(s *token.Service) { s.Username = "ada" }, func(s *token.Service) { s.Udata = "ada" }, func(s *token.Service) { s.UserID = ada.ID },
	} {
		post(meant(app, transfer, change), M{"username": "bob"}).Want(http.StatusForbidden, "forbidden")
		post(meant(app, transfer, change), M{"user_id": bob.ID}).Want(http.StatusForbidden, "forbidden")
		made := post(meant(app, transfer, change), nil).Want(http.StatusOK)
		r, err := h.Store.Find(t.Context(), approval.Key{ID: made.S("id")})
		if h.ok(err); r.UserID != ada.ID {
			t.Errorf("a token that names ada: got a transaction of %q, want %s", r.UserID, ada.ID)
		}
	}
	post(meant(app, transfer), M{"username": "nobody"}).Want(http.StatusNotFound, "user_not_found")
	post(meant(app, transfer), M{"audience": other.Client.ID}).Want(http.StatusNotFound, "client_not_found")
	// Python's and Java's tokens name no client.
	post(meant(app, transfer, func(s *token.Service) { s.ClientID = "" }), nil).Want(http.StatusOK)
}

func TestTransaction_showsOnlyWhatCanBeShown(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	try := func(more M) apitest.Reply {
		body := M{"client_id": app.Client.ID, "tx_payload": transfer, "nonce": txNonce}
		for k, v := range more {
			body[k] = v
		}
		payload, _ := body["tx_payload"].(string)
		return h.Do(Call{Path: "/tx", Body: body, Token: meant(app, payload)})
	}
	for name, payload := range map[string]string{
		"bidi override": "pay 1\u202e00", "zero width space": "1\u200b00", "escape": "\x1b[2J", "null": "a\x00b", "a bare CR": "pay 100\rpay 1",
		"line separator": "a\u2028b", "tag characters": "a\U000e0041", "blank": " \n\t", "too long": strings.Repeat("x", 4097),
		"marks without end": "a" + strings.Repeat("\u0301", 40), "next line": "a\u0085b", "private use": "\ue000",
	} {
		r := try(M{"tx_payload": payload}).Want(http.StatusBadRequest, "request_validation_error")
		if !strings.HasPrefix(r.S("message"), "tx_payload") {
			t.Errorf("%s: got %s, want a word on tx_payload", name, r.Text)
		}
	}
	for name, payload := range map[string]string{
		"longest": strings.Repeat("x", 4096), "lines": "a\n\tb\r\nc\n", "json": `{"amount":"1","to":"\u202e"}`, "not normalized": "u\u0308",
		"emoji": "👨‍👩‍👧‍👦 🏳️‍🌈", "markup": "<script>alert(1)</script>", "arabic": "ادفع ١٠٠",
	} {
		made := try(M{"tx_payload": payload}).Want(http.StatusOK)
		r, err := h.Store.Find(t.Context(), approval.Key{ID: made.S("id")})
		if h.ok(err); r.Context.Payload != payload {
			t.Errorf("%s: got %q, want it to the byte", name, r.Context.Payload)
		}
	}
	for name, more := range map[string]M{
		"no nonce": {"nonce": ""}, "no payload": {"tx_payload": ""}, "payload not a text": {"tx_payload": M{"amount": 1}},
		"long nonce": {"nonce": strings.Repeat("n", 257)}, "nonce of two lines": {"nonce": "a\nb"}, "nonce not ASCII": {"nonce": "ö"},
		"type that deceives": {"tx_type": "a\u202eb"}, "long type": {"tx_type": strings.Repeat("x", 65)}, "no address": {"requester_ip": "x"},
	} {
		if r := try(more); r.Status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s, want 400", name, r.Status, r.Text)
		}
	}
}

func TestTransaction_confirmsOnlyWhereItBelongs(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{Origins: []string{"https://shop.example"}})
	mate := h.NewApp(account.Client{Type: account.ClientWeb, Origins: []string{"https://mate.example"}})
	far := h.NewApp(account.Client{NamespaceID: h.Namespace("elsewhere").ID})
	ada, bob := newPerson(app, "ada"), newPerson(app, "bob")
	begin := func() (tx, M) {
		made := created(app, M{"username": "ada"})
		return made, ada.answered(app, "ada", beginTx(app, "ada", made.ID).Want(http.StatusOK), h.URL)
	}
	with := func(in M, field string, value any) M {
		out := M{}
		for k, v := range in {
			out[k] = v
		}
		out[field] = value
		return out
	}
	complete := func(a *apitest.App, in M) apitest.Reply { return a.Post("/tx/complete", "", in) }
	for name, try := range map[string]func() apitest.Reply{
		"another transaction": func() apitest.Reply {
			_, in := begin()
			other, _ := begin()
			return complete(app, with(in, "tx_id", other.ID))
		},
		"no transaction": func() apitest.Reply { _, in := begin(); return complete(app, with(in, "tx_id", "none")) },
		"another name":   func() apitest.Reply { _, in := begin(); return complete(app, with(in, "username", "bob")) },
		"another client": func() apitest.Reply { _, in := begin(); return complete(mate, in) },
		"another challenge": func() apitest.Reply {
			_, in := begin()
			return complete(app, with(in, "challenge", webauthn.Bytes(make([]byte, 32))))
		},
		"another signature": func() apitest.Reply {
			_, in := begin()
			_, other := begin()
			return complete(app, with(in, "sign_data", other["sign_data"]))
		},
		"another origin": func() apitest.Reply {
			made, _ := begin()
			return complete(app, ada.answered(app, "ada", beginTx(app, "ada", made.ID), "https://evil.example"))
		},
		"another client's origin": func() apitest.Reply {
			made, _ := begin()
			return complete(app, ada.answered(app, "ada", beginTx(app, "ada", made.ID), "https://mate.example"))
		},
		"without user verification": func() apitest.Reply {
			made, _ := begin()
			ada.keys.Unverified = true
			defer func() { ada.keys.Unverified = false }()
			return complete(app, ada.answered(app, "ada", beginTx(app, "ada", made.ID), h.URL))
		},
		"a sign-in's ceremony": func() apitest.Reply {
			made, in := begin()
			payload := ada.assertion(app, app.Post("/authenticate/fido2/init", "", M{"username": "ada"}).Want(http.StatusOK), h.URL)
			in = with(in, "tx_id", made.ID)
			for to, from := range map[string]string{"challenge": "challenge", "key_handle": "credential_id", "client_data": "client_data", "auth_data": "authenticator_data", "sign_data": "signature"} {
				in[to] = payload[from]
			}
			return complete(app, in)
		},
		"signing in with a transaction's ceremony": func() apitest.Reply {
			_, in := begin()
			return app.Post("/authenticate/fido2/complete", "", M{"username": "ada", "assertion_payload": M{
				"challenge": in["challenge"], "credential_id": in["key_handle"], "client_data": in["client_data"],
				"authenticator_data": in["auth_data"], "signature": in["sign_data"],
			}})
		},
	} {
		if r := try(); r.Status != http.StatusUnauthorized || r.JSON["code"] != "invalid_credential" {
			t.Errorf("%s: got %d %s, want 401 invalid_credential", name, r.Status, r.Text)
		}
	}

	made, _ := begin()
	beginTx(far, "ada", made.ID).Want(http.StatusNotFound, "transaction_not_found")
	beginTx(app, "ada", "00000000-0000-4000-8000-000000000000").Want(http.StatusNotFound, "transaction_not_found")
	signIn := app.Generate("ada", "long", nil)
	beginTx(app, "ada", signIn.RequestID).Want(http.StatusNotFound, "transaction_not_found") // no transaction
	far.Post("/tx/wait", "", M{"code": made.Code}).Want(http.StatusNotFound, "transaction_not_found")
	app.Post("/tx/wait", "", M{"code": signIn.Code}).Want(http.StatusNotFound, "transaction_not_found")
	app.Post("/authenticate/code/wait", "", M{"username": "ada", "authentication_code": M{"code": made.Code, "type": "long"}}).
		Want(http.StatusNotFound, "verification_code_not_found")
	h.Do(Call{Path: "/tx/init", Body: M{"client_id": app.Client.ID, "username": "ada", "tx_id": made.ID}, Header: map[string]string{"Origin": "https://mate.example"}}).
		Want(http.StatusForbidden, "forbidden")

	// A client of the same namespace may, unless one is named; and so may another user
	// where none is.
	in := ada.answered(mate, "ada", beginTx(mate, "ada", made.ID).Want(http.StatusOK), "https://mate.example")
	if got := txClaims(mate, complete(mate, in).Want(http.StatusOK)); got["aud"] != mate.Client.ID {
		t.Errorf("got audience %v, want the client that confirmed", got["aud"])
	}
	closed := created(app, M{"audience": app.Client.ID})
	beginTx(mate, "ada", closed.ID).Want(http.StatusNotFound, "transaction_not_found")
	mate.Post("/tx/wait", "", M{"code": closed.Code, "no_wait": true}).Want(http.StatusNotFound, "transaction_not_found")
	wantTransaction(t, txClaims(app, complete(app, bob.answered(app, "bob", beginTx(app, "bob", closed.ID).Want(http.StatusOK), h.URL)).Want(http.StatusOK)), transfer, bob.User)

	_, late := begin()
	h.advance(3 * time.Minute)
	complete(app, late).Want(http.StatusUnauthorized, "invalid_credential")
}

// TestTransaction_beginsAlikeForWhoeverIsNotMeant: its page learns neither who exists
// nor whom the transaction is for.
func TestTransaction_beginsAlikeForWhoeverIsNotMeant(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	newPerson(app, "ada")
	bob := newPerson(app, "bob")
	made := created(app, M{"username": "ada"})
	members := func(name string) M {
		return beginTx(app, name, made.ID).Want(http.StatusOK).JSON["assertion_options"].(M)
	}
	for _, name := range []string{"bob", "nobody"} {
		got := members(name)
		for member := range members("ada") {
			if _, there := got[member]; !there && member != "allowCredentials" { // one list in 128 is left out
				t.Errorf("%s: the options have no %s", name, member)
			}
		}
	}
	begun := beginTx(app, "bob", made.ID).Want(http.StatusOK)
	if bob.keys.Credentials() == nil {
		t.Fatal("bob has no passkey to try")
	}
	var init struct {
		Options webauthn.RequestOptions `json:"assertion_options"`
	}
	begun.Into(&init)
	init.Options.AllowCredentials = nil // bob's page asks for what it likes
	a, err := bob.keys.Get(h.URL, init.Options)
	h.ok(err)
	app.Post("/tx/complete", "", M{
		"username": "bob", "tx_id": made.ID, "challenge": init.Options.Challenge, "key_handle": webauthn.Bytes(a.CredentialID),
		"client_data": webauthn.Bytes(a.ClientData), "auth_data": webauthn.Bytes(a.AuthenticatorData), "sign_data": webauthn.Bytes(a.Signature),
	}).Want(http.StatusUnauthorized, "invalid_credential")
}

// TestTransaction_changedBehindTheSignature is threat A5 on the application's own page;
// package webauthn tries every member.
func TestTransaction_changedBehindTheSignature(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	db, err := sql.Open("sqlite", h.path+"?_pragma=busy_timeout(5000)")
	h.ok(err)
	defer db.Close()
	for _, member := range []string{"tx_payload", "tx_type", "nonce"} {
		made := created(app, nil)
		in := p.answered(app, "ada", beginTx(app, "ada", made.ID).Want(http.StatusOK), h.URL)
		_, err := db.ExecContext(t.Context(), `UPDATE requests SET context = json_set(context, '$.' || ?, 'another') WHERE id = ?`, member, made.ID)
		h.ok(err)
		app.Post("/tx/complete", "", in).Want(http.StatusConflict, "request_changed")
		app.Post("/tx/wait", "", M{"code": made.Code, "no_wait": true}).Want(http.StatusBadRequest, "remote_session_in_progress")
	}
}

func TestTransaction_givesOneTokenTo16Pages(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	made := created(app, nil)
	bodies := make([]M, 16)
	for i := range bodies {
		bodies[i] = p.answered(app, "ada", beginTx(app, "ada", made.ID).Want(http.StatusOK), h.URL)
		bodies[i]["client_id"] = app.Client.ID
	}
	var wg sync.WaitGroup
	replies := make([]apitest.Reply, len(bodies))
	for i, body := range bodies {
		wg.Go(func() {
			r, err := h.Try(Call{Path: "/tx/complete", Body: body})
			if err != nil {
				r = apitest.Reply{Text: err.Error()}
			}
			replies[i] = r
		})
	}
	wg.Wait()
	tokens := 0
	for _, r := range replies {
		switch {
		case r.Status == http.StatusOK:
			tokens++
		case r.JSON["code"] != "transaction_decided" && r.JSON["code"] != "invalid_credential":
			t.Errorf("got %d %s, want that another answer was first", r.Status, r.Text)
		}
	}
	if tokens != 1 {
		t.Errorf("got %d tokens, want 1", tokens)
	}
}

func TestTransaction_isNoBackendsToApprove(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	target := approval.Target{NamespaceID: p.NamespaceID, UserID: p.ID, Kind: approval.PollCode, Purpose: approval.Transaction}
	made := created(app, M{"username": "ada"})
	if _, err := h.Service.Authorize(t.Context(), target, account.Secret(made.Code), app.Client); !isWord(err, approval.ErrForbidden) {
		t.Errorf("authorize: got %v, want %v", err, approval.ErrForbidden)
	}
	ask := approval.Ask{
		Face: native.Face, Client: app.Client, User: p.User, Purpose: approval.Transaction, Kind: approval.PollCode,
		Context: approval.Context{Payload: transfer, Nonce: txNonce},
		Vouch:   &approval.Vouch{Decision: approval.Decision{By: approval.ByBackend, ClientID: app.Client.ID}},
	}
	if _, err := h.Service.Begin(context.Background(), ask); !isWord(err, approval.ErrForbidden) {
		t.Errorf("begin approved: got %v, want %v", err, approval.ErrForbidden)
	}
	ask.Vouch, ask.Purpose = nil, approval.SignIn
	if _, err := h.Service.Begin(context.Background(), ask); !isWord(err, approval.ErrInvalid) {
		t.Errorf("a sign-in with a payload: got %v, want %v", err, approval.ErrInvalid)
	}
}

func TestTransaction_namesTheFieldThatIsMissing(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	full := M{"username": "ada", "tx_id": "x", "challenge": "AA", "key_handle": "AA", "client_data": "AA", "auth_data": "AA", "sign_data": "AA"}
	for field := range full {
		body := M{}
		for k, v := range full {
			if k != field {
				body[k] = v
			}
		}
		r := app.Post("/tx/complete", "", body).Want(http.StatusBadRequest, "missing_parameter")
		if !strings.Contains(r.S("message"), field) {
			t.Errorf("got %q, want it to name %s", r.S("message"), field)
		}
	}
	app.Post("/tx/init", "", M{"tx_id": "x"}).Want(http.StatusBadRequest, "missing_parameter")
	app.Post("/tx/wait", "", M{}).Want(http.StatusBadRequest, "missing_parameter")
}

func TestTransaction_needsAWaitTokenWhereTheClientDoes(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{RequireWaitToken: true})
	p := newPerson(app, "ada")
	made := created(app, nil)
	p.approvesTx(h, scannedAt(made.URL), "")
	app.Post("/tx/wait", "", M{"code": made.Code}).Want(http.StatusUnauthorized, "unauthorized")
	app.Post("/tx/wait", account.AuthTemporary, M{"code": made.Code}).Want(http.StatusOK)
}
