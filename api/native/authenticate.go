package native

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn"
)

// assertionBody is the answer to a passkey's challenge, in the vendor's members.
type assertionBody struct {
	party
	Assertion struct {
		Challenge         string `json:"challenge"`
		CredentialID      string `json:"credential_id"`
		ClientData        string `json:"client_data"`
		AuthenticatorData string `json:"authenticator_data"`
		Signature         string `json:"signature"`
	} `json:"assertion_payload"`
	NoJWT bool `json:"no_jwt"`
}

func (b assertionBody) read() (name string, a webauthn.Assertion, err error) {
	if name, err = username(b.Username); err != nil {
		return "", a, err
	}
	err = binaries("assertion_payload", []binaryMember{
		{&a.Challenge, "challenge", b.Assertion.Challenge},
		{&a.CredentialID, "credential_id", b.Assertion.CredentialID},
		{&a.ClientData, "client_data", b.Assertion.ClientData},
		{&a.AuthenticatorData, "authenticator_data", b.Assertion.AuthenticatorData},
		{&a.Signature, "signature", b.Assertion.Signature},
	})
	return name, a, err
}

// assertionInit is what both ceremonies with an existing passkey begin with.
type assertionInit struct {
	Payload webauthn.RequestOptions `json:"assertion_payload"`
}

// initWindow is the time in which InitsPerMinute are welcome.
const initWindow = time.Minute

// pace bounds what a stranger makes the server store.
func (f *face) pace(ctx context.Context, who *caller) error {
	if f.Pacer == nil || who.by != nil {
		return nil
	}
	if wait := f.Pacer.Take(ctx, "init "+approval.AddressGroup(who.address), f.InitsPerMinute, initWindow); wait > 0 {
		return tooManyRequests(wait)
	}
	return nil
}

// maybe finds the user for a ceremony that begins alike for somebody unknown.
func (f *face) maybe(ctx context.Context, who *caller, p party) (*account.User, string, error) {
	if p.Username == nil {
		return nil, "", missing("username")
	}
	u, asked, err := f.subject(ctx, who, party{Username: p.Username})
	if err != nil || u.ID == "" {
		return nil, asked, err
	}
	return &u, asked, nil
}

func (f *face) beginAuthenticate(c *gin.Context, who *caller, in userBody) (any, error) {
	ctx := c.Request.Context()
	if err := f.pace(ctx, who); err != nil {
		return nil, err
	}
	u, asked, err := f.maybe(ctx, who, in.party)
	if err != nil {
		return nil, err
	}
	options, err := f.Ceremonies.BeginAuthenticate(ctx, who.client, u, asked)
	return assertionInit{options}, err
}

func (f *face) completeAuthenticate(c *gin.Context, who *caller, in assertionBody) (any, error) {
	name, assertion, err := in.read()
	if err != nil {
		return nil, err
	}
	got, err := f.Ceremonies.Authenticate(c.Request.Context(), who.bare(name), name, assertion)
	if err != nil {
		return nil, instead(err, approval.ErrNotFound, invalidCredential)
	}
	return f.collected(c.Request.Context(), who.client, got, in.NoJWT)
}

// bare is a holder that proves itself by a passkey and not by a code.
func (who *caller) bare(name string) approval.Holder {
	return approval.Holder{Face: Face, Client: who.client, Asked: name, Address: who.address}
}

// selfBody begins a code that a passkey approves from birth.
type selfBody struct {
	party
	Purpose string `json:"purpose"`
	kind    approval.CodeKind
}

func readSelf(c *gin.Context, into *selfBody) (err error) {
	if into.kind, err = kindOf(c); err != nil {
		return err
	}
	return readJSON(c, into)
}

func (f *face) beginSelfGenerate(c *gin.Context, who *caller, in selfBody) (any, error) {
	ctx := c.Request.Context()
	purpose, err := purposeOf(in.Purpose)
	if err != nil {
		return nil, err
	}
	if err := f.pace(ctx, who); err != nil {
		return nil, err
	}
	u, asked, err := f.maybe(ctx, who, in.party)
	if err != nil {
		return nil, err
	}
	options, err := f.Ceremonies.BeginSelfGenerate(ctx, who.client, u, asked, in.kind, purpose)
	return assertionInit{options}, err
}

// selfAnswerBody completes it; the purpose is the one it began with.
type selfAnswerBody struct {
	assertionBody
	kind approval.CodeKind
}

func readSelfAnswer(c *gin.Context, into *selfAnswerBody) (err error) {
	if into.kind, err = kindOf(c); err != nil {
		return err
	}
	return wire.Decode(c, wire.WebAuthnLimit, into)
}

// selfGenerated is the contract's Result with code_data.
type selfGenerated struct {
	authenticated
	Code codeData `json:"code_data"`
}

type codeData struct {
	Code         string    `json:"code"`
	ExpireAt     time.Time `json:"expire_at"` // the vendor's spelling
	IsAuthorized bool      `json:"is_authorized"`
}

func (f *face) selfGenerate(c *gin.Context, who *caller, in selfAnswerBody) (any, error) {
	ctx := c.Request.Context()
	name, assertion, err := in.read()
	if err != nil {
		return nil, err
	}
	begun, got, err := f.Ceremonies.SelfGenerate(ctx, who.bare(name), name, in.kind, assertion, !in.NoJWT)
	if err != nil {
		return nil, instead(err, approval.ErrNotFound, invalidCredential)
	}
	if got == nil {
		got = &approval.Collected{Grant: approval.Grant{Username: begun.Request.Context.Username}}
	}
	got.Request = begun.Request // both rest on the same passkey; this one is there without a token, too
	out, err := f.collected(ctx, who.client, got, in.NoJWT)
	return selfGenerated{out, codeData{begun.Code.Reveal(), begun.Request.Expires, true}}, err
}
