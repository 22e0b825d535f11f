package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Verifier verifies nod's tokens: access tokens (RFC 9068) and the result tokens of
// the native interface, ES256 both. ID tokens are refused: they tell a client who
// signed in, and open nothing.
//
// A token counts until it expires. Whether it was revoked meanwhile only the server
// knows: where the ten minutes that nod's tokens live by default are too long, ask
// its introspection endpoint (RFC 7662).
//
// Issuer and Audience are required. A Verifier keeps the issuer's keys as long as
// the server says (Cache-Control: max-age), looks for an unknown one at most once a
// second, and goes on for an hour with what it has while the server is away. Safe
// for concurrent use; not to be copied.
type Verifier struct {
	Issuer   string // byte-equal to the tokens' iss
	Audience string // one of the tokens' aud

	// KeysURL is where the keys are published; "": where the issuer's metadata says.
	KeysURL string

	// Leeway is granted to exp and nbf, where clocks differ.
	Leeway time.Duration

	// HTTPClient fetches the keys; nil: one of its own. Redirects are not followed.
	HTTPClient *http.Client

	fetching sync.Mutex // held by who fetches
	fetched  time.Time  // when somebody last tried; under fetching
	trouble  error      // how that ended; under fetching
	keys     atomic.Pointer[keySet]
}

// Verified is what a good token says.
type Verified struct {
	Issuer   string
	Subject  string // the user's id
	Audience []string
	ClientID string // to whom it was given
	// SessionID is the signed-in device's (sid): the same in all tokens of one
	// approval.
	SessionID string
	Username  string // in result tokens alone
	Scopes    []string
	Methods   []string // how the person proved who they are (amr, RFC 8176)
	Class     string   // acr
	AuthTime  time.Time
	IssuedAt  time.Time
	Expires   time.Time
	ID        string          // jti
	JSON      json.RawMessage // all claims
}

// HasScope says whether the scope was granted.
func (v *Verified) HasScope(scope string) bool { return slices.Contains(v.Scopes, scope) }

// maxToken bounds what is parsed: nod's own limit on what it takes.
const maxToken = 16 << 10

// Verify returns what a token says, if it is one of the issuer's for this audience
// and good now. The error matches [ErrToken], or [ErrKeys] when nothing can be said
// about it.
//
// Tokens that are bound to a key (claim cnf, RFC 9449) are refused: without the
// proof that their holder has that key they may be anybody's.
func (v *Verifier) Verify(ctx context.Context, token string) (*Verified, error) {
	if v.Issuer == "" || v.Audience == "" {
		return nil, errors.New("verify token: issuer and audience are not both given")
	}
	got, err := v.verify(ctx, token)
	if err != nil {
		return nil, fmt.Errorf("verify token: %w", err)
	}
	return got, nil
}

func refuse(why string) error { return fmt.Errorf("%w: %s", ErrToken, why) }

func (v *Verifier) verify(ctx context.Context, token string) (*Verified, error) {
	if len(token) > maxToken {
		return nil, refuse("it is too long")
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, refuse("it is not a token signed with ES256")
	}
	head := signed.Signatures[0].Protected
	if head.KeyID == "" || head.JSONWebKey != nil {
		return nil, refuse("its header must name a key, and not bring one")
	}
	key, err := v.key(ctx, head.KeyID)
	if err != nil {
		return nil, err
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return nil, refuse("the signature is not the issuer's")
	}
	typ, _ := head.ExtraHeaders[jose.HeaderType].(string)
	return v.judge(typ, payload, time.Now())
}

// claims are what is read of a token.
type claims struct {
	jwt.Claims
	ClientID  string           `json:"client_id"`
	SessionID string           `json:"sid"`
	Scope     string           `json:"scope"`
	Methods   []string         `json:"amr"`
	Class     string           `json:"acr"`
	AuthTime  *jwt.NumericDate `json:"auth_time"`
	Bound     json.RawMessage  `json:"cnf"`

	// Of result tokens.
	Action   string `json:"action"`
	Username string `json:"udata"`
}

// judge decides about a token whose signature is right.
func (v *Verifier) judge(typ string, payload []byte, now time.Time) (*Verified, error) {
	var c claims
	if json.Unmarshal(payload, &c) != nil {
		return nil, refuse("its claims cannot be read")
	}
	switch {
	case !c.opens(typ):
		return nil, refuse("it is neither an access token nor a result token")
	case c.Issuer != v.Issuer:
		return nil, refuse("it is another issuer's")
	case !slices.Contains(c.Audience, v.Audience):
		return nil, refuse("it is meant for another audience")
	case c.Subject == "":
		return nil, refuse("it names nobody")
	case c.Expiry == nil:
		return nil, refuse("it never expires")
	case !now.Before(c.Expiry.Time().Add(v.Leeway)):
		return nil, refuse("it has expired")
	case c.NotBefore != nil && now.Before(c.NotBefore.Time().Add(-v.Leeway)):
		return nil, refuse("it is not good yet")
	case c.Bound != nil:
		return nil, refuse("it is bound to a key (DPoP), of which no proof is taken here")
	}
	return c.verified(payload), nil
}

// opens says whether the token is of a kind that opens something. Result tokens
// share their typ with ID tokens, and have an action.
func (c *claims) opens(typ string) bool {
	switch typ = strings.TrimPrefix(strings.ToLower(typ), "application/"); typ { // RFC 9068 section 4
	case "at+jwt":
		return true
	case "jwt":
		return c.Action == "login"
	}
	return false
}

func (c *claims) verified(payload []byte) *Verified {
	out := &Verified{
		Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience, ClientID: c.ClientID, SessionID: c.SessionID,
		Username: c.Username, Scopes: strings.Fields(c.Scope), Methods: c.Methods, Class: c.Class,
		Expires: c.Expiry.Time(), ID: c.ID, JSON: payload,
	}
	if out.ClientID == "" { // a result token's audience is its client
		out.ClientID = c.Audience[0]
	}
	if c.IssuedAt != nil {
		out.IssuedAt = c.IssuedAt.Time()
	}
	if c.AuthTime != nil {
		out.AuthTime = c.AuthTime.Time()
	}
	return out
}
