package webauthn

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/nod-auth/nod/approval"
)

// approvalTag keeps challenges of approvals apart from every other hash.
const approvalTag = "nod/approval-challenge/1"

// approvalChallenge is SHA-256(tag, 32 random bytes, canonical record). Tag and
// random bytes have fixed lengths, so the three cannot run together.
func approvalChallenge(random, record []byte) []byte {
	h := sha256.New()
	h.Write([]byte(approvalTag))
	h.Write(random)
	h.Write(record)
	return h.Sum(nil)
}

// ReceiptChallenge recomputes the challenge that the passkey of a receipt
// signed.
func ReceiptChallenge(r approval.Receipt) []byte { return approvalChallenge(r.Random, r.Record) }

// VerifyReceipt checks, from the receipt alone, that the holder of its public
// key, verified by the authenticator, approved its record on a page of origin.
// It is nil, or an error matching approval.ErrMismatch that says what is wrong.
// PasskeyID is not evidence: it only says under which name nod knew the key.
func VerifyReceipt(r approval.Receipt, rpID, origin string) error {
	checks := []struct {
		what string
		good func() bool
	}{
		{"record", func() bool { return recordMatches(r) }},
		{"client data", func() bool { return clientDataMatches(r, origin) }},
		{"authenticator data", func() bool { return authenticatorDataMatches(r.AuthenticatorData, rpID) }},
		{"signature", func() bool { return signatureMatches(r) }},
	}
	for _, c := range checks {
		if !c.good() {
			return fmt.Errorf("receipt of request %s: %s: %w", r.RequestID, c.what, approval.ErrMismatch)
		}
	}
	return nil
}

func recordMatches(r approval.Receipt) bool {
	var record struct {
		Layout    string           `json:"layout"`
		RequestID string           `json:"request_id"`
		UserID    string           `json:"user_id"`
		Verdict   approval.Verdict `json:"verdict"`
	}
	return json.Unmarshal(r.Record, &record) == nil && len(r.Random) == sha256.Size &&
		record.Layout == approval.RecordVersion && record.Verdict == approval.Approve &&
		record.RequestID == r.RequestID && record.UserID == r.UserID
}

func clientDataMatches(r approval.Receipt, origin string) bool {
	var d struct {
		Type        protocol.CeremonyType `json:"type"`
		Challenge   Bytes                 `json:"challenge"`
		Origin      string                `json:"origin"`
		TopOrigin   string                `json:"topOrigin"`
		CrossOrigin bool                  `json:"crossOrigin"`
	}
	return json.Unmarshal(r.ClientData, &d) == nil && d.Type == protocol.AssertCeremony &&
		bytes.Equal(d.Challenge, ReceiptChallenge(r)) &&
		d.Origin == origin && !d.CrossOrigin && d.TopOrigin == ""
}

// authenticatorDataMatches reads the fixed part of authenticator data: 32 bytes
// of RP ID hash, one of flags, four of counter (WebAuthn L3 section 6.1).
func authenticatorDataMatches(data []byte, rpID string) bool {
	const fixed = 37
	want := sha256.Sum256([]byte(rpID))
	const present = protocol.FlagUserPresent | protocol.FlagUserVerified
	return len(data) >= fixed && bytes.Equal(data[:32], want[:]) &&
		protocol.AuthenticatorFlags(data[32])&present == present
}

func signatureMatches(r approval.Receipt) bool {
	canonical, key, err := canonicalKey(r.PublicKey)
	if err != nil || !bytes.Equal(canonical, r.PublicKey) {
		return false
	}
	hash := sha256.Sum256(r.ClientData)
	good, err := webauthncose.VerifySignature(key, slices.Concat(r.AuthenticatorData, hash[:]), r.Signature)
	return err == nil && good
}
