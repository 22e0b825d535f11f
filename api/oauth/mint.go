package oauth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval/account"
)

// The types of the JWTs (RFC 9068 section 2.1, RFC 7519 section 5.1) and of the
// access tokens (RFC 6750 section 6.1.1, RFC 9449 section 5).
const (
	typAccess = "at+jwt"
	typID     = "JWT"

	tokenBearer = "Bearer"
	tokenDPoP   = "DPoP"
)

// issue is what tokens are made of. The device says whom, for which client, how the
// person was authenticated and which key alone may use them.
type issue struct {
	client     *account.Client
	device     *account.Device
	scopes     []string
	refresh    account.Secret // "" for none
	jti, kid   string         // of the access token
	idKID      string         // the key of the ID token
	at         time.Time      // whole seconds
	expires    time.Time      // of the access token
	approvedBy string         // the person's name, for clients that asked to be told
}

// identifies says whether the client may know who the person is.
func (i issue) identifies() bool {
	return i.granted(account.ScopeOpenID) || i.granted(account.ScopeProfile)
}

func (i issue) granted(scope string) bool { return slices.Contains(i.scopes, scope) }

// tokens is the answer of the token endpoint: RFC 6749 section 5.1, OpenID Connect
// Core section 3.1.3.3, RFC 9396 section 7.
type tokens struct {
	AccessToken string          `json:"access_token"`
	TokenType   string          `json:"token_type"`
	ExpiresIn   int64           `json:"expires_in"` // seconds
	Scope       string          `json:"scope,omitempty"`
	IDToken     string          `json:"id_token,omitempty"`
	Refresh     string          `json:"refresh_token,omitempty"`
	Details     json.RawMessage `json:"authorization_details,omitempty"`
	ApprovedBy  string          `json:"nod_approved_by,omitempty"`
}

// claims are what both kinds of token say. Times are seconds since the epoch.
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Expires  int64    `json:"exp"`
	IssuedAt int64    `json:"iat"`
	ID       string   `json:"jti"`
	AuthTime int64    `json:"auth_time"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	Session  string   `json:"sid"`
}

// accessClaims are an access token's (RFC 9068 section 2.2).
type accessClaims struct {
	claims
	ClientID string          `json:"client_id"`
	Scope    string          `json:"scope,omitempty"`
	Confirm  *confirmation   `json:"cnf,omitempty"`
	Details  json.RawMessage `json:"authorization_details,omitempty"` // RFC 9396 section 9.1
}

// confirmation names the key that must be shown with the token (RFC 9449 section 6.1).
type confirmation struct {
	JKT string `json:"jkt"`
}

// idClaims are an ID token's (OpenID Connect Core section 2).
type idClaims struct {
	claims
	AccessHash string `json:"at_hash"`
	Username   string `json:"preferred_username,omitempty"`
}

// mint signs what was granted. The same issue gives the same access token.
func (f *face) mint(ctx context.Context, i issue) (*tokens, error) {
	d := i.device
	out := &tokens{
		TokenType: tokenBearer, ExpiresIn: int64(i.expires.Sub(i.at).Seconds()), Scope: strings.Join(i.scopes, " "),
		Refresh: i.refresh.Reveal(), Details: d.Details, ApprovedBy: i.approvedBy,
	}
	if d.JKT != "" {
		out.TokenType = tokenDPoP
	}
	var err error
	if out.AccessToken, err = f.mintAccess(ctx, i, out.Scope); err != nil {
		return nil, fmt.Errorf("mint access token %s: %w", i.jti, err)
	}
	if i.granted(account.ScopeOpenID) {
		if out.IDToken, err = f.mintID(ctx, i, out.AccessToken); err != nil {
			return nil, fmt.Errorf("mint id token: %w", err)
		}
	}
	return out, nil
}

func (f *face) mintAccess(ctx context.Context, i issue, scope string) (string, error) {
	o := i.client.OAuth
	says := accessClaims{
		claims:   f.claims(i, cmp.Or(o.Audience, i.client.ID), i.jti, i.expires),
		ClientID: i.client.ID, Scope: scope, Details: i.device.Details,
	}
	if i.device.JKT != "" {
		says.Confirm = &confirmation{i.device.JKT}
	}
	return f.Ring.Sign(ctx, i.kid, typAccess, says)
}

// mintID signs the ID token with the algorithm that the client was registered with.
func (f *face) mintID(ctx context.Context, i issue, access string) (string, error) {
	until := i.at.Add(i.client.OAuth.IDTokenLife)
	says := idClaims{claims: f.claims(i, i.client.ID, uuid.NewString(), until), AccessHash: accessHash(access)}
	if i.granted(account.ScopeProfile) {
		says.Username = i.device.Username
	}
	return f.Ring.Sign(ctx, i.idKID, typID, says)
}

func (f *face) claims(i issue, audience, jti string, expires time.Time) claims {
	d := i.device
	return claims{
		Issuer: f.Issuer, Subject: d.UserID, Audience: audience, Expires: expires.Unix(), IssuedAt: i.at.Unix(), ID: jti,
		AuthTime: d.AuthTime.Unix(), ACR: d.ACR, AMR: d.AMR, Session: d.ID,
	}
}

// signers names the keys for access and ID tokens of a client at now. It is asked
// before anything is redeemed: what cannot be signed stays where it is.
func (f *face) signers(ctx context.Context, o *account.OAuth, now time.Time) (kid, idKID string, err error) {
	if kid, err = f.Ring.Current(ctx, now); err != nil || o.IDTokenAlg == token.AlgES256 {
		return kid, kid, err
	}
	idKID, err = f.Ring.CurrentFor(ctx, now, o.IDTokenAlg)
	return kid, idKID, err
}

// accessHash ties an ID token to its access token: the left half of the hash of its
// algorithm, which is SHA-256 for ES256 and RS256 (OpenID Connect Core section
// 3.1.3.6).
func accessHash(access string) string {
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}
