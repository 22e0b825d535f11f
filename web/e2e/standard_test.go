package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/sqlstore"
)

const (
	// wakeLimit is how long the tokens may take from the approval's answer to who
	// polls. It takes a few milliseconds; this is for a busy machine.
	wakeLimit = time.Second

	errPending  = "authorization_pending"
	errSlowDown = "slow_down"
	errDenied   = "access_denied"
	errExpired  = "expired_token"
	errGrant    = "invalid_grant"

	grantDevice = "urn:ietf:params:oauth:grant-type:device_code"
	grantCIBA   = "urn:openid:params:grant-type:ciba"
)

// standard is a server whose standard faces are tested, with a phone. It is asked
// for its metrics: nothing else says that a poll is held.
type standard struct {
	*server
	phone   *handset
	metrics string // URL
}

func startStandard(t *testing.T, flags ...string) *standard {
	t.Helper()
	listen := "127.0.0.1:" + freePort(t)
	s := &standard{metrics: "http://" + listen + "/metrics"}
	s.server = startServer(t, append([]string{"--metrics-listen", listen}, flags...)...)
	s.phone = s.newHandset(t, "ada")
	return s
}

// registered is a client of the standard faces as the command line prints it.
type registered struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

func (s *standard) register(t *testing.T, flags ...string) registered {
	t.Helper()
	var c registered
	s.cli(t, &c, append([]string{"client", "create", "--name", "Acme TV", "--type", "oauth"}, flags...)...)
	return c
}

// awaitHeld returns when the server holds so many polls.
func (s *standard) awaitHeld(t *testing.T, want int) {
	t.Helper()
	if err := s.held(t.Context(), want); err != nil {
		t.Fatal(err)
	}
}

// held is awaitHeld without a test. A poll sleeps for a moment before it is counted
// as held, so both numbers have to be right.
func (s *standard) held(ctx context.Context, want int) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		got, err := s.gauges(ctx, "nod_waits_held", "nod_hub_sleepers")
		if err != nil || got[0] == want && got[1] == want {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("%d polls are held and %d requests sleep, want %d", got[0], got[1], want)
		}
	}
}

// gauges reads metrics that have no labels.
func (s *standard) gauges(ctx context.Context, names ...string) ([]int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.metrics, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	got := make([]int, len(names))
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		for i, name := range names {
			if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
				v, err := strconv.ParseFloat(value, 64)
				if err != nil {
					return nil, err
				}
				got[i] = int(v)
			}
		}
	}
	return got, lines.Err()
}

// oauthReply is what the endpoints answer, as far as these tests look.
type oauthReply struct {
	Status int
	Err    error // why there was no answer

	Error       string `json:"error"`
	Description string `json:"error_description"`

	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	AuthReqID  string `json:"auth_req_id"`

	AccessToken string `json:"access_token"`
}

// post sends a form as the client, with its secret in the header.
func (s *standard) post(ctx context.Context, client *http.Client, c registered, path string, form url.Values) oauthReply {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		return oauthReply{Err: err}
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret))
	response, err := client.Do(request)
	if err != nil {
		return oauthReply{Err: err}
	}
	defer func() { _ = response.Body.Close() }()
	reply := oauthReply{Status: response.StatusCode}
	if got := response.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		return oauthReply{Status: reply.Status, Err: errors.New("answered " + got)}
	}
	reply.Err = json.NewDecoder(response.Body).Decode(&reply)
	return reply
}

// ask begins a device authorization.
func (s *standard) ask(t *testing.T, c registered) oauthReply {
	t.Helper()
	got := s.post(t.Context(), http.DefaultClient, c, "/oauth/device_authorization", url.Values{"scope": {"openid"}})
	if got.Status != http.StatusOK || got.Err != nil {
		t.Fatalf("device authorization: got %+v, want 200", got)
	}
	return got
}

// poll polls once for a device.
func (s *standard) poll(ctx context.Context, client *http.Client, c registered, deviceCode string) oauthReply {
	return s.post(ctx, client, c, "/oauth/token", url.Values{"grant_type": {grantDevice}, "device_code": {deviceCode}})
}

// want checks the status and, of a refusal, the error.
func (r oauthReply) want(t *testing.T, status int, code string) {
	t.Helper()
	if r.Err != nil || r.Status != status || r.Error != code {
		t.Fatalf("got %d %q %q (%v), want %d %q", r.Status, r.Error, r.Description, r.Err, status, code)
	}
}

// expire ends everything that waits for an answer: it is the janitor of a second
// node on the same data whose clock is ahead by a day.
func (s *standard) expire(ctx context.Context) error {
	const ahead = 24 * time.Hour
	store, err := sqlstore.Open(ctx, filepath.Join(s.data, "nod.db"), sqlstore.WithClock(func() time.Time { return time.Now().Add(ahead) }))
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	codes, err := approval.NewCodes(make([]byte, 32)) // it will not meet any
	if err != nil {
		return err
	}
	service, err := approval.New(approval.Config{
		Store: store, Upkeep: store, Codes: codes,
		KeyID: func(context.Context, time.Time) (string, error) { return "", errors.New("no keys here") },
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	defer func() {
		stop()
		<-ended
	}()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
		if due, err := store.Due(ctx, 1); err != nil || len(due) == 0 {
			return err
		}
	}
}
