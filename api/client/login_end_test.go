package client_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/api/client"
)

func TestLogin_verdicts(t *testing.T) {
	for name, test := range map[string]struct {
		last said
		want error // nil: an Error of another code
	}{
		"declined":                      {fault("access_denied"), client.ErrDenied},
		"expired":                       {fault("expired_token"), client.ErrExpired},
		"declined, with status 200":     {says(200, `{"error":"access_denied"}`), client.ErrDenied},
		"expired, with status 401":      {says(401, `{"error":"expired_token"}`), client.ErrExpired},
		"another client's":              {fault("invalid_grant"), nil},
		"a client that was deactivated": {says(401, `{"error":"invalid_client","error_description":"no such client"}`), nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heard told
				s := &stand{t: t, polls: []said{pending, test.last}}
				_, err := client.Login(t.Context(), s.config(&heard))
				var e *client.Error
				if !errors.As(err, &e) || test.want != nil && !errors.Is(err, test.want) {
					t.Fatalf("got %v, want an Error that matches %v", err, test.want)
				}
				for _, other := range []error{client.ErrDenied, client.ErrExpired, client.ErrUnreachable} {
					if !errors.Is(test.want, other) && errors.Is(err, other) {
						t.Errorf("%v matches %v", err, other)
					}
				}
				if len(s.revoked) > 0 {
					t.Error("a code was revoked about which there is a verdict")
				}
			})
		})
	}
}

// A server that says nothing of the end does not keep anybody for ever, and the
// last moment is not lost to a long interval.
func TestLogin_ends_with_the_code(t *testing.T) {
	for name, test := range map[string]struct {
		polls       []said
		unreachable bool
		from, to    time.Duration
	}{
		"for ever pending":         {[]said{pending}, false, 60 * time.Second, 65 * time.Second},
		"for ever pending, held":   {[]said{pending.held(20 * time.Second)}, false, 60 * time.Second, 65 * time.Second},
		"for ever broken":          {[]said{reset}, true, 60 * time.Second, 65 * time.Second},
		"nobody listens":           {[]said{refused}, true, 60 * time.Second, 66 * time.Second},
		"no answer":                {[]said{pending.held(time.Hour)}, true, 60 * time.Second, 65 * time.Second},
		"in an hour, please":       {[]said{says(503, "").with("Retry-After", "3600")}, true, 60 * time.Second, 65 * time.Second},
		"expired, says the server": {[]said{pending, fault("expired_token").held(30 * time.Second)}, false, 35 * time.Second, 35 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heard told
				s := &stand{t: t, polls: test.polls, device: func(call) said { return says(200, newCode(60, 5)) }}
				began := time.Now()
				_, err := client.Login(t.Context(), s.config(&heard))
				if !errors.Is(err, client.ErrExpired) || errors.Is(err, client.ErrUnreachable) != test.unreachable {
					t.Errorf("got %v, want the end of the code (unreachable: %t)", err, test.unreachable)
				}
				if took := time.Since(began); took < test.from || took > test.to {
					t.Errorf("it took %v, want %v to %v", took, test.from, test.to)
				}
			})
		})
	}
}

func TestLogin_asks_once_more_as_the_code_runs_out(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard told
		s := &stand{t: t, polls: []said{pending, slowDown, slowDown, granted}, device: func(call) said { return says(200, newCode(17, 5)) }}
		got, err := client.Login(t.Context(), s.config(&heard))
		if err != nil || got.AccessToken != "at-1" {
			t.Fatalf("got %v, %v; want the token", got, err)
		}
		if got, want := s.starts(), []float64{0, 5, 15, 17}; !slices.Equal(got, want) {
			t.Errorf("polls began at %v s, want %v", got, want)
		}
	})
}

func TestLogin_given_up_revokes_the_code(t *testing.T) {
	reason := errors.New("the person pressed Ctrl-C")
	for name, test := range map[string]struct {
		polls    []said
		revoke   said
		metadata map[string]any
		revokes  int
		works    bool
	}{
		"during a held poll":      {[]said{pending.held(time.Hour)}, says(200, ""), nil, 1, true},
		"between polls":           {[]said{pending}, says(200, "{}"), nil, 1, true},
		"during trouble":          {[]said{refused}, says(200, ""), nil, 1, true},
		"and that fails":          {[]said{pending}, badGate, nil, 1, false},
		"and that is not allowed": {[]said{pending}, fault("unsupported_token_type"), nil, 1, false},
		"and nobody answers":      {[]said{pending}, says(200, "").held(time.Hour), nil, 1, false},
		"where it cannot be told": {[]said{pending}, said{}, map[string]any{"revocation_endpoint": nil}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heard told
				s := &stand{t: t, polls: test.polls, revoke: test.revoke, metadata: test.metadata}
				ctx, leave := context.WithCancelCause(t.Context())
				time.AfterFunc(12*time.Second, func() { leave(reason) })
				began := time.Now()
				_, err := client.Login(ctx, s.config(&heard))
				if !errors.Is(err, reason) {
					t.Errorf("got %v, want %v", err, reason)
				}
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("leaving took until %v, want 15 s at most", took)
				}
				if len(s.revoked) != test.revokes {
					t.Fatalf("revocations: got %d, want %d", len(s.revoked), test.revokes)
				}
				want := url.Values{"client_id": {"tv"}, "token": {code}, "token_type_hint": {"device_code"}}
				if test.revokes > 0 && cmp.Diff(want, s.revoked[0].form) != "" {
					t.Errorf("revocation: got %v, want %v", s.revoked[0].form, want)
				}
				last := len(heard.events) - 1
				if last < 0 || heard.events[last] != client.Withdrawn || (heard.errs[last] == nil) != test.works {
					t.Errorf("events: got %v with %v, want withdrawn at the end (without an error: %t)", heard.events, heard.errs, test.works)
				}
			})
		})
	}
}

func TestLogin_given_up_before_there_is_a_code(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard told
		s := &stand{t: t, device: func(call) said { return says(200, newCode(600, 5)).held(10 * time.Second) }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Login(ctx, s.config(&heard))
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, client.ErrUnreachable) {
			t.Errorf("got %v, want the deadline alone", err)
		}
		if heard.prompts != nil || s.revoked != nil {
			t.Errorf("got prompts %v and revocations %v, want none", heard.prompts, s.revoked)
		}
	})
}
