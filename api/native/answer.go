package native

import (
	"cmp"
	"context"
	"fmt"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// authenticated is the contract's AuthenticationResponse.
type authenticated struct {
	Client          clientPart     `json:"client"`
	Credential      credentialPart `json:"credential"`
	User            userPart       `json:"user"`
	JWT             string         `json:"jwt,omitempty"`
	IsAuthenticated bool           `json:"is_authenticated"`
}

type clientPart struct {
	ID   string             `json:"id"`
	Type account.ClientType `json:"type"`
}

// credentialPart names what approved. ID repeats UUID, because one SDK reads it.
type credentialPart struct {
	UUID string `json:"uuid"`
	ID   string `json:"id"`
	Type string `json:"type"`
	Name string `json:"name"`
}

type userPart struct {
	ID          string `json:"id"`
	Username    string `json:"username"`
	NamespaceID string `json:"namespace_id"`
}

// The types of credentials in replies: a passkey, or the code itself where a
// backend approved.
const (
	typePasskey = "fido2"
	typeCode    = "code"
)

func passkeyPart(id, name string) credentialPart { return credentialPart{id, id, typePasskey, name} }

// collected makes the reply to whoever collected a request, with its token
// unless the caller wants none.
func (f *face) collected(ctx context.Context, client account.Client, got *approval.Collected, noJWT bool) (authenticated, error) {
	out := authenticated{
		Client:          clientPart{client.ID, client.Type},
		Credential:      credentialOf(got.Request),
		User:            userPart{got.Request.UserID, got.Grant.Username, got.Request.NamespaceID},
		IsAuthenticated: true,
	}
	if noJWT {
		return out, nil
	}
	var err error
	out.JWT, err = f.sign(ctx, got.Request.NamespaceID, got.Grant)
	return out, err
}

func credentialOf(r approval.Request) credentialPart {
	d := r.Decision
	if d.By == approval.ByPasskey {
		return passkeyPart(d.PasskeyID, d.PasskeyName)
	}
	return credentialPart{r.ID, r.ID, typeCode, d.ClientName}
}

// sign writes the token that a grant stands for: the same grant, the same token.
func (f *face) sign(ctx context.Context, namespaceID string, g approval.Grant) (string, error) {
	jwt, err := f.Ring.Sign(ctx, g.KID, "JWT", f.claims(namespaceID, g))
	if err != nil {
		return "", fmt.Errorf("sign token %s: %w", g.JTI, err)
	}
	return jwt, nil
}

// claims are what a grant says in a token that lets somebody in.
func (f *face) claims(namespaceID string, g approval.Grant) token.Login {
	return token.Login{
		Issuer: cmp.Or(g.Issuer, f.PublicURL), Subject: g.Subject, SessionID: g.SID, Namespace: namespaceID,
		Audience: g.Audience, Action: token.ActionLogin, IssuedAt: g.IssuedAt.Unix(), Expires: g.Expires.Unix(),
		ID: g.JTI, Username: g.Username, Methods: g.AMR, Class: g.ACR, AuthTime: g.AuthTime.Unix(),
	}
}
