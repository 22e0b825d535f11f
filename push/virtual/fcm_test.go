package virtual

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const console = "http://fcm.example"

// backend calls FCM as an SDK does, step by step.
type backend struct {
	fcm    *FCM
	key    *rsa.PrivateKey
	claims map[string]any
}

func newBackend(t *testing.T) backend {
	t.Helper()
	f, err := NewFCM()
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		ClientEmail string `json:"client_email"`
		PrivateKey  string `json:"private_key"`
		TokenURI    string `json:"token_uri"`
	}
	if err := json.Unmarshal(f.ServiceAccountJSON(console), &file); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(file.PrivateKey))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return backend{fcm: f, key: key.(*rsa.PrivateKey), claims: map[string]any{
		"iss": file.ClientEmail, "aud": file.TokenURI, "scope": scopes[0], "exp": time.Now().Add(time.Hour).Unix(),
	}}
}

func (b backend) assertion(t *testing.T) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: b.key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(b.claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (b backend) token(t *testing.T, grant string) (int, string) {
	t.Helper()
	form := url.Values{"grant_type": {grant}, "assertion": {b.assertion(t)}}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, console+"/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	b.fcm.ServeHTTP(w, r)
	var answer struct {
		AccessToken string `json:"access_token"`
		Error       string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	return w.Code, answer.AccessToken + answer.Error
}

func (b backend) send(t *testing.T, project, bearer, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, console+"/v1/projects/"+project+"/messages:send", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+bearer)
	w := httptest.NewRecorder()
	b.fcm.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

const jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"

func TestFCM_issuesTokensForItsServiceAccount(t *testing.T) {
	b := newBackend(t)
	if status, token := b.token(t, jwtBearer); status != http.StatusOK || token == "" {
		t.Errorf("got %d %q, want a token", status, token)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(b *backend){
		"another key":      func(b *backend) { b.key = other },
		"another issuer":   func(b *backend) { b.claims["iss"] = "other@example.org" },
		"another audience": func(b *backend) { b.claims["aud"] = "https://oauth2.googleapis.com/token" },
		"no scope":         func(b *backend) { delete(b.claims, "scope") },
		"an old assertion": func(b *backend) { b.claims["exp"] = time.Now().Add(-time.Minute).Unix() },
		"a long assertion": func(b *backend) { b.claims["exp"] = time.Now().Add(2 * time.Hour).Unix() },
		"a rotated key": func(b *backend) {
			if err := b.fcm.RotateKey(); err != nil {
				t.Fatal(err)
			}
		},
	} {
		b := newBackend(t)
		change(&b)
		if status, says := b.token(t, jwtBearer); status != http.StatusBadRequest || says != "invalid_grant" {
			t.Errorf("%s: got %d %q, want 400 invalid_grant", name, status, says)
		}
	}
	if status, says := b.token(t, "password"); status != http.StatusBadRequest || says != "unsupported_grant_type" {
		t.Errorf("another grant: got %d %q", status, says)
	}
}

func TestFCM_deliversToInstalledApps(t *testing.T) {
	b := newBackend(t)
	app, removed := b.fcm.Install(), b.fcm.Install()
	removed.Uninstall()
	_, bearer := b.token(t, jwtBearer)
	to := func(token, rest string) string { return `{"message":{"token":"` + token + `"` + rest + `}}` }
	for name, c := range map[string]struct {
		project, bearer, body string
		status                int
		says                  string
	}{
		"no access":         {project, "ya29.other", to(app.Token(), ""), 401, "UNAUTHENTICATED"},
		"another project":   {"other", bearer, to(app.Token(), ""), 403, "PERMISSION_DENIED"},
		"an unknown token":  {project, bearer, to("unknown", ""), 400, "message.token"},
		"a removed app":     {project, bearer, to(removed.Token(), ""), 404, "UNREGISTERED"},
		"no JSON":           {project, bearer, "message", 400, "INVALID_ARGUMENT"},
		"data of numbers":   {project, bearer, to(app.Token(), `,"data":{"a":1}`), 400, "INVALID_ARGUMENT"},
		"a strange life":    {project, bearer, to(app.Token(), `,"android":{"ttl":"soon"}`), 400, "android.ttl"},
		"a large message":   {project, bearer, to(app.Token(), `,"data":{"a":"`+strings.Repeat("x", maxAPI)+`"}`), 413, "INVALID_ARGUMENT"},
		"a validation":      {project, bearer, `{"validate_only":true,` + to(app.Token(), "")[1:], 200, "messages/"},
		"a correct message": {project, bearer, to(app.Token(), `,"data":{"a":"b"},"android":{"ttl":"1.5s","notification":{"tag":"t"}}`), 200, "messages/"},
	} {
		if status, body := b.send(t, c.project, c.bearer, c.body); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: got %d %s, want %d and %q", name, status, body, c.status, c.says)
		}
	}
	n, err := app.Receive(t.Context())
	if err != nil || n.Data["a"] != "b" || n.Android.TTL != 1500*time.Millisecond || n.Android.Tag != "t" || app.Pending() != 0 {
		t.Errorf("got %+v, %v and %d more, want the correct message alone", n, err, app.Pending())
	}
}

func TestFCM_failsAsTold(t *testing.T) {
	b := newBackend(t)
	b.fcm.FailTokens(1, Fault{Status: http.StatusServiceUnavailable})
	if status, _ := b.token(t, jwtBearer); status != 503 {
		t.Errorf("got %d, want 503", status)
	}
	_, bearer := b.token(t, jwtBearer)
	b.fcm.Fail(1, Fault{Status: http.StatusTooManyRequests, Code: "QUOTA_EXCEEDED"})
	if status, body := b.send(t, project, bearer, "{}"); status != 429 || !strings.Contains(body, "QUOTA_EXCEEDED") {
		t.Errorf("got %d %s, want 429 QUOTA_EXCEEDED", status, body)
	}
	b.fcm.ExpireTokens()
	if status, _ := b.send(t, project, bearer, "{}"); status != 401 {
		t.Errorf("got %d, want 401", status)
	}
	if sends, tokens := b.fcm.Sends(), b.fcm.TokenRequests(); sends != 2 || tokens != 2 {
		t.Errorf("got %d sends and %d token requests, want 2 and 2", sends, tokens)
	}
}
