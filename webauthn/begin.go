package webauthn

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/go-webauthn/webauthn/protocol"
	library "github.com/go-webauthn/webauthn/webauthn"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const typePublicKey = string(protocol.PublicKeyCredentialType)

// subject is what a ceremony is about besides what approval.Ceremony names; the
// members that its purpose does not use are empty.
type subject struct {
	Username   string            `json:"username,omitempty"`   // as the caller of the native face wrote it
	Invitation []byte            `json:"invitation,omitempty"` // enrol: its hash
	PasskeyID  string            `json:"passkey_id,omitempty"` // enrol, register, add, add_here: of the passkey to be made
	VouchedBy  string            `json:"vouched_by,omitempty"` // enrol, add, add_here: of the passkey that must still be active
	NewUser    *account.User     `json:"new_user,omitempty"`   // register: to be stored with the passkey
	Kind       approval.CodeKind `json:"kind,omitempty"`       // self_generate
	Purpose    approval.Purpose  `json:"purpose,omitempty"`    // self_generate
}

// ceremony is one that is being begun or answered.
type ceremony struct {
	approval.Ceremony
	subject subject
}

// spend is the effect that uses the ceremony up.
func (c ceremony) spend() approval.Effect {
	return approval.Spend{Box: approval.BoxCeremony, Key: c.ID, Until: c.Expires}
}

// ceremonyID finds a ceremony by its challenge without keeping a table of
// challenges that could be answered.
func ceremonyID(challenge []byte) string {
	h := sha256.Sum256(challenge)
	return base64.RawURLEncoding.EncodeToString(h[:])
}

// draw makes the ceremony's challenge of 32 fresh random bytes: those bytes
// themselves, or where a record is signed their hash with that, and then they are
// kept. One that ends in zeros is drawn again.
func (c *ceremony) draw() []byte {
	for {
		random := make([]byte, sha256.Size)
		rand.Read(random) // never fails, Go 1.24 and later
		challenge := random
		if c.Record != nil {
			c.Random, challenge = random, approvalChallenge(random, c.Record)
		}
		if !zeroTail(challenge) {
			return challenge
		}
	}
}

// zeroTail says whether the native contract's browser SDK cannot read b: it
// loses zero bytes among the last two of what it decodes, which hits one random
// text in 128.
func zeroTail(b []byte) bool {
	return bytes.IndexByte(b[max(0, len(b)-2):], 0) >= 0
}

// ask begins a ceremony that an existing passkey answers: one of p's, or any
// discoverable one when p has none.
func (c *Ceremonies) ask(ctx context.Context, cer ceremony, p person) (RequestOptions, error) {
	lib, err := c.library(cer.Origins)
	if err != nil {
		return RequestOptions{}, err
	}
	challenge := cer.draw()
	var options *protocol.CredentialAssertion
	var session *library.SessionData
	if len(p.passkeys) == 0 {
		options, session, err = lib.BeginDiscoverableLogin(library.WithChallenge(challenge))
	} else {
		options, session, err = lib.BeginLogin(p, library.WithChallenge(challenge))
	}
	if err != nil {
		return RequestOptions{}, err
	}
	if err := c.remember(ctx, cer, challenge, session); err != nil {
		return RequestOptions{}, err
	}
	return RequestOptions{
		Challenge:        challenge,
		Timeout:          Life.Milliseconds(),
		RPID:             c.cfg.RPID,
		AllowCredentials: descriptors(p.passkeys),
		UserVerification: string(options.Response.UserVerification),
	}, nil
}

// create begins a ceremony that makes a passkey for p, on an authenticator that
// has none of p's already.
func (c *Ceremonies) create(ctx context.Context, cer ceremony, p person, roaming bool) (CreationOptions, error) {
	lib, err := c.library(cer.Origins)
	if err != nil {
		return CreationOptions{}, err
	}
	challenge := cer.draw()
	created, session, err := lib.BeginRegistration(p, library.WithCredentialParameters(parameters()),
		func(o *protocol.PublicKeyCredentialCreationOptions) error {
			o.Challenge = challenge
			return nil
		})
	if err != nil {
		return CreationOptions{}, err
	}
	cer.subject.PasskeyID = uuid.NewString()
	if err := c.remember(ctx, cer, challenge, session); err != nil {
		return CreationOptions{}, err
	}
	o := CreationOptions{
		RP:                 RelyingParty{ID: c.cfg.RPID, Name: c.cfg.RPName},
		User:               UserEntity{ID: p.WebAuthnID(), Name: p.WebAuthnName(), DisplayName: p.WebAuthnDisplayName()},
		Challenge:          challenge,
		Timeout:            Life.Milliseconds(),
		ExcludeCredentials: descriptors(p.passkeys),
		AuthenticatorSelection: Selection{
			ResidentKey:        string(created.Response.AuthenticatorSelection.ResidentKey),
			RequireResidentKey: true,
			UserVerification:   string(created.Response.AuthenticatorSelection.UserVerification),
		},
		Attestation: string(created.Response.Attestation),
		PasskeyID:   cer.subject.PasskeyID,
	}
	for _, k := range created.Response.Parameters {
		o.PubKeyCredParams = append(o.PubKeyCredParams, Parameter{Type: string(k.Type), Algorithm: int64(k.Algorithm)})
	}
	if roaming {
		o.AuthenticatorSelection.Attachment = string(protocol.CrossPlatform)
	}
	return o, nil
}

func parameters() []protocol.CredentialParameter {
	out := make([]protocol.CredentialParameter, len(algorithms))
	for i, a := range algorithms {
		out[i] = protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: a}
	}
	return out
}

// remember keeps the ceremony until it is answered.
func (c *Ceremonies) remember(ctx context.Context, cer ceremony, challenge []byte, session *library.SessionData) error {
	now, err := c.cfg.Service.Store.Now(ctx)
	if err != nil {
		return err
	}
	cer.ID, cer.Expires = ceremonyID(challenge), now.Add(Life)
	if cer.Session, err = json.Marshal(session); err != nil {
		return fmt.Errorf("ceremony: %w", err)
	}
	if cer.Subject, err = json.Marshal(cer.subject); err != nil {
		return fmt.Errorf("ceremony: %w", err)
	}
	return c.cfg.Ceremonies.AddCeremony(ctx, cer.Ceremony)
}

func descriptors(passkeys []account.Passkey) []Descriptor {
	var out []Descriptor
	for _, k := range passkeys {
		out = append(out, Descriptor{Type: typePublicKey, ID: k.CredentialID, Transports: k.Transports})
	}
	return out
}
