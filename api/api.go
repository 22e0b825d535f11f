// Package api is nod over HTTP: the LoginID-compatible face (api/native), the
// phone's pages and calls (api/phone), and what belongs to no face: keys, health
// and the documentation.
//
// New puts the table of all routes together. openapi.yaml describes every one of
// them; tests hold code and document to each other.
//
// # Guarantees
//
//   - Slow callers are the server's around it to bound: it needs time-outs for
//     headers, bodies and replies (threats D4). Requests that are held lift the last
//     two for themselves.
//   - Whatever goes wrong, programs get JSON {"code", "message"}; a browser that
//     prefers HTML gets a page.
//   - Nothing redirects: a path with a slash too many is another path.
//   - The handler starts no goroutine. approval.Hub.Drain answers what it holds.
package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nod-auth/nod/api/native"
	"github.com/nod-auth/nod/api/oauth"
	"github.com/nod-auth/nod/api/phone"
	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
	"github.com/nod-auth/nod/webauthn"
)

// Accounts is what the faces read, and the sessions they keep.
type Accounts interface {
	account.Namespaces
	account.Users
	account.Passkeys
	account.Phones
	account.Clients
	account.Devices
	account.Sessions
	account.Invitations
	approval.Journal
	approval.Receipts
	native.OriginLister
}

// Config is what the handler is made of. Limits that are zero have the defaults
// of native.Config; Pacer, Metrics, Ready, Parts and Log may be nil.
type Config struct {
	PublicURL      string         // scheme://host[:port], where everybody reaches nod
	RPID           string         // the domain that passkeys are made for
	TrustedProxies []netip.Prefix // whose X-Forwarded-For counts; none by default

	WaitHold           time.Duration // how long a wait is held
	MaxWaitsPerAddress int
	MaxWaitsPerClient  int
	MaxWaits           int           // held calls of all faces
	InitsPerMinute     int           // ceremonies an address may begin without a token
	TokenWindow        time.Duration // how far a service token's iat may be off

	Service    *approval.Service
	Directory  *approval.Directory
	Accounts   Accounts
	Ceremonies *webauthn.Ceremonies
	Ring       *token.Ring
	Pages      *web.Pages
	Push       phone.Push    // nil: this server reaches no phone
	Answers    oauth.Answers // nil: nobody is told of verdicts: no ping mode, no Keycloak channel
	NonceKey   []byte        // 32 bytes, derived from the master key: makes DPoP nonces
	Pacer      approval.Pacer
	Ready      func(context.Context) error // nil while requests can be served
	Parts      func() map[string]error     // how the parts are that requests can do without; nil: there are none
	Metrics    prometheus.Registerer
	Log        *slog.Logger
}

// New makes the handler of everything nod serves.
func New(c Config) (http.Handler, error) {
	engine, err := c.engine()
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	return headAsGet(engine), nil
}

// engine is the route table of every face.
func (c Config) engine() (*gin.Engine, error) {
	public, err := c.check()
	if err != nil {
		return nil, err
	}
	s := shared{c}

	e := bare()
	e.Use(
		wire.Identify, wire.Trust(c.TrustedProxies),
		wire.AccessLog(c.Log), wire.Recover(s.table(), c.Log), wire.SecurityHeaders(public.Scheme == "https"),
	)
	adapt := s.table().Adapt

	e.GET("/livez", adapt(s.live))
	e.GET("/readyz", adapt(s.ready))
	e.GET("/.well-known/jwks.json", adapt(oauth.Keys(c.Ring)))
	e.GET("/.well-known/webauthn", adapt(s.relatedOrigins))
	e.GET("/docs", adapt(s.docs))
	e.GET(stylePath, adapt(s.docsStyle))
	e.GET(documentPath, adapt(s.document))
	e.GET("/assets/*file", gin.WrapH(web.Assets()))

	gate := wire.NewGate(cmp.Or(c.MaxWaits, native.DefaultMaxWaits))
	native.Mount(e, native.Config{ // see its routes: /manage, /codes, /authenticate, /register, /credentials, /phones, /devices, /requests, /certs
		PublicURL: c.PublicURL, WaitHold: c.WaitHold, TokenWindow: c.TokenWindow,
		MaxWaitsPerAddress: c.MaxWaitsPerAddress, MaxWaitsPerClient: c.MaxWaitsPerClient, MaxWaits: c.MaxWaits,
		InitsPerMinute: c.InitsPerMinute,
		Service:        c.Service, Directory: c.Directory, Accounts: c.Accounts, Ceremonies: c.Ceremonies,
		Ring: c.Ring, Gate: gate, Pacer: c.Pacer, Metrics: c.Metrics,
	})
	err = phone.Mount(e, phone.Config{ // see its routes: /, /a, /r, /device, /devices, /enrol, /join, /passkeys, /notifications, /activity, /phone, /sw.js
		PublicURL: c.PublicURL, Service: c.Service, Directory: c.Directory, Accounts: c.Accounts,
		Ceremonies: c.Ceremonies, Pages: c.Pages, Push: c.Push, Gate: gate, Pacer: c.Pacer,
		Metrics: c.Metrics, Log: c.Log,
	})
	if err != nil {
		return nil, err
	}

	err = oauth.Mount(e, oauth.Config{ // see its routes: /oauth, /.well-known/openid-configuration, /keycloak
		Issuer: c.PublicURL, Service: c.Service, Directory: c.Directory, Accounts: c.Accounts, Ring: c.Ring,
		Gate: gate, Pacer: c.Pacer, Answers: c.Answers, NonceKey: c.NonceKey,
		MaxWaitsPerClient: c.MaxWaitsPerClient, MaxWaitsPerAddress: c.MaxWaitsPerAddress, Metrics: c.Metrics,
	})
	if err != nil {
		return nil, err
	}

	e.NoRoute(adapt(s.noRoute))
	e.NoMethod(adapt(s.noMethod))
	return e, nil
}

// check refuses what cannot work and fills what may be missing.
func (c *Config) check() (*url.URL, error) {
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	public, err := url.Parse(c.PublicURL)
	if err != nil || public.Host == "" || (public.Scheme != "https" && public.Scheme != "http") || public.Path != "" {
		return nil, errors.New("public URL must be http(s)://host[:port]")
	}
	if c.Service == nil || c.Directory == nil || c.Accounts == nil || c.Ceremonies == nil || c.Ring == nil || c.Pages == nil {
		return nil, errors.New("configuration: a part is missing")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Pacer == nil {
		c.Pacer = unpaced{}
	}
	if c.Ready == nil {
		c.Ready = func(context.Context) error { return nil }
	}
	if c.Parts == nil {
		c.Parts = func() map[string]error { return nil }
	}
	return public, nil
}

// bare is a gin engine that answers for exactly the paths it has, and believes
// no header about where a request comes from.
func bare() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	_ = e.SetTrustedProxies(nil) // cannot fail: there is nothing to parse
	e.ForwardedByClientIP = false
	e.RedirectTrailingSlash = false
	e.RedirectFixedPath = false
	e.HandleMethodNotAllowed = true
	return e
}

// headAsGet serves HEAD wherever there is GET (RFC 9110 section 9.3.2). The
// server knows the method of the request it read and sends no body.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			get := *r
			get.Method = http.MethodGet
			r = &get
		}
		next.ServeHTTP(w, r)
	})
}

// unpaced lets everything through.
type unpaced struct{}

func (unpaced) Take(context.Context, string, int, time.Duration) time.Duration { return 0 }

func (unpaced) Note(_ context.Context, _ string, _ time.Duration, next func([]byte) []byte) {
	next(nil)
}
