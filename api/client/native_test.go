package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/api/client"
)

func nativeFault(status int, code string) said {
	return says(status, `{"code":"`+code+`","message":"Said in words."}`)
}

var (
	timeout    = nativeFault(400, "remote_session_timeout")
	signedIn   = says(200, `{"client":{"id":"c","type":"directweb"},"credential":{"uuid":"k-1","id":"k-1","type":"fido2","name":"Phone"},"user":{"id":"u-1","username":"ada","namespace_id":"0123456789abcdef"},"jwt":"a.b.c","is_authenticated":true}`)
	nativeCode = client.WaitRequest{Username: "ada", Code: "482913", CodeType: client.CodeShort}
)

// line is nod's native interface as a test says, without network.
type line struct {
	t       *testing.T
	answers []said // one after the other; the last one again and again
	born    time.Time
	starts  []float64
	bodies  []string
	tokens  []string
}

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.String() != "https://nod.example.com/api/native/authenticate/code/wait" || r.Method != http.MethodPost {
		l.t.Errorf("call: got %s %s", r.Method, r.URL)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if l.born.IsZero() {
		l.born = time.Now()
	}
	l.starts = append(l.starts, time.Since(l.born).Seconds())
	l.bodies = append(l.bodies, string(body))
	l.tokens = append(l.tokens, r.Header.Get("Authorization"))
	return l.answers[min(len(l.starts), len(l.answers))-1].reply(r)
}

func (l *line) native() client.Native {
	return client.Native{BaseURL: "https://nod.example.com/api/native/", ClientID: "c", HTTPClient: &http.Client{Transport: l}}
}

func TestWait_approved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &line{t: t, answers: []said{timeout.held(2 * time.Minute), timeout.held(2 * time.Minute), signedIn.held(time.Minute)}}
		made := 0
		w := nativeCode
		w.Token = func(context.Context) (string, error) {
			made++
			return "token-" + string(rune('0'+made)), nil
		}
		got, err := l.native().Wait(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		want := &client.Result{
			UserID: "u-1", Username: "ada", NamespaceID: "0123456789abcdef",
			Credential: client.Credential{ID: "k-1", Type: "fido2", Name: "Phone"}, JWT: "a.b.c", Raw: json.RawMessage(signedIn.body),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
		if want := []float64{0, 120, 240}; !slices.Equal(l.starts, want) {
			t.Errorf("waits began at %v s, want %v", l.starts, want)
		}
		if want := []string{"Bearer token-1", "Bearer token-2", "Bearer token-3"}; !slices.Equal(l.tokens, want) {
			t.Errorf("tokens: got %v, want %v", l.tokens, want)
		}
		if want := `{"authentication_code":{"code":"482913","type":"short"},"client_id":"c","username":"ada"}`; l.bodies[0] != want {
			t.Errorf("body: got %s, want %s", l.bodies[0], want)
		}
	})
}

func TestWait_verdicts(t *testing.T) {
	for name, test := range map[string]struct {
		last said
		want error  // nil: an Error with the code
		code string // of it
	}{
		"declined":        {nativeFault(403, "failed_to_authenticate"), client.ErrDenied, "failed_to_authenticate"},
		"expired":         {nativeFault(400, "verification_code_expired"), client.ErrExpired, "verification_code_expired"},
		"unknown":         {nativeFault(404, "verification_code_not_found"), nil, "verification_code_not_found"},
		"deactivated":     {nativeFault(403, "account_deactivated"), nil, "account_deactivated"},
		"wrong too often": {nativeFault(429, "remote_session_maximum_retry_attempts"), client.ErrUnreachable, "remote_session_maximum_retry_attempts"},
		"needs a token":   {nativeFault(401, "unauthorized"), nil, "unauthorized"},
		"not nod":         {says(404, "<html>"), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &line{t: t, answers: []said{timeout.held(2 * time.Minute), test.last.held(time.Minute)}}
				_, err := l.native().Wait(t.Context(), nativeCode)
				var e *client.Error
				if !errors.As(err, &e) || e.Code != test.code || test.want != nil && !errors.Is(err, test.want) {
					t.Errorf("got %v, want %s that matches %v", err, test.code, test.want)
				}
				if len(l.starts) != 2 {
					t.Errorf("waits: got %d, want 2", len(l.starts))
				}
			})
		})
	}
}

func TestWait_trouble_is_still_waiting(t *testing.T) {
	for name, test := range map[string]struct {
		trouble said
		want    []float64 // starts, in seconds
		slack   float64
	}{
		"502 in HTML":           {badGate, []float64{0, 0.5, 1.5, 3.5}, 1},
		"503":                   {nativeFault(503, "service_unavailable").with("Retry-After", "4"), []float64{0, 4, 8, 12}, 1},
		"no place":              {nativeFault(429, "too_many_requests").with("Retry-After", "5"), []float64{0, 5, 10, 15}, 1},
		"a gateway that cuts":   {says(504, "").held(time.Minute), []float64{0, 60.5, 121, 181.5}, 0.5},
		"a broken connection":   {reset, []float64{0, 0.5, 1.5, 3.5}, 1},
		"nobody listens":        {refused, []float64{0, 0.5, 1.5, 3.5}, 1},
		"a hotel's network":     {says(200, "<html>"), []float64{0, 0.5, 1.5, 3.5}, 1},
		"a replaced wait":       {timeout, []float64{0, 1, 2, 3}, 0},
		"no answer":             {signedIn.held(time.Hour), []float64{0, 150.5, 301, 451.5}, 0.5},
		"an answer that breaks": {func() said { s := signedIn; s.cut = true; return s }(), []float64{0, 0.5, 1.5, 3.5}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &line{t: t, answers: []said{test.trouble, test.trouble, test.trouble, timeout.held(time.Minute), signedIn}}
				var events []client.Event
				w := nativeCode
				w.Progress = func(p client.Progress) { events = append(events, p.Event) }
				got, err := l.native().Wait(t.Context(), w)
				if err != nil || got.JWT != "a.b.c" {
					t.Fatalf("got %v, %v; want the result", got, err)
				}
				near := func(a, b float64) bool { return a-b <= test.slack && b-a <= test.slack }
				if !slices.EqualFunc(l.starts[:4], test.want, near) {
					t.Errorf("waits began at %v s, want %v (within %v s)", l.starts[:4], test.want, test.slack)
				}
				want := []client.Event{client.Interrupted, client.Resumed}
				if name == "a replaced wait" {
					want = nil
				}
				if diff := cmp.Diff(want, events); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestWait_given_up(t *testing.T) {
	for name, answer := range map[string]said{"during a held wait": timeout.held(time.Hour), "during trouble": refused} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				began := time.Now()
				_, err := (&line{t: t, answers: []said{answer}}).native().Wait(ctx, nativeCode)
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 10*time.Second {
					t.Errorf("got %v after %v, want the deadline after 10 s", err, time.Since(began))
				}
			})
		})
	}
}

func TestWait_without_a_token_to_show(t *testing.T) {
	w := nativeCode
	broken := errors.New("the key is gone")
	w.Token = func(context.Context) (string, error) { return "", broken }
	l := &line{t: t}
	if _, err := l.native().Wait(t.Context(), w); !errors.Is(err, broken) || l.starts != nil {
		t.Errorf("got %v after %d calls, want %v after none", err, len(l.starts), broken)
	}
}

func TestWait_in_clear_is_refused(t *testing.T) {
	_, err := client.Native{BaseURL: "http://nod.example.com", ClientID: "c"}.Wait(t.Context(), nativeCode)
	if err == nil || !strings.Contains(err.Error(), "must be https") {
		t.Errorf("got %v, want a refusal", err)
	}
}
