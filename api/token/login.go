package token

// ActionLogin is the action of every [Login].
const ActionLogin = "login"

// Login holds the claims of a result token: this device was let in as that
// user. Times are seconds since the epoch.
type Login struct {
	Issuer    string `json:"iss"`    // public URL of this server, or what the client's verifiers expect
	Subject   string `json:"sub"`    // the user's uuid
	SessionID string `json:"sid"`    // uuid
	Namespace string `json:"nid"`    // 16 hex digits
	Audience  string `json:"aud"`    // the client that waited
	Action    string `json:"action"` // ActionLogin
	IssuedAt  int64  `json:"iat"`
	Expires   int64  `json:"exp"`
	ID        string `json:"jti"`
	Username  string `json:"udata"`

	Methods  []string `json:"amr,omitempty"`       // RFC 8176
	Class    string   `json:"acr,omitempty"`       // OpenID Connect Core section 2
	AuthTime int64    `json:"auth_time,omitempty"` // when the person decided
}
