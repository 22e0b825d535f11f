package oauth

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// The faces that ask: a request of one is never collected by the other.
const (
	FaceDevice   = "device"
	FaceCIBA     = "ciba"
	FaceKeycloak = "keycloak"
)

// Answers tells servers of verdicts. Package push is one. Safe for concurrent use.
type Answers interface {
	// Check judges where somebody is to be told; an approval.InvalidError says what
	// is wrong with it. It may resolve names.
	Check(ctx context.Context, url string) error
	// Seal encrypts it for a request's row (approval.Ask.AnswerTo).
	Seal(to approval.AnswerTo) ([]byte, error)
}

// Accounts is what the face reads.
type Accounts interface {
	account.Namespaces
	account.Users
	account.Clients
	account.Devices
}

// Config is what the face is made of; Answers and Metrics may be nil.
type Config struct {
	Issuer    string // scheme://host[:port], byte-equal to the public URL
	Service   *approval.Service
	Directory *approval.Directory
	Accounts  Accounts
	Ring      *token.Ring
	Gate      *wire.Gate
	Pacer     approval.Pacer
	Answers   Answers
	NonceKey  []byte // 32 bytes, alike on every node: makes DPoP nonces; nil: drawn, for a node that is alone

	MaxWaitsPerClient  int // held calls of a client that proves who it is; 0: DefaultWaitsPerClient
	MaxWaitsPerAddress int // held calls of public clients from one address; 0: DefaultWaitsPerAddress
	Metrics            prometheus.Registerer
}

// The shares of the held calls. A client's own is bounded by the node's Gate, the
// number for an address is that of the native face, which shares it (threats D4).
const (
	DefaultWaitsPerClient  = 10_000
	DefaultWaitsPerAddress = 50
)

// face serves the endpoints. Safe for concurrent use.
type face struct {
	Config
	decoy   *ecdsa.PublicKey // stands in for the keys of clients that have none
	metrics *metrics
}

func newFace(c Config) (*face, error) {
	if c.Issuer == "" || c.Service == nil || c.Directory == nil || c.Accounts == nil || c.Ring == nil || c.Gate == nil || c.Pacer == nil {
		return nil, errors.New("oauth: a part is missing")
	}
	c.MaxWaitsPerClient = cmp.Or(c.MaxWaitsPerClient, DefaultWaitsPerClient)
	c.MaxWaitsPerAddress = cmp.Or(c.MaxWaitsPerAddress, DefaultWaitsPerAddress)
	if c.NonceKey == nil {
		c.NonceKey = make([]byte, sha256.Size)
		rand.Read(c.NonceKey) // never fails, Go 1.24 and later
	}
	decoy, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	return &face{Config: c, decoy: &decoy.PublicKey, metrics: newMetrics(c.Metrics)}, nil
}

// Mount adds the routes.
func Mount(e *gin.Engine, c Config) error {
	f, err := newFace(c)
	if err != nil {
		return err
	}
	for _, r := range []struct {
		method, path string
		handler      wire.Handler
	}{
		{http.MethodGet, "/.well-known/openid-configuration", f.metadata},
		{http.MethodGet, "/.well-known/oauth-authorization-server", f.metadata},
		{http.MethodGet, "/oauth/jwks.json", Keys(c.Ring)},
		{http.MethodPost, "/oauth/device_authorization", f.deviceAuthorization},
		{http.MethodPost, "/oauth/token", f.token},
		{http.MethodPost, "/oauth/bc-authorize", f.backchannel},
		{http.MethodGet, "/oauth/userinfo", f.userinfo},
		{http.MethodPost, "/oauth/userinfo", f.userinfo},
		{http.MethodPost, "/oauth/introspect", f.introspect},
		{http.MethodPost, "/oauth/revoke", f.revoke},
		{http.MethodPost, "/keycloak/:channel", f.keycloak},
	} {
		e.Handle(r.method, r.path, words.Adapt(r.handler))
	}
	return nil
}

// now is the one clock.
func (f *face) now(ctx context.Context) (time.Time, error) { return f.Service.Store.Now(ctx) }
