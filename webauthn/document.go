package webauthn

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nod-auth/nod/approval"
)

// ReceiptLayout names the layout of a ReceiptDocument.
const ReceiptLayout = "nod/receipt/1"

// receiptTime is how a document writes a time: RFC 3339 in UTC to the microsecond.
const receiptTime = "2006-01-02T15:04:05.000000Z"

// ReceiptDocument is a receipt as it is handed out: one JSON text that says everything
// that checking it takes. The package's documentation says how to check it without nod.
type ReceiptDocument struct {
	Layout    string         `json:"layout"`
	RequestID string         `json:"request_id"` // must be the record's
	IssuedBy  ReceiptIssuer  `json:"issued_by"`
	User      ReceiptUser    `json:"user"`
	Passkey   ReceiptPasskey `json:"passkey"`
	// DecidedAt is when nod took the answer, by its own clock: not signed, but it must
	// lie between the record's asked and expires.
	DecidedAt string `json:"decided_at,omitempty"`

	Record            Bytes           `json:"record"`         // the canonical record, byte for byte
	RecordDecoded     json.RawMessage `json:"record_decoded"` // the same, for reading
	Random            Bytes           `json:"random"`
	AuthenticatorData Bytes           `json:"authenticator_data"`
	ClientData        Bytes           `json:"client_data"`
	Signature         Bytes           `json:"signature"`

	// Digest is SHA-256 over this document without white space and without this member.
	// It finds a slip of the hand in what is not signed. It is no signature.
	Digest Bytes `json:"digest,omitempty"`
}

// ReceiptIssuer is who keeps the receipt, and the page on which it was signed: nod's
// own, or of a transaction also the application's.
type ReceiptIssuer struct {
	Issuer string `json:"issuer"`
	RPID   string `json:"rp_id"`
	Origin string `json:"origin"`
}

// ReceiptUser is whose passkey it was. The name is that of the time, and nod's word.
type ReceiptUser struct {
	ID   string `json:"id"` // must be the record's
	Name string `json:"name,omitempty"`
}

// ReceiptPasskey is the key that signed. All but PublicKey is nod's word.
type ReceiptPasskey struct {
	ID           string `json:"id"`
	Name         string `json:"name,omitempty"`
	CredentialID Bytes  `json:"credential_id,omitempty"`
	PublicKey    Bytes  `json:"public_key"` // COSE_Key
}

// Document writes a receipt as it is handed out: indented, with a line end at its end.
func (c *Ceremonies) Document(r approval.Receipt) ([]byte, error) {
	var signedOn clientData
	if err := json.Unmarshal(r.ClientData, &signedOn); err != nil {
		return nil, fmt.Errorf("receipt of request %s: client data: %w", r.RequestID, err)
	}
	d := ReceiptDocument{
		Layout: ReceiptLayout, RequestID: r.RequestID,
		IssuedBy: ReceiptIssuer{Issuer: c.cfg.Origin, RPID: c.cfg.RPID, Origin: signedOn.Origin},
		User:     ReceiptUser{r.UserID, r.Username},
		Passkey:  ReceiptPasskey{r.PasskeyID, r.PasskeyName, r.CredentialID, r.PublicKey},
		Record:   r.Record, RecordDecoded: r.Record, Random: r.Random,
		AuthenticatorData: r.AuthenticatorData, ClientData: r.ClientData, Signature: r.Signature,
	}
	if !r.At.IsZero() {
		d.DecidedAt = r.At.UTC().Format(receiptTime)
	}
	var err error
	if d.Digest, err = d.digest(); err != nil {
		return nil, fmt.Errorf("receipt of request %s: %w", r.RequestID, err)
	}
	compact, err := d.compact()
	if err != nil {
		return nil, fmt.Errorf("receipt of request %s: %w", r.RequestID, err)
	}
	var out bytes.Buffer
	_ = json.Indent(&out, compact, "", "  ") // cannot fail: it was just encoded
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// compact is the one spelling without white space that a document has.
func (d ReceiptDocument) compact() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		return nil, fmt.Errorf("encode document: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (d ReceiptDocument) digest() ([]byte, error) {
	d.Digest = nil
	text, err := d.compact()
	h := sha256.Sum256(text)
	return h[:], err
}

// Agreement is what a verified receipt says.
type Agreement struct {
	approval.Agreed
	Document    ReceiptDocument
	Fingerprint string // of the key that signed
	Algorithm   string // of that key: ES256, EdDSA or RS256
}

// VerifyDocument checks a receipt as it was handed out, and nothing but its own bytes:
// everything that VerifyReceipt checks, that the members which are not signed fit those
// that are, and that the text is, white space aside, spelled as nod spells it: whatever
// byte of it is changed, it fails. Its error matches approval.ErrMismatch and is a
// *ReceiptError.
//
// It does not prove that the key belongs to the person: whoever makes up a key can sign
// a receipt with it. Compare the Fingerprint with one that comes from elsewhere.
func VerifyDocument(text []byte) (Agreement, error) {
	d, err := readDocument(text)
	if err != nil {
		return Agreement{}, err
	}
	r := d.receipt()
	if err := judge(documentChecks(d)); err != nil {
		return Agreement{}, err
	}
	if err := VerifyReceipt(r, d.IssuedBy.RPID, d.IssuedBy.Origin); err != nil {
		return Agreement{}, err
	}
	agreed, _ := approval.ReadRecord(r.Record) // VerifyReceipt has read it
	if err := judge(agreedChecks(d, agreed)); err != nil {
		return Agreement{}, err
	}
	_, key, _ := canonicalKey(r.PublicKey) // and this
	return Agreement{agreed, d, Fingerprint(r.PublicKey), algorithmName(key)}, nil
}

// receipt is what VerifyReceipt judges.
func (d ReceiptDocument) receipt() approval.Receipt {
	return approval.Receipt{
		RequestID: d.RequestID, UserID: d.User.ID, PasskeyID: d.Passkey.ID, PublicKey: d.Passkey.PublicKey,
		Random: d.Random, Record: d.Record, AuthenticatorData: d.AuthenticatorData, ClientData: d.ClientData, Signature: d.Signature,
	}
}

// readDocument reads one document and nothing after it. Encoding it again must give the
// text it came from: so a member twice, an unknown one, another case or a base64 text
// with bits that nobody reads are all found at once.
func readDocument(text []byte) (d ReceiptDocument, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&d); err != nil {
		return d, &ReceiptError{"document", "it is not a JSON document of nod's"}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return d, &ReceiptError{"document", "there is something after its end"}
	}
	if d.Layout != ReceiptLayout {
		return d, &ReceiptError{"layout", "it is not " + ReceiptLayout}
	}
	var was bytes.Buffer
	again, err := d.compact()
	if err == nil {
		err = json.Compact(&was, text)
	}
	if err != nil || !bytes.Equal(again, was.Bytes()) {
		return d, &ReceiptError{"document", "it is not written as nod writes it, so something in it was changed"}
	}
	return d, nil
}

func documentChecks(d ReceiptDocument) []check {
	return []check{
		{"record_decoded", "it is not the record", func() bool { return sameJSON(d.RecordDecoded, d.Record) }},
		{"digest", "it is not the document's, so something in it was changed", func() bool {
			want, err := d.digest()
			return err == nil && bytes.Equal(want, d.Digest)
		}},
	}
}

// sameJSON says whether text is the record but for white space.
func sameJSON(text, record []byte) bool {
	var b bytes.Buffer
	return json.Compact(&b, text) == nil && bytes.Equal(b.Bytes(), record)
}

// agreedChecks hold what nod says beside the record to the record.
func agreedChecks(d ReceiptDocument, agreed approval.Agreed) []check {
	return []check{
		{"origin", "an approval on nod's page must be of the issuer's origin", func() bool {
			return agreed.Way == approval.OnPage || d.IssuedBy.Origin == d.IssuedBy.Issuer
		}},
		{"user", "the name is not the record's", func() bool {
			return agreed.Context.Username == "" || d.User.Name == "" || d.User.Name == agreed.Context.Username
		}},
		{"decided_at", "it is not between asking and running out", func() bool {
			return d.DecidedAt == "" || inTime(d.DecidedAt, agreed.Asked, agreed.Expires)
		}},
	}
}

func inTime(at, from, until string) bool {
	times := make([]time.Time, 0, 3)
	for _, text := range []string{from, at, until} {
		t, err := time.Parse(receiptTime, text)
		if err != nil {
			return false
		}
		times = append(times, t)
	}
	return slices.IsSortedFunc(times, time.Time.Compare) && times[1].Before(times[2])
}

// SameFingerprint compares what somebody typed with a fingerprint: the prefix may be left
// out.
func SameFingerprint(typed, fingerprint string) bool {
	const prefix = "SHA256:"
	return typed == fingerprint || prefix+typed == fingerprint
}
