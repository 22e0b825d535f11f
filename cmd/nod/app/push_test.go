package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/config"
	"github.com/nod-auth/nod/push"
	"github.com/nod-auth/nod/push/virtual"
)

// pushed is a server's configuration with a push service of its own.
func pushed(t *testing.T) (config.Config, *virtual.Service, string) {
	t.Helper()
	service := virtual.NewService()
	stage := httptest.NewServer(service)
	t.Cleanup(stage.Close)
	c := testConfig(t)
	c.PushContact, c.PushServices = "mailto:ops@example.com", []string{stage.URL}
	c.PushAllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	return c, service, stage.URL
}

func TestServer_wakes_a_phone_when_a_request_is_begun(t *testing.T) {
	c, service, origin := pushed(t)
	s, _ := start(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	u, client := zoe(ctx, t, s.Core)
	phone, err := service.Subscribe(origin, s.Push.Key())
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Directory.RegisterPhone(ctx, u, approval.NewPhone{Kind: account.PhoneWebPush, Target: account.Secret(phone.JSON())}, "")
	if err != nil {
		t.Fatal(err)
	}

	b, err := s.Service.Begin(ctx, approval.Ask{
		Face: "native", Client: client, User: u, Purpose: approval.SignIn, Kind: approval.Short, Notify: true,
	})
	if err != nil || !b.Prompted {
		t.Fatalf("begin: got prompted %v, %v; want a prompt", b.Prompted, err)
	}
	got, err := phone.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var p push.Payload
	if err := json.Unmarshal(got.Plaintext, &p); err != nil {
		t.Fatal(err)
	}
	if p.Type != push.Prompt || p.ID != s.Service.Codes.Prompt(b.Request.ID).Reveal() {
		t.Errorf("got %s, want the prompt of the request just begun", got.Plaintext)
	}
	if got.Subject != c.PushContact {
		t.Errorf("the push service's contact: got %s, want %s", got.Subject, c.PushContact)
	}
}

func TestServer_tells_a_server_that_asked_what_became_of_a_request(t *testing.T) {
	c, _, _ := pushed(t)
	s, _ := start(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	heard := make(chan string, 1)
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard <- r.Header.Get("Authorization") }))
	defer backend.Close()
	u, client := zoe(ctx, t, s.Core)
	sealed, err := s.Push.Answers().Seal(approval.AnswerTo{Protocol: approval.AnswerPing, URL: backend.URL, Token: "token-4711"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Service.Begin(ctx, approval.Ask{
		Face: "ciba", Client: client, User: u, Purpose: approval.SignIn, Kind: approval.PollCode, AnswerTo: sealed,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Service.Decide(ctx, approval.Ref{Way: approval.Scanned, Secret: b.Handle},
		approval.Viewer{User: u}, approval.Answer{Verdict: approval.Decline})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-heard:
		if want := "Bearer token-4711"; got != want {
			t.Errorf("heard: got %q, want %q", got, want)
		}
	case <-ctx.Done():
		t.Fatal("the server heard nothing")
	}
}

// zoe is a user, and a client that may ask for her.
func zoe(ctx context.Context, t *testing.T, core *Core) (account.User, account.Client) {
	t.Helper()
	ns, err := core.Directory.Namespace(ctx, approval.DefaultNamespace)
	if err != nil {
		t.Fatal(err)
	}
	u, err := core.Directory.CreateUser(ctx, ns.ID, "", "zoe")
	if err != nil {
		t.Fatal(err)
	}
	client, err := core.Directory.CreateClient(ctx, approval.NewClient{Client: account.Client{
		NamespaceID: ns.ID, Name: "Acme", Type: account.ClientManagement,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return u, client
}

func TestServer_shows_where_a_request_comes_from(t *testing.T) {
	c := testConfig(t)
	c.GeoIP = somewhere(t)
	s, _ := start(t, c)
	want := approval.Place{Name: "Berlin, Germany", Country: "DE"}
	if got := s.Service.Place("192.0.2.1"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestNew_says_what_is_wrong_with_push(t *testing.T) {
	for about, c := range map[string]struct {
		set  func(*config.Config)
		want string
	}{
		"no service account": {func(c *config.Config) { c.FCMCredentialsFile = filepath.Join(c.Data, "none.json") },
			"no such file or directory; name the service account's JSON file"},
		"not one": {func(c *config.Config) { c.FCMCredentialsFile = somewhere(t) }, "fcm-credentials-file"},
		"a webhook in clear": {func(c *config.Config) {
			c.PushWebhookURL, c.PushWebhookSecret = "http://hooks.example.com", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		}, "push-webhook-url"},
		"no places": {func(c *config.Config) { c.GeoIP = filepath.Join(c.Data, "none.mmdb") }, "check the path"},
	} {
		set := testConfig(t)
		c.set(&set)
		_, err := New(t.Context(), set, quiet)
		wantError(t, about, err, c.want)
	}
}
