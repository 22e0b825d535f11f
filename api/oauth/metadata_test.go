package oauth_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
)

func TestMetadata_isTheUnionThatClientsLookFor(t *testing.T) {
	h := open(t)
	r := h.Do(Call{Path: "/.well-known/openid-configuration"}).Want(ok)
	if other := h.Do(Call{Path: "/.well-known/oauth-authorization-server"}).Want(ok); other.Text != r.Text {
		t.Errorf("got %s at the other path, want %s", other.Text, r.Text)
	}
	for name, want := range map[string]any{
		"issuer":                                                          h.URL,
		"grant_types_supported":                                           []any{"urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba", "refresh_token"},
		"scopes_supported":                                                []any{"openid", "profile", "offline_access"},
		"response_types_supported":                                        []any{"none"},
		"subject_types_supported":                                         []any{"public"},
		"id_token_signing_alg_values_supported":                           []any{"ES256", "RS256"},
		"token_endpoint_auth_methods_supported":                           []any{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"},
		"token_endpoint_auth_signing_alg_values_supported":                []any{"ES256"},
		"introspection_endpoint_auth_methods_supported":                   []any{"client_secret_basic", "client_secret_post", "private_key_jwt"},
		"dpop_signing_alg_values_supported":                               []any{"ES256"},
		"backchannel_token_delivery_modes_supported":                      []any{"poll"},
		"backchannel_user_code_parameter_supported":                       true,
		"backchannel_authentication_request_signing_alg_values_supported": []any{"ES256"},
		"request_uri_parameter_supported":                                 false,
	} {
		if diff := cmp.Diff(want, r.JSON[name]); diff != "" {
			t.Errorf("%s: want (-) got (+):\n%s", name, diff)
		}
	}
}

func TestMetadata_leadsToWhatIsThere(t *testing.T) {
	h := open(t)
	r := h.Do(Call{Path: "/.well-known/openid-configuration"}).Want(ok)
	endpoints := 0
	for name, value := range r.JSON {
		if !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" && name != "service_documentation" {
			continue
		}
		endpoints++
		path, ours := strings.CutPrefix(value.(string), h.URL)
		if !ours {
			t.Errorf("%s: got %s, want it below %s", name, value, h.URL)
		}
		for _, call := range []Call{{Path: path}, {Path: path, Body: url.Values{}}} {
			if got := h.Do(call); got.Status == http.StatusNotFound {
				t.Errorf("%s: there is nothing at %s", name, path)
			}
		}
	}
	if endpoints != 8 {
		t.Errorf("got %d endpoints, want 8", endpoints)
	}
}

func TestMetadata_isForPagesAndCachesOfAllTheWorldAndNothingElseIs(t *testing.T) {
	h := open(t)
	for path, cache := range map[string]string{
		"/.well-known/openid-configuration":       "public, max-age=300",
		"/.well-known/oauth-authorization-server": "public, max-age=300",
		"/oauth/jwks.json":                        "public, max-age=60",
		"/.well-known/jwks.json":                  "public, max-age=60",
		"/oauth/userinfo":                         "no-store",
	} {
		r := h.Do(Call{Path: path, Header: map[string]string{"Origin": "https://elsewhere.example"}})
		origin := "*"
		if cache == "no-store" {
			origin = ""
		}
		if got := r.Header.Get("Cache-Control"); got != cache {
			t.Errorf("%s: got Cache-Control %q, want %q", path, got, cache)
		}
		if got := r.Header.Get("Access-Control-Allow-Origin"); got != origin {
			t.Errorf("%s: got Access-Control-Allow-Origin %q, want %q", path, got, origin)
		}
	}
}

// answering is a server that tells others of verdicts.
type answering struct{}

func (answering) Check(context.Context, string) error       { return nil }
func (answering) Seal(to approval.AnswerTo) ([]byte, error) { return []byte(to.URL), nil }

func TestMetadata_offersPingsWhereTheyAreSent(t *testing.T) {
	h := open(t, func(s *apitest.Setup) { s.API.Answers = answering{} })
	r := h.Do(Call{Path: "/.well-known/openid-configuration"}).Want(ok)
	if diff := cmp.Diff([]any{"poll", "ping"}, r.JSON["backchannel_token_delivery_modes_supported"]); diff != "" {
		t.Errorf("want (-) got (+):\n%s", diff)
	}
}
