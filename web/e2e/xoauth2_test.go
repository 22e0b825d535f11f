package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// golang.org/x/oauth2 as it is. Its device endpoint is only told the client's name,
// so clients with a secret are registered as relaxed there.
var xoauth2 = []struct {
	name  string
	style oauth2.AuthStyle
	flags []string
}{
	{"a secret, style found out", oauth2.AuthStyleAutoDetect, []string{"--auth", "client_secret_basic", "--device-auth", "relaxed"}},
	{"a secret for the body, style found out", oauth2.AuthStyleAutoDetect, []string{"--auth", "client_secret_post", "--device-auth", "relaxed"}},
	{"a secret in the header", oauth2.AuthStyleInHeader, []string{"--auth", "client_secret_basic", "--device-auth", "relaxed"}},
	{"a secret in the body", oauth2.AuthStyleInParams, []string{"--auth", "client_secret_post", "--device-auth", "relaxed"}},
	{"public, style found out", oauth2.AuthStyleAutoDetect, []string{"--auth", "none"}},
	{"public, in the body", oauth2.AuthStyleInParams, []string{"--auth", "none"}},
}

// library is the library set up for one client. Its replies from the token endpoint
// are noted.
type library struct {
	oauth2.Config
	*standard
	mu      sync.Mutex
	replies []string // error codes, "" for a success
}

func (s *standard) library(t *testing.T, style oauth2.AuthStyle, flags ...string) *library {
	t.Helper()
	c := s.register(t, append([]string{"--grant", "device_code"}, flags...)...)
	return &library{standard: s, Config: oauth2.Config{
		ClientID: c.ID, ClientSecret: c.Secret, Scopes: []string{"openid", "offline_access"},
		Endpoint: oauth2.Endpoint{
			DeviceAuthURL: s.url + "/oauth/device_authorization", TokenURL: s.url + "/oauth/token", AuthStyle: style,
		},
	}}
}

// context carries the HTTP client, as the library wants it.
func (l *library) context(t *testing.T) context.Context {
	return context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: l})
}

// RoundTrip notes what the token endpoint says.
func (l *library) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil || request.URL.String() != l.Endpoint.TokenURL {
		return response, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(text))
	var said oauthReply
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.replies = append(l.replies, said.Error)
	l.mu.Unlock()
	return response, nil
}

func (l *library) said() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.replies)
}

// waiting is a device that polls.
type waiting struct {
	library *library
	device  *oauth2.DeviceAuthResponse
	done    chan struct{} // closed when it has ended
	token   *oauth2.Token
	err     error
	at      time.Time
}

func (l *library) begin(t *testing.T) *waiting {
	t.Helper()
	device, err := l.DeviceAuth(l.context(t))
	if err != nil {
		t.Fatal(err)
	}
	if device.UserCode == "" || device.VerificationURI != l.url+"/device" || device.Interval != 5 || time.Until(device.Expiry) < 9*time.Minute {
		t.Errorf("device authorization: got %+v", device)
	}
	return l.polls(t, device)
}

func (l *library) polls(t *testing.T, device *oauth2.DeviceAuthResponse) *waiting {
	w := &waiting{library: l, device: device, done: make(chan struct{})}
	ctx := l.context(t)
	go func() {
		defer close(w.done)
		w.token, w.err = l.DeviceAccessToken(ctx, device)
		w.at = time.Now()
	}()
	return w
}

// soon polls with the code every second: what ends at once should do so soon.
func (l *library) soon(t *testing.T, device oauth2.DeviceAuthResponse) *waiting {
	device.Interval = 1
	return l.polls(t, &device)
}

func (w *waiting) wantError(t *testing.T, code string) {
	t.Helper()
	<-w.done
	var refused *oauth2.RetrieveError
	if !errors.As(w.err, &refused) || refused.ErrorCode != code || refused.ErrorDescription == "" {
		t.Errorf("got %v, want %s", w.err, code)
	}
}

func (w *waiting) wantToken(t *testing.T) *oauth2.Token {
	t.Helper()
	<-w.done
	if w.err != nil {
		t.Fatalf("got %v, want a token", w.err)
	}
	w.library.assertToken(t, w.token)
	return w.token
}

func (l *library) assertToken(t *testing.T, got *oauth2.Token) {
	t.Helper()
	l.verifyJWT(t, got.AccessToken)
	if life := time.Until(got.Expiry).Round(time.Minute); got.Type() != "Bearer" || got.RefreshToken == "" || life != 10*time.Minute {
		t.Errorf("token: got type %s, refresh token %t, life %v; want Bearer, true, 10m", got.Type(), got.RefreshToken != "", life)
	}
	if idToken, _ := got.Extra("id_token").(string); idToken == "" {
		t.Error("token: got no id_token")
	}
}

// devices are two of one client of the library: one is to be let in, the other is
// not.
type devices struct {
	name             string
	library          *library
	approved, denied *waiting
	token            *oauth2.Token
}

func TestXOAuth2_deviceFlow(t *testing.T) {
	t.Parallel()
	s := startStandard(t)
	var all []*devices
	for _, c := range xoauth2 {
		l := s.library(t, c.style, c.flags...)
		all = append(all, &devices{name: c.name, library: l, approved: l.begin(t), denied: l.begin(t)})
	}
	unheld := s.library(t, oauth2.AuthStyleAutoDetect, "--hold", "0s", "--device-auth", "relaxed").begin(t)
	t.Run("code of another client", func(t *testing.T) { trySteal(t, all) })
	s.awaitHeld(t, 2*len(all))

	var slowest time.Duration
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) { slowest = max(slowest, d.decides(t)) })
	}
	t.Logf("slowest token after the approval's answer: %v", slowest)
	if slowest > wakeLimit {
		t.Errorf("slowest token after the approval's answer: got %v, want under %v", slowest, wakeLimit)
	}
	t.Run("code that was redeemed", func(t *testing.T) { redeemAgain(t, all) })
	for _, d := range all {
		t.Run(d.name+", refresh", func(t *testing.T) { d.library.refreshes(t, d.token) })
	}
	t.Run("every poll twice, unheld", func(t *testing.T) { unheld.isPatient(t) })
}

// trySteal lets every client poll with a code of another.
func trySteal(t *testing.T, all []*devices) {
	var thieves []*waiting
	for i, d := range all {
		thieves = append(thieves, d.library.soon(t, *all[(i+1)%len(all)].approved.device))
	}
	for _, w := range thieves {
		w.wantError(t, errGrant)
	}
}

// decides lets the one device in and not the other, while their polls are held. It
// returns how long the token took after the approval's answer.
func (d *devices) decides(t *testing.T) time.Duration {
	t.Helper()
	phone := d.library.phone
	if err := phone.approve(t.Context(), question{UserCode: d.approved.device.UserCode}); err != nil {
		t.Fatal(err)
	}
	answered := time.Now()
	d.token = d.approved.wantToken(t)
	if err := phone.decline(t.Context(), question{UserCode: d.denied.device.UserCode}); err != nil {
		t.Fatal(err)
	}
	d.denied.wantError(t, errDenied)
	return d.approved.at.Sub(answered)
}

// redeemAgain polls with the codes of devices that were let in.
func redeemAgain(t *testing.T, all []*devices) {
	var again []*waiting
	for _, d := range all {
		again = append(again, d.library.soon(t, *d.approved.device))
	}
	for _, w := range again {
		w.wantError(t, errGrant)
	}
}

// refreshes lets the library use its refresh token, as it does when the access token
// has run out.
func (l *library) refreshes(t *testing.T, was *oauth2.Token) {
	t.Helper()
	if was == nil {
		t.Skip("there is no token")
	}
	old := *was
	old.Expiry = time.Now().Add(-time.Minute)
	source := l.TokenSource(l.context(t), &old)
	got, err := source.Token()
	if err != nil {
		t.Fatalf("refresh: %v", err)
	}
	l.assertToken(t, got)
	if got.AccessToken == was.AccessToken || got.RefreshToken == was.RefreshToken {
		t.Error("refresh: got a token of before, want new ones")
	}
	if again, err := source.Token(); err != nil || again.AccessToken != got.AccessToken {
		t.Errorf("the token source a second time: got %v, %v; want the same token", again, err)
	}
	var refused *oauth2.RetrieveError
	if _, err := l.TokenSource(l.context(t), &old).Token(); !errors.As(err, &refused) || refused.ErrorCode != errGrant {
		t.Errorf("refresh with the replaced token: got %v, want %s", err, errGrant)
	}
}

// isPatient: who polls at a fixed 5 s, each time twice because it has not found out
// its style, and is answered at once, is never told to slow down.
func (w *waiting) isPatient(t *testing.T) {
	t.Helper()
	const pending = 4 // two polls
	await(t, "two polls", func() bool { return len(w.library.said()) >= pending })
	if err := w.library.phone.approve(t.Context(), question{UserCode: w.device.UserCode}); err != nil {
		t.Fatal(err)
	}
	w.wantToken(t)
	want := strings.Repeat(errPending+" ", pending)
	if got := strings.Join(w.library.said(), " "); got != want {
		t.Errorf("replies: got %q, want %q", got, want)
	}
}

// A code that runs out while a poll is held is said to have run out.
func TestXOAuth2_expiry(t *testing.T) {
	t.Parallel()
	s := startStandard(t)
	var polls []*waiting
	for _, c := range xoauth2 {
		l := s.library(t, c.style, c.flags...)
		device, err := l.DeviceAuth(l.context(t))
		if err != nil {
			t.Fatal(err)
		}
		polls = append(polls, l.soon(t, *device))
	}
	s.awaitHeld(t, len(polls))
	if err := s.expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, w := range polls {
		t.Run(xoauth2[i].name, func(t *testing.T) { w.wantError(t, errExpired) })
	}
}
