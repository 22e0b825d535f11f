package apitest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// The endpoints of the standard faces that tests call most.
const (
	DevicePath = "/oauth/device_authorization"
	TokenPath  = "/oauth/token" //nolint:gosec // a path
)

// F is a form, each parameter once.
type F map[string]string

// Values is the form as it is sent.
func Values(f F) url.Values {
	out := make(url.Values, len(f))
	for name, value := range f {
		out.Set(name, value)
	}
	return out
}

// Relying is a client of the standard faces with its credential: a secret or, for
// private_key_jwt, a key.
type Relying struct {
	*House
	Client account.Client
	Secret account.Secret
	Key    *ecdsa.PrivateKey
	Proof  *Prover // shows this key with every call; nil: none
}

// NewRelying makes a client of the standard faces. What o leaves out is filled in:
// every grant that its authentication allows, client_secret_basic, and the scopes
// openid, profile and offline_access.
func (h *House) NewRelying(o account.OAuth, change ...func(*account.Client)) *Relying {
	h.Helper()
	r := &Relying{House: h}
	fill(&o.Auth, account.AuthBasic)
	if o.Grants == nil {
		o.Grants = []account.GrantType{account.GrantDeviceCode}
		if o.Auth != account.AuthNone {
			o.Grants = append(o.Grants, account.GrantCIBA)
		}
	}
	if o.Scopes == nil {
		o.Scopes = []account.ScopeText{{Scope: account.ScopeOpenID}, {Scope: account.ScopeProfile}, {Scope: account.ScopeOffline}}
	}
	c := approval.NewClient{Client: account.Client{
		Name: "Acme TV", Type: account.ClientOAuth, NamespaceID: h.Namespace(approval.DefaultNamespace).ID, OAuth: &o,
	}}
	switch o.Auth {
	case account.AuthBasic, account.AuthPost:
		r.Secret = account.NewSecret()
		o.SecretHash = r.Secret.Hash()
	case account.AuthPrivateKey:
		text, public, err := token.NewServiceKey()
		h.must(err)
		c.Public, r.Key = public, ParseKey(h, text)
	}
	for _, f := range change {
		f(&c.Client)
	}
	var err error
	r.Client, err = h.Directory.CreateClient(context.Background(), c)
	h.must(err)
	return r
}

// Post sends a form with the client's credential.
func (r *Relying) Post(path string, in F) Reply {
	r.Helper()
	return r.Do(r.Call(path, in))
}

// Call is Post's call, to be changed or held.
func (r *Relying) Call(path string, in F) Call {
	r.Helper()
	c := Call{Path: path, Header: map[string]string{}}
	out := maps.Clone(in)
	if out == nil {
		out = F{}
	}
	switch r.Client.OAuth.Auth {
	case account.AuthBasic:
		c.Header["Authorization"] = Basic(r.Client.ID, r.Secret.Reveal())
	case account.AuthPost:
		out["client_id"], out["client_secret"] = r.Client.ID, r.Secret.Reveal()
	case account.AuthPrivateKey:
		out["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
		out["client_assertion"] = r.Assertion(nil)
	default:
		out["client_id"] = r.Client.ID
	}
	if r.Proof != nil {
		c.Header["DPoP"] = r.Proof.Sign(http.MethodPost, r.URL+path, nil)
	}
	c.Body = Values(out)
	return c
}

// Begin starts a device authorization and returns its answer.
func (r *Relying) Begin(in F) Reply {
	r.Helper()
	return r.Post(DevicePath, in).Want(http.StatusOK)
}

// Poll polls once with a device code.
func (r *Relying) Poll(deviceCode string) Reply {
	r.Helper()
	return r.Do(r.PollCall(deviceCode))
}

// PollCall is Poll's call.
func (r *Relying) PollCall(deviceCode string) Call {
	r.Helper()
	return r.Call(TokenPath, F{"grant_type": string(account.GrantDeviceCode), "device_code": deviceCode})
}

// Refresh exchanges a refresh token.
func (r *Relying) Refresh(refreshToken string) Reply {
	r.Helper()
	return r.Post(TokenPath, F{"grant_type": string(account.GrantRefresh), "refresh_token": refreshToken})
}

// WantError ends the test unless the reply is an OAuth error (RFC 6749 section 5.2)
// of that status and code. It returns the reply.
func (r Reply) WantError(status int, code string) Reply {
	r.Helper()
	if r.Status != status || r.JSON["error"] != code {
		r.Fatalf("got %d %s, want %d %s", r.Status, r.Text, status, code)
	}
	if r.S("error_description") == "" {
		r.Errorf("%s: got no error_description", code)
	}
	if got := r.Header.Get("Cache-Control"); got != "no-store" {
		r.Errorf("%s: got Cache-Control %q, want no-store", code, got)
	}
	return r
}

// Basic is an Authorization header (RFC 6749 section 2.3.1).
func Basic(id, secret string) string {
	joined := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(joined))
}

// Assertion is a fresh client assertion (RFC 7523); change may spoil its claims.
func (r *Relying) Assertion(change func(M)) string {
	r.Helper()
	now, err := r.Store.Now(context.Background())
	r.must(err)
	claims := M{
		"iss": r.Client.ID, "sub": r.Client.ID, "aud": r.URL, "jti": uuid.NewString(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	if change != nil {
		change(claims)
	}
	return SignJWT(r.House, r.Key, "JWT", nil, claims)
}

// ParseKey reads the private key that token.NewServiceKey printed.
func ParseKey(h *House, text []byte) *ecdsa.PrivateKey {
	h.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		h.Fatal("the key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	h.must(err)
	return key.(*ecdsa.PrivateKey)
}

// SignJWT signs claims with ES256.
func SignJWT(h *House, key *ecdsa.PrivateKey, typ string, header map[jose.HeaderKey]any, claims any) string {
	h.Helper()
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
	for _, name := range slices.Sorted(maps.Keys(header)) {
		options.WithHeader(name, header[name])
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	h.must(err)
	payload, err := json.Marshal(claims)
	h.must(err)
	signed, err := signer.Sign(payload)
	h.must(err)
	compact, err := signed.CompactSerialize()
	h.must(err)
	return compact
}

// Prover makes DPoP proofs (RFC 9449) of one key.
type Prover struct {
	*House
	Key   *ecdsa.PrivateKey
	Nonce string
}

// NewProver draws a key.
func (h *House) NewProver() *Prover {
	h.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	return &Prover{House: h, Key: key}
}

// JKT is the key's thumbprint (RFC 7638).
func (p *Prover) JKT() string {
	p.Helper()
	sum, err := (&jose.JSONWebKey{Key: &p.Key.PublicKey}).Thumbprint(crypto.SHA256)
	p.must(err)
	return base64.RawURLEncoding.EncodeToString(sum)
}

// Sign makes a fresh proof; change may spoil its claims.
func (p *Prover) Sign(method, url string, change func(M)) string {
	p.Helper()
	claims := M{"jti": uuid.NewString(), "htm": method, "htu": url, "iat": time.Now().Unix()}
	if p.Nonce != "" {
		claims["nonce"] = p.Nonce
	}
	if change != nil {
		change(claims)
	}
	jwk := jose.JSONWebKey{Key: &p.Key.PublicKey}
	return SignJWT(p.House, p.Key, "dpop+jwt", map[jose.HeaderKey]any{"jwk": jwk}, claims)
}

// For adds the hash of an access token to a proof's claims (claim ath).
func For(accessToken string) func(M) {
	sum := sha256.Sum256([]byte(accessToken))
	return func(claims M) { claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:]) }
}
