package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const (
	// assertionType is what a client_assertion must be (RFC 7523 section 2.2).
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// maxAssertionLife bounds how long its jti has to be remembered.
	maxAssertionLife = time.Hour
	// clockSkew is granted to a client's clock where it says since when.
	clockSkew = time.Minute
	// maxID bounds what can be an id, in bytes: ours have 44 characters.
	maxID = 128
)

// caller is a client that has said who it is, as far as the endpoint asks.
type caller struct {
	client  account.Client // OAuth is never nil
	address string
	key     string // whose share of held calls its polls take
	places  int    // how many there are
	proven  bool   // it proved who it is: not just a public id
}

// credential is what a call brings along to say who it is from.
type credential struct {
	id      string
	method  account.AuthMethod
	secret  account.Secret
	compact string // of the assertion
}

var errClient = oops(http.StatusUnauthorized, codeInvalidClient,
	"There is no such client, or its credential is not the registered one.")

// client finds out who calls (RFC 6749 section 2.3, RFC 7523 section 3). With
// relaxed, a client registered so may say only who it is. A client that is none of
// this face, one of another face, and one with the wrong credential are answered
// alike and after the same work.
//
// Its errors are invalid_request for what cannot be read as one method, and
// invalid_client.
func (f *face) client(c *gin.Context, in form, relaxed bool) (*caller, error) {
	given, err := readCredential(c, in)
	if err != nil {
		return nil, err
	}
	ctx := c.Request.Context()
	client, err := f.registered(ctx, given.id)
	if err != nil {
		return nil, err
	}
	proven, err := f.proves(ctx, c, client, given)
	if err != nil {
		return nil, err
	}
	known := client.OAuth != nil && (proven || given.bare() && (client.OAuth.Auth == account.AuthNone || relaxed && client.OAuth.Relaxed))
	if !known {
		return nil, refused(c)
	}
	wire.Note(c, slog.String("client", client.ID))
	return f.caller(client, wire.Address(c), proven), nil
}

// caller says whose share of the held calls a client's polls take: its own, or that
// of the address where anybody may use its id.
func (f *face) caller(client account.Client, address string, proven bool) *caller {
	who := &caller{client: client, address: address, proven: proven}
	if proven {
		who.key, who.places = "client "+client.ID, f.MaxWaitsPerClient
	} else {
		who.key, who.places = "wait "+approval.AddressGroup(address), f.MaxWaitsPerAddress
	}
	return who
}

// refused is invalid_client; whoever tried the Authorization header is told the
// scheme (RFC 6749 section 5.2).
func refused(c *gin.Context) error {
	if c.GetHeader("Authorization") != "" {
		c.Header("WWW-Authenticate", `Basic realm="nod"`)
	}
	return errClient
}

// registered is the client of this face with that id; the zero Client when there
// is none.
func (f *face) registered(ctx context.Context, id string) (account.Client, error) {
	if !isID(id) {
		id = "-" // looked for all the same
	}
	client, err := f.Accounts.Client(ctx, id)
	switch {
	case errors.Is(err, approval.ErrNotFound):
		return account.Client{}, nil
	case err != nil:
		return account.Client{}, err
	case client.Type != account.ClientOAuth || client.OAuth == nil:
		return account.Client{}, nil
	}
	return client, nil
}

// isID keeps out what a database's column or a log line could choke on.
func isID(s string) bool {
	return s != "" && len(s) <= maxID && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// bare says whether the call brings nothing but the client's name: a secret that is
// empty is none (RFC 6749 section 2.3.1), and some libraries send one for public
// clients.
func (g credential) bare() bool {
	return g.method == account.AuthNone || g.method == account.AuthBasic && g.secret == ""
}

// readCredential takes the one credential out of a call. Two methods at once are
// refused (RFC 6749 section 2.3).
func readCredential(c *gin.Context, in form) (credential, error) {
	var found []credential
	if header := c.GetHeader("Authorization"); header != "" {
		id, secret, ok := basic(header)
		if !ok {
			return credential{}, refused(c)
		}
		found = append(found, credential{id: id, method: account.AuthBasic, secret: secret})
	}
	if secret := in.get("client_secret"); secret != "" {
		found = append(found, credential{id: in.get("client_id"), method: account.AuthPost, secret: account.Secret(secret)})
	}
	if in.get("client_assertion") != "" || in.get("client_assertion_type") != "" {
		g, err := readAssertion(in)
		if err != nil {
			return credential{}, err
		}
		found = append(found, g)
	}
	id := in.get("client_id")
	switch {
	case len(found) > 1:
		return credential{}, badRequest("The client must authenticate in one way only.")
	case len(found) == 0 && id == "":
		return credential{}, oops(http.StatusUnauthorized, codeInvalidClient, "The call does not say which client it is from.")
	case len(found) == 0:
		return credential{id: id, method: account.AuthNone}, nil
	case id != "" && id != found[0].id:
		return credential{}, badRequest("The parameter client_id is not the client that authenticates.")
	case found[0].id == "":
		return credential{}, missing("client_id")
	}
	return found[0], nil
}

// basic reads client id and secret, which are form-encoded inside (RFC 6749 section
// 2.3.1).
func basic(header string) (id string, secret account.Secret, ok bool) {
	r := http.Request{Header: http.Header{"Authorization": {header}}}
	user, password, ok := r.BasicAuth()
	if !ok {
		return "", "", false
	}
	id, err := url.QueryUnescape(user)
	if err != nil {
		return "", "", false
	}
	text, err := url.QueryUnescape(password)
	return id, account.Secret(text), err == nil
}

// readAssertion reads whom a client_assertion claims to be from. The subject is the
// client (RFC 7523 section 3).
func readAssertion(in form) (credential, error) {
	if in.get("client_assertion_type") != assertionType {
		return credential{}, badRequest("The parameter client_assertion_type must be " + assertionType + ".")
	}
	compact := in.get("client_assertion")
	if compact == "" {
		return credential{}, missing("client_assertion")
	}
	id, err := token.AssertionIssuer(compact)
	if err != nil {
		said := *errClient
		said.Message, said.Cause = "The client assertion is not a JWT signed with ES256 that names its client as iss.", err
		return credential{}, &said
	}
	return credential{id: id, method: account.AuthPrivateKey, compact: compact}, nil
}

// proves says whether the credential is the client's. It works alike for a client
// that is not there.
func (f *face) proves(ctx context.Context, c *gin.Context, client account.Client, g credential) (bool, error) {
	var auth account.AuthMethod
	var hash []byte
	if client.OAuth != nil {
		auth, hash = client.OAuth.Auth, client.OAuth.SecretHash
	}
	switch g.method {
	case account.AuthBasic, account.AuthPost: // either stands for the other
		same := subtle.ConstantTimeCompare(g.secret.Hash(), hash) == 1
		return same && (auth == account.AuthBasic || auth == account.AuthPost), nil
	case account.AuthPrivateKey:
		return f.asserts(ctx, c, client.ID, auth, g.compact)
	default:
		return false, nil
	}
}

// asserts judges a client assertion, and uses it up.
func (f *face) asserts(ctx context.Context, c *gin.Context, clientID string, auth account.AuthMethod, compact string) (bool, error) {
	keys, err := f.keys(ctx, clientID)
	if err != nil {
		return false, err
	}
	a, err := token.VerifyAssertion(compact, keys...)
	if err != nil || auth != account.AuthPrivateKey {
		return false, nil //nolint:nilerr // it is not the client's, and why is nobody's business
	}
	now, err := f.now(ctx)
	if err != nil {
		return false, err
	}
	if why := f.unfit(a, clientID, c.Request.URL.Path, now); why != "" {
		said := *errClient
		said.Message = "The client assertion is refused: " + why + "."
		return false, &said
	}
	err = f.Service.Spend(ctx, approval.Spend{
		Box: approval.BoxJWT, Key: "assertion " + clientID + " " + a.JTI, Until: a.Expires,
	})
	used := *errClient
	used.Message = "The client assertion was used before. Sign a new one for each call."
	return err == nil, instead(err, approval.ErrReplayed, &used)
}

// unfit says what is wrong with an assertion that the client did sign, "" when
// nothing is.
func (f *face) unfit(a token.Assertion, clientID, path string, now time.Time) string {
	ours := func(aud string) bool {
		return aud == f.Issuer || aud == f.Issuer+"/oauth/token" || aud == f.Issuer+path
	}
	foreign := func(aud string) bool { return !ours(aud) }
	switch {
	case a.Type != "" && a.Type != token.TypClientAuthentication:
		return "its typ says that it is for something else"
	case a.Issuer != clientID || a.Subject != clientID:
		return "iss and sub must both be the client's id"
	case len(a.Audience) == 0 || slices.ContainsFunc(a.Audience, foreign):
		return "aud must be this server's issuer, or the endpoint that is called"
	case a.Expires.IsZero():
		return "exp is missing"
	case !now.Before(a.Expires):
		return "it has expired"
	case a.Expires.After(now.Add(maxAssertionLife)):
		return "exp is more than an hour away"
	case a.NotBefore.After(now.Add(clockSkew)) || a.IssuedAt.After(now.Add(clockSkew)):
		return "nbf or iat lies in the future"
	case a.JTI == "":
		return "jti is missing"
	}
	return ""
}

// keys are what a client's JWTs are verified with. A client without any has one
// that nobody can sign with, so that all of them cost the same.
func (f *face) keys(ctx context.Context, clientID string) ([]*ecdsa.PublicKey, error) {
	stored, err := f.Accounts.ClientKeys(ctx, clientID)
	if err != nil && !errors.Is(err, approval.ErrNotFound) {
		return nil, err
	}
	keys := make([]*ecdsa.PublicKey, 0, max(1, len(stored)))
	for _, k := range stored {
		public, err := token.ParsePublicKey(k.Public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, public)
	}
	if len(keys) == 0 {
		keys = append(keys, f.decoy)
	}
	return keys, nil
}
