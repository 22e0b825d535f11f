// Package acme is the sample application of nod's demo: the backend of "Acme
// TV" and the page on its screen.
//
// It does what any application does that uses the native API, and nothing that
// only nod's own code could: the backend holds an API credential, asks for a
// code with a service token and verifies the token that comes back through the
// published keys; the page waits for the decision by itself, across origins,
// and is written for the browser of an old television (no modules, no fetch).
//
// The waiting code never leaves the page and its backend; the QR code carries
// the approval URL, which can be reviewed and decided but not waited on.
package acme

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/web"
)

// Config is what the operator of Acme TV was given by the operator of nod.
type Config struct {
	NodURL     string           // nod's public URL
	Management string           // client id of the backend
	Key        token.PrivateKey // its API credential
	WebClient  string           // client id of the page
	Username   string           // whose television this is
	Device     string           // what it is called
	HTTP       *http.Client     // nil: a client with a time-out of 10 s
	// Started is told every code that goes on the screen; nil for nobody.
	Started func(Code)
	// SignedIn is told the verified claims; nil for nobody.
	SignedIn func(Claims)
}

// Code is what the page shows.
type Code struct {
	Code        string        `json:"code"`
	Type        string        `json:"type"`
	RequestID   string        `json:"request_id"`
	ApprovalURL string        `json:"approval_url"`
	Push        string        `json:"push"` // queued: nod is telling the phones; none: they have to scan or type
	Life        time.Duration `json:"-"`
	Asked       time.Time     `json:"-"` // when the backend asked for it
}

// Claims are the verified claims of nod's token, in the order it gives them.
type Claims map[string]any

// App is the backend. Safe for concurrent use.
type App struct {
	Config
	page     *template.Template
	mu       sync.Mutex
	sessions map[string]*session // by cookie value
}

//go:embed page.html acme.css acme.js
var files embed.FS

// New makes the backend of one television.
func New(c Config) (*App, error) {
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	page, err := template.ParseFS(files, "page.html")
	if err != nil {
		return nil, fmt.Errorf("acme page: %w", err)
	}
	return &App{Config: c, page: page, sessions: make(map[string]*session)}, nil
}

// Handler serves the page and what it calls.
func (a *App) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.screen)
	mux.Handle("GET /acme.css", http.FileServerFS(files))
	mux.Handle("GET /acme.js", http.FileServerFS(files))
	mux.HandleFunc("GET /qr.svg", a.qr)
	mux.HandleFunc("POST /start", a.start)
	mux.HandleFunc("POST /session", a.signIn)
	mux.HandleFunc("GET /session", a.signedIn)
	mux.HandleFunc("POST /signout", a.signOut)
	return http.NewCrossOriginProtection().Handler(a.headers(mux))
}

func (a *App) headers(next http.Handler) http.Handler {
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"connect-src 'self' " + a.NodURL + "; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (a *App) screen(w http.ResponseWriter, r *http.Request) {
	var out bytes.Buffer
	user, ended := a.user(r)
	err := a.page.Execute(&out, map[string]any{
		"Nod": a.NodURL, "Client": a.WebClient, "Username": a.Username, "SignedIn": user, "Ended": ended,
	})
	if err != nil {
		http.Error(w, "The page could not be drawn.", http.StatusInternalServerError)
		return
	}
	if ended {
		a.forget(w, r)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(out.Bytes()) // a browser that left
}

// start asks nod for a code and hands the page what it shows and waits with.
func (a *App) start(w http.ResponseWriter, r *http.Request) {
	code, expires, err := a.Generate(r.Context(), r.RemoteAddr, r.UserAgent())
	if err != nil {
		http.Error(w, "nod could not be asked for a code.", http.StatusBadGateway)
		return
	}
	// The page counts down from seconds left: a television's clock is not to be
	// trusted, ours and nod's differ by little.
	answer(w, map[string]any{
		"code": code.Code, "type": code.Type, "request_id": code.RequestID, "approval_url": code.ApprovalURL,
		"push": code.Push, "seconds": int(time.Until(expires).Seconds()),
	})
}

// handle is what an approval URL ends with, base64url.
var handle = regexp.MustCompile(`^[-_A-Za-z0-9]{20,100}$`)

// qr draws the QR code of an approval URL at nod, and of no other address.
func (a *App) qr(w http.ResponseWriter, r *http.Request) {
	h := r.URL.Query().Get("handle")
	if !handle.MatchString(h) {
		http.Error(w, "That is no handle of nod's.", http.StatusBadRequest)
		return
	}
	svg, err := web.QRSVG(a.NodURL + "/a/" + h)
	if err != nil {
		http.Error(w, "The QR code could not be drawn.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	_, _ = w.Write(svg) // a browser that left
}

// Generate asks nod for a short code, naming the device and the address it
// browses from: that is what the phone will show.
func (a *App) Generate(ctx context.Context, remote, userAgent string) (Code, time.Time, error) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	bearer, err := token.SignService(a.Key, token.Service{ClientID: a.Management, Type: "codes.generate", Username: a.Username})
	if err != nil {
		return Code{}, time.Time{}, fmt.Errorf("generate: %w", err)
	}
	var got struct {
		Code        string    `json:"code"`
		RequestID   string    `json:"request_id"`
		ApprovalURL string    `json:"approval_url"`
		Push        string    `json:"push"`
		ExpiresAt   time.Time `json:"expires_at"`
	}
	asked := time.Now()
	err = a.call(ctx, "/codes/short/generate", bearer, map[string]any{
		"client_id": a.WebClient, "username": a.Username, "purpose": "temporary_authentication",
		"device_name": a.Device, "requester_ip": host, "requester_user_agent": userAgent,
		"notify": true,
	}, &got)
	if err != nil {
		return Code{}, time.Time{}, fmt.Errorf("generate: %w", err)
	}
	c := Code{
		Code: got.Code, Type: "short", RequestID: got.RequestID, ApprovalURL: got.ApprovalURL,
		Push: got.Push, Life: time.Until(got.ExpiresAt), Asked: asked,
	}
	if a.Started != nil {
		a.Started(c)
	}
	return c, got.ExpiresAt, nil
}

// Verify checks a token of nod's as RFC 8725 asks: one algorithm, the published
// keys, issuer, audience and expiry.
func (a *App) Verify(ctx context.Context, compact string) (Claims, error) {
	var keys jose.JSONWebKeySet
	if err := a.call(ctx, "/.well-known/jwks.json", "", nil, &keys); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	parsed, err := jwt.ParseSigned(compact, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	var std jwt.Claims
	var all Claims
	if err := parsed.Claims(keys, &std, &all); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if std.Expiry == nil {
		return nil, errors.New("verify: no expiry")
	}
	err = std.Validate(jwt.Expected{Issuer: a.NodURL, AnyAudience: jwt.Audience{a.WebClient}, Time: time.Now()})
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	return all, nil
}

// call posts JSON to nod's native API, or gets when there is no body.
func (a *App) call(ctx context.Context, path, bearer string, body, into any) error {
	method, content := http.MethodGet, io.Reader(nil)
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		method, content = http.MethodPost, bytes.NewReader(b)
	}
	u, err := url.JoinPath(a.NodURL, path)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, u, content)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := a.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: status %d: %s", method, path, res.StatusCode, raw)
	}
	return json.Unmarshal(raw, into)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a browser that left
}
