package native

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
)

// userBody names a user.
type userBody struct{ party }

// profile is the contract's UserProfile. A user whom the operator made has no
// client; client_id and type are then those of the client that asks.
type profile struct {
	ID          string             `json:"id"`
	ClientID    string             `json:"client_id"`
	Username    string             `json:"username"`
	Status      account.UserStatus `json:"status"`
	Type        account.ClientType `json:"type"`
	NamespaceID string             `json:"namespace_id"`
	CreatedAt   time.Time          `json:"created_at"`
	UpdatedAt   time.Time          `json:"updated_at"`
	Contacts    []struct{}         `json:"contacts"` // nod keeps none
}

func profileOf(u account.User, asking account.Client) profile {
	p := profile{
		ID: u.ID, ClientID: u.ClientID, Username: u.Username, Status: u.Status, Type: asking.Type,
		NamespaceID: u.NamespaceID, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, Contacts: []struct{}{},
	}
	if p.ClientID == "" {
		p.ClientID = asking.ID
	}
	return p
}

func (f *face) createUser(c *gin.Context, who *caller, in userBody) (any, error) {
	name, err := username(in.Username)
	if err != nil {
		return nil, err
	}
	if err := who.means(account.User{}, party{Username: &name}); err != nil {
		return nil, err
	}
	u, err := f.Directory.CreateUser(c.Request.Context(), who.client.NamespaceID, who.client.ID, name, who.nonce...)
	if err != nil {
		return nil, instead(err, approval.ErrExists, usernameTaken)
	}
	return profileOf(u, who.client), nil
}

func (f *face) retrieveUser(c *gin.Context, who *caller, in userBody) (any, error) {
	u, err := f.known(c.Request.Context(), who, in.party)
	if err == nil {
		err = f.spend(c.Request.Context(), who)
	}
	return profileOf(u, who.client), err
}

func (f *face) deleteUser(c *gin.Context, who *caller, in userBody) (any, error) {
	u, err := f.known(c.Request.Context(), who, in.party)
	if err == nil {
		err = f.Directory.DeleteUser(c.Request.Context(), u, who.nonce...)
	}
	return nothing{}, instead(err, approval.ErrNotFound, userNotFound)
}

func (f *face) activateUser(c *gin.Context, who *caller, in userBody) (any, error) {
	u, err := f.known(c.Request.Context(), who, in.party)
	if err == nil {
		u, err = f.Directory.Activate(c.Request.Context(), u, who.nonce...)
	}
	return profileOf(u, who.client), instead(instead(err, approval.ErrExists, userActive), approval.ErrNotFound, userNotFound)
}

func (f *face) deactivateUser(c *gin.Context, who *caller, in userBody) (any, error) {
	u, err := f.known(c.Request.Context(), who, in.party)
	if err == nil {
		u, err = f.Directory.Deactivate(c.Request.Context(), u, who.nonce...)
	}
	return profileOf(u, who.client), instead(instead(err, approval.ErrInactive, userInactive), approval.ErrNotFound, userNotFound)
}

// invitation is what inviteUser answers: a link with which the user enrols a
// passkey on a phone, once.
type invitation struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
	UserID    string    `json:"user_id"`
	Username  string    `json:"username"`
}

func (f *face) inviteUser(c *gin.Context, who *caller, in userBody) (any, error) {
	u, err := f.known(c.Request.Context(), who, in.party)
	if err != nil {
		return nil, err
	}
	secret, inv, err := f.Directory.Invite(c.Request.Context(), u, who.nonce...)
	return invitation{web.InvitationLink(f.PublicURL, secret.Reveal()), inv.Expires, u.ID, u.Username}, err
}
