package account

import (
	"slices"
	"time"
)

// GrantType is how an OAuth client asks for tokens, in the metadata's words.
type GrantType string

// The grants that begin something. A refresh token needs no registration: it is
// given to whoever may ask for the scope offline_access.
const (
	GrantDeviceCode GrantType = "urn:ietf:params:oauth:grant-type:device_code" // RFC 8628 section 3.4
	GrantCIBA       GrantType = "urn:openid:params:grant-type:ciba"            // CIBA Core section 10.1
	GrantRefresh    GrantType = "refresh_token"                                // RFC 6749 section 6
)

// AuthMethod is how an OAuth client says who it is (RFC 7591 section 2).
type AuthMethod string

// The methods.
const (
	AuthNone       AuthMethod = "none"
	AuthBasic      AuthMethod = "client_secret_basic"
	AuthPost       AuthMethod = "client_secret_post"
	AuthPrivateKey AuthMethod = "private_key_jwt" // with one of the client's keys, ES256
)

// AuthMethods lists every method.
var AuthMethods = []AuthMethod{AuthBasic, AuthPost, AuthPrivateKey, AuthNone}

// Secret says whether the method rests on a secret that both sides know.
func (m AuthMethod) Secret() bool { return m == AuthBasic || m == AuthPost }

// Delivery is how a CIBA client learns of the answer (CIBA Core section 5).
type Delivery string

// The delivery modes.
const (
	DeliverPoll Delivery = "poll"
	DeliverPing Delivery = "ping"
)

// ScopeOffline asks for a refresh token, ScopeOpenID for an ID token (OpenID
// Connect Core sections 11 and 3.1.2.1).
const (
	ScopeOffline = "offline_access"
	ScopeOpenID  = "openid"
	ScopeProfile = "profile"
)

// ScopeText is a scope and what it allows, in words for the person who is asked.
type ScopeText struct {
	Scope string `json:"scope"`
	Says  string `json:"says"`
}

// OAuth is what a client of the standard faces is registered with. Lives are
// never zero: Directory.CreateClient fills in the defaults.
type OAuth struct {
	Grants      []GrantType   `json:"grants"`
	Auth        AuthMethod    `json:"auth"`
	SecretHash  []byte        `json:"secret_hash,omitempty"` // SHA-256 of 256 random bits
	Relaxed     bool          `json:"relaxed,omitempty"`     // at the device endpoint it may say only who it is; the token endpoint asks for proof
	Hold        time.Duration `json:"hold"`                  // how long a poll is held, at most MaxHold; 0: answered at once
	Scopes      []ScopeText   `json:"scopes"`                // what it may ask for
	IDTokenAlg  string        `json:"id_token_alg"`          // ES256 or RS256
	Audience    string        `json:"audience,omitempty"`    // of its access tokens; "": its own id
	NoComplete  bool          `json:"no_complete,omitempty"` // no verification_uri_complete
	RequireDPoP bool          `json:"require_dpop,omitempty"`

	DeviceCodeLife  time.Duration `json:"device_code_life"`
	BackchannelLife time.Duration `json:"backchannel_life"`
	AccessLife      time.Duration `json:"access_life"`
	IDTokenLife     time.Duration `json:"id_token_life"`
	RefreshIdle     time.Duration `json:"refresh_idle"` // how long an unused refresh token lives

	// Of CIBA.
	Delivery     Delivery `json:"delivery,omitempty"`
	Notification string   `json:"notification,omitempty"` // where pings go
	NeedUserCode bool     `json:"need_user_code,omitempty"`
	SignedOnly   bool     `json:"signed_only,omitempty"` // only signed authentication requests

	// Callback is where a Keycloak realm hears the answer, for a client of type
	// keycloak-channel.
	Callback string `json:"callback,omitempty"`
}

// The lives and the hold of the contract (shared contract "Standard faces"):
// 25 s of hold works with every client that was measured, 35 s does not.
const (
	DefaultHold            = 20 * time.Second
	MaxHold                = 25 * time.Second
	DefaultDeviceCodeLife  = 10 * time.Minute
	DefaultBackchannelLife = 2 * time.Minute
	MaxBackchannelLife     = 10 * time.Minute
	DefaultAccessLife      = 10 * time.Minute
	DefaultIDTokenLife     = 10 * time.Minute
	DefaultRefreshIdle     = 30 * 24 * time.Hour
)

// MayUse says whether the client was registered with the grant. Refreshing is
// for whoever may ask for offline_access.
func (o *OAuth) MayUse(g GrantType) bool {
	if o == nil {
		return false
	}
	if g == GrantRefresh {
		return slices.ContainsFunc(o.Scopes, func(s ScopeText) bool { return s.Scope == ScopeOffline })
	}
	return slices.Contains(o.Grants, g)
}

// Confidential says whether the client can prove who it is.
func (o *OAuth) Confidential() bool { return o != nil && o.Auth != AuthNone }
