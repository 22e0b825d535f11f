package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"testing"

	"github.com/nod-auth/nod/api/token"
)

// backend is an application's server, with a client of its own.
type backend struct {
	http     http.Client
	url      string
	clientID string
	key      token.PrivateKey
}

// cli runs a command on the data of a server and reads what it prints.
func cli(t *testing.T, dir string, into any, args ...string) {
	t.Helper()
	c := exec.Command("nod", append(args, "--output", "json")...)
	c.Dir = dir
	out, err := c.Output()
	if err != nil {
		t.Fatalf("nod %v: %v", args, err)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("nod %v: %v in %s", args, err, out)
	}
}

func newBackend(t *testing.T, dir, url string) *backend {
	t.Helper()
	var made struct {
		ClientID   string `json:"client_id"`
		PrivateKey string `json:"private_key"`
	}
	cli(t, dir, &made, "client", "create", "--name", "Acme", "--type", "management",
		"--scope", "codes.generate,codes.authorize,users.create")
	key, err := token.ParsePrivateKey([]byte(made.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{url: url, clientID: made.ClientID, key: key}
	t.Cleanup(b.http.CloseIdleConnections)
	return b
}

// call posts body, with a service token of the scope unless that is empty.
func (b *backend) call(path, scope string, body map[string]any) (status int, answer map[string]any, err error) {
	body["client_id"] = b.clientID
	text, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	ask, err := http.NewRequest(http.MethodPost, b.url+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	ask.Header.Set("Content-Type", "application/json")
	if scope != "" {
		bearer, err := token.SignService(b.key, token.Service{ClientID: b.clientID, Type: scope})
		if err != nil {
			return 0, nil, err
		}
		ask.Header.Set("Authorization", "Bearer "+bearer)
	}
	reply, err := b.http.Do(ask)
	if err != nil {
		return 0, nil, err
	}
	defer reply.Body.Close()
	text, err = io.ReadAll(reply.Body)
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	return reply.StatusCode, answer, err
}

// generate returns a new long code of the user.
func (b *backend) generate(t *testing.T, username string) string {
	t.Helper()
	status, answer, err := b.call("/codes/long/generate", "codes.generate",
		map[string]any{"username": username, "purpose": "temporary_authentication"})
	code, _ := answer["code"].(string)
	if err != nil || status != http.StatusOK || code == "" {
		t.Fatalf("generate: got %d %v, %v; want a code", status, answer, err)
	}
	return code
}

// wait holds a request open until the code is decided.
func (b *backend) wait(username, code string) (status int, answer map[string]any, err error) {
	return b.call("/authenticate/code/wait", "", map[string]any{
		"username": username, "authentication_code": map[string]any{"code": code, "type": "long"},
	})
}

func (b *backend) authorize(t *testing.T, username, code string) {
	t.Helper()
	status, answer, err := b.call("/codes/long/authorize", "codes.authorize",
		map[string]any{"username": username, "purpose": "temporary_authentication", "code": code})
	if err != nil || status != http.StatusOK {
		t.Fatalf("authorize: got %d %v, %v; want 200", status, answer, err)
	}
}

// metric reads one figure of a running server.
func metric(url, name string) (value float64, err error) {
	reply, err := http.Get(url)
	if err != nil {
		return 0, err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return 0, err
	}
	_, after, found := bytes.Cut(text, []byte("\n"+name+" "))
	if !found {
		return 0, fmt.Errorf("no metric %s", name)
	}
	_, err = fmt.Sscan(string(after), &value)
	return value, err
}
