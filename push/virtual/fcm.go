package virtual

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	project = "nod-virtual"
	account = "push@nod-virtual.iam.gserviceaccount.com"

	tokenPath = "/token"
	apiPath   = "/v1"
	tokenLife = time.Hour
	maxAPI    = 64 << 10 // bytes of a request
)

// scopes are those that allow sending.
var scopes = []string{
	"https://www.googleapis.com/auth/firebase.messaging",
	"https://www.googleapis.com/auth/cloud-platform",
}

// FCM is Firebase Cloud Messaging for one project, with the token service in front
// of it: an http.Handler for POST /token and POST /v1/projects/<id>/messages:send.
type FCM struct {
	mux           *http.ServeMux
	sends, tokens faults

	mu      sync.Mutex
	key     *rsa.PrivateKey
	keyID   string
	bearers map[string]time.Time // access tokens, and until when they are good
	apps    map[string]*App      // by registration token; nil: uninstalled
}

// NewFCM makes a project with a service account and a fresh key.
func NewFCM() (*FCM, error) {
	f := &FCM{bearers: map[string]time.Time{}, apps: map[string]*App{}, mux: http.NewServeMux()}
	f.mux.HandleFunc("POST "+tokenPath, f.serveToken)
	f.mux.HandleFunc("POST "+apiPath+"/projects/{project}/messages:send", f.serveSend)
	return f, f.RotateKey()
}

// ServeHTTP implements http.Handler.
func (f *FCM) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.mux.ServeHTTP(w, r) }

// Endpoint is what senders are configured with when this project is reached at
// origin, such as "http://127.0.0.1:8030".
func (f *FCM) Endpoint(origin string) string { return origin + apiPath }

// Fail lets the next n sends fail, or all to come if n is below 0; 0 heals.
func (f *FCM) Fail(n int, fault Fault) { f.sends.set(n, fault) }

// FailTokens does the same to the token service.
func (f *FCM) FailTokens(n int, fault Fault) { f.tokens.set(n, fault) }

// Sends is how many requests to send came in, whatever was answered.
func (f *FCM) Sends() int { return f.sends.count() }

// TokenRequests is how many requests for access tokens came in.
func (f *FCM) TokenRequests() int { return f.tokens.count() }

// RotateKey gives the service account another key; what was signed with the old
// one is refused from now on.
func (f *FCM) RotateKey() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("generate service account key: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.key, f.keyID = key, rand.Text()
	return nil
}

// ExpireTokens ends all access tokens now.
func (f *FCM) ExpireTokens() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.bearers)
}

// ServiceAccountJSON is the key file that the Firebase console would hand out,
// with the token service at origin.
func (f *FCM) ServiceAccountJSON(origin string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	der, err := x509.MarshalPKCS8PrivateKey(f.key)
	if err != nil { // an RSA key always marshals
		panic(err)
	}
	file, err := json.MarshalIndent(map[string]string{
		"type":           "service_account",
		"project_id":     project,
		"private_key_id": f.keyID,
		"private_key":    string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email":   account,
		"client_id":      "1",
		"token_uri":      origin + tokenPath,
	}, "", "  ")
	if err != nil { // strings always marshal
		panic(err)
	}
	return file
}

func (f *FCM) serveToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxAPI)
	err := r.ParseForm()
	if fault, fails := f.tokens.next(); fails {
		fault.write(w, r, `{"error":"internal_failure"}`)
		return
	}
	if err != nil || r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type"})
		return
	}
	if err := f.checkAssertion(r.PostFormValue("assertion"), originOf(r)+tokenPath, time.Now()); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant", "error_description": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": f.issue(time.Now()), "token_type": "Bearer", "expires_in": int(tokenLife / time.Second),
	})
}

func originOf(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// checkAssertion verifies what a service account signed (RFC 7523 section 3).
func (f *FCM) checkAssertion(assertion, audience string, now time.Time) error {
	signed, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return errors.New("the assertion is not a JWT signed with RS256")
	}
	var claims struct {
		jwt.Claims
		Scope string `json:"scope"`
	}
	if err := signed.Claims(f.publicKey(), &claims); err != nil {
		return errors.New("Invalid JWT Signature.") //nolint:revive,staticcheck // Google's own words
	}
	switch {
	case claims.Issuer != account:
		return errors.New("the issuer is not the service account")
	case !claims.Audience.Contains(audience):
		return fmt.Errorf("the audience is not %s", audience)
	case claims.Expiry == nil || !claims.Expiry.Time().After(now) || claims.Expiry.Time().After(now.Add(tokenLife+time.Minute)):
		return errors.New("the assertion is not valid for an hour at most")
	case !slices.ContainsFunc(strings.Fields(claims.Scope), func(s string) bool { return slices.Contains(scopes, s) }):
		return errors.New("the scope does not allow sending")
	}
	return nil
}

func (f *FCM) publicKey() *rsa.PublicKey {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &f.key.PublicKey
}

func (f *FCM) issue(now time.Time) string {
	token := "ya29." + rand.Text()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bearers[token] = now.Add(tokenLife)
	return token
}

func (f *FCM) knows(r *http.Request) bool {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Before(f.bearers[token])
}

func (f *FCM) serveSend(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAPI))
	if fault, fails := f.sends.next(); fails {
		fault.write(w, r, apiError(fault.Status, fault.Code, ""))
		return
	}
	if err != nil {
		writeAPIError(w, http.StatusRequestEntityTooLarge, "INVALID_ARGUMENT", "")
		return
	}
	if !f.knows(r) {
		writeAPIError(w, http.StatusUnauthorized, "", "")
		return
	}
	if r.PathValue("project") != project {
		writeAPIError(w, http.StatusForbidden, "", "")
		return
	}
	f.deliver(w, body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone: then nobody minds
}
