package virtual_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/nod-auth/nod/webauthn"
	"github.com/nod-auth/nod/webauthn/virtual"
)

const origin = "https://nod.example"

func creation(user string) webauthn.CreationOptions {
	return webauthn.CreationOptions{
		RP: webauthn.RelyingParty{ID: "nod.example"}, User: webauthn.UserEntity{ID: []byte(user)}, Challenge: []byte("challenge"),
		PubKeyCredParams: []webauthn.Parameter{{Type: "public-key", Algorithm: -7}},
	}
}

func TestAuthenticator_speaksJSON(t *testing.T) {
	a := virtual.New()
	bare, err := json.Marshal(creation("alice"))
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := json.Marshal(map[string]any{"publicKey": creation("bob")})
	if err != nil {
		t.Fatal(err)
	}
	for _, options := range [][]byte{bare, wrapped} {
		text, err := a.CreateJSON(origin, options)
		if err != nil {
			t.Fatal(err)
		}
		var made webauthn.Attestation
		if err := json.Unmarshal(text, &made); err != nil || len(made.AttestationObject) == 0 {
			t.Errorf("registration response %s: %v", text, err)
		}
	}
	text, err := a.GetJSON(origin, []byte(`{"publicKey":{"challenge":"YQ","rpId":"nod.example"}}`))
	if err != nil {
		t.Fatal(err)
	}
	var got webauthn.Assertion
	if err := json.Unmarshal(text, &got); err != nil || string(got.UserHandle) != "bob" {
		t.Errorf("newest passkey: got %q (%v), want bob's", got.UserHandle, err)
	}
	for _, bad := range []string{``, `[]`, `{"publicKey":7}`, `{"challenge":7}`} {
		if _, err := a.GetJSON(origin, []byte(bad)); err == nil {
			t.Errorf("request options %q: got none, want an error", bad)
		}
		if _, err := a.CreateJSON(origin, []byte(bad)); err == nil {
			t.Errorf("creation options %q: got none, want an error", bad)
		}
	}
}

func TestAuthenticator_refusesAsDevicesDo(t *testing.T) {
	a := virtual.New()
	if _, err := a.Get(origin, webauthn.RequestOptions{RPID: "nod.example"}); !errors.Is(err, virtual.ErrNone) {
		t.Errorf("no passkey: got %v, want %v", err, virtual.ErrNone)
	}
	o := creation("alice")
	o.PubKeyCredParams[0].Algorithm = -257
	if _, err := a.Create(origin, o); !errors.Is(err, virtual.ErrKeyType) {
		t.Errorf("RSA: got %v, want %v", err, virtual.ErrKeyType)
	}
	made, err := a.Create(origin, creation("alice"))
	if err != nil {
		t.Fatal(err)
	}
	o = creation("alice")
	o.ExcludeCredentials = []webauthn.Descriptor{{Type: "public-key", ID: made.CredentialID}}
	if _, err := a.Create(origin, o); !errors.Is(err, virtual.ErrExcluded) {
		t.Errorf("excluded: got %v, want %v", err, virtual.ErrExcluded)
	}
	other := webauthn.RequestOptions{RPID: "evil.example", AllowCredentials: o.ExcludeCredentials}
	if _, err := a.Get(origin, other); !errors.Is(err, virtual.ErrNone) {
		t.Errorf("another relying party: got %v, want %v", err, virtual.ErrNone)
	}
	if _, err := a.Create(origin, creation("alice")); err != nil || len(a.Credentials()) != 1 {
		t.Errorf("same user again: got %d passkeys (%v), want the one replaced", len(a.Credentials()), err)
	}
}
