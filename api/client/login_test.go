package client_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/api/client"
)

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestLogin_approved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard told
		s := &stand{t: t, polls: []said{pending, pending, granted}}
		c := s.config(&heard)
		c.Scopes, c.DeviceName = []string{"openid", "tv"}, "Living-room TV"
		got, err := client.Login(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		want := &client.Token{
			AccessToken: "at-1", TokenType: "Bearer", RefreshToken: "rt-1", IDToken: "it-1",
			Expiry: time.Now().Add(600 * time.Second), Scopes: []string{"openid", "tv"}, ApprovedBy: "ada",
			Raw: json.RawMessage(granted.body),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("token (-want +got):\n%s", diff)
		}
		prompt := client.Prompt{
			UserCode: "BCDF-GHJK", VerificationURI: issuer + "/device",
			VerificationURIComplete: issuer + "/device?user_code=BCDF-GHJK", Expires: heard.prompts[0].Expires,
		}
		if diff := cmp.Diff([]client.Prompt{prompt}, heard.prompts); diff != "" {
			t.Errorf("prompts (-want +got):\n%s", diff)
		}
		form := url.Values{"client_id": {"tv"}, "scope": {"openid tv"}, "device_name": {"Living-room TV"}}
		if diff := cmp.Diff(form, s.asked[0].form); diff != "" {
			t.Errorf("device authorization request (-want +got):\n%s", diff)
		}
		form = url.Values{
			"client_id": {"tv"}, "grant_type": {"urn:ietf:params:oauth:grant-type:device_code"},
			"device_code": {code}, "nod_since": {"1"},
		}
		if diff := cmp.Diff(form, s.polled[0].form); diff != "" {
			t.Errorf("token request (-want +got):\n%s", diff)
		}
		if heard.events != nil {
			t.Errorf("events: got %v, want none", heard.events)
		}
	})
}

// Each row is what a server does and when polls may then begin, in seconds since
// the code was given out. Pauses after trouble are spread by a quarter.
func TestLogin_pace(t *testing.T) {
	for _, test := range []struct {
		name     string
		interval int
		polls    []said
		want     []float64
		slack    float64
	}{
		{"an interval", 5, []said{pending, pending, granted}, []float64{0, 5, 10}, 0},
		{"a longer interval", 12, []said{pending, granted}, []float64{0, 12}, 0},
		{"no interval", 0, []said{pending, granted}, []float64{0, 5}, 0},
		{"a held poll is followed at once", 5, []said{pending.held(20 * time.Second), pending.held(20 * time.Second), granted}, []float64{0, 20, 40}, 0},
		{"slow_down counts from then on", 5, []said{slowDown, pending, slowDown, pending, granted}, []float64{0, 10, 20, 35, 50}, 0},
		{"Retry-After in seconds", 5, []said{says(503, `{"error":"temporarily_unavailable"}`).with("Retry-After", "30"), granted}, []float64{0, 30}, 0},
		{"Retry-After of a limit", 5, []said{says(429, `{"error":"slow_down"}`).with("Retry-After", "30"), granted}, []float64{0, 30}, 0},
		{"Retry-After as a date", 5, []said{says(429, "").with("Retry-After", date(40*time.Second)), granted}, []float64{0, 40}, 1},
		{"a gateway without its server", 5, []said{badGate, badGate, badGate, granted}, []float64{0, 5, 10, 15}, 0},
		{"a gateway that gives up early", 5, []said{badGate.held(15 * time.Second), badGate.held(15 * time.Second), granted}, []float64{0, 15.5, 31}, 0.5},
		{"connections that break", 5, []said{reset, reset, granted}, []float64{0, 5, 10}, 0},
		{"nobody listens, while it restarts", 5, []said{refused, refused, refused, granted}, []float64{0, 0.5, 1.5, 3.5}, 1},
		{"no answer at all", 5, []said{pending.held(time.Hour), granted}, []float64{0, 40.5}, 0.5},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heard told
				s := &stand{t: t, polls: test.polls, device: func(call) said { return says(200, newCode(600, test.interval)) }}
				if _, err := client.Login(t.Context(), s.config(&heard)); err != nil {
					t.Fatal(err)
				}
				close := func(a, b float64) bool { return a-b <= test.slack && b-a <= test.slack }
				if got := s.starts(); !slices.EqualFunc(got, test.want, close) {
					t.Errorf("polls began at %v s, want %v (within %v s)", got, test.want, test.slack)
				}
			})
		})
	}
}

// date is a Retry-After in the time of a bubble, which begins in the year 2000.
func date(after time.Duration) string {
	return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(after).Format(http.TimeFormat)
}

func TestLogin_trouble_is_still_waiting(t *testing.T) {
	cut := granted
	cut.cut = true
	for name, trouble := range map[string]said{
		"502 in HTML":               badGate,
		"504 without a body":        says(504, ""),
		"524":                       says(524, "<html>A timeout occurred</html>"),
		"503 of the store":          says(503, `{"error":"temporarily_unavailable"}`),
		"500 in words of OAuth":     says(500, `{"error":"server_error"}`),
		"429 of a gateway":          says(429, "slow down"),
		"408":                       says(408, ""),
		"404 while it is deployed":  says(404, "<html>default backend</html>"),
		"a hotel's network":         says(200, "<html>Welcome! Room number?</html>"),
		"its redirect":              says(302, "").with("Location", "https://elsewhere.example.com/"),
		"an empty object":           says(200, "{}"),
		"a list":                    says(200, "[]"),
		"a broken connection":       reset,
		"nobody listens":            refused,
		"an answer that breaks off": cut,
		"an answer without end":     says(200, strings.Repeat(" ", 2<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heard told
				s := &stand{t: t, polls: []said{pending, trouble, trouble, trouble, pending, granted}}
				got, err := client.Login(t.Context(), s.config(&heard))
				if err != nil || got.AccessToken != "at-1" {
					t.Fatalf("got %v, %v; want the token", got, err)
				}
				if diff := cmp.Diff([]client.Event{client.Interrupted, client.Resumed}, heard.events); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				if heard.errs[0] == nil || !errors.Is(heard.errs[0], client.ErrUnreachable) && !strings.Contains(name, "redirect") && !strings.Contains(name, "404") {
					t.Errorf("cause of the interruption: got %v, want one", heard.errs[0])
				}
				if s.elsewhere != nil {
					t.Errorf("the client went to %v", s.elsewhere)
				}
			})
		})
	}
}

func TestLogin_opened_on_a_phone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard told
		s := &stand{t: t}
		s.poll = func(c call) said {
			switch c.form.Get("nod_since") {
			case "1":
				return says(400, `{"error":"authorization_pending","nod_version":2,"nod_opened":true}`).held(3 * time.Second)
			case "2":
				return says(400, `{"error":"authorization_pending","nod_version":3,"nod_opened":true}`).held(time.Second)
			case "3":
				return granted.held(2 * time.Second)
			}
			return fault("invalid_request")
		}
		if _, err := client.Login(t.Context(), s.config(&heard)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]client.Event{client.Opened}, heard.events); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if got, want := s.starts(), []float64{0, 3, 4}; !slices.Equal(got, want) {
			t.Errorf("polls began at %v s, want %v", got, want)
		}
	})
}

func TestLogin_news_without_end_is_no_loop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard told
		s := &stand{t: t, device: func(call) said { return says(200, newCode(10, 5)) }}
		s.poll = func(call) said {
			return says(400, fmt.Sprintf(`{"error":"authorization_pending","nod_version":%d}`, len(s.polled)+1))
		}
		_, err := client.Login(t.Context(), s.config(&heard))
		if !errors.Is(err, client.ErrExpired) || len(s.polled) > 80 {
			t.Errorf("got %v after %d polls, want the end of the code after fewer than 80", err, len(s.polled))
		}
	})
}

func TestLogin_refuses_to_start(t *testing.T) {
	for name, test := range map[string]struct {
		change   func(*client.LoginConfig)
		metadata map[string]any
		device   said
		want     string // in the error
		down     bool   // it matches ErrUnreachable
	}{
		"another issuer":             {metadata: map[string]any{"issuer": "https://evil.example.com"}, want: "to the letter"},
		"a slash too many":           {metadata: map[string]any{"issuer": issuer + "/"}, want: "to the letter"},
		"no device grant":            {metadata: map[string]any{"device_authorization_endpoint": nil}, want: "does not offer the device grant"},
		"a token endpoint in clear":  {metadata: map[string]any{"token_endpoint": "http://login.example.com/token"}, want: "must be https"},
		"a revocation in clear":      {metadata: map[string]any{"revocation_endpoint": "http://login.example.com/revoke"}, want: "must be https"},
		"an endpoint that is a path": {metadata: map[string]any{"token_endpoint": "/token"}, want: "not an absolute URL"},
		"an issuer in clear":         {change: func(c *client.LoginConfig) { c.Issuer = "http://login.example.com" }, want: "must be https"},
		"an issuer that is no URL":   {change: func(c *client.LoginConfig) { c.Issuer = "login.example.com" }, want: "not an absolute URL"},
		"nothing at the issuer":      {change: func(c *client.LoginConfig) { c.Issuer = "https://nobody.example.com" }, want: "no metadata"},
		"no client id":               {change: func(c *client.LoginConfig) { c.ClientID = "" }, want: "client id"},
		"no prompt":                  {change: func(c *client.LoginConfig) { c.Prompt = nil }, want: "prompt"},
		"a client that may not":      {device: fault("unauthorized_client"), want: "unauthorized_client"},
		"a server in trouble":        {device: badGate, want: "502", down: true},
		"a server that is not there": {device: refused, want: "refused", down: true},
		"an answer that is a page":   {device: says(200, "<html>"), want: "not the JSON", down: true},
		"an answer without a code":   {device: says(200, `{"device_code":"x"}`), want: "section 3.2"},
		"a code without an end":      {device: says(200, newCode(0, 5)), want: "section 3.2"},
		"a secret nobody takes":      {change: func(c *client.LoginConfig) { c.ClientSecret = "s" }, metadata: map[string]any{"token_endpoint_auth_methods_supported": []string{"none"}}, want: "takes no client secret"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heard told
				s := &stand{t: t, metadata: test.metadata}
				if test.device.status != 0 || test.device.broken != nil {
					s.device = func(call) said { return test.device }
				}
				c := s.config(&heard)
				if test.change != nil {
					test.change(&c)
				}
				_, err := client.Login(t.Context(), c)
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want an error with %q", err, test.want)
				}
				if got := errors.Is(err, client.ErrUnreachable); got != test.down {
					t.Errorf("%v matches ErrUnreachable: %t, want %t", err, got, test.down)
				}
				if heard.prompts != nil || s.polled != nil {
					t.Errorf("got prompts %v and %d polls, want none", heard.prompts, len(s.polled))
				}
			})
		})
	}
}

func TestLogin_secret(t *testing.T) {
	const id, secret = "tv:1", "p@ss word%"
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("tv%3A1:p%40ss+word%25"))
	for name, test := range map[string]struct {
		methods []string
		refuses string // what the device endpoint does not take
		want    string // how the token endpoint is told
	}{
		"the metadata says nothing":           {nil, "", "basic"},
		"both":                                {[]string{"client_secret_basic", "client_secret_post"}, "", "basic"},
		"the body only":                       {[]string{"client_secret_post"}, "", "body"},
		"both, and this client's is the body": {[]string{"client_secret_basic", "client_secret_post"}, "basic", "body"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heard told
				s := &stand{t: t, polls: []said{granted}}
				if test.methods != nil {
					s.metadata = map[string]any{"token_endpoint_auth_methods_supported": test.methods}
				}
				s.device = func(c call) said {
					if test.refuses == "basic" && c.Header.Get("Authorization") != "" {
						return says(401, `{"error":"invalid_client"}`)
					}
					return says(200, newCode(600, 5))
				}
				c := s.config(&heard)
				c.ClientID, c.ClientSecret = id, secret
				if _, err := client.Login(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				got := s.polled[0]
				wantHeader, wantID, wantSecret := basic, "", ""
				if test.want == "body" {
					wantHeader, wantID, wantSecret = "", id, secret
				}
				if got.Header.Get("Authorization") != wantHeader || got.form.Get("client_id") != wantID || got.form.Get("client_secret") != wantSecret {
					t.Errorf("token request: got header %q and form %v, want %s", got.Header.Get("Authorization"), got.form, test.want)
				}
			})
		})
	}
}

// The metadata of RFC 8414 stands elsewhere, between host and path.
func TestLogin_metadata_of_RFC8414(t *testing.T) {
	const tenant = issuer + "/tenant"
	got := ""
	s := &stand{t: t}
	c := client.LoginConfig{Issuer: tenant, ClientID: "tv", Prompt: func(client.Prompt) {}, HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		got += r.URL.Path + "\n"
		if r.URL.Path == "/.well-known/oauth-authorization-server/tenant" {
			return says(200, asJSON(map[string]any{"issuer": tenant, "device_authorization_endpoint": issuer + "/device_authorization", "token_endpoint": issuer + "/token"})).reply(r)
		}
		return s.RoundTrip(r)
	})}}
	s.polls = []said{granted}
	if _, err := client.Login(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	want := "/tenant/.well-known/openid-configuration\n/.well-known/oauth-authorization-server/tenant\n/device_authorization\n/token\n"
	if got != want {
		t.Errorf("calls: got\n%swant\n%s", got, want)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestLogin_answers_of_other_servers(t *testing.T) {
	for name, test := range map[string]struct {
		body   string
		expiry time.Duration // 0: not said
		scopes []string
	}{
		"bare":             {`{"access_token":"at-1","token_type":"bearer"}`, 0, []string{"a", "b"}},
		"expiry as text":   {`{"access_token":"at-1","token_type":"bearer","expires_in":"3600","scope":"a"}`, time.Hour, []string{"a"}},
		"expiry in words":  {`{"access_token":"at-1","token_type":"bearer","expires_in":"soon"}`, 0, []string{"a", "b"}},
		"expiry is null":   {`{"access_token":"at-1","expires_in":null,"refresh_token":null}`, 0, []string{"a", "b"}},
		"nothing granted":  {`{"access_token":"at-1","scope":""}`, 0, []string{}},
		"scopes as a list": {`{"access_token":"at-1","scope":["a"]}`, 0, []string{}},
		"other members":    {`{"access_token":"at-1","foo":{"bar":[1]},"code":7}`, 0, []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heard told
				s := &stand{t: t, polls: []said{says(200, test.body)}}
				c := s.config(&heard)
				c.Scopes = []string{"a", "b"}
				got, err := client.Login(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				var expiry time.Time
				if test.expiry > 0 {
					expiry = time.Now().Add(test.expiry)
				}
				if got.AccessToken != "at-1" || !got.Expiry.Equal(expiry) || !slices.Equal(got.Scopes, test.scopes) {
					t.Errorf("got access token %q, expiry %v, scopes %v; want at-1, %v, %v", got.AccessToken, got.Expiry, got.Scopes, expiry, test.scopes)
				}
			})
		})
	}
}

func TestSecrets_print_as_such(t *testing.T) {
	token := client.Token{AccessToken: "hush", RefreshToken: "hush", IDToken: "hush", Raw: json.RawMessage(`"hush"`)}
	config := client.LoginConfig{Issuer: issuer, ClientID: "tv", ClientSecret: "hush"}
	result := client.Result{Username: "ada", JWT: "hush", Raw: json.RawMessage(`"hush"`)}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("got", "token", token, "pointer", &token)
	for _, got := range []string{
		fmt.Sprintf("%v %+v %#v %s", token, token, token, &token), fmt.Sprintf("%v %+v %#v", config, config, config),
		fmt.Sprintf("%v %+v %#v", result, &result, result), logged.String(),
	} {
		if strings.Contains(got, "hush") {
			t.Errorf("a secret is printed: %s", got)
		}
	}
}
