package token

// The actions of nod's own tokens: ActionLogin is that of every [Login] that lets
// somebody in, ActionTransaction that of every [Transaction], which lets nobody in.
const (
	ActionLogin       = "login"
	ActionTransaction = "transaction"
)

// Login holds the claims of a result token: this device was let in as that
// user. Times are seconds since the epoch.
type Login struct {
	Issuer    string `json:"iss"`    // public URL of this server, or what the client's verifiers expect
	Subject   string `json:"sub"`    // the user's uuid
	SessionID string `json:"sid"`    // uuid
	Namespace string `json:"nid"`    // 16 hex digits
	Audience  string `json:"aud"`    // the client that waited
	Action    string `json:"action"` // ActionLogin, or that of what it is a part of
	IssuedAt  int64  `json:"iat"`
	Expires   int64  `json:"exp"`
	ID        string `json:"jti"`
	Username  string `json:"udata"`

	Methods  []string `json:"amr,omitempty"`       // RFC 8176
	Class    string   `json:"acr,omitempty"`       // OpenID Connect Core section 2
	AuthTime int64    `json:"auth_time,omitempty"` // when the person decided
}

// Transaction holds the claims of a token that says who consented to which text.
// Hash is base64url(SHA-256(payload + nonce + server nonce)) without padding.
type Transaction struct {
	Login              // with ActionTransaction
	Hash        string `json:"tx_hash"`
	Nonce       string `json:"nonce"`        // the caller's
	ServerNonce string `json:"server_nonce"` // nod's
}
