package approval

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"github.com/nod-auth/nod/approval/account"
)

// A transaction is a request like any other: begun, shown, decided and collected by
// the same calls. What differs is what it is for. Its payload is a text that one
// person consents to by signing it with a passkey, and the token that is collected
// says which text, and signs nobody in. So a backend's word cannot approve one, and
// no other token than its own comes of it.
//
// It is approved on nod's pages, where the payload is shown to the letter, and then
// collected (Collect with purpose Transaction), or on a page of the application's own
// (Confirm), where what is shown is the application's affair: then approval and
// redemption are one transaction of the store. Either way the passkey signs the same
// canonical record, whose member "way" tells which it was.

// MaxPayload is the longest payload in bytes: what fits a call's body beside the rest
// (16 KiB), and more than anybody reads on a phone. The other bounds are the contract's
// examples, ten times over: nonces of 16 and 22 characters, types like "text".
const (
	MaxPayload = 4 << 10
	maxNonce   = 256
	maxTxType  = 64 // graphemes
	// maxGrapheme is in bytes: a base character and eight marks, as in CleanText.
	maxGrapheme = 36
)

// DefaultPayloadType is what a payload is called when its caller does not say.
const DefaultPayloadType = "text"

// clean validates everything the ask would have shown.
func (a Ask) clean() (Context, error) {
	c, err := a.Context.clean()
	c.ServerNonce = ""
	switch {
	case err != nil:
		return c, err
	case a.Purpose != Transaction && c.Payload+c.PayloadType+c.Nonce != "":
		return c, &InvalidError{"tx_payload", "is for transactions only"}
	case a.Purpose != Transaction:
		return c, nil
	case a.Vouch != nil:
		return c, fmt.Errorf("vouch for a transaction: %w", ErrForbidden)
	}
	return c.cleanTransaction()
}

// cleanTransaction judges what a transaction is about, and changes no byte of it: the
// caller, the person and the token must mean the same text, so nothing is normalised.
func (c Context) cleanTransaction() (Context, error) {
	if err := cleanPayload("tx_payload", c.Payload); err != nil {
		return c, err
	}
	if c.Nonce == "" || len(c.Nonce) > maxNonce || strings.ContainsFunc(c.Nonce, func(r rune) bool { return r < ' ' || r > '~' }) {
		return c, &InvalidError{"nonce", fmt.Sprintf("must be 1 to %d printable ASCII characters", maxNonce)}
	}
	if c.PayloadType == "" {
		c.PayloadType = DefaultPayloadType
	}
	var err error
	c.PayloadType, err = CleanText("tx_type", c.PayloadType, maxTxType)
	return c, err
}

// cleanPayload is CleanText for a text with lines in it: tabs and line ends (LF, CRLF)
// are allowed beside what CleanText allows.
func cleanPayload(field, s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return &InvalidError{field, "must not be empty"}
	case len(s) > MaxPayload:
		return &InvalidError{field, fmt.Sprintf("must not be longer than %d bytes", MaxPayload)}
	case !utf8.ValidString(s):
		return &InvalidError{field, "must be valid UTF-8"}
	}
	for _, r := range strings.ReplaceAll(s, "\r\n", "\n") {
		if r != '\n' && r != '\t' && deceptive(r) {
			return &InvalidError{field, "must not contain control or invisible formatting characters"}
		}
	}
	for rest, state := s, -1; rest != ""; {
		var cluster string
		cluster, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if len(cluster) > maxGrapheme {
			return &InvalidError{field, "has too many combining marks"}
		}
	}
	return nil
}

// serverNonceBytes is 128 bits, as many as the contract's browser SDK draws for its own.
const serverNonceBytes = 16

// ServerNonce is nod's own part of a transaction's hash: nobody knows it before the
// transaction is begun, and it is the same whenever it is asked for.
func (c *Codes) ServerNonce(requestID string) string {
	return base64.RawURLEncoding.EncodeToString(c.prf("server nonce", requestID)[:serverNonceBytes])
}

// TransactionHash is the contract's tx_hash: SHA-256 over payload, nonce and server
// nonce, one after the other, base64url without padding. Both nonces stand in the token
// beside it, so it names exactly one payload.
func (c Context) TransactionHash() string {
	h := sha256.Sum256([]byte(c.Payload + c.Nonce + c.ServerNonce))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

// Transaction finds what the holder's client may have confirmed on its own page.
// ErrNotFound unless it is a transaction that the client may collect; ErrExpired and
// DecidedError when it is over.
func (s *Service) Transaction(ctx context.Context, h Holder, requestID string) (Request, error) {
	r, now, err := s.read(ctx, requestID)
	if err == nil {
		err = r.confirmable(&h, now)
	}
	if err != nil {
		return Request{}, fmt.Errorf("find transaction: %w", err)
	}
	return *r, nil
}

// confirmable is nil while the holder's client can have the request confirmed.
func (r *Request) confirmable(h *Holder, now time.Time) error {
	switch {
	case r.Purpose != Transaction, r.Face != h.Face, r.NamespaceID != h.Client.NamespaceID,
		r.Audience != "" && r.Audience != h.Client.ID:
		return ErrNotFound
	default:
		return r.undecided(now)
	}
}

// Confirm approves a transaction with a proof that was made on a page of the holder's
// client, and collects it in the same transaction of the store: there is no moment in
// which it is approved and nobody's. ErrForbidden when it is for somebody else, else
// the errors of Transaction and of Decide.
func (s *Service) Confirm(ctx context.Context, h Holder, requestID string, u account.User, p Proof) (*Collected, error) {
	var out *Collected
	_, err := s.sleepOn(ctx, requestID, 0, nil, func(r *Request, now time.Time) error {
		if err := r.confirmable(&h, now); err != nil {
			return err
		}
		if r.UserID != "" && r.UserID != u.ID {
			return ErrForbidden
		}
		d := Decision{By: ByPasskey, Way: OnPage, UserID: u.ID, Username: u.Username, At: now}
		c, err := r.approve(NewOp(), now, d, &p)
		if err != nil {
			return err
		}
		c.Event.Address = h.Address
		yes, err := s.withAnswer(ctx, c, Viewer{User: u, Address: h.Address}, now)
		if err != nil {
			return err
		}
		out, err = s.redeem(ctx, &h, yes.Request, now, *yes)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("confirm transaction: %w", err)
	}
	return out, nil
}
