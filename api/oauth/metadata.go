package oauth

import (
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval/account"
)

// cacheMetadata is how long clients may keep the document: it changes with the
// server's version and configuration.
const cacheMetadata = "public, max-age=300"

// providerMetadata is the union of what off-the-shelf clients look for: RFC 8414
// section 2, OpenID Connect Discovery section 3, RFC 8628 section 4, CIBA Core section
// 4, RFC 9449 section 5.1.
type providerMetadata struct {
	Issuer        string `json:"issuer"`
	DeviceAuth    string `json:"device_authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	Backchannel   string `json:"backchannel_authentication_endpoint"`
	Userinfo      string `json:"userinfo_endpoint"`
	Introspection string `json:"introspection_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
	JWKS          string `json:"jwks_uri"`
	Documentation string `json:"service_documentation"`

	Grants        []account.GrantType `json:"grant_types_supported"`
	ResponseTypes []string            `json:"response_types_supported"`
	Scopes        []string            `json:"scopes_supported"`
	Claims        []string            `json:"claims_supported"`
	Classes       []string            `json:"acr_values_supported"`
	SubjectTypes  []string            `json:"subject_types_supported"`
	IDTokenAlgs   []string            `json:"id_token_signing_alg_values_supported"`
	DPoPAlgs      []string            `json:"dpop_signing_alg_values_supported"`

	TokenAuth          []account.AuthMethod `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgs      []string             `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuth     []account.AuthMethod `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs []string             `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectAuth     []account.AuthMethod `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectAuthAlgs []string             `json:"introspection_endpoint_auth_signing_alg_values_supported"`

	Deliveries  []account.Delivery `json:"backchannel_token_delivery_modes_supported"`
	RequestAlgs []string           `json:"backchannel_authentication_request_signing_alg_values_supported"`
	UserCode    bool               `json:"backchannel_user_code_parameter_supported"`
	RequestURI  bool               `json:"request_uri_parameter_supported"` // where it is missing, it counts as true
}

// metadata answers at both well-known paths, with the same document.
func (f *face) metadata(c *gin.Context) error {
	forEverybody(c, cacheMetadata)
	c.JSON(http.StatusOK, f.provider())
	return nil
}

func (f *face) provider() providerMetadata {
	es256 := []string{"ES256"}
	confidential := slices.DeleteFunc(slices.Clone(account.AuthMethods), func(m account.AuthMethod) bool { return m == account.AuthNone })
	m := providerMetadata{
		Issuer:        f.Issuer,
		DeviceAuth:    f.Issuer + "/oauth/device_authorization",
		Token:         f.Issuer + "/oauth/token",
		Backchannel:   f.Issuer + "/oauth/bc-authorize",
		Userinfo:      f.Issuer + "/oauth/userinfo",
		Introspection: f.Issuer + "/oauth/introspect",
		Revocation:    f.Issuer + "/oauth/revoke",
		JWKS:          f.Issuer + "/oauth/jwks.json",
		Documentation: f.Issuer + "/docs",

		Grants: []account.GrantType{account.GrantDeviceCode, account.GrantCIBA, account.GrantRefresh},
		// The member is required and must not be empty. There is no authorization
		// endpoint: this is the one type with which such an endpoint gives nothing.
		ResponseTypes: []string{"none"},
		Scopes:        []string{account.ScopeOpenID, account.ScopeProfile, account.ScopeOffline},
		Claims:        []string{"iss", "sub", "aud", "exp", "iat", "jti", "auth_time", "acr", "amr", "sid", "at_hash", "preferred_username"},
		Classes:       []string{"urn:nod:acr:cross-device"},
		SubjectTypes:  []string{"public"},
		IDTokenAlgs:   []string{"ES256", "RS256"},
		DPoPAlgs:      es256,

		TokenAuth: account.AuthMethods, TokenAuthAlgs: es256,
		RevocationAuth: account.AuthMethods, RevocationAuthAlgs: es256,
		IntrospectAuth: confidential, IntrospectAuthAlgs: es256,

		Deliveries:  []account.Delivery{account.DeliverPoll},
		RequestAlgs: es256,
		UserCode:    true,
	}
	if f.Answers != nil {
		m.Deliveries = append(m.Deliveries, account.DeliverPing)
	}
	return m
}
