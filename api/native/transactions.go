package native

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn"
)

// txBody creates a transaction, or begins the confirmation of one by its id. The
// members from Audience on are nod's, not the vendor's.
type txBody struct {
	party
	ID      string `json:"tx_id"`
	Type    string `json:"tx_type"`
	Payload string `json:"tx_payload"`
	Nonce   string `json:"nonce"`

	Audience       string `json:"audience"`
	Notify         *bool  `json:"notify"` // nil: as the client was registered
	RequesterIP    string `json:"requester_ip"`
	RequesterAgent string `json:"requester_user_agent"`
}

// createdTx is what /tx answers. All after URL is nod's: the code waits for what is
// decided on nod's page, and shows the request's state.
type createdTx struct {
	ID        string    `json:"id"`
	URL       string    `json:"url"`
	URLUntil  time.Time `json:"url_expires_at,omitzero"` // of a client whose links rotate
	Code      string    `json:"code"`
	ExpiresAt time.Time `json:"expires_at"`

	MatchNumber string            `json:"match_number"`
	Push        approval.Delivery `json:"push"`
}

func (f *face) createTx(c *gin.Context, who *caller, in txBody) (any, error) {
	b, err := f.beginTx(c.Request.Context(), who, in)
	if err != nil {
		return nil, err
	}
	g := f.generatedOf(b)
	return createdTx{
		ID: g.RequestID, URL: g.ApprovalURL, URLUntil: g.ApprovalURLExpiresAt, Code: g.Code, ExpiresAt: g.ExpiresAt,
		MatchNumber: g.MatchNumber, Push: g.Push,
	}, nil
}

// beginTx begins the request. Whom it is for may be open: then it is whoever confirms
// it, and the token says who that was.
func (f *face) beginTx(ctx context.Context, who *caller, in txBody) (b approval.Begun, err error) {
	if err := who.meantPayload(in); err != nil {
		return b, err
	}
	if err := f.knownAudience(ctx, who, in.Audience); err != nil {
		return b, err
	}
	u, err := f.payer(ctx, who, in.party)
	if err != nil {
		return b, err
	}
	notify := who.client.Notify
	if in.Notify != nil {
		notify = *in.Notify
	}
	return f.Service.Begin(ctx, approval.Ask{
		Face: Face, Client: who.client, User: u, Purpose: approval.Transaction,
		Kind: approval.PollCode, Life: f.Service.Lives[approval.Long],
		Audience: in.Audience, Notify: notify && u.ID != "", With: who.nonce,
		Context: approval.Context{
			Payload: in.Payload, PayloadType: in.Type, Nonce: in.Nonce, Address: in.RequesterIP, UserAgent: in.RequesterAgent,
		},
	})
}

// payer is whom a transaction is for: whom the body names, else the token, else nobody
// yet.
func (f *face) payer(ctx context.Context, who *caller, p party) (account.User, error) {
	named := func(text string) *string {
		if text == "" {
			return nil
		}
		return &text
	}
	if p.Username == nil && p.UserID == nil {
		p.Username, p.UserID = named(cmp.Or(who.claims.Username, who.claims.Udata)), named(who.claims.UserID)
	}
	if p.Username == nil && p.UserID == nil {
		return account.User{}, nil
	}
	return f.known(ctx, who, p)
}

// meantPayload refuses a token that was signed for another payload: whoever is handed
// one, a page say, can create the one transaction that the backend meant.
func (who *caller) meantPayload(in txBody) error {
	switch {
	case in.Payload == "":
		return missing("tx_payload")
	case in.Nonce == "":
		return missing("nonce")
	}
	want := sha256.Sum256([]byte(in.Payload))
	given := []byte(who.claims.PayloadHash)
	if subtle.ConstantTimeCompare(given, []byte(base64.RawURLEncoding.EncodeToString(want[:]))) != 1 {
		return forbidden("The service token's payload_hash must be base64url(SHA-256(tx_payload)), without padding.")
	}
	return nil
}

// initTx begins a confirmation on the application's own page. With the id of a
// transaction no token is read, since creating it took one; without, it creates one
// first, and so needs the same token.
func (f *face) initTx(c *gin.Context) error {
	var in txBody
	if err := readJSON(c, &in); err != nil {
		return err
	}
	if in.ID != "" {
		return serve(f, c, in, rule{}, f.beginConfirm)
	}
	return serve(f, c, in, must(account.TxCreate), f.createAndConfirm)
}

// txInit is what a page hands its authenticator.
type txInit struct {
	ID      string                  `json:"tx_id"`
	Options webauthn.RequestOptions `json:"assertion_options"`
}

func (f *face) beginConfirm(c *gin.Context, who *caller, in txBody) (any, error) {
	ctx := c.Request.Context()
	if err := identifier("tx_id", in.ID); err != nil {
		return nil, err
	}
	if err := f.pace(ctx, who); err != nil {
		return nil, err
	}
	u, asked, err := f.maybe(ctx, who, in.party)
	if err != nil {
		return nil, err
	}
	id := canonical(in.ID)
	options, err := f.Ceremonies.BeginConfirm(ctx, who.bare(asked), id, u, asked)
	return txInit{id, options}, txError(err)
}

func (f *face) createAndConfirm(c *gin.Context, who *caller, in txBody) (any, error) {
	ctx := c.Request.Context()
	if in.Username == nil {
		return nil, missing("username")
	}
	b, err := f.beginTx(ctx, who, in)
	if err != nil {
		return nil, err
	}
	who.nonce = nil // it was spent with that
	in.ID = b.Request.ID
	return f.beginConfirm(c, who, in)
}

// txAnswerBody is a passkey's answer in the members of this contract.
type txAnswerBody struct {
	party
	ID         string `json:"tx_id"`
	Challenge  string `json:"challenge"`
	KeyHandle  string `json:"key_handle"`
	ClientData string `json:"client_data"`
	AuthData   string `json:"auth_data"`
	SignData   string `json:"sign_data"`
}

func (b txAnswerBody) read() (name string, a webauthn.Assertion, err error) {
	if name, err = username(b.Username); err == nil {
		err = identifier("tx_id", b.ID)
	}
	for _, m := range []binaryMember{
		{&a.Challenge, "challenge", b.Challenge},
		{&a.CredentialID, "key_handle", b.KeyHandle},
		{&a.ClientData, "client_data", b.ClientData},
		{&a.AuthenticatorData, "auth_data", b.AuthData},
		{&a.Signature, "sign_data", b.SignData},
	} {
		if err == nil {
			*m.into, err = binary(m.field, m.text)
		}
	}
	return name, a, err
}

// confirmedTx is the result of a transaction. TxID and Success are nod's: the vendor's
// documents have the one, its browser SDK declares the other.
type confirmedTx struct {
	JWT     string `json:"jwt"`
	ID      string `json:"tx_id"`
	Success bool   `json:"success"`
}

func (f *face) completeTx(c *gin.Context, who *caller, in txAnswerBody) (any, error) {
	ctx := c.Request.Context()
	name, answer, err := in.read()
	if err != nil {
		return nil, err
	}
	got, err := f.Ceremonies.Confirm(ctx, who.bare(name), canonical(in.ID), name, answer)
	if err != nil {
		return nil, txError(err)
	}
	return f.confirmed(ctx, got)
}

func (f *face) confirmed(ctx context.Context, got *approval.Collected) (out confirmedTx, err error) {
	shown := got.Request.Context
	claims := f.claims(got.Request.NamespaceID, got.Grant)
	claims.Action = token.ActionTransaction
	out = confirmedTx{ID: got.Request.ID, Success: true}
	out.JWT, err = f.Ring.Sign(ctx, got.Grant.KID, "JWT", token.Transaction{
		Login: claims, Hash: shown.TransactionHash(), Nonce: shown.Nonce, ServerNonce: shown.ServerNonce,
	})
	if err != nil {
		return out, fmt.Errorf("sign token %s: %w", got.Grant.JTI, err)
	}
	return out, nil
}

// txWaitBody waits for what is decided on nod's page.
type txWaitBody struct {
	party
	Code   string `json:"code"`
	NoWait bool   `json:"no_wait"`
}

// waitTx is wait for a transaction: whoever created it holds its code.
func (f *face) waitTx(c *gin.Context) error {
	in := new(txWaitBody)
	if err := readJSON(c, in); err != nil {
		return err
	}
	who, err := f.admit(c, in.ClientID, waitRule)
	if err != nil {
		return err
	}
	if who.client.RequireWaitToken && who.by == nil {
		return who.wantsToken(nil)
	}
	code, err := secretCode("code", in.Code)
	if err != nil {
		return err
	}
	hold := f.WaitHold
	if in.NoWait {
		hold = 0
	}
	leave, err := f.enter(c, f.place(who), hold)
	if err != nil {
		return err
	}
	defer leave()
	h := approval.Holder{
		Face: Face, Client: who.client, Kind: approval.PollCode, Code: code, Address: who.address, Token: who.by != nil,
	}
	got, err := f.Service.Collect(c.Request.Context(), h, approval.Transaction, hold)
	if err != nil {
		return who.waitError(txError(err), in.NoWait)
	}
	out, err := f.confirmed(c.Request.Context(), got)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, out)
	return nil
}

// txError is what the core's words mean about a transaction.
func txError(err error) error {
	if decided, ok := errors.AsType[*approval.DecidedError](err); ok {
		return decidedTx(decided.State, err)
	}
	if _, ok := errors.AsType[*approval.ChangedError](err); ok {
		return instead(err, approval.ErrMismatch, txChanged)
	}
	err = instead(err, approval.ErrNotFound, txNotFound)
	return instead(err, approval.ErrExpired, txExpired)
}

// decidedTx tells which verdict was first. Of a yes its token is with whoever holds the
// code.
func decidedTx(state approval.State, cause error) error {
	e := &wire.Error{Status: http.StatusConflict, Code: "transaction_decided", Cause: cause}
	switch state {
	case approval.Denied, approval.Canceled:
		e.Status, e.Code = http.StatusForbidden, "failed_to_authenticate"
		e.Message = "The transaction was declined or taken back."
	case approval.Redeemed:
		e.Message = "The transaction was confirmed before, and its token handed out."
	default:
		e.Message = "The transaction was approved on nod's page. Its token waits at /tx/wait for whoever holds its code."
	}
	return e
}
