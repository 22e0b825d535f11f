package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// introspection is what is told of a live token (RFC 7662 section 2.2, RFC 9449
// section 6.2, RFC 9396 section 9.2). Of any other it is told that it is not active,
// and nothing else. Times are seconds since the epoch.
type introspection struct {
	Active    bool            `json:"active"`
	Scope     string          `json:"scope,omitempty"`
	ClientID  string          `json:"client_id,omitempty"`
	Username  string          `json:"username,omitempty"`
	TokenType string          `json:"token_type,omitempty"` // of access tokens only
	Expires   int64           `json:"exp,omitempty"`
	IssuedAt  int64           `json:"iat,omitempty"`
	Subject   string          `json:"sub,omitempty"`
	Audience  string          `json:"aud,omitempty"`
	Issuer    string          `json:"iss,omitempty"`
	ID        string          `json:"jti,omitempty"`
	Session   string          `json:"sid,omitempty"`
	AuthTime  int64           `json:"auth_time,omitempty"`
	ACR       string          `json:"acr,omitempty"`
	AMR       []string        `json:"amr,omitempty"`
	Confirm   *confirmation   `json:"cnf,omitempty"`
	Details   json.RawMessage `json:"authorization_details,omitempty"`
}

// introspect tells a client that proved who it is whether a token of its namespace
// is live at this moment. Access tokens may come from anybody of the namespace, as a
// resource gets them; a refresh token is told about to its own client alone, or a
// resource could be made to take one for an access token.
func (f *face) introspect(c *gin.Context) error {
	noStore(c)
	in, err := readForm(c)
	if err != nil {
		return err
	}
	who, err := f.client(c, in, false)
	if err != nil {
		return err
	}
	if !who.proven {
		said := *errClient
		said.Message = "Introspection is for clients that prove who they are."
		return &said
	}
	given := in.get("token")
	if given == "" {
		return missing("token")
	}
	told, err := f.tell(c.Request.Context(), given, who.client)
	if err != nil && !errors.Is(err, errDead) {
		return err
	}
	c.JSON(http.StatusOK, told)
	return nil
}

// tell is what a client may know of a token; the zero introspection with errDead
// when that is nothing.
func (f *face) tell(ctx context.Context, given string, asks account.Client) (introspection, error) {
	if !isJWT(given) {
		return f.tellRefresh(ctx, given, asks)
	}
	a, err := f.access(ctx, given)
	switch {
	case err != nil:
		return introspection{}, err
	case a.device.NamespaceID != asks.NamespaceID:
		return introspection{}, errDead
	}
	f.Service.Used(ctx, a.device.ID, a.device.LastSeen())
	t := a.claims
	return introspection{
		Active: true, Scope: t.Scope, ClientID: t.ClientID, Username: a.user.Username, TokenType: a.scheme(),
		Expires: t.Expires, IssuedAt: t.IssuedAt, Subject: t.Subject, Audience: t.Audience, Issuer: t.Issuer, ID: t.ID,
		Session: t.Session, AuthTime: t.AuthTime, ACR: t.ACR, AMR: t.AMR, Confirm: t.Confirm, Details: t.Details,
	}, nil
}

// tellRefresh is tell for a refresh token.
func (f *face) tellRefresh(ctx context.Context, given string, asks account.Client) (introspection, error) {
	d, err := f.Service.RefreshedDevice(ctx, account.Secret(given))
	if err == nil && d.ClientID != asks.ID {
		return introspection{}, errDead
	}
	var u account.User
	if err == nil {
		d, u, err = f.Directory.Standing(ctx, d.ID)
	}
	switch {
	case dead(err, approval.ErrNotFound, approval.ErrRevoked, approval.ErrExpired, approval.ErrInactive):
		return introspection{}, errDead
	case err != nil:
		return introspection{}, err
	}
	f.Service.Used(ctx, d.ID, d.LastSeen())
	told := introspection{
		Active: true, Scope: strings.Join(d.Scopes, " "), ClientID: d.ClientID, Username: u.Username,
		Expires: d.Expires.Unix(), IssuedAt: d.SeenAt.Unix(), Subject: d.UserID, Audience: f.Issuer, Issuer: f.Issuer,
		Session: d.ID, AuthTime: d.AuthTime.Unix(), ACR: d.ACR, AMR: d.AMR, Details: d.Details,
	}
	if d.JKT != "" {
		told.Confirm = &confirmation{d.JKT}
	}
	return told, nil
}

// isJWT tells access tokens from everything else that is given out here.
func isJWT(given string) bool { return strings.Count(given, ".") == 2 }
