package webauthn

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/binary"
	"encoding/json"
	"math/rand"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func TestNew_withFaultsNamesThemAll(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want []string
	}{
		{Config{}, []string{"origin", "service", "name", "invent key"}},
		{Config{Origin: "https://nod.example"}, []string{"rp id: must not be empty"}},
		{Config{Origin: "https://nod.example/", RPID: "nod.example"}, []string{"origin"}},
		{Config{Origin: "https://Nod.example", RPID: "nod.example"}, []string{"origin"}},
		{Config{Origin: "https://nod.example", RPID: "od.example"}, []string{"rp id"}},
		{Config{Origin: "https://nod.example", RPID: "a.nod.example"}, []string{"rp id"}},
	} {
		_, err := New(c.cfg)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("New(%+v): got %v, want a word on %q", c.cfg, err, want)
			}
		}
	}
	for origin, rpID := range map[string]string{
		"http://localhost:8080": "localhost", "https://login.nod.example": "nod.example", "https://nod.example:8443": "nod.example",
	} {
		if err := checkOrigin(origin, rpID); err != nil {
			t.Errorf("%s with %s: got %v, want none", origin, rpID, err)
		}
	}
}

func TestNew_withRPIDThatNoBrowserTakes(t *testing.T) {
	cfg := Config{
		RPName: "nod", Service: &approval.Service{}, Directory: &approval.Directory{},
		Ceremonies: struct{ approval.Ceremonies }{}, Accounts: struct{ Accounts }{}, InventKey: make([]byte, 32),
	}
	for origin, rpID := range map[string]string{"http://192.0.2.1": "192.0.2.1", "https://intranet": "intranet"} {
		cfg.Origin, cfg.RPID = origin, rpID
		if _, err := New(cfg); err != nil {
			continue
		}
		// The library finds out when the first ceremony begins: too late.
		t.Errorf("New with rp id %s: got none, want an error", rpID)
	}
}

func TestCanonicalKey_ofEachAlgorithm(t *testing.T) {
	p256, err := orphanKey()
	if err != nil {
		t.Fatal(err)
	}
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	modulus := make([]byte, 256)
	rand.New(rand.NewSource(1)).Read(modulus)
	modulus[0] |= 0x80
	modulus[255] |= 1
	head := func(kind webauthncose.COSEKeyType, a webauthncose.COSEAlgorithmIdentifier) webauthncose.PublicKeyData {
		return webauthncose.PublicKeyData{KeyType: int64(kind), Algorithm: int64(a)}
	}
	for name, key := range map[string]any{
		"EdDSA": webauthncose.OKPPublicKeyData{
			PublicKeyData: head(webauthncose.OctetKey, webauthncose.AlgEdDSA), Curve: int64(webauthncose.Ed25519), XCoord: public,
		},
		"RS256": webauthncose.RSAPublicKeyData{
			PublicKeyData: head(webauthncose.RSAKey, webauthncose.AlgRS256), Modulus: modulus,
			Exponent: binary.BigEndian.AppendUint32(nil, uint32((&rsa.PublicKey{E: 65537}).E))[1:],
		},
		"ES256": nil,
	} {
		raw := p256
		if key != nil {
			if raw, err = webauthncbor.Marshal(key); err != nil {
				t.Fatal(err)
			}
		}
		got, _, err := canonicalKey(raw)
		if err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%s: got %x (%v), want %x", name, got, err, raw)
		}
	}
	// The same point under a second number for the same mathematics.
	other := bytes.Replace(p256, []byte{0x03, 0x26}, []byte{0x03, 0x28}, 1)
	if _, _, err := canonicalKey(other); err == nil {
		t.Error("ESP256: got none, want an error: it is not offered")
	}
}

func TestDefaultName(t *testing.T) {
	google := uuid.MustParse("ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4")
	for _, c := range []struct {
		k     account.Passkey
		owned []string
		want  string
	}{
		{account.Passkey{}, nil, "Passkey"},
		{account.Passkey{Transports: []string{"internal", "hybrid"}}, nil, "Passkey"},
		{account.Passkey{Transports: []string{"hybrid"}}, nil, "Passkey"},
		{account.Passkey{Transports: []string{"usb"}}, nil, "Security key"},
		{account.Passkey{Transports: []string{"usb", "internal"}}, nil, "Passkey"},
		{account.Passkey{AAGUID: google[:]}, nil, "Google Password Manager"},
		{account.Passkey{AAGUID: make([]byte, 16)}, []string{"Passkey"}, "Passkey 2"},
		{account.Passkey{}, []string{"Passkey", "Passkey 2", "Passkey 4"}, "Passkey 3"},
	} {
		var owned []account.Passkey
		for _, n := range c.owned {
			owned = append(owned, account.Passkey{Name: n})
		}
		if got := defaultName(c.k, owned); got != c.want {
			t.Errorf("name of %v beside %v: got %q, want %q", c.k.Transports, c.owned, got, c.want)
		}
	}
	for id := range makers {
		if _, err := uuid.Parse(id); err != nil {
			t.Errorf("aaguid %s: %v", id, err)
		}
	}
}

func TestOptions_areTheSpecificationsJSON(t *testing.T) {
	got, err := json.Marshal(RequestOptions{Challenge: []byte{0xfb, 0xff}, Timeout: 1, RPID: "x", UserVerification: "required"})
	want := `{"challenge":"-_8","timeout":1,"rpId":"x","userVerification":"required"}`
	if err != nil || string(got) != want {
		t.Errorf("request options: got %s (%v), want %s", got, err, want)
	}
	got, err = json.Marshal(Descriptor{Type: "public-key", ID: []byte{1}})
	if want = `{"type":"public-key","id":"AQ"}`; err != nil || string(got) != want {
		t.Errorf("descriptor: got %s (%v), want %s", got, err, want)
	}
	for _, text := range []string{`"-_8"`, `"-_8="`} {
		var b Bytes
		if err := json.Unmarshal([]byte(text), &b); err != nil || !bytes.Equal(b, []byte{0xfb, 0xff}) {
			t.Errorf("%s: got %x (%v), want fbff", text, b, err)
		}
	}
}

func TestAssertion_asBrowsersWriteIt(t *testing.T) {
	text := `{"id":"AQ","rawId":"AQ","type":"public-key","authenticatorAttachment":"platform","clientExtensionResults":{"credProps":{"rk":true}},
		"response":{"clientDataJSON":"Ag","authenticatorData":"Aw","signature":"BA","userHandle":null}}`
	var got Assertion
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := Assertion{CredentialID: []byte{1}, ClientData: []byte{2}, AuthenticatorData: []byte{3}, Signature: []byte{4}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("assertion (-want +got): %s", d)
	}
	for _, bad := range []string{
		`{}`, `[]`, `"x"`, strings.Replace(text, `"id":"AQ"`, `"id":"Ag"`, 1), strings.Replace(text, "public-key", "password", 1),
		strings.Replace(text, `"Ag"`, `"!"`, 1), strings.Replace(text, `"Ag"`, `7`, 1),
	} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s: got none, want an error", bad)
		}
	}
}

func FuzzAnswers_roundTripOrError(f *testing.F) {
	f.Add([]byte(`{"id":"AQ","rawId":"AQ","type":"public-key","response":{"clientDataJSON":"Ag","signature":"BA","transports":["usb"]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var a, a2 Assertion
		if json.Unmarshal(text, &a) == nil {
			again, err := json.Marshal(a)
			if err == nil {
				err = json.Unmarshal(again, &a2)
			}
			if !cmp.Equal(a, a2, cmpopts.EquateEmpty()) {
				t.Errorf("assertion: got %+v (%v), want %+v", a2, err, a)
			}
		}
		var r, r2 Attestation
		if json.Unmarshal(text, &r) == nil {
			again, err := json.Marshal(r)
			if err == nil {
				err = json.Unmarshal(again, &r2)
			}
			if !cmp.Equal(r, r2, cmpopts.EquateEmpty()) {
				t.Errorf("attestation: got %+v (%v), want %+v", r2, err, r)
			}
		}
	})
}

func FuzzVerifyReceipt_neverPanics(f *testing.F) {
	key, err := orphanKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key, []byte(`{"layout":"nod/approval/1","verdict":"approve"}`), []byte(`{"type":"webauthn.get"}`), []byte("data"), []byte{0x30, 0})
	f.Fuzz(func(t *testing.T, key, record, client, data, signature []byte) {
		r := approval.Receipt{
			PublicKey: key, Random: make([]byte, 32), Record: record, ClientData: client, AuthenticatorData: data, Signature: signature,
		}
		if VerifyReceipt(r, "nod.example", "https://nod.example") == nil {
			t.Error("a forged receipt verifies")
		}
		if judge(keyChecks(r)) == nil {
			t.Error("a forged signature verifies")
		}
	})
}
