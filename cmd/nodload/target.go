package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nod-auth/nod/api/token"
)

// targetFlags name a running server; all empty means: start one.
type targetFlags struct {
	url, clientID, keyFile, username, metrics string
	pid                                       int
}

// target is the server under load and what is needed to use it.
type target struct {
	url, clientID, username, metrics string
	key                              token.PrivateKey
	pid                              int
	http                             *http.Client
	stop                             func()
}

const purpose = "temporary_authentication"

func (f targetFlags) open(ctx context.Context) (*target, error) {
	if f.url == "" {
		return startServer(ctx)
	}
	if err := loopbackOnly(f.url); err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(f.keyFile)
	if err != nil {
		return nil, fmt.Errorf("read --key: %w", err)
	}
	key, err := token.ParsePrivateKey(pem)
	if err != nil {
		return nil, fmt.Errorf("read --key: %w", err)
	}
	return &target{
		url: f.url, clientID: f.clientID, username: f.username, metrics: f.metrics, key: key, pid: f.pid,
		http: newClient(), stop: func() {},
	}, nil
}

// loopbackOnly refuses to load anything but this machine.
func loopbackOnly(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	if u.Hostname() == "localhost" {
		return nil
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && a.IsLoopback() {
		return nil
	}
	return fmt.Errorf("--url %s: load goes to loopback addresses only (localhost, 127.0.0.1, [::1])", u.Hostname())
}

func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 256, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
	}}
}

func (t *target) close() {
	t.http.CloseIdleConnections()
	t.stop()
}

// refused is an answer other than 200.
type refused struct {
	status int
	body   []byte
}

func (e *refused) Error() string { return fmt.Sprintf("status %d: %.200s", e.status, e.body) }

func (t *target) post(ctx context.Context, path, scope string, body map[string]any, into any) error {
	body["client_id"], body["username"] = t.clientID, t.username
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if scope != "" {
		bearer, err := token.SignService(t.key, token.Service{ClientID: t.clientID, Type: scope, Username: t.username})
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
		return fmt.Errorf("POST %s: %w", path, &refused{res.StatusCode, answer})
	}
	return json.Unmarshal(answer, into)
}

func (t *target) generate(ctx context.Context) (string, error) {
	var got struct{ Code string }
	err := t.post(ctx, "/codes/long/generate", "codes.generate", map[string]any{"purpose": purpose, "authorize": false}, &got)
	return got.Code, err
}

func (t *target) authorize(ctx context.Context, code string) error {
	return t.post(ctx, "/codes/long/authorize", "codes.authorize", map[string]any{"purpose": purpose, "code": code}, &struct{}{})
}

func (t *target) invalidate(ctx context.Context) error {
	return t.post(ctx, "/codes/long/invalidate-all", "codes.invalidate", map[string]any{"purpose": purpose}, &struct{}{})
}

// codes generates n codes.
func (t *target) codes(ctx context.Context, n int) ([]string, error) {
	out := make([]string, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(preparing)
	for i := range out {
		g.Go(func() (err error) {
			out[i], err = t.generate(ctx)
			return err
		})
	}
	return out, g.Wait()
}

// got is the end of a wait: when its last byte was here.
type got struct {
	at  time.Time
	err error
}

// startWait sends a wait and returns once it has been written.
func (t *target) startWait(ctx context.Context, code string) (<-chan got, error) {
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
		err := t.post(ctx, "/authenticate/code/wait", "", map[string]any{
			"authentication_code": map[string]any{"code": code, "type": "long"},
		}, &answer)
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
	drop func()
}

// fill holds one wait for every code and returns when the server says that it
// holds them all.
func (t *target) fill(ctx context.Context, codes []string) (waits, error) {
	held, cancel := context.WithCancel(ctx)
	g := new(errgroup.Group)
	g.SetLimit(preparing)
	for _, code := range codes {
		g.Go(func() error {
			_, err := t.startWait(held, code)
			return err
		})
	}
	err := g.Wait()
	if err == nil {
		err = t.awaitHeld(ctx, len(codes))
	}
	if err != nil {
		cancel()
		return waits{}, err
	}
	return waits{drop: cancel}, nil
}

// awaitHeld returns when the server holds exactly n waits.
func (t *target) awaitHeld(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		held, err := t.gauge(ctx, "nod_waits_held")
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

// gauge reads one metric.
func (t *target) gauge(ctx context.Context, name string) (float64, error) {
	body, err := t.get(ctx, t.metrics)
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

// roundTrip times the cheapest answer the server has.
func (t *target) roundTrip(ctx context.Context, samples int) ([]time.Duration, error) {
	out := make([]time.Duration, 0, samples)
	for range samples {
		began := time.Now()
		if _, err := t.get(ctx, t.url+"/livez"); err != nil {
			return nil, err
		}
		out = append(out, time.Since(began))
	}
	return out, nil
}
