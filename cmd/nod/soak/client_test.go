package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/token"
)

const (
	purpose = "temporary_authentication"
	scopes  = "users.create,users.activate,users.deactivate,codes.generate,codes.authorize,codes.invalidate,devices.list,devices.revoke"

	// callWithin is how long a call may take that is not held: longer than a node
	// tries (5 s), shorter than a client would stay.
	callWithin = 8 * time.Second
	// holdWithin is the native contract's two minutes and a little.
	holdWithin = 125 * time.Second
)

// api is a backend and its devices: one client of the cluster's, over HTTP.
type api struct {
	id   string
	key  token.PrivateKey
	http *http.Client
}

func newAPI(t *testing.T, c *cluster) *api {
	t.Helper()
	var made struct {
		ClientID   string `json:"client_id"`
		PrivateKey string `json:"private_key"`
	}
	c.cli(&made, "client", "create", "--name", "Acme TV", "--type", "management", "--scope", scopes)
	key, err := token.ParsePrivateKey([]byte(made.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 256, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &api{made.ClientID, key, &http.Client{Transport: transport}}
}

// through is the same client by another way to the nodes.
func (a *api) through(by http.RoundTripper) *api {
	return &api{a.id, a.key, &http.Client{Transport: by}}
}

// reply is the answer to a call. err says why there was none that counts: the
// connection failed, or the server could not answer.
type reply struct {
	status     int
	retryAfter string
	err        error

	Code      string    `json:"code"` // of an error, or a code just generated
	Message   string    `json:"message"`
	RequestID string    `json:"request_id"`
	ExpiresAt time.Time `json:"expires_at"`
	JWT       string    `json:"jwt"`
	ID        string    `json:"id"`
	Devices   []struct {
		ID     string `json:"id"`
		Active bool   `json:"active"`
	} `json:"devices"`
}

func (r reply) String() string {
	if r.err != nil && r.status == 0 {
		return r.err.Error()
	}
	return fmt.Sprintf("%d %s %s", r.status, r.Code, r.Message)
}

// call is one HTTP call. from is the address that the call is said to come from.
type call struct {
	method, path string // POST when method is ""
	scope        string // of its service token; "": it has none
	user         string // username
	from         string
	body         map[string]any
	within       time.Duration // 0: callWithin
}

// do sends a call to a node at host:port.
func (a *api) do(ctx context.Context, to string, c call) reply {
	if c.within == 0 {
		c.within = callWithin
	}
	ctx, cancel := context.WithTimeout(ctx, c.within)
	defer cancel()
	req, err := a.request(ctx, to, c)
	if err != nil {
		return reply{err: err}
	}
	res, err := a.http.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer res.Body.Close()
	out := reply{status: res.StatusCode, retryAfter: res.Header.Get("Retry-After")}
	text, err := io.ReadAll(res.Body)
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &out)
	}
	switch {
	case err != nil: // cut off: what it would have said is not known
		return reply{err: fmt.Errorf("read answer: %w", err)}
	case out.status >= http.StatusInternalServerError:
		out.err = fmt.Errorf("status %d", out.status)
	}
	return out
}

func (a *api) request(ctx context.Context, to string, c call) (*http.Request, error) {
	body := map[string]any{"client_id": a.id, "username": c.user}
	for k, v := range c.body {
		body[k] = v
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	method := c.method
	if method == "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+to+c.path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.from != "" {
		req.Header.Set("X-Forwarded-For", c.from)
	}
	if c.scope == "" {
		return req, nil
	}
	bearer, err := token.SignService(a.key, token.Service{ClientID: a.id, Type: c.scope})
	req.Header.Set("Authorization", "Bearer "+bearer)
	return req, err
}

func generating(user string) call {
	return call{path: "/codes/long/generate", scope: "codes.generate", user: user, body: map[string]any{"purpose": purpose}}
}

func authorizing(user, code string) call {
	return call{path: "/codes/long/authorize", scope: "codes.authorize", user: user, body: map[string]any{"purpose": purpose, "code": code}}
}

func invalidating(user string) call {
	return call{path: "/codes/long/invalidate-all", scope: "codes.invalidate", user: user, body: map[string]any{"purpose": purpose}}
}

func setting(userID, to string) call { // to is activate or deactivate
	return call{method: http.MethodPut, path: "/manage/users/" + userID + "/" + to, scope: "users." + to}
}

// collecting asks for the token of a code: held, or once.
func collecting(user, code, from string, held bool) call {
	c := call{path: "/authenticate/code/wait", user: user, from: from, body: map[string]any{
		"authentication_code": map[string]any{"code": code, "type": "long"}, "no_wait": !held,
	}}
	if held {
		c.within = holdWithin
	}
	return c
}

// newUser makes a user and returns its id.
func (a *api) newUser(t *testing.T, to, name string) string {
	t.Helper()
	got := a.do(t.Context(), to, call{path: "/manage/users", scope: "users.create", user: name})
	if got.err != nil || got.ID == "" {
		t.Fatalf("create user %s: got %s, want an id", name, got)
	}
	return got.ID
}

// newCode makes a code.
func (a *api) newCode(t *testing.T, to, user string) reply {
	t.Helper()
	got := a.do(t.Context(), to, generating(user))
	if got.err != nil || got.status != http.StatusOK || got.Code == "" {
		t.Fatalf("generate: got %s, want 200 and a code", got)
	}
	return got
}

// hold starts a wait. The answer comes when there is one.
func (a *api) hold(ctx context.Context, to, user, code string) <-chan reply {
	answer := make(chan reply, 1)
	go func() { answer <- a.do(ctx, to, collecting(user, code, "", true)) }() // ends with ctx
	return answer
}

// tryAgain is what a wait hears when its hold is over or its node is leaving.
const tryAgain = "remote_session_timeout"

// awaitHeld returns when a node holds exactly so many waits.
func awaitHeld(t *testing.T, n *node, want int) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("%s holds %d waits", n.name, want), func() error {
		got, err := n.metric("nod_waits_held")
		if err == nil && int(got) != want {
			err = fmt.Errorf("it holds %.0f", got)
		}
		return err
	})
}
