package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval/account"
)

// M is a JSON object.
type M = map[string]any

// Call is one HTTP request; everything but Path has a default.
type Call struct {
	Method string // POST with a body, GET without
	Path   string
	Body   any    // a string goes as it is, url.Values as a form, anything else as JSON
	Token  string // of the Authorization header, after "Bearer "
	Header map[string]string
	Ctx    context.Context
}

// Reply is what came back.
type Reply struct {
	*House
	Status int
	Header http.Header
	Text   string
	JSON   M // nil when it is not an object
}

// Do makes the call.
func (h *House) Do(c Call) Reply {
	h.Helper()
	res, err := h.Try(c)
	h.must(err)
	return res
}

// Try is Do where the call may fail to be answered.
func (h *House) Try(c Call) (Reply, error) {
	h.Helper()
	req, err := h.request(c)
	h.must(err)
	res, err := h.HTTP.Do(req)
	if err != nil {
		return Reply{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return Reply{}, err
	}
	r := Reply{House: h, Status: res.StatusCode, Header: res.Header, Text: string(text)}
	_ = json.Unmarshal(text, &r.JSON)
	return r, nil
}

func (h *House) request(c Call) (*http.Request, error) {
	var body io.Reader
	method, kind := http.MethodGet, "application/json"
	if c.Body != nil {
		method = http.MethodPost
		text, err := encode(c.Body)
		if err != nil {
			return nil, err
		}
		if _, isForm := c.Body.(url.Values); isForm {
			kind = "application/x-www-form-urlencoded"
		}
		body = strings.NewReader(text)
	}
	fill(&c.Method, method)
	if c.Ctx == nil {
		c.Ctx = context.Background()
	}
	req, err := http.NewRequestWithContext(c.Ctx, c.Method, h.URL+c.Path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", kind)
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	for k, v := range c.Header {
		if v == "" {
			req.Header.Del(k)
		} else {
			req.Header.Set(k, v)
		}
	}
	return req, nil
}

// encode is a body as it is sent.
func encode(body any) (string, error) {
	switch b := body.(type) {
	case string:
		return b, nil
	case url.Values:
		return b.Encode(), nil
	default:
		text, err := json.Marshal(body)
		return string(text), err
	}
}

// Want ends the test unless the reply has the status and, if one is given, the
// code. It returns the reply.
func (r Reply) Want(status int, code ...string) Reply {
	r.Helper()
	if r.Status != status {
		r.Fatalf("got %d %s, want %d %v", r.Status, r.Text, status, code)
	}
	if len(code) > 0 && r.JSON["code"] != code[0] {
		r.Fatalf("got %d %s, want code %s", r.Status, r.Text, code[0])
	}
	return r
}

// S is a text member, reached by its path ("user.id").
func (r Reply) S(path string) string {
	r.Helper()
	var v any = r.JSON
	for name := range strings.SplitSeq(path, ".") {
		object, _ := v.(M)
		v = object[name]
	}
	s, ok := v.(string)
	if !ok {
		r.Fatalf("%s: got %v in %s, want a text", path, v, r.Text)
	}
	return s
}

// Into decodes the reply.
func (r Reply) Into(v any) {
	r.Helper()
	r.must(json.NewDecoder(bytes.NewReader([]byte(r.Text))).Decode(v))
}

// App is a client with its key: a backend.
type App struct {
	*House
	Client account.Client
	Key    token.PrivateKey
}

// Token signs a service token; change may spoil it first.
func (a *App) Token(scope account.Scope, change ...func(*token.Service)) string {
	a.Helper()
	now, err := a.Store.Now(context.Background())
	a.must(err)
	s := token.Service{ClientID: a.Client.ID, Type: string(scope), Nonce: token.NewNonce(), IssuedAt: now}
	for _, f := range change {
		f(&s)
	}
	compact, err := token.SignService(a.Key, s)
	a.must(err)
	return compact
}

// Post makes a call in the app's name, with a fresh token of the scope; without
// one when that is "".
func (a *App) Post(path string, scope account.Scope, body M) Reply {
	a.Helper()
	c := Call{Path: path, Body: a.named(body)}
	if scope != "" {
		c.Token = a.Token(scope)
	}
	return a.Do(c)
}

// named is the body with the app's client id, unless it has one.
func (a *App) named(body M) M {
	out := M{"client_id": a.Client.ID}
	for k, v := range body {
		out[k] = v
	}
	return out
}

// Code is what a test keeps of generate's answer.
type Code struct {
	Username, Kind, Code, RequestID, ApprovalURL, MatchNumber string
}

// Generate makes a code for a user; more is added to the body.
func (a *App) Generate(username, kind string, more M) Code {
	a.Helper()
	body := M{"username": username, "purpose": "temporary_authentication"}
	for k, v := range more {
		body[k] = v
	}
	r := a.Post("/codes/"+kind+"/generate", account.CodesGenerate, body).Want(http.StatusOK)
	return Code{username, kind, r.S("code"), r.S("request_id"), r.S("approval_url"), r.S("match_number")}
}

// Authorize approves a code.
func (a *App) Authorize(c Code) Reply {
	a.Helper()
	return a.Post("/codes/"+c.Kind+"/authorize", account.CodesAuthorize,
		M{"username": c.Username, "purpose": "temporary_authentication", "code": c.Code})
}

// WaitBody is the body of a wait for the code.
func (c Code) WaitBody() M {
	return M{"username": c.Username, "authentication_code": M{"code": c.Code, "type": c.Kind}}
}

// Wait waits for the code without a token; more is added to the body.
func (a *App) Wait(c Code, more M) Reply {
	a.Helper()
	body := c.WaitBody()
	for k, v := range more {
		body[k] = v
	}
	return a.Post("/authenticate/code/wait", "", body)
}

// Held makes the call on its own goroutine and returns once the server holds it.
// The reply comes through the channel; a call that broke off has status 0.
func (h *House) Held(c Call) <-chan Reply {
	h.Helper()
	out := make(chan Reply, 1)
	before := h.Service.Hub.Sleeping()
	go func() {
		r, err := h.Try(c)
		if err != nil {
			r = Reply{House: h, Text: err.Error()}
		}
		out <- r
	}()
	h.Until("the call is held", func() bool { return h.Service.Hub.Sleeping() > before })
	return out
}

// patience is how long a test waits for what must happen soon.
const patience = 10 * time.Second

// Until polls until ok, and ends the test when that takes too long.
func (h *House) Until(what string, ok func() bool) {
	h.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			h.Fatalf("still not: %s", what)
		case <-tick.C:
		}
	}
}

// Answer waits for a held call's reply.
func (h *House) Answer(from <-chan Reply) Reply {
	h.Helper()
	select {
	case r := <-from:
		return r
	case <-time.After(patience):
		h.Fatal("no answer")
		return Reply{}
	}
}
