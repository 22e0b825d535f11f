package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/nod-auth/nod/api/token"
)

const (
	purposeLogin = "temporary_authentication"
	typeLong     = "long"
	scopes       = "users.create,codes.generate,codes.authorize,codes.invalidate,auth.temporary,phones.register"

	// holdTimeout is the contract's two minutes and a little.
	holdTimeout = 125 * time.Second
	// continueTimeout is how long a client of this package waits for "100
	// Continue" before it sends its body anyway.
	continueTimeout = 30 * time.Second
)

// native is one registered client of the native API.
type native struct {
	server *server
	http   *http.Client
	id     string
	key    token.PrivateKey
}

// newClient registers a client with the scopes that these tests use.
func (s *server) newClient(t *testing.T, kind string, flags ...string) *native {
	t.Helper()
	var created struct {
		ClientID   string `json:"client_id"`
		PrivateKey string `json:"private_key"`
	}
	s.cli(t, &created, append([]string{"client", "create", "--name", "Acme TV", "--type", kind, "--scope", scopes}, flags...)...)
	key, err := token.ParsePrivateKey([]byte(created.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{ExpectContinueTimeout: continueTimeout, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &native{server: s, http: &http.Client{Transport: transport}, id: created.ClientID, key: key}
}

// newUser creates a user: its name is its whole identity here.
func (s *server) newUser(t *testing.T, username string) string {
	t.Helper()
	var created struct {
		Username string `json:"username"`
	}
	s.cli(t, &created, "user", "create", "--username", username)
	return created.Username
}

// answer is the reply to one call; Err says why there was none.
type answer struct {
	Status  int
	Code    string `json:"code"` // of an error, or of a code just generated
	Message string `json:"message"`
	JWT     string `json:"jwt"`
	Err     error  `json:"-"`

	RequestID   string      `json:"request_id"`
	ApprovalURL string      `json:"approval_url"`
	MatchNumber string      `json:"match_number"`
	State       string      `json:"state"`
	Push        string      `json:"push"`
	Phones      []phoneLine `json:"phones"`
}

// phoneLine is a phone as the API lists it.
type phoneLine struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	Fault string `json:"fault"`
}

// call posts a body with a fresh token of the scope; none where it is empty.
func (n *native) call(ctx context.Context, path, scope string, body map[string]any) answer {
	return n.callAs(ctx, path, token.Service{Type: scope}, body)
}

// callAs is call with claims of the test's own in the token.
func (n *native) callAs(ctx context.Context, path string, claims token.Service, body map[string]any) answer {
	body["client_id"] = n.id
	sent, err := json.Marshal(body)
	if err != nil {
		return answer{Err: err}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, n.server.url+path, bytes.NewReader(sent))
	if err != nil {
		return answer{Err: err}
	}
	request.Header.Set("Content-Type", "application/json")
	if claims.Type == "" {
		// Held waits ask to be told when their body is wanted: that is the one
		// sign that a handler has taken them up.
		request.Header.Set("Expect", "100-continue")
	} else {
		claims.ClientID = n.id
		bearer, err := token.SignService(n.key, claims)
		if err != nil {
			return answer{Err: err}
		}
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	return n.do(request)
}

func (n *native) do(request *http.Request) answer {
	response, err := n.http.Do(request)
	if err != nil {
		return answer{Err: err}
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{Err: err}
	}
	var reply answer
	if err := json.Unmarshal(text, &reply); err != nil {
		return answer{Status: response.StatusCode, Err: err}
	}
	reply.Status = response.StatusCode
	return reply
}

// generate asks for a long code for the user and returns it.
func (n *native) generate(t *testing.T, username string) string {
	t.Helper()
	got := n.call(t.Context(), "/codes/long/generate", "codes.generate",
		map[string]any{"username": username, "purpose": purposeLogin, "authorize": false})
	if got.Status != http.StatusOK || got.Code == "" {
		t.Fatalf("generate: got %+v, want 200 and a code", got)
	}
	return got.Code
}

// authorize approves a code as a backend does.
func (n *native) authorize(t *testing.T, username, code string) {
	t.Helper()
	got := n.call(t.Context(), "/codes/long/authorize", "codes.authorize",
		map[string]any{"username": username, "purpose": purposeLogin, "code": code})
	if got.Status != http.StatusOK {
		t.Fatalf("authorize: got %+v, want 200", got)
	}
}

// wait holds until the code is decided.
func (n *native) wait(ctx context.Context, username, code string) answer {
	ctx, cancel := context.WithTimeout(ctx, holdTimeout)
	defer cancel()
	return n.call(ctx, "/authenticate/code/wait", "",
		map[string]any{"username": username, "authentication_code": map[string]any{"code": code, "type": typeLong}})
}

// held is a wait that runs in a goroutine of its own.
type held struct {
	taken  chan struct{} // closed when the server has taken it up
	answer chan answer   // receives exactly one answer
}

// hold starts a wait. It ends with ctx.
func (n *native) hold(ctx context.Context, username, code string) held {
	h := held{taken: make(chan struct{}), answer: make(chan answer, 1)}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got100Continue: func() { close(h.taken) }})
	go func() { h.answer <- n.wait(ctx, username, code) }()
	return h
}

// awaitTaken returns when the server has taken the wait up. An answer without
// that is a refusal, which no caller expects.
func (h held) awaitTaken(t *testing.T) {
	t.Helper()
	select {
	case <-h.taken:
		return
	case got := <-h.answer:
		h.answer <- got
	}
	select {
	case <-h.taken: // and answered already
	default:
		t.Fatalf("wait was not taken up: got %+v", <-h.answer)
	}
}

// verifyJWT checks a JWT against the published key it names.
func (s *server) verifyJWT(t *testing.T, compact string) {
	t.Helper()
	signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatalf("parse JWT %q: %v", compact, err)
	}
	response, err := http.Get(s.url + "/certs?kid=" + signed.Signatures[0].Header.KeyID)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	pem, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	key, err := token.ParsePublicKey(pem)
	if err != nil {
		t.Fatalf("key of /certs, %d %q: %v", response.StatusCode, pem, err)
	}
	if _, err := signed.Verify(key); err != nil {
		t.Fatalf("verify JWT %q: %v", compact, err)
	}
}
