package native

import (
	"context"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn"
)

// credential is a passkey as this face shows it.
type credential struct {
	UUID      string                `json:"uuid"`
	Type      string                `json:"type"`
	Status    account.PasskeyStatus `json:"status"`
	Name      string                `json:"name"`
	CreatedAt time.Time             `json:"created_at"`
	UpdatedAt time.Time             `json:"updated_at"`

	Fingerprint string `json:"fingerprint"` // nod's: of the public key, as receipts have it
}

func credentialFrom(p account.Passkey) credential {
	return credential{p.ID, typePasskey, p.Status, p.Name, p.CreatedAt, p.UpdatedAt, webauthn.Fingerprint(p.PublicKey)}
}

type listBody struct {
	party
	Status string `json:"status"`
}

func readCredentialsQuery(c *gin.Context, into *listBody) error {
	into.ClientID, into.Status = c.Query("client_id"), c.Query("status")
	if id, ok := c.GetQuery("user_id"); ok {
		into.UserID = &id
	}
	if name, ok := c.GetQuery("username"); ok {
		into.Username = &name
	}
	return nil
}

func (f *face) listCredentials(c *gin.Context, who *caller, in listBody) (any, error) {
	ctx := c.Request.Context()
	status := account.PasskeyStatus(in.Status)
	known := []account.PasskeyStatus{"", account.PasskeyActive, account.PasskeyInactive, account.PasskeyRevoked}
	if !slices.Contains(known, status) {
		return nil, invalid("status", "must be active, inactive or revoked")
	}
	u, err := f.known(ctx, who, in.party)
	if err != nil {
		return nil, err
	}
	passkeys, err := f.Accounts.Passkeys(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	list := make([]credential, 0, len(passkeys)) // [] and not null
	for _, p := range passkeys {
		if status == "" || status == p.Status {
			list = append(list, credentialFrom(p))
		}
	}
	return struct {
		UserID      string       `json:"user_id"`
		Credentials []credential `json:"credentials"`
	}{u.ID, list}, f.spend(ctx, who)
}

type credentialBody struct {
	party
	Credential struct {
		UUID string `json:"uuid"`
		Name string `json:"name"`
	} `json:"credential"`
}

// changed is the reply of a change to one passkey.
type changed struct {
	UserID     string     `json:"user_id"`
	Credential credential `json:"credential"`
}

// owned finds one of the user's passkeys.
func (f *face) owned(ctx context.Context, who *caller, in credentialBody) (account.User, account.Passkey, error) {
	if err := identifier("credential.uuid", in.Credential.UUID); err != nil {
		return account.User{}, account.Passkey{}, err
	}
	u, err := f.known(ctx, who, in.party)
	if err != nil {
		return account.User{}, account.Passkey{}, err
	}
	p, err := f.Accounts.Passkey(ctx, canonical(in.Credential.UUID))
	if err == nil && p.UserID != u.ID {
		err = credentialNotFound
	}
	return u, p, instead(err, approval.ErrNotFound, credentialNotFound)
}

func (f *face) renameCredential(c *gin.Context, who *caller, in credentialBody) (any, error) {
	if in.Credential.Name == "" {
		return nil, missing("credential.name")
	}
	u, p, err := f.owned(c.Request.Context(), who, in)
	if err != nil {
		return nil, err
	}
	p, err = f.Directory.RenamePasskey(c.Request.Context(), u, p, in.Credential.Name, who.nonce...)
	return changed{u.ID, credentialFrom(p)}, instead(err, approval.ErrNotFound, credentialNotFound)
}

// revokeCredential may take the last one, too: a backend can add another.
func (f *face) revokeCredential(c *gin.Context, who *caller, in credentialBody) (any, error) {
	u, p, err := f.owned(c.Request.Context(), who, in)
	if err != nil {
		return nil, err
	}
	p, err = f.Directory.RevokePasskey(c.Request.Context(), u, p, false, who.nonce...)
	return changed{u.ID, credentialFrom(p)}, instead(err, approval.ErrNotFound, credentialNotFound)
}

type addBody struct {
	party
	Code    presentedCode `json:"authentication_code"`
	Options wishes        `json:"options"`
}

// beginAddByCode checks the code; it is spent together with storing the passkey.
func (f *face) beginAddByCode(c *gin.Context, who *caller, in addBody) (any, error) {
	ctx := c.Request.Context()
	if err := f.pace(ctx, who); err != nil {
		return nil, err
	}
	h, err := f.holder(ctx, who, in.party, in.Code, approval.Short)
	if err != nil {
		return nil, err
	}
	r, err := f.Service.Approved(ctx, *h, approval.AddCredential)
	if err != nil {
		return nil, who.waitError(err, true)
	}
	u, err := f.Accounts.User(ctx, r.UserID)
	if err != nil {
		return nil, err
	}
	payload, err := f.Ceremonies.BeginAdd(ctx, who.client, u, r, in.Options.options())
	return attestationInitOf("", payload), err
}

func (f *face) beginAddByForce(c *gin.Context, who *caller, in addBody) (any, error) {
	ctx := c.Request.Context()
	u, err := f.known(ctx, who, in.party)
	if err != nil {
		return nil, err
	}
	payload, err := f.Ceremonies.BeginAdd(ctx, who.client, u, approval.Request{}, in.Options.options(), who.nonce...)
	return attestationInitOf("", payload), err
}

func (f *face) completeAdd(c *gin.Context, who *caller, in attestationBody) (any, error) {
	return f.complete(c.Request.Context(), who, in, approval.CeremonyAdd)
}
