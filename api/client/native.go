package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Native speaks nod's native interface as a new device does: with a code that a
// backend has made. BaseURL and ClientID are required.
type Native struct {
	BaseURL  string // nod's public URL, with or without the prefix /api/native
	ClientID string

	// HTTPClient makes the calls; nil: one of its own. Redirects are not followed.
	HTTPClient *http.Client
}

// The types of codes.
const (
	CodeShort  = "short"
	CodeLong   = "long"
	CodePhrase = "phrase"
)

// WaitRequest is what is waited for.
type WaitRequest struct {
	Username string
	Code     string
	CodeType string // CodeShort, CodeLong or CodePhrase

	// Token makes a service token of scope auth.temporary, for a client that needs
	// one to wait. It is called before every call, since each token is good once.
	Token func(ctx context.Context) (string, error)

	// Progress, when set, hears of Interrupted and Resumed. It should return soon.
	Progress func(Progress)
}

// Result is what an approval gave.
type Result struct {
	UserID      string
	Username    string
	NamespaceID string
	// Credential is what approved: a passkey (type fido2), or the code itself where
	// a backend did (type code).
	Credential Credential
	JWT        string // to be verified with a Verifier, for the audience ClientID
	Raw        json.RawMessage
}

// Credential is what approved.
type Credential struct {
	ID   string `json:"uuid"`
	Type string `json:"type"`
	Name string `json:"name"`
}

// String keeps the token out of logs.
func (r Result) String() string { return r.Username + " " + redacted }

// GoString keeps the token out of logs.
func (r Result) GoString() string { return r.String() }

const (
	// waitLimit is when a wait without an answer counts as broken: nod answers one
	// within two minutes.
	waitLimit = 150 * time.Second

	// waitPause is the least time between the starts of two waits. Only a server
	// that shuts down, or another wait for the same code, ends one sooner.
	waitPause = time.Second
)

// Wait holds a call open until the code has been decided, again and again while it
// lives, over broken connections and restarts of the server.
//
// The error matches [ErrDenied] or [ErrExpired], or is the cause for which ctx
// ended. Any other verdict about the code, an unknown one say, is an [*Error]. While
// the server cannot be reached nothing says when the code runs out: ctx should.
func (n Native) Wait(ctx context.Context, w WaitRequest) (*Result, error) {
	got, err := n.wait(ctx, w)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("wait for %s: %w", w.Username, context.Cause(ctx))
	case err != nil:
		return nil, fmt.Errorf("wait for %s: %w", w.Username, err)
	}
	return got, nil
}

func (n Native) wait(ctx context.Context, w WaitRequest) (*Result, error) {
	base := strings.TrimSuffix(n.BaseURL, "/")
	if err := checkURL("base URL", base); err != nil {
		return nil, err
	}
	h, done := ownHTTP(n.HTTPClient)
	defer done()
	v := &waiter{WaitRequest: w, http: h, url: base + "/authenticate/code/wait"}
	if v.Progress == nil {
		v.Progress = func(Progress) {}
	}
	var err error
	if v.body, err = json.Marshal(map[string]any{
		"client_id": n.ClientID, "username": w.Username,
		"authentication_code": map[string]string{"code": w.Code, "type": w.CodeType},
	}); err != nil {
		return nil, err
	}
	for {
		if err := sleepUntil(ctx, v.next); err != nil {
			return nil, err
		}
		if got, err := v.once(ctx); got != nil || err != nil {
			return got, err
		}
	}
}

// waiter keeps the pace of one wait. It is used by one goroutine.
type waiter struct {
	WaitRequest
	http    *http.Client
	url     string
	body    []byte
	began   time.Time // of the latest call
	next    time.Time // not before
	backoff backoff
	trouble bool
}

// once makes one call. Neither a result nor an error: go on.
func (v *waiter) once(ctx context.Context) (*Result, error) {
	v.began = time.Now()
	a, err := v.call(ctx)
	switch {
	case errors.Is(err, ErrUnreachable):
		v.broken(err, 0)
		return nil, nil
	case err != nil:
		return nil, err
	}
	e := a.fault()
	switch {
	case e == nil:
		return v.result(a)
	case e.Code == "remote_session_timeout":
		v.answered()
	case e.passing() && e.Code != "remote_session_maximum_retry_attempts":
		v.broken(e, e.RetryAfter)
	default:
		return nil, e
	}
	return nil, nil
}

func (v *waiter) call(ctx context.Context) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url, bytes.NewReader(v.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if v.Token != nil {
		token, err := v.Token(ctx)
		if err != nil {
			return nil, fmt.Errorf("make a service token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return send(v.http, req)
}

// result reads a success. What is none is a page on the way.
func (v *waiter) result(a *answer) (*Result, error) {
	var said struct {
		User struct {
			ID          string `json:"id"`
			Username    string `json:"username"`
			NamespaceID string `json:"namespace_id"`
		} `json:"user"`
		Credential Credential `json:"credential"`
		JWT        string     `json:"jwt"`
		Is         bool       `json:"is_authenticated"`
	}
	if json.Unmarshal(a.body, &said) != nil || !said.Is || said.JWT == "" {
		v.broken(fmt.Errorf("%w: status %d without an answer of nod", ErrUnreachable, a.status), 0)
		return nil, nil //nolint:nilerr // the waiter asks again
	}
	return &Result{
		UserID: said.User.ID, Username: said.User.Username, NamespaceID: said.User.NamespaceID,
		Credential: said.Credential, JWT: said.JWT, Raw: a.body,
	}, nil
}

func (v *waiter) answered() {
	v.next = v.began.Add(waitPause)
	v.backoff.reset()
	if v.trouble {
		v.trouble = false
		v.Progress(Progress{Event: Resumed})
	}
}

func (v *waiter) broken(err error, retryAfter time.Duration) {
	now := time.Now()
	if now.Sub(v.began) >= longPause { // it was held: no server in trouble
		v.backoff.reset()
	}
	v.next = now.Add(max(v.backoff.next(), retryAfter))
	if !v.trouble {
		v.trouble = true
		v.Progress(Progress{Event: Interrupted, Err: err})
	}
}
