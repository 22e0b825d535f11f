// Package virtual is a passkey authenticator in software, with the browser
// around it: it answers WebAuthn options as a page at some origin would. It is
// for tests and for the demonstration's phone; its keys live in memory and are
// protected by nothing.
//
// Credentials are discoverable, ES256, with attestation "none". An
// Authenticator is not safe for concurrent use.
package virtual

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nod-auth/nod/webauthn"
)

// Authenticator is a device that holds passkeys. The zero value verifies its
// user, keeps its signature counters at zero as passkeys that are backed up do,
// and is not backed up.
type Authenticator struct {
	Unverified bool     // answers without user verification, where a real one would ask or refuse
	Counting   bool     // counts signatures, as security keys do
	BackedUp   bool     // new credentials are eligible for backup, and backed up
	Transports []string // what it says of new credentials; nil: internal and hybrid
	AAGUID     [16]byte // what model it says it is

	// Page changes what the page says about where an answer is made; nil: a page
	// of its own.
	Page func(*ClientData)

	credentials []*Credential
}

// Credential is one passkey.
type Credential struct {
	ID      []byte
	RPID    string
	User    []byte // the user handle
	Counter uint32 // of signatures made, where the authenticator counts

	key      *ecdsa.PrivateKey
	backedUp bool
}

// ClientData is what the page's side puts under the signature (WebAuthn L3
// section 5.8.1).
type ClientData struct {
	Type        string         `json:"type"`
	Challenge   webauthn.Bytes `json:"challenge"`
	Origin      string         `json:"origin"`
	CrossOrigin bool           `json:"crossOrigin"`
	TopOrigin   string         `json:"topOrigin,omitempty"`
}

// New makes an authenticator without passkeys.
func New() *Authenticator { return &Authenticator{} }

// Errors of an authenticator that has no answer to give.
var (
	ErrExcluded = errors.New("authenticator holds an excluded credential")
	ErrNone     = errors.New("authenticator holds no such credential")
	ErrKeyType  = errors.New("authenticator makes ES256 keys only")
)

// Credentials lists the passkeys, oldest first. Changing one changes what the
// authenticator does next.
func (a *Authenticator) Credentials() []*Credential { return slices.Clone(a.credentials) }

// Create answers creation options as a page at origin would. A passkey that the
// same user has at the same relying party is replaced, as devices do.
func (a *Authenticator) Create(origin string, o webauthn.CreationOptions) (webauthn.Attestation, error) {
	if !slices.ContainsFunc(o.PubKeyCredParams, func(p webauthn.Parameter) bool { return p.Algorithm == es256 }) {
		return webauthn.Attestation{}, ErrKeyType
	}
	for _, d := range o.ExcludeCredentials {
		if a.find(o.RP.ID, d.ID) != nil {
			return webauthn.Attestation{}, ErrExcluded
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return webauthn.Attestation{}, fmt.Errorf("create passkey: %w", err)
	}
	c := &Credential{ID: randomID(), RPID: o.RP.ID, User: o.User.ID, key: key, backedUp: a.BackedUp}
	public, err := c.cose()
	if err != nil {
		return webauthn.Attestation{}, fmt.Errorf("create passkey: %w", err)
	}
	a.credentials = append(slices.DeleteFunc(a.credentials, func(old *Credential) bool {
		return old.RPID == c.RPID && bytes.Equal(old.User, c.User)
	}), c)
	return webauthn.Attestation{
		Challenge:         o.Challenge,
		CredentialID:      slices.Clone(c.ID),
		ClientData:        a.clientData("webauthn.create", origin, o.Challenge),
		AttestationObject: attestationNone(a.authenticatorData(c, attested(a.AAGUID, c.ID, public))),
		Transports:        a.transports(),
	}, nil
}

// Get answers request options as a page at origin would: with the first allowed
// passkey, or the newest where any will do.
func (a *Authenticator) Get(origin string, o webauthn.RequestOptions) (webauthn.Assertion, error) {
	c := a.choose(o)
	if c == nil {
		return webauthn.Assertion{}, ErrNone
	}
	if a.Counting {
		c.Counter++
	}
	data := a.authenticatorData(c, nil)
	client := a.clientData("webauthn.get", origin, o.Challenge)
	signature, err := c.sign(data, client)
	if err != nil {
		return webauthn.Assertion{}, fmt.Errorf("sign with passkey: %w", err)
	}
	return webauthn.Assertion{
		Challenge: o.Challenge, CredentialID: slices.Clone(c.ID), UserHandle: slices.Clone(c.User),
		ClientData: client, AuthenticatorData: data, Signature: signature,
	}, nil
}

// CreateJSON is Create between the JSON forms of WebAuthn L3 section 5.1; the
// options may stand inside {"publicKey": …}, as web pages pass them around.
func (a *Authenticator) CreateJSON(origin string, options []byte) ([]byte, error) {
	var o webauthn.CreationOptions
	if err := decode(options, &o); err != nil {
		return nil, fmt.Errorf("creation options: %w", err)
	}
	answer, err := a.Create(origin, o)
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

// GetJSON is Get between the JSON forms; see CreateJSON.
func (a *Authenticator) GetJSON(origin string, options []byte) ([]byte, error) {
	var o webauthn.RequestOptions
	if err := decode(options, &o); err != nil {
		return nil, fmt.Errorf("request options: %w", err)
	}
	answer, err := a.Get(origin, o)
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

func decode(options []byte, into any) error {
	var wrapped struct {
		PublicKey json.RawMessage `json:"publicKey"`
	}
	if err := json.Unmarshal(options, &wrapped); err != nil {
		return err
	}
	if wrapped.PublicKey != nil {
		options = wrapped.PublicKey
	}
	return json.Unmarshal(options, into)
}

func (a *Authenticator) find(rpID string, id []byte) *Credential {
	for _, c := range a.credentials {
		if c.RPID == rpID && bytes.Equal(c.ID, id) {
			return c
		}
	}
	return nil
}

func (a *Authenticator) choose(o webauthn.RequestOptions) *Credential {
	for _, d := range o.AllowCredentials {
		if c := a.find(o.RPID, d.ID); c != nil {
			return c
		}
	}
	if len(o.AllowCredentials) == 0 {
		for _, c := range slices.Backward(a.credentials) {
			if c.RPID == o.RPID {
				return c
			}
		}
	}
	return nil
}

func (a *Authenticator) transports() []string {
	if a.Transports == nil {
		return []string{"internal", "hybrid"}
	}
	return a.Transports
}

func (a *Authenticator) clientData(kind, origin string, challenge []byte) []byte {
	d := ClientData{Type: kind, Challenge: challenge, Origin: origin}
	if a.Page != nil {
		a.Page(&d)
	}
	text, _ := json.Marshal(d) // plain values: cannot fail
	return text
}

func (c *Credential) sign(authenticatorData, clientData []byte) ([]byte, error) {
	hash := sha256.Sum256(clientData)
	digest := sha256.Sum256(slices.Concat(authenticatorData, hash[:]))
	return c.key.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// randomID never ends in a zero byte, which a client of the native contract
// would lose: a test must not depend on one id in 128.
func randomID() []byte {
	id := make([]byte, 32)
	rand.Read(id)
	id[30] |= 1
	id[31] |= 1
	return id
}
