package client_test

import (
	"context"
	"crypto/elliptic"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nod-auth/nod/api/client"
)

func TestVerify_keeps_the_keys_as_long_as_the_server_says(t *testing.T) {
	for control, want := range map[string]time.Duration{
		"public, max-age=60": time.Minute,
		"MAX-AGE=\"120\"":    2 * time.Minute,
		"":                   5 * time.Minute,
		"max-age=soon":       5 * time.Minute,
		"max-age=99999999":   24 * time.Hour,
		"no-store":           time.Second, // never sooner again
	} {
		t.Run(control, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPublisher(t)
				p.control = control
				v := p.verifier()
				token := p.token(map[string]any{"exp": time.Now().Add(72 * time.Hour).Unix()})
				for _, step := range []struct {
					sleep time.Duration
					want  int
				}{{0, 1}, {want - time.Millisecond, 1}, {time.Millisecond, 2}, {want - time.Millisecond, 2}} {
					time.Sleep(step.sleep)
					if _, err := v.Verify(t.Context(), token); err != nil {
						t.Fatal(err)
					}
					if got := p.fetched(); got != step.want {
						t.Errorf("fetches: got %d, want %d", got, step.want)
					}
				}
			})
		})
	}
}

// A key that is new is found at once, and tokens that name unknown ones do not make
// anybody flood the server.
func TestVerify_unknown_keys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublisher(t)
		v := p.verifier()
		next := newKey(t, elliptic.P256())
		token := sign(t, next, strings.Replace(accessHeader, "k-1", "k-2", 1), asJSON(claimsOf(nil)))
		for range 100 {
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, client.ErrToken) {
				t.Fatalf("before it is published: got %v, want ErrToken", err)
			}
		}
		if got := p.fetched(); got != 1 {
			t.Errorf("fetches within a second: got %d, want 1", got)
		}
		p.change(func() { p.extra = append(p.extra, jwk("k-2", next)) })
		time.Sleep(time.Second)
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("once it is published: %v", err)
		}
		if got := p.fetched(); got != 2 {
			t.Errorf("fetches: got %d, want 2", got)
		}
	})
}

func TestVerify_while_the_server_is_away(t *testing.T) {
	for name, down := range map[string]said{"broken": refused, "a gateway": badGate, "a page": says(200, "<html>"), "no keys": says(200, `{"keys":[]}`)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPublisher(t)
				v := p.verifier()
				token := p.token(map[string]any{"exp": time.Now().Add(72 * time.Hour).Unix()})
				if _, err := v.Verify(t.Context(), token); err != nil {
					t.Fatal(err)
				}
				p.change(func() { p.down = &down })
				time.Sleep(time.Hour)
				if _, err := v.Verify(t.Context(), token); err != nil {
					t.Errorf("after an hour: %v", err)
				}
				time.Sleep(time.Minute)
				if _, err := v.Verify(t.Context(), token); !errors.Is(err, client.ErrKeys) || errors.Is(err, client.ErrToken) {
					t.Errorf("after more than that: got %v, want ErrKeys", err)
				}
				p.change(func() { p.down = nil })
				time.Sleep(time.Second)
				if _, err := v.Verify(t.Context(), token); err != nil {
					t.Errorf("when it is back: %v", err)
				}
			})
		})
	}
}

// While one caller waits for a server that does not answer, others are served with
// what is known.
func TestVerify_others_do_not_wait_for_a_fetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublisher(t)
		v := p.verifier()
		token := p.token(nil)
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		stuck := make(chan struct{})
		v.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			close(stuck)
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		time.Sleep(time.Minute)
		var one sync.WaitGroup
		one.Go(func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Errorf("who fetches: %v", err)
			}
		})
		<-stuck
		began := time.Now()
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("another: %v", err)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("another waited %v, want not at all", waited)
		}
		one.Wait()
		if waited := time.Since(began); waited != 5*time.Second {
			t.Errorf("who fetches waited %v, want 5 s", waited)
		}
	})
}

// Whoever leaves while keys are fetched does not take them from the others.
func TestVerify_caller_that_leaves(t *testing.T) {
	p := newPublisher(t)
	v := p.verifier()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Verify(ctx, p.token(nil)); err != nil {
		t.Error(err)
	}
}

func TestVerify_at_once_from_many(t *testing.T) {
	p := newPublisher(t)
	v, token := p.verifier(), p.token(nil)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := p.fetched(); got != 1 {
		t.Errorf("fetches: got %d, want 1", got)
	}
}
