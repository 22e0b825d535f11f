package webauthn

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Bytes is binary data that is base64url without padding in JSON, as everywhere
// in WebAuthn's JSON forms. It reads padded text too.
type Bytes []byte

// MarshalText writes base64url without padding.
func (b Bytes) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText reads base64url with or without padding.
func (b *Bytes) UnmarshalText(text []byte) error {
	raw, err := base64.RawURLEncoding.DecodeString(string(bytes.TrimRight(text, "=")))
	if err != nil {
		return fmt.Errorf("base64url: %w", err)
	}
	*b = raw
	return nil
}

// RequestOptions is the PublicKeyCredentialRequestOptionsJSON of WebAuthn L3
// section 5.1: what a page asks an authenticator to sign. Lists that are empty
// are left out, because some clients hand a null on to the browser.
type RequestOptions struct {
	Challenge        Bytes        `json:"challenge"`
	Timeout          int64        `json:"timeout"` // milliseconds
	RPID             string       `json:"rpId"`
	AllowCredentials []Descriptor `json:"allowCredentials,omitempty"`
	UserVerification string       `json:"userVerification"`
}

// CreationOptions is the PublicKeyCredentialCreationOptionsJSON of WebAuthn L3
// section 5.1: what a page asks an authenticator to create.
type CreationOptions struct {
	RP                     RelyingParty `json:"rp"`
	User                   UserEntity   `json:"user"`
	Challenge              Bytes        `json:"challenge"`
	PubKeyCredParams       []Parameter  `json:"pubKeyCredParams"`
	Timeout                int64        `json:"timeout"` // milliseconds
	ExcludeCredentials     []Descriptor `json:"excludeCredentials,omitempty"`
	AuthenticatorSelection Selection    `json:"authenticatorSelection"`
	Attestation            string       `json:"attestation"`

	// PasskeyID is the UUID that the passkey will have: the native contract
	// names it credential_uuid, before there is a credential.
	PasskeyID string `json:"-"`
}

// Descriptor names one credential.
type Descriptor struct {
	Type       string   `json:"type"`
	ID         Bytes    `json:"id"`
	Transports []string `json:"transports,omitempty"`
}

// RelyingParty is nod, as the authenticator shows and stores it.
type RelyingParty struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// UserEntity is whom a credential is made for. ID is the user handle.
type UserEntity struct {
	ID          Bytes  `json:"id"`
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
}

// Parameter is one acceptable kind of key; Algorithm is a COSE number.
type Parameter struct {
	Type      string `json:"type"`
	Algorithm int64  `json:"alg"`
}

// Selection is what the authenticator must be able to do.
type Selection struct {
	Attachment         string `json:"authenticatorAttachment,omitempty"`
	ResidentKey        string `json:"residentKey"`
	RequireResidentKey bool   `json:"requireResidentKey"`
	UserVerification   string `json:"userVerification"`
}

// Assertion is an authenticator's answer to RequestOptions. Its JSON is the
// AuthenticationResponseJSON of WebAuthn L3 section 5.1; the native face fills
// it from its own members.
type Assertion struct {
	Challenge         []byte // of the options; empty: what ClientData says
	CredentialID      []byte
	ClientData        []byte // the JSON text that was signed
	AuthenticatorData []byte
	Signature         []byte
	UserHandle        []byte // empty: not given
}

// Attestation is an authenticator's answer to CreationOptions. Its JSON is the
// RegistrationResponseJSON of WebAuthn L3 section 5.1.
type Attestation struct {
	Challenge         []byte // of the options; empty: what ClientData says
	CredentialID      []byte
	ClientData        []byte // the JSON text that was signed
	AttestationObject []byte
	Transports        []string
}

// assertionJSON and attestationJSON are the forms of WebAuthn L3 section 5.1.
type (
	assertionJSON struct {
		ID       Bytes  `json:"id"`
		RawID    Bytes  `json:"rawId"`
		Type     string `json:"type"`
		Response struct {
			ClientData        Bytes `json:"clientDataJSON"`
			AuthenticatorData Bytes `json:"authenticatorData"`
			Signature         Bytes `json:"signature"`
			UserHandle        Bytes `json:"userHandle,omitempty"`
		} `json:"response"`
		Extensions json.RawMessage `json:"clientExtensionResults"`
	}
	attestationJSON struct {
		ID       Bytes  `json:"id"`
		RawID    Bytes  `json:"rawId"`
		Type     string `json:"type"`
		Response struct {
			ClientData        Bytes    `json:"clientDataJSON"`
			AttestationObject Bytes    `json:"attestationObject"`
			Transports        []string `json:"transports,omitempty"`
		} `json:"response"`
		Extensions json.RawMessage `json:"clientExtensionResults"`
	}
)

// MarshalJSON writes an AuthenticationResponseJSON.
func (a Assertion) MarshalJSON() ([]byte, error) {
	j := assertionJSON{ID: a.CredentialID, RawID: a.CredentialID, Type: typePublicKey, Extensions: json.RawMessage(`{}`)}
	j.Response.ClientData = a.ClientData
	j.Response.AuthenticatorData = a.AuthenticatorData
	j.Response.Signature = a.Signature
	j.Response.UserHandle = a.UserHandle
	return json.Marshal(j)
}

// UnmarshalJSON reads an AuthenticationResponseJSON. Members that nod has no use
// for are ignored, whatever they are.
func (a *Assertion) UnmarshalJSON(data []byte) error {
	var j assertionJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return fmt.Errorf("authentication response: %w", err)
	}
	*a = Assertion{
		CredentialID:      j.RawID,
		ClientData:        j.Response.ClientData,
		AuthenticatorData: j.Response.AuthenticatorData,
		Signature:         j.Response.Signature,
		UserHandle:        j.Response.UserHandle,
	}
	return credentialNamed("authentication response", j.Type, j.ID, j.RawID)
}

// MarshalJSON writes a RegistrationResponseJSON.
func (a Attestation) MarshalJSON() ([]byte, error) {
	j := attestationJSON{ID: a.CredentialID, RawID: a.CredentialID, Type: typePublicKey, Extensions: json.RawMessage(`{}`)}
	j.Response.ClientData = a.ClientData
	j.Response.AttestationObject = a.AttestationObject
	j.Response.Transports = a.Transports
	return json.Marshal(j)
}

// UnmarshalJSON reads a RegistrationResponseJSON; see Assertion.UnmarshalJSON.
func (a *Attestation) UnmarshalJSON(data []byte) error {
	var j attestationJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return fmt.Errorf("registration response: %w", err)
	}
	*a = Attestation{
		CredentialID:      j.RawID,
		ClientData:        j.Response.ClientData,
		AttestationObject: j.Response.AttestationObject,
		Transports:        j.Response.Transports,
	}
	return credentialNamed("registration response", j.Type, j.ID, j.RawID)
}

// credentialNamed holds the three members that say which credential answers to
// what the specification says of them.
func credentialNamed(what, kind string, id, rawID []byte) error {
	switch {
	case kind != typePublicKey:
		return fmt.Errorf("%s: type is not %q", what, typePublicKey)
	case len(rawID) == 0 || !bytes.Equal(id, rawID):
		return fmt.Errorf("%s: id and rawId do not name one credential", what)
	}
	return nil
}
