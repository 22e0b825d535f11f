package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// quickTimeout bounds a call that nothing is waited for in.
const quickTimeout = 15 * time.Second

// metadata is what is read of RFC 8414's document.
type metadata struct {
	Issuer              string   `json:"issuer"`
	DeviceAuthorization string   `json:"device_authorization_endpoint"`
	Token               string   `json:"token_endpoint"`
	Revocation          string   `json:"revocation_endpoint"`
	JWKS                string   `json:"jwks_uri"`
	AuthMethods         []string `json:"token_endpoint_auth_methods_supported"`
}

// discover reads the issuer's metadata from OpenID Connect's place, or from RFC
// 8414's where that has none. The document must name exactly the issuer that was
// asked (RFC 8414 section 3.3): anything else may be an impostor's.
func discover(ctx context.Context, h *http.Client, issuer string) (*metadata, error) {
	if err := checkURL("issuer", issuer); err != nil {
		return nil, err
	}
	var m metadata
	var first error
	for _, place := range wellKnown(issuer) {
		err := getJSON(ctx, h, place, &m)
		if e := (*Error)(nil); errors.As(err, &e) && !e.passing() {
			first = errors.Join(first, fmt.Errorf("%s: %w", place, err))
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("discover: %w", err)
		}
		if m.Issuer != issuer {
			return nil, fmt.Errorf("discover: %s describes the issuer %q, not %q: they must be equal to the letter", place, m.Issuer, issuer)
		}
		return &m, nil
	}
	return nil, fmt.Errorf("discover: there is no metadata: %w", first)
}

// wellKnown lists where an issuer's metadata may be: OpenID Connect Discovery
// section 4 appends, RFC 8414 section 3 inserts.
func wellKnown(issuer string) []string {
	const openID, oauth = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
	u, err := url.Parse(issuer)
	if err != nil {
		return nil
	}
	path := strings.TrimSuffix(u.Path, "/")
	appended, inserted := *u, *u
	appended.Path, inserted.Path = path+openID, oauth+path
	return []string{appended.String(), inserted.String()}
}

// getJSON fetches a public document.
func getJSON(ctx context.Context, h *http.Client, place string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, quickTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
	if err != nil {
		return err
	}
	a, err := send(h, req)
	if err != nil {
		return err
	}
	return a.ok(into)
}

// check judges the endpoints that secrets will be sent to.
func (m *metadata) check() error {
	if m.DeviceAuthorization == "" || m.Token == "" {
		return fmt.Errorf("discover: %s does not offer the device grant (RFC 8628)", m.Issuer)
	}
	for _, e := range []struct{ what, url string }{
		{"device_authorization_endpoint", m.DeviceAuthorization}, {"token_endpoint", m.Token}, {"revocation_endpoint", m.Revocation},
	} {
		if e.url == "" {
			continue
		}
		if err := checkURL(e.what, e.url); err != nil {
			return fmt.Errorf("discover: %w", err)
		}
	}
	return nil
}

// takes says whether clients may authenticate so. A server that says nothing takes
// client_secret_basic (RFC 8414 section 2).
func (m *metadata) takes(method string) bool {
	if m.AuthMethods == nil {
		return method == authBasic
	}
	return slices.Contains(m.AuthMethods, method)
}
