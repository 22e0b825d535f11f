package native_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn"
)

const (
	transfer = "Transfer 20.00 EUR to Bob\nReference: ümlaut <b>&amp;</b> \u202f✓"
	txNonce  = "order-17~?>"
)

func payloadHash(payload string) string {
	h := sha256.Sum256([]byte(payload))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

// meant is a token for one payload.
func meant(app *apitest.App, payload string, change ...func(*token.Service)) string {
	app.Helper()
	hash := func(s *token.Service) { s.PayloadHash = payloadHash(payload) }
	return app.Token(account.TxCreate, append([]func(*token.Service){hash}, change...)...)
}

// tx is a transaction as its creator keeps it.
type tx struct{ ID, URL, Code, MatchNumber string }

// created makes a transaction in the app's name; body replaces or adds members.
func created(app *apitest.App, body M) tx {
	app.Helper()
	full := M{"client_id": app.Client.ID, "tx_payload": transfer, "nonce": txNonce}
	for k, v := range body {
		full[k] = v
	}
	r := app.Do(Call{Path: "/tx", Body: full, Token: meant(app, full["tx_payload"].(string))}).Want(http.StatusOK)
	return tx{r.S("id"), r.S("url"), r.S("code"), r.S("match_number")}
}

func beginTx(app *apitest.App, username, id string) apitest.Reply {
	app.Helper()
	return app.Post("/api/tx/init", "", M{"username": username, "tx_id": id})
}

// answered is the body that a page completes a transaction with.
func (p *person) answered(app *apitest.App, username string, begun apitest.Reply, origin string) M {
	app.Helper()
	var init struct {
		ID      string                  `json:"tx_id"`
		Options webauthn.RequestOptions `json:"assertion_options"`
	}
	begun.Into(&init)
	a, err := p.keys.Get(origin, init.Options)
	must(app, err)
	return M{
		"username": username, "tx_id": init.ID, "challenge": init.Options.Challenge, "key_handle": webauthn.Bytes(a.CredentialID),
		"client_data": webauthn.Bytes(a.ClientData), "auth_data": webauthn.Bytes(a.AuthenticatorData), "sign_data": webauthn.Bytes(a.Signature),
	}
}

// txClaims verifies the reply's token for the app.
func txClaims(app *apitest.App, r apitest.Reply) M {
	app.Helper()
	var out M
	c, err := app.Ring.Verify(app.Context(), r.S("jwt"), token.Expect{Issuer: app.URL, Audience: app.Client.ID, Typ: "JWT"})
	must(app, err)
	must(app, c.Decode(&out))
	return out
}

// wantTransaction holds a token to the contract's hash of payload and nonces.
func wantTransaction(t *testing.T, claims M, payload string, u account.User) {
	t.Helper()
	hash := payloadHash(payload + txNonce + fmt.Sprint(claims["server_nonce"]))
	for name, want := range map[string]any{
		"tx_hash": hash, "nonce": txNonce, "action": "transaction", "sub": u.ID, "udata": u.Username,
	} {
		if claims[name] != want {
			t.Errorf("%s: got %v, want %v", name, claims[name], want)
		}
	}
	if nonce, _ := claims["server_nonce"].(string); len(nonce) != 22 {
		t.Errorf("server_nonce: got %q, want 128 bits in base64url", nonce)
	}
}

// scannedAt is the request behind an approval URL.
func scannedAt(url string) approval.Ref {
	return approval.Ref{Way: approval.Scanned, Secret: account.Secret(url[strings.LastIndex(url, "/")+1:])}
}

// approvesTx says yes on nod's page.
func (p *person) approvesTx(h *house, ref approval.Ref, number string) {
	h.Helper()
	u, err := h.Store.User(h.Context(), p.ID)
	h.ok(err)
	options, err := h.Config.Ceremonies.BeginApproval(h.Context(), ref, viewer(u), number)
	h.ok(err)
	a, err := p.keys.Get(h.URL, options)
	h.ok(err)
	_, err = h.Config.Ceremonies.Approve(h.Context(), ref, viewer(u), a)
	h.ok(err)
}

func (h *house) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func TestTransaction_confirmedOnThePage_answersItsTokenOnce(t *testing.T) {
	h := open(t)
	backend := h.NewApp(account.Client{})
	page := h.NewApp(account.Client{Type: account.ClientWeb, Origins: []string{"https://shop.example"}})
	p := newPerson(backend, "zoë~")
	for _, body := range []M{nil, {"username": "zoë~"}, {"user_id": p.ID}} {
		made := created(backend, body)
		in := p.answered(page, "zoë~", beginTx(page, "zoë~", made.ID).Want(http.StatusOK), "https://shop.example")
		done := page.Post("/api/tx/complete", "", in).Want(http.StatusOK)
		claims := txClaims(page, done)
		wantTransaction(t, claims, transfer, p.User)
		if claims["acr"] != "phr" || done.S("tx_id") != made.ID {
			t.Errorf("got %s with acr %v, want %s with phr", done.Text, claims["acr"], made.ID)
		}
		page.Post("/api/tx/complete", "", in).Want(http.StatusConflict, "transaction_decided") // replayed
		beginTx(page, "zoë~", made.ID).Want(http.StatusConflict, "transaction_decided")
		backend.Post("/tx/wait", "", M{"code": made.Code}).Want(http.StatusNotFound, "transaction_not_found")
	}
}

// TestTransaction_answerThatFailed_isDead: whoever presents a challenge spends it.
func TestTransaction_answerThatFailed_isDead(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	made := created(app, nil)
	in := p.answered(app, "ada", beginTx(app, "ada", made.ID).Want(http.StatusOK), h.URL)
	right := in["sign_data"]
	in["sign_data"] = webauthn.Bytes("no signature")
	app.Post("/tx/complete", "", in).Want(http.StatusUnauthorized, "invalid_credential")
	in["sign_data"] = right
	app.Post("/tx/complete", "", in).Want(http.StatusUnauthorized, "invalid_credential")
	in = p.answered(app, "ada", beginTx(app, "ada", made.ID).Want(http.StatusOK), h.URL)
	app.Post("/tx/complete", "", in).Want(http.StatusOK)
}

func TestTransaction_answersAtFourBasePaths(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	for _, base := range []string{"", "/api", "/api/native", "/api/native/api"} {
		body := M{"client_id": app.Client.ID, "tx_payload": transfer, "nonce": txNonce}
		made := h.Do(Call{Path: base + "/tx", Body: body, Token: meant(app, transfer)}).Want(http.StatusOK)
		begun := app.Post(base+"/tx/init", "", M{"username": "ada", "tx_id": made.S("id")}).Want(http.StatusOK)
		app.Post(base+"/tx/complete", "", p.answered(app, "ada", begun, h.URL)).Want(http.StatusOK)
		app.Post(base+"/tx/wait", "", M{"code": "nothing"}).Want(http.StatusNotFound, "transaction_not_found")
	}
}

func TestTransaction_confirmedOnNodsPage_isWaitedFor(t *testing.T) {
	h := open(t)
	backend := h.NewApp(account.Client{})
	p := newPerson(backend, "ada")
	made := created(backend, nil)
	wait := Call{Path: "/tx/wait", Body: M{"client_id": backend.Client.ID, "code": made.Code}}
	backend.Post("/tx/wait", "", M{"code": made.Code, "no_wait": true}).Want(http.StatusBadRequest, "remote_session_in_progress")
	held := h.Held(wait)
	p.approvesTx(h, scannedAt(made.URL), "")
	done := h.Answer(held).Want(http.StatusOK)
	claims := txClaims(backend, done)
	wantTransaction(t, claims, transfer, p.User)
	if claims["acr"] != "urn:nod:acr:cross-device" {
		t.Errorf("got acr %v", claims["acr"])
	}
	if again := h.Do(wait).Want(http.StatusOK); again.S("jwt") != done.S("jwt") {
		t.Error("the same collector got another token")
	}
	h.advance(2 * time.Minute)
	h.Do(wait).Want(http.StatusNotFound, "transaction_not_found")
	state := h.Do(Call{Path: "/requests/" + made.ID + "/state", Header: map[string]string{"Authorization": "Code " + made.Code}}).Want(http.StatusOK)
	if state.S("state") != "approved" || state.S("approved_as") != "ada" {
		t.Errorf("got %s, want it approved as ada", state.Text)
	}
}

func TestTransaction_approvedOnNodsPage_isNotConfirmedAgain(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	made := created(app, M{"username": "ada"})
	in := p.answered(app, "ada", beginTx(app, "ada", made.ID).Want(http.StatusOK), h.URL)
	p.approvesTx(h, scannedAt(made.URL), "")
	for _, r := range []apitest.Reply{app.Post("/tx/complete", "", in), beginTx(app, "ada", made.ID)} {
		if r.Want(http.StatusConflict, "transaction_decided"); !strings.Contains(r.S("message"), "/tx/wait") {
			t.Errorf("got %s, want it to say where the token is", r.Text)
		}
	}
	app.Post("/tx/wait", "", M{"code": made.Code}).Want(http.StatusOK)
}

func TestTransaction_pushedOrListed_asksForItsMatchNumber(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	made := created(app, M{"username": "ada"})
	ref := approval.Ref{Way: approval.Listed, Secret: account.Secret(made.ID)}
	u, err := h.Store.User(t.Context(), p.ID)
	h.ok(err)
	if _, err := h.Config.Ceremonies.BeginApproval(t.Context(), ref, viewer(u), ""); err == nil {
		t.Fatal("a listed transaction was approved without its number")
	}
	p.approvesTx(h, ref, made.MatchNumber)
	app.Post("/tx/wait", "", M{"code": made.Code}).Want(http.StatusOK)
}

func TestTransaction_declined_isToldSo(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	made := created(app, M{"username": "ada"})
	in := p.answered(app, "ada", beginTx(app, "ada", made.ID).Want(http.StatusOK), h.URL)
	_, err := h.Service.Decide(t.Context(), scannedAt(made.URL), viewer(p.User), approval.Answer{Verdict: approval.Decline})
	h.ok(err)
	app.Post("/tx/complete", "", in).Want(http.StatusForbidden, "failed_to_authenticate")
	beginTx(app, "ada", made.ID).Want(http.StatusForbidden, "failed_to_authenticate")
	app.Post("/tx/wait", "", M{"code": made.Code}).Want(http.StatusForbidden, "failed_to_authenticate")
}

func TestTransaction_runsOut(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	made := created(app, nil)
	h.advance(9*time.Minute + 30*time.Second)
	in := p.answered(app, "ada", beginTx(app, "ada", made.ID).Want(http.StatusOK), h.URL)
	h.advance(time.Minute) // the ceremony is good for two
	app.Post("/tx/complete", "", in).Want(http.StatusBadRequest, "transaction_expired")
	beginTx(app, "ada", made.ID).Want(http.StatusBadRequest, "transaction_expired")
	app.Post("/tx/wait", "", M{"code": made.Code}).Want(http.StatusBadRequest, "transaction_expired")
}

func TestTransaction_initWithItsPayload_createsItWithTheToken(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	body := M{"client_id": app.Client.ID, "username": "ada", "tx_payload": transfer, "nonce": txNonce}
	h.Do(Call{Path: "/tx/init", Body: body}).Want(http.StatusUnauthorized, "unauthorized")
	h.Do(Call{Path: "/tx/init", Body: body, Token: meant(app, "another")}).Want(http.StatusForbidden, "forbidden")
	used := meant(app, transfer)
	begun := h.Do(Call{Path: "/tx/init", Body: body, Token: used}).Want(http.StatusOK)
	h.Do(Call{Path: "/tx/init", Body: body, Token: used}).Want(http.StatusUnauthorized, "unauthorized")
	wantTransaction(t, txClaims(app, app.Post("/tx/complete", "", p.answered(app, "ada", begun, h.URL)).Want(http.StatusOK)), transfer, p.User)
	body["username"] = "nobody"
	h.Do(Call{Path: "/tx/init", Body: body, Token: meant(app, transfer)}).Want(http.StatusNotFound, "user_not_found")
}

// TestTransaction_withAnIDReadsNoToken: the vendor's page sends the token of /tx along.
func TestTransaction_withAnIDReadsNoToken(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	newPerson(app, "ada")
	made := created(app, nil)
	for _, leaked := range []string{meant(app, transfer), app.Token(account.UsersCreate), "garbage"} {
		h.Do(Call{Path: "/tx/init", Token: leaked, Body: M{"client_id": app.Client.ID, "username": "ada", "tx_id": made.ID}}).Want(http.StatusOK)
	}
}
