package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nod-auth/nod/api/token"
)

const purpose = "temporary_authentication"

// refused is an answer other than 200.
type refused struct {
	status int
	body   []byte
}

func (e *refused) Error() string { return fmt.Sprintf("status %d: %.200s", e.status, e.body) }

// call is one request to a node.
type call struct {
	to    *node
	path  string
	scope string // of its service token, "": none
	user  string
	body  map[string]any
}

func (t *target) post(ctx context.Context, c call, into any) error {
	c.body["client_id"], c.body["username"] = t.clientID, c.user
	raw, err := json.Marshal(c.body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.to.url+c.path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.scope != "" {
		bearer, err := token.SignService(t.key, token.Service{ClientID: t.clientID, Type: c.scope, Username: c.user})
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := t.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %w", c.path, &refused{res.StatusCode, answer})
	}
	return json.Unmarshal(answer, into)
}

func (t *target) generate(ctx context.Context, on *node, user string) (string, error) {
	var got struct{ Code string }
	err := t.post(ctx, call{on, "/codes/long/generate", "codes.generate", user,
		map[string]any{"purpose": purpose, "authorize": false}}, &got)
	return got.Code, err
}

func (t *target) authorize(ctx context.Context, on *node, code string) error {
	return t.post(ctx, call{on, "/codes/long/authorize", "codes.authorize", t.user,
		map[string]any{"purpose": purpose, "code": code}}, &struct{}{})
}

func (t *target) invalidate(ctx context.Context, on *node, user string) error {
	return t.post(ctx, call{on, "/codes/long/invalidate-all", "codes.invalidate", user,
		map[string]any{"purpose": purpose}}, &struct{}{})
}

// codes generates n codes to be held, over all nodes.
func (t *target) codes(ctx context.Context, n int) ([]string, error) {
	out := make([]string, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(preparing)
	for i := range out {
		g.Go(func() (err error) {
			out[i], err = t.generate(ctx, t.node(i), t.other)
			return err
		})
	}
	return out, g.Wait()
}

// got is the end of a wait: when its last byte was here. Without an error it
// brought a token.
type got struct {
	at  time.Time
	err error
}

// startWait sends a wait and returns once it has been written.
func (t *target) startWait(ctx context.Context, on *node, user, code string) (<-chan got, error) {
	written := make(chan struct{}, 1)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) {
		select {
		case written <- struct{}{}:
		default:
		}
	}})
	out := make(chan got, 1)
	go func() { // ends with the request, whose context the caller owns
		var answer struct{ JWT string }
		err := t.post(ctx, call{on, "/authenticate/code/wait", "", user, map[string]any{
			"authentication_code": map[string]any{"code": code, "type": "long"},
		}}, &answer)
		if err == nil && answer.JWT == "" {
			err = errors.New("wait: an answer without a token")
		}
		out <- got{time.Now(), err}
	}()
	select {
	case <-written:
		return out, nil
	case end := <-out: // decided already, or refused
		out <- end
		return out, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// waits are held requests that can be dropped together.
type waits struct {
	ends []<-chan got
	drop func()
}

// fill holds one wait for every code, spread over some nodes, and returns when
// these say that they hold them all.
func (t *target) fill(ctx context.Context, codes []string, over ...*node) (waits, error) {
	held, cancel := context.WithCancel(ctx)
	w := waits{ends: make([]<-chan got, len(codes)), drop: cancel}
	g := new(errgroup.Group)
	g.SetLimit(preparing)
	for i, code := range codes {
		g.Go(func() (err error) {
			w.ends[i], err = t.startWait(held, over[i%len(over)], t.other, code)
			return err
		})
	}
	err := g.Wait()
	if err == nil {
		err = t.awaitHeld(ctx, len(codes), over...)
	}
	if err != nil {
		cancel()
		return waits{}, err
	}
	return w, nil
}

// awaitHeld returns when the nodes hold exactly n waits together.
func (t *target) awaitHeld(ctx context.Context, n int, over ...*node) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		held, err := t.sum(ctx, "nod_waits_held", over...)
		if err != nil {
			return err
		}
		if int(held) == n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server holds %.0f waits, want %d (see --max-waits-per-address and the open-file limit)", held, n)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// sum adds one metric up over nodes.
func (t *target) sum(ctx context.Context, name string, over ...*node) (total float64, err error) {
	for _, n := range over {
		value, err := t.metric(ctx, n, name)
		if err != nil {
			return 0, err
		}
		total += value
	}
	return total, nil
}

// metric reads one metric of a node.
func (t *target) metric(ctx context.Context, of *node, name string) (float64, error) {
	if of.metrics == "" {
		return 0, errors.New("read metrics: --metrics-url is needed with --url")
	}
	body, err := t.get(ctx, of.metrics)
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("read metrics: no %s", name)
}

func (t *target) get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := t.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}
