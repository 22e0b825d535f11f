package webauthn

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// signingKey is a passkey of one algorithm: its COSE_Key, and how it signs.
type signingKey struct {
	cose []byte
	sign func(t *testing.T, text []byte) []byte
}

func cose(t *testing.T, key any) []byte {
	t.Helper()
	out, err := webauthncbor.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func publicKeyData(kind webauthncose.COSEKeyType, alg webauthncose.COSEAlgorithmIdentifier) webauthncose.PublicKeyData {
	return webauthncose.PublicKeyData{KeyType: int64(kind), Algorithm: int64(alg)}
}

// signingKeys has one of every algorithm that nod takes.
func signingKeys(t *testing.T) map[string]signingKey {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := ec.PublicKey.Bytes() // 0x04, X, Y
	if err != nil {
		t.Fatal(err)
	}
	edPublic, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	hashed := func(key crypto.Signer) func(*testing.T, []byte) []byte {
		return func(t *testing.T, text []byte) []byte {
			t.Helper()
			h := sha256.Sum256(text)
			out, err := key.Sign(rand.Reader, h[:], crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
	}
	return map[string]signingKey{
		"ES256": {cose(t, webauthncose.EC2PublicKeyData{
			PublicKeyData: publicKeyData(webauthncose.EllipticKey, webauthncose.AlgES256), Curve: int64(webauthncose.P256), XCoord: point[1:33], YCoord: point[33:],
		}), hashed(ec)},
		"EdDSA": {cose(t, webauthncose.OKPPublicKeyData{
			PublicKeyData: publicKeyData(webauthncose.OctetKey, webauthncose.AlgEdDSA), Curve: int64(webauthncose.Ed25519), XCoord: edPublic,
		}), func(_ *testing.T, text []byte) []byte { return ed25519.Sign(ed, text) }},
		"RS256": {cose(t, webauthncose.RSAPublicKeyData{
			PublicKeyData: publicKeyData(webauthncose.RSAKey, webauthncose.AlgRS256), Modulus: rs.N.Bytes(), Exponent: big.NewInt(int64(rs.E)).Bytes(),
		}), hashed(rs)},
	}
}

var asked = time.Date(2026, 11, 22, 10, 0, 0, 123_456_000, time.UTC)

// agreedRequest is a transaction with everything that a text can do to JSON.
func agreedRequest() approval.Request {
	return approval.Request{
		ID: "5f0c6a3e-6f4d-4a53-8d5f-0d8f5f2f7a11", Face: "native", NamespaceID: "0123456789abcdef", ClientID: "client", Purpose: approval.Transaction,
		Context: approval.Context{
			App: "Acme <TV> & Söhne", Username: "zoë", Address: "203.0.113.7", Payload: "Pay \"20\" <b>€</b>\n\tto Bob ✓", PayloadType: "text",
			Nonce: "n", ServerNonce: "s",
		},
		Match: account.MatchType, CreatedAt: asked, Expires: asked.Add(10 * time.Minute),
	}
}

// signedReceipt is a receipt as a verdict leaves it, signed by hand on a page.
func signedReceipt(t *testing.T, r approval.Request, way approval.Way, origin string, key signingKey, change ...func(*approval.Receipt)) approval.Receipt {
	t.Helper()
	kept := approval.Receipt{
		RequestID: r.ID, UserID: "user", PasskeyID: "passkey", PublicKey: key.cose, Random: bytes.Repeat([]byte{7}, 32),
		Record: approval.Record(r, "user", way, approval.Approve), Username: "zoë", PasskeyName: "Phone", CredentialID: []byte("credential"),
		At: asked.Add(time.Minute),
	}
	hash := sha256.Sum256([]byte("nod.example"))
	kept.AuthenticatorData = append(hash[:], 0x05, 0, 0, 0, 9)
	for _, f := range change {
		f(&kept)
	}
	if kept.ClientData == nil {
		challenge := base64.RawURLEncoding.EncodeToString(ReceiptChallenge(kept))
		kept.ClientData = []byte(`{"type":"webauthn.get","challenge":"` + challenge + `","origin":"` + origin + `","crossOrigin":false}`)
	}
	digest := sha256.Sum256(kept.ClientData)
	kept.Signature = key.sign(t, slices.Concat(kept.AuthenticatorData, digest[:]))
	return kept
}

func documentOf(t *testing.T, r approval.Receipt) []byte {
	t.Helper()
	c := &Ceremonies{cfg: Config{RPID: "nod.example", Origin: "https://nod.example"}}
	text, err := c.Document(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDocument_ofEveryAlgorithm_verifies(t *testing.T) {
	for name, key := range signingKeys(t) {
		text := documentOf(t, signedReceipt(t, agreedRequest(), approval.Scanned, "https://nod.example", key))
		got, err := VerifyDocument(text)
		if err != nil {
			t.Errorf("%s: got %v of %s", name, err, text)
			continue
		}
		if got.Algorithm != name || got.Fingerprint != Fingerprint(key.cose) || got.Context.Payload != agreedRequest().Context.Payload {
			t.Errorf("%s: got %s %s over %q", name, got.Algorithm, got.Fingerprint, got.Context.Payload)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, text); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyDocument(compact.Bytes()); err != nil {
			t.Errorf("%s without white space: got %v", name, err)
		}
	}
}

// TestDocument_withAnyByteChanged_fails: every byte of the text, by itself.
func TestDocument_withAnyByteChanged_fails(t *testing.T) {
	for name, key := range signingKeys(t) {
		text := documentOf(t, signedReceipt(t, agreedRequest(), approval.Scanned, "https://nod.example", key))
		for at := range text[:len(text)-1] { // the last is the line end
			for _, flip := range []byte{0x01, 0x02, 0x20, 0x80} {
				changed := bytes.Clone(text)
				changed[at] ^= flip
				if isSpace(text[at]) && isSpace(changed[at]) {
					continue // another white space is no other document
				}
				if _, err := VerifyDocument(changed); !errors.Is(err, approval.ErrMismatch) {
					t.Fatalf("%s: byte %d of %q changed to %q: got %v, want %v", name, at, text[max(0, at-20):at+1], changed[at], err, approval.ErrMismatch)
				}
			}
		}
	}
}

func isSpace(b byte) bool { return bytes.IndexByte([]byte(" \t\r\n"), b) >= 0 }

// TestDocument_withAnyCharacterOfBase64Changed_fails, also where the digest was made
// to fit: what is signed needs no checksum.
func TestDocument_withAnyCharacterOfBase64Changed_fails(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	key := signingKeys(t)["ES256"]
	text := documentOf(t, signedReceipt(t, agreedRequest(), approval.Scanned, "https://nod.example", key))
	var whole map[string]any
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{"record", "random", "authenticator_data", "client_data", "signature", "public_key"} {
		holder := whole
		if member == "public_key" {
			holder = whole["passkey"].(map[string]any)
		}
		was := holder[member].(string)
		for at := range was {
			to := alphabet[(strings.IndexByte(alphabet, was[at])+1)%len(alphabet)]
			is := was[:at] + string(to) + was[at+1:]
			changed := bytes.Replace(text, []byte(`"`+was+`"`), []byte(`"`+is+`"`), 1)
			if _, err := VerifyDocument(changed); !errors.Is(err, approval.ErrMismatch) {
				t.Fatalf("%s, character %d: got %v, want %v", member, at, err, approval.ErrMismatch)
			}
			fitted := redigested(t, changed)
			if bytes.Equal(fitted, redigested(t, text)) {
				continue // bits that no reader of base64 looks at: the spelling alone was wrong
			}
			if _, err := VerifyDocument(fitted); !errors.Is(err, approval.ErrMismatch) {
				t.Fatalf("%s, character %d, with a digest that fits: got %v, want %v", member, at, err, approval.ErrMismatch)
			}
		}
	}
}

// redigested is a document that somebody changed on purpose: its digest fits again, and
// what is written for reading too.
func redigested(t *testing.T, text []byte) []byte {
	t.Helper()
	var d ReceiptDocument
	if json.Unmarshal(text, &d) != nil {
		return text
	}
	if json.Valid(d.Record) {
		d.RecordDecoded = json.RawMessage(d.Record)
	}
	digest, err := d.digest()
	if err != nil {
		return text
	}
	d.Digest = digest
	out, err := d.compact()
	if err != nil {
		return text
	}
	return out
}

// changedDocument is a good document that somebody changed on purpose.
func changedDocument(t *testing.T, text []byte, change func(*ReceiptDocument)) []byte {
	t.Helper()
	var d ReceiptDocument
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	change(&d)
	out, err := d.compact()
	if err != nil {
		t.Fatal(err)
	}
	return redigested(t, out)
}

func TestDocument_thatDoesNotFitItself_says(t *testing.T) {
	key := signingKeys(t)["ES256"]
	const own = "https://nod.example"
	good := documentOf(t, signedReceipt(t, agreedRequest(), approval.Scanned, own, key))
	changed := func(f func(*ReceiptDocument)) []byte { return changedDocument(t, good, f) }
	signed := func(f func(*approval.Receipt)) []byte {
		return documentOf(t, signedReceipt(t, agreedRequest(), approval.Scanned, own, key, f))
	}
	other := agreedRequest()
	other.ID = "00000000-0000-4000-8000-000000000000"
	for name, c := range map[string]struct {
		text []byte
		part string
	}{
		"request of another receipt":  {changed(func(d *ReceiptDocument) { d.RequestID = other.ID }), "record"},
		"another user":                {changed(func(d *ReceiptDocument) { d.User.ID = "mallory" }), "record"},
		"another name":                {changed(func(d *ReceiptDocument) { d.User.Name = "mallory" }), "user"},
		"another rp id":               {changed(func(d *ReceiptDocument) { d.IssuedBy.RPID = "evil.example" }), "authenticator data"},
		"another origin":              {changed(func(d *ReceiptDocument) { d.IssuedBy.Origin = "https://evil.example" }), "client data"},
		"another issuer":              {changed(func(d *ReceiptDocument) { d.IssuedBy.Issuer = "https://evil.example" }), "origin"},
		"decided before it was asked": {changed(func(d *ReceiptDocument) { d.DecidedAt = "2026-11-22T10:00:00.000000Z" }), "decided_at"},
		"decided when it was over":    {changed(func(d *ReceiptDocument) { d.DecidedAt = "2026-11-22T10:10:00.123456Z" }), "decided_at"},
		"decided at no time":          {changed(func(d *ReceiptDocument) { d.DecidedAt = "noon" }), "decided_at"},
		"another layout":              {changed(func(d *ReceiptDocument) { d.Layout = "nod/receipt/2" }), "layout"},
		"record of another request": {changed(func(d *ReceiptDocument) {
			d.Record = approval.Record(other, "user", approval.Scanned, approval.Approve)
		}), "record"},
		"record and request of another": {changed(func(d *ReceiptDocument) {
			d.RequestID, d.Record = other.ID, approval.Record(other, "user", approval.Scanned, approval.Approve)
		}), "client data"},
		"a no": {signed(func(r *approval.Receipt) {
			r.Record = approval.Record(agreedRequest(), "user", approval.Scanned, approval.Decline)
		}), "record"},
		"record of no layout": {signed(func(r *approval.Receipt) { r.Record = []byte(`{"layout":"nod/approval/2"}`) }), "record"},
		"short random":        {signed(func(r *approval.Receipt) { r.Random = r.Random[:31] }), "random"},
		"a registration": {signed(func(r *approval.Receipt) {
			challenge := base64.RawURLEncoding.EncodeToString(ReceiptChallenge(*r))
			r.ClientData = []byte(`{"type":"webauthn.create","challenge":"` + challenge + `","origin":"` + own + `"}`)
		}), "client data"},
		"in a frame of another site": {signed(func(r *approval.Receipt) {
			challenge := base64.RawURLEncoding.EncodeToString(ReceiptChallenge(*r))
			r.ClientData = []byte(`{"type":"webauthn.get","challenge":"` + challenge + `","origin":"` + own + `","crossOrigin":true}`)
		}), "client data"},
		"nobody was present":       {signed(func(r *approval.Receipt) { r.AuthenticatorData[32] = 0x04 }), "authenticator data"},
		"nobody was verified":      {signed(func(r *approval.Receipt) { r.AuthenticatorData[32] = 0x01 }), "authenticator data"},
		"short authenticator":      {signed(func(r *approval.Receipt) { r.AuthenticatorData = r.AuthenticatorData[:36] }), "authenticator data"},
		"no key":                   {changed(func(d *ReceiptDocument) { d.Passkey.PublicKey = Bytes("key") }), "public key"},
		"two documents":            {append(bytes.Clone(good), good...), "document"},
		"nothing":                  {nil, "document"},
		"a list":                   {[]byte("[]"), "document"},
		"null":                     {[]byte("null"), "layout"},
		"a member more":            {bytes.Replace(good, []byte(`"layout"`), []byte(`"note": "paid", "layout"`), 1), "document"},
		"a member twice":           {bytes.Replace(good, []byte(`"random"`), []byte(`"random": "", "random"`), 1), "document"},
		"a member in another case": {bytes.Replace(good, []byte(`"random"`), []byte(`"Random"`), 1), "document"},
		"padding":                  {bytes.Replace(good, []byte(`"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"`), []byte(`"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="`), 1), "document"},
		"another text for reading": {bytes.Replace(good, []byte(`\"20\"`), []byte(`\"99\"`), 1), "record_decoded"},
		"another passkey's name":   {bytes.Replace(good, []byte(`"Phone"`), []byte(`"Phony"`), 1), "digest"},
	} {
		got, err := VerifyDocument(c.text)
		wrong, ok := errors.AsType[*ReceiptError](err)
		if !ok || wrong.Part != c.part || !errors.Is(err, approval.ErrMismatch) {
			t.Errorf("%s: got %+v, %v; want an error about the %s", name, got.Document, err, c.part)
		}
	}
	if _, err := VerifyDocument(changed(func(*ReceiptDocument) {})); err != nil {
		t.Errorf("changed in nothing: got %v", err)
	}
}

// TestDocument_signedOnAnotherOrigin_saysSo: what nod's own page is said to have shown
// was signed on it.
func TestDocument_signedOnAnotherOrigin_saysSo(t *testing.T) {
	key := signingKeys(t)["EdDSA"]
	for way, good := range map[approval.Way]bool{approval.OnPage: true, approval.Scanned: false, approval.Pushed: false, approval.Listed: false, approval.Typed: false} {
		_, err := VerifyDocument(documentOf(t, signedReceipt(t, agreedRequest(), way, "https://shop.example", key)))
		if (err == nil) != good {
			t.Errorf("%s: got %v, want it good: %t", way, err, good)
		}
	}
}

func TestDocument_ofAReceiptWithoutNames_verifies(t *testing.T) {
	bare := func(r *approval.Receipt) { r.Username, r.PasskeyName, r.CredentialID, r.At = "", "", nil, time.Time{} }
	text := documentOf(t, signedReceipt(t, agreedRequest(), approval.Scanned, "https://nod.example", signingKeys(t)["ES256"], bare))
	got, err := VerifyDocument(text)
	if err != nil || got.Document.DecidedAt != "" || bytes.Contains(text, []byte("credential_id")) {
		t.Errorf("a receipt of an older version: got %v of %s", err, text)
	}
}

// TestDocument_isWhatTheDocumentationSays: a stranger's check, with the standard
// library alone.
func TestDocument_isWhatTheDocumentationSays(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := signingKey{cose(t, webauthncose.OKPPublicKeyData{
		PublicKeyData: publicKeyData(webauthncose.OctetKey, webauthncose.AlgEdDSA), Curve: int64(webauthncose.Ed25519), XCoord: public,
	}), func(_ *testing.T, text []byte) []byte { return ed25519.Sign(private, text) }}
	var d map[string]any
	if err := json.Unmarshal(documentOf(t, signedReceipt(t, agreedRequest(), approval.Scanned, "https://nod.example", key)), &d); err != nil {
		t.Fatal(err)
	}
	raw := func(member string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(d[member].(string))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	challenge := sha256.Sum256(slices.Concat([]byte("nod/approval-challenge/1"), raw("random"), raw("record")))
	var client map[string]any
	if err := json.Unmarshal(raw("client_data"), &client); err != nil {
		t.Fatal(err)
	}
	if got, want := client["challenge"], base64.RawURLEncoding.EncodeToString(challenge[:]); got != want {
		t.Errorf("challenge: got %v, want %s", got, want)
	}
	hash := sha256.Sum256(raw("client_data"))
	if !ed25519.Verify(public, slices.Concat(raw("authenticator_data"), hash[:]), raw("signature")) {
		t.Error("the signature is not over authenticator data and the hash of the client data")
	}
	rp := sha256.Sum256([]byte("nod.example"))
	if !bytes.HasPrefix(raw("authenticator_data"), rp[:]) {
		t.Error("the authenticator data does not begin with the hash of the rp id")
	}
	members := slices.Sorted(maps.Keys(d))
	want := []string{"authenticator_data", "client_data", "decided_at", "digest", "issued_by", "layout", "passkey", "random", "record", "record_decoded", "request_id", "signature", "user"}
	if !slices.Equal(members, want) {
		t.Errorf("members: got %v, want %v", members, want)
	}
}

func FuzzVerifyDocument_neverPanics(f *testing.F) {
	f.Add([]byte(`{"layout":"nod/receipt/1","record":"","record_decoded":{},"passkey":{"public_key":""}}`))
	f.Add([]byte(`{"layout":"nod/receipt/1"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, err := VerifyDocument(text); err == nil && got.Verdict != approval.Approve {
			t.Errorf("verified without a yes: %s", text)
		}
	})
}
