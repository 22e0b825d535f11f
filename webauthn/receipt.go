package webauthn

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
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

// Fingerprint names a public key (a COSE_Key as nod stores it) in a form that people
// compare: SHA256: and the hash in base64url without padding.
func Fingerprint(publicKey []byte) string {
	h := sha256.Sum256(publicKey)
	return "SHA256:" + base64.RawURLEncoding.EncodeToString(h[:])
}

// ReceiptError says what is wrong with a receipt. It is an ErrMismatch.
type ReceiptError struct {
	Part string // of the receipt: "record", "client data" …
	Why  string // a sentence without its full stop
}

func (e *ReceiptError) Error() string { return e.Part + ": " + e.Why }

// Unwrap returns approval.ErrMismatch.
func (*ReceiptError) Unwrap() error { return approval.ErrMismatch }

// check is one thing that must be so, and what it means when it is not.
type check struct {
	part, why string
	good      func() bool
}

// judge is nil, or what the first check that fails says.
func judge(checks []check) error {
	for _, c := range checks {
		if !c.good() {
			return &ReceiptError{c.part, c.why}
		}
	}
	return nil
}

// VerifyReceipt checks, from the receipt alone, that the holder of its public
// key, verified by the authenticator, approved its record on a page of origin.
// It is nil, or an error matching approval.ErrMismatch, a *ReceiptError, that says
// what is wrong. Only what is signed counts: the members after Signature, and PasskeyID,
// are nod's word.
func VerifyReceipt(r approval.Receipt, rpID, origin string) error {
	checks := slices.Concat(recordChecks(r), clientDataChecks(r, origin), authenticatorChecks(r.AuthenticatorData, rpID), keyChecks(r))
	if err := judge(checks); err != nil {
		return fmt.Errorf("receipt of request %s: %w", r.RequestID, err)
	}
	return nil
}

func recordChecks(r approval.Receipt) []check {
	agreed, readable := approval.ReadRecord(r.Record)
	return []check{
		{"record", "it is not a canonical record of layout " + approval.RecordVersion, func() bool { return readable }},
		{"record", "it is about another request", func() bool { return agreed.RequestID == r.RequestID }},
		{"record", "it is about another user", func() bool { return agreed.UserID == r.UserID }},
		{"record", "its verdict is not a yes", func() bool { return agreed.Verdict == approval.Approve }},
		{"random", "it is not 32 bytes", func() bool { return len(r.Random) == sha256.Size }},
	}
}

// clientData is what the browser says it had signed (WebAuthn L3 section 5.8.1).
type clientData struct {
	Type        protocol.CeremonyType `json:"type"`
	Challenge   Bytes                 `json:"challenge"`
	Origin      string                `json:"origin"`
	TopOrigin   string                `json:"topOrigin"`
	CrossOrigin bool                  `json:"crossOrigin"`
}

func clientDataChecks(r approval.Receipt, origin string) []check {
	var d clientData
	err := json.Unmarshal(r.ClientData, &d)
	return []check{
		{"client data", "it is not JSON of a WebAuthn ceremony", func() bool { return err == nil }},
		{"client data", "it is not of an assertion (webauthn.get)", func() bool { return d.Type == protocol.AssertCeremony }},
		{"client data", "its challenge is not the hash of the tag, the random bytes and the record",
			func() bool { return bytes.Equal(d.Challenge, ReceiptChallenge(r)) }},
		{"client data", "it was made on a page of another origin", func() bool { return d.Origin == origin }},
		{"client data", "it was made in a frame of another site", func() bool { return !d.CrossOrigin && d.TopOrigin == "" }},
	}
}

// authenticatorChecks read the fixed part of authenticator data: 32 bytes of RP ID
// hash, one of flags, four of counter (WebAuthn L3 section 6.1).
func authenticatorChecks(data []byte, rpID string) []check {
	const fixed = 37
	want := sha256.Sum256([]byte(rpID))
	has := func(f protocol.AuthenticatorFlags) func() bool {
		return func() bool { return protocol.AuthenticatorFlags(data[32])&f == f }
	}
	return []check{
		{"authenticator data", "it is too short", func() bool { return len(data) >= fixed }},
		{"authenticator data", "it is for another RP ID", func() bool { return bytes.Equal(data[:32], want[:]) }},
		{"authenticator data", "it does not say that somebody was present", has(protocol.FlagUserPresent)},
		{"authenticator data", "it does not say that the person was verified", has(protocol.FlagUserVerified)},
	}
}

func keyChecks(r approval.Receipt) []check {
	canonical, key, err := canonicalKey(r.PublicKey)
	return []check{
		{"public key", "it is not a COSE_Key of ES256, EdDSA or RS256 as nod writes it",
			func() bool { return err == nil && bytes.Equal(canonical, r.PublicKey) }},
		{"signature", "it is not this key's over the authenticator data and the client data", func() bool {
			hash := sha256.Sum256(r.ClientData)
			good, err := webauthncose.VerifySignature(key, slices.Concat(r.AuthenticatorData, hash[:]), r.Signature)
			return err == nil && good
		}},
	}
}
