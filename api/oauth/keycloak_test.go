package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/api/oauth"
	"github.com/nod-auth/nod/approval/account"
)

// realm speaks Keycloak's side of the contract: it makes a JWT for each of its
// requests, posts to its authentication channel, wants 201, and takes one verdict for
// each request from whoever shows that JWT.
type realm struct {
	*httptest.Server
	mu      sync.Mutex
	pending map[string]bool // by JWT
	heard   chan verdict
}

type verdict struct{ bearer, status string }

const callbackPath = "/realms/acme/protocol/openid-connect/ext/ciba/auth/callback"

func newRealm(t *testing.T) *realm {
	t.Helper()
	k := &realm{pending: make(map[string]bool), heard: make(chan verdict, 16)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+callbackPath, k.callback)
	k.Server = httptest.NewServer(mux)
	t.Cleanup(k.Close)
	return k
}

func (k *realm) callback(w http.ResponseWriter, r *http.Request) {
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	var in struct{ Status string }
	err := json.NewDecoder(r.Body).Decode(&in)
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err != nil, r.Header.Get("Content-Type") != "application/json":
		w.WriteHeader(http.StatusBadRequest)
	case !k.pending[bearer]:
		w.WriteHeader(http.StatusForbidden)
	default:
		delete(k.pending, bearer)
		k.heard <- verdict{bearer, in.Status}
	}
}

// token is the JWT of a new request of the realm's; nod cannot verify it and does not.
func (k *realm) token(expires time.Time) string {
	claims := fmt.Sprintf(`{"iss":%q,"exp":%d,"jti":%q}`, k.URL+"/realms/acme", expires.Unix(), account.NewSecret().Reveal())
	encode := base64.RawURLEncoding.EncodeToString
	bearer := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode([]byte(claims)) + "." + account.NewSecret().Reveal()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pending[bearer] = true
	return bearer
}

// house opens a house with the realm as its client, and says where the channel is.
func (k *realm) house(t *testing.T) (b *bank, path string) {
	t.Helper()
	secret := account.NewSecret()
	b = openBank(t, func(c *account.Client) {
		c.Name, c.Type = "Acme by Keycloak", account.ClientKeycloak
		c.OAuth = &account.OAuth{
			SecretHash: secret.Hash(), Callback: k.URL + callbackPath, Scopes: []account.ScopeText{{Scope: "payments", Says: "see your payments"}},
		}
	})
	return b, oauth.KeycloakPath(b.client.ID, secret)
}

// body is what Keycloak sends.
func body(more M) M {
	out := M{
		"binding_message": "W4SCT", "login_hint": "ada", "is_consent_required": false, "acr_values": nil, "scope": "openid payments",
	}
	for name, value := range more {
		out[name] = value
	}
	return out
}

func (b *bank) channel(path, bearer string, body any) apitest.Reply {
	b.Helper()
	return b.Do(Call{Path: path, Token: bearer, Body: body})
}

func TestKeycloak_hears_the_verdict_at_once(t *testing.T) {
	k := newRealm(t)
	b, path := k.house(t)
	b.runs(t)
	for _, c := range []struct {
		end    string
		decide func(u account.User, requestID string)
		want   string
	}{
		{"approved", b.approves, "SUCCEED"},
		{"denied", b.declines, "UNAUTHORIZED"},
		{"canceled", func(u account.User, _ string) {
			_, err := b.Directory.Deactivate(t.Context(), u)
			b.must(err)
		}, "CANCELLED"},
	} {
		bearer := k.token(time.Now().Add(time.Minute))
		b.channel(path, bearer, body(nil)).Want(http.StatusCreated)
		waiting, err := b.Service.Waiting(t.Context(), viewer(b.ada))
		b.must(err)
		if len(waiting) != 1 {
			t.Fatalf("%s: got %d requests that wait for ada, want 1", c.end, len(waiting))
		}
		began := time.Now()
		c.decide(b.ada, waiting[0].ID)
		got := within(t, k.heard)
		if took := time.Since(began); got != (verdict{bearer, c.want}) || took > time.Second {
			t.Errorf("%s: heard %q with the token: %t, after %s; want %q within a second", c.end, got.status, got.bearer == bearer, took, c.want)
		}
	}
}

func TestKeycloak_hears_that_nobody_decided(t *testing.T) {
	k := newRealm(t)
	b, path := k.house(t)
	bearer := k.token(time.Now().Add(time.Minute))
	b.channel(path, bearer, body(nil)).Want(http.StatusCreated)
	b.ahead.Add(int64(2 * time.Minute))
	b.runs(t)
	due, err := b.store.Due(t.Context(), 10)
	b.must(err)
	if len(due) != 1 {
		t.Fatalf("due: got %d requests, want 1", len(due))
	}
	if _, err := b.Service.Follow(t.Context(), listed(due[0].ID), viewer(b.ada), 0, 0); err != nil { // somebody looks, as the janitor would
		t.Fatal(err)
	}
	if got, want := within(t, k.heard), (verdict{bearer, "CANCELLED"}); got != want {
		t.Errorf("heard: got %q, want %q", got.status, want.status)
	}
}

func TestKeycloak_question_is_shown_as_it_was_asked(t *testing.T) {
	k := newRealm(t)
	b, path := k.house(t)
	b.channel(path, k.token(time.Now().Add(90*time.Second)), body(nil)).Want(http.StatusCreated)
	waiting, err := b.Service.Waiting(t.Context(), viewer(b.ada))
	b.must(err)
	r := waiting[0]
	want := []account.ScopeText{{Scope: "openid", Says: "openid"}, {Scope: "payments", Says: "see your payments"}}
	if diff := cmp.Diff(want, r.Context.Scopes); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
	if r.Context.App != "Acme by Keycloak" || r.Context.BindingMessage != "W4SCT" || r.Face != oauth.FaceKeycloak {
		t.Errorf("got %q, %q, %s; want the realm's name, its message, its face", r.Context.App, r.Context.BindingMessage, r.Face)
	}
	if life := r.Expires.Sub(r.CreatedAt); life < 85*time.Second || life > 90*time.Second {
		t.Errorf("life: got %s, want what is left of Keycloak's own request, 90 s", life)
	}
}

func TestKeycloak_life_is_bounded_and_has_a_default(t *testing.T) {
	k := newRealm(t)
	b, path := k.house(t)
	for about, c := range map[string]struct {
		bearer string
		want   time.Duration
	}{
		"a day":               {k.token(time.Now().Add(24 * time.Hour)), account.MaxBackchannelLife},
		"a token of no form":  {"opaque", account.DefaultBackchannelLife},
		"three parts of none": {"a.b.c", account.DefaultBackchannelLife},
	} {
		b.channel(path, c.bearer, body(nil)).Want(http.StatusCreated)
		waiting, err := b.Service.Waiting(t.Context(), viewer(b.ada))
		b.must(err)
		if got := waiting[0].Expires.Sub(waiting[0].CreatedAt); got != c.want {
			t.Errorf("%s: got a life of %s, want %s", about, got, c.want)
		}
		b.declines(b.ada, waiting[0].ID)
	}
}

func TestKeycloak_refuses(t *testing.T) {
	k := newRealm(t)
	b, path := k.house(t)
	fresh := func() string { return k.token(time.Now().Add(time.Minute)) }
	other, _ := b.newClient()
	for _, c := range []struct {
		about  string
		path   string
		bearer string
		body   any
		status int
		code   string
	}{
		{"a wrong secret", oauth.KeycloakPath(b.client.ID, account.NewSecret()), fresh(), body(nil), http.StatusNotFound, "not_found"},
		{"no secret", oauth.KeycloakPath(b.client.ID, ""), fresh(), body(nil), http.StatusNotFound, "not_found"},
		{"no client", oauth.KeycloakPath("nobody", account.NewSecret()), fresh(), body(nil), http.StatusNotFound, "not_found"},
		{"a client of another type", oauth.KeycloakPath(other.ID, b.secret), fresh(), body(nil), http.StatusNotFound, "not_found"},
		{"no token", path, "", body(nil), http.StatusUnauthorized, "invalid_request"},
		{"a token of no form", path, "a b", body(nil), http.StatusUnauthorized, "invalid_request"},
		{"a token that has expired", path, k.token(time.Now().Add(-time.Minute)), body(nil), http.StatusBadRequest, "invalid_request"},
		{"no JSON", path, fresh(), "login_hint=ada", http.StatusBadRequest, "invalid_request"},
		{"no hint", path, fresh(), body(M{"login_hint": nil}), http.StatusBadRequest, "invalid_request"},
		{"nobody", path, fresh(), body(M{"login_hint": "nobody"}), http.StatusBadRequest, "unknown_user_id"},
		{"a hint of another type", path, fresh(), body(M{"login_hint": 7}), http.StatusBadRequest, "invalid_request"},
		{"a message that deceives", path, fresh(), body(M{"binding_message": "a\u202eb"}), http.StatusBadRequest, "invalid_binding_message"},
		{"a scope that deceives", path, fresh(), body(M{"scope": "a\u202eb"}), http.StatusBadRequest, "invalid_scope"},
		{"scopes without end", path, fresh(), body(M{"scope": strings.Repeat("a ", 33)}), http.StatusBadRequest, "invalid_scope"},
	} {
		wantError(t, c.about, b.channel(c.path, c.bearer, c.body), c.status, c.code)
	}
	if strings.Contains(b.Log.String(), strings.TrimPrefix(path, "/keycloak/")) {
		t.Error("log: contains the channel's secret path")
	}
}

func TestKeycloak_channel_gets_no_tokens(t *testing.T) {
	k := newRealm(t)
	b, path := k.house(t)
	b.channel(path, k.token(time.Now().Add(time.Minute)), body(nil)).Want(http.StatusCreated)
	waiting, err := b.Service.Waiting(t.Context(), viewer(b.ada))
	b.must(err)
	b.approves(b.ada, waiting[0].ID)
	id := b.Service.Codes.Code(waiting[0].CodeKind, waiting[0].ID).Reveal()
	wantError(t, "as the channel", b.polls(id), http.StatusUnauthorized, "invalid_client")
	b.client, _ = b.newClient()
	wantError(t, "as another client", b.polls(id), http.StatusBadRequest, "invalid_grant")
}
