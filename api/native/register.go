package native

import (
	"context"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn"
)

// wishes are an application's options for a new passkey. register_session is not
// read: the vendor's page keeps it for whoever registers next, and sends the
// word "undefined" when it has none.
type wishes struct {
	DisplayName string `json:"display_name"`
	Name        string `json:"override_name"`
	Roaming     bool   `json:"roaming_authenticator"`
}

func (w wishes) options() webauthn.RegisterOptions {
	return webauthn.RegisterOptions{DisplayName: w.DisplayName, Name: w.Name, Roaming: w.Roaming}
}

// attestationInit is what every new passkey begins with.
type attestationInit struct {
	Session string            `json:"register_session,omitempty"`
	Payload attestationOption `json:"attestation_payload"`
}

type attestationOption struct {
	webauthn.CreationOptions
	CredentialUUID string `json:"credential_uuid"`
}

func attestationInitOf(session string, o webauthn.CreationOptions) attestationInit {
	return attestationInit{session, attestationOption{o, o.PasskeyID}}
}

// attestationBody is an authenticator's new passkey, in the vendor's members.
type attestationBody struct {
	party
	Attestation struct {
		Challenge    string `json:"challenge"`
		CredentialID string `json:"credential_id"`
		ClientData   string `json:"client_data"`
		Object       string `json:"attestation_data"`
	} `json:"attestation_payload"`
	Options struct {
		Name string `json:"credential_name"`
	} `json:"options"`
	NoJWT bool `json:"no_jwt"`
}

func (b attestationBody) read() (name string, a webauthn.Attestation, err error) {
	if name, err = username(b.Username); err != nil {
		return "", a, err
	}
	err = binaries("attestation_payload", []binaryMember{
		{&a.Challenge, "challenge", b.Attestation.Challenge},
		{&a.CredentialID, "credential_id", b.Attestation.CredentialID},
		{&a.ClientData, "client_data", b.Attestation.ClientData},
		{&a.AttestationObject, "attestation_data", b.Attestation.Object},
	})
	return name, a, err
}

type registerBody struct {
	party
	Options wishes `json:"options"`
}

// beginRegister needs a token, or a client with open registration: otherwise
// anybody could make users.
func (f *face) beginRegister(c *gin.Context, who *caller, in registerBody) (any, error) {
	ctx := c.Request.Context()
	if who.by == nil && !who.client.OpenRegistration {
		return nil, who.wantsToken(nil)
	}
	if err := f.pace(ctx, who); err != nil {
		return nil, err
	}
	u, asked, err := f.maybe(ctx, who, in.party)
	if err != nil {
		return nil, err
	}
	options := in.Options.options()
	options.Vouched = who.vouches()
	session, payload, err := f.Ceremonies.BeginRegister(ctx, who.client, u, asked, options)
	return attestationInitOf(session, payload), err
}

func (f *face) completeRegister(c *gin.Context, who *caller, in attestationBody) (any, error) {
	return f.complete(c.Request.Context(), who, in, approval.CeremonyRegister)
}

// complete stores a new passkey and signs its owner in.
func (f *face) complete(ctx context.Context, who *caller, in attestationBody, purpose approval.CeremonyPurpose) (any, error) {
	name, attestation, err := in.read()
	if err != nil {
		return nil, err
	}
	got, u, passkey, err := f.Ceremonies.Complete(ctx, who.bare(name), name, purpose, attestation, in.Options.Name, !in.NoJWT)
	if err != nil {
		return nil, instead(err, approval.ErrNotFound, invalidCredential)
	}
	return f.registered(ctx, who.client, got, u, passkey, in.NoJWT)
}

func (f *face) registered(ctx context.Context, client account.Client, got *approval.Collected, u account.User, p account.Passkey, noJWT bool) (any, error) {
	out := authenticated{
		Client: clientPart{client.ID, client.Type}, Credential: passkeyPart(p.ID, p.Name),
		User: userPart{u.ID, u.Username, u.NamespaceID}, IsAuthenticated: true,
	}
	if noJWT {
		return out, nil
	}
	var err error
	out.JWT, err = f.sign(ctx, u.NamespaceID, got.Grant)
	return out, err
}
