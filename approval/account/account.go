// Package account is the vocabulary of who takes part: namespaces, the users in
// them with their passkeys and the phones on which they are told that something
// waits, the clients that act for applications, the devices that were signed in, the
// browser sessions of phones, and the scopes of service tokens.
//
// A Phone belongs to somebody who approves and is where prompts go. A Device is what
// an approval let in: the television, the terminal, the backend's session. All its
// tokens hang on its row, so that ending it ends them wherever somebody asks.
//
// It holds plain values and the small read interfaces that a store offers. It
// does no I/O, changes nothing and decides nothing: every write goes through
// approval.Store.Apply, together with its audit row.
package account

import (
	"slices"
	"time"
)

// Namespace is a closed world of users: usernames are unique in it, and a
// client of another namespace finds nothing, in the same words as if it did
// not exist.
type Namespace struct {
	ID        string // 16 hex digits, the wire's form
	Name      string // what the operator calls it, unique
	CreatedAt time.Time
}

// UserStatus says whether a user may take part.
type UserStatus string

// The two states of a user, in the words of the native contract.
const (
	UserActive   UserStatus = "active"
	UserInactive UserStatus = "inactive"
)

// User is a person who may decide.
type User struct {
	ID          string // UUID
	NamespaceID string
	ClientID    string // the client that created the user, "" for the operator
	Username    string // in NFC; unique within the namespace
	Status      UserStatus
	CIBACode    []byte // keyed hash of the code that backends must know to ask this user (CIBA Core section 7.1, user_code); nil: none
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Active says whether the user may sign in, decide and be signed in.
func (u User) Active() bool { return u.Status == UserActive }

// PasskeyStatus says what a passkey may still do.
type PasskeyStatus string

// A passkey is active; inactive when nod suspended it (its signature counter
// went backwards: it may have been copied); revoked when its owner or a
// backend took it away.
const (
	PasskeyActive   PasskeyStatus = "active"
	PasskeyInactive PasskeyStatus = "inactive"
	PasskeyRevoked  PasskeyStatus = "revoked"
)

// Passkey is the public half of a WebAuthn credential.
type Passkey struct {
	ID             string // UUID, ours; not the credential id
	UserID         string
	CredentialID   []byte
	PublicKey      []byte // COSE_Key, WebAuthn L3 section 6.5.1
	SignCount      uint32
	AAGUID         []byte
	Transports     []string
	BackupEligible bool // the BE flag, fixed for life
	BackupState    bool // the BS flag as last seen
	Attestation    string
	Status         PasskeyStatus
	Name           string
	CreatedAt      time.Time
	UpdatedAt      time.Time
	UsedAt         time.Time // zero: never

	// What it was added by; "" each where there was none, or nobody wrote it down yet.
	RequestID string // the approved request that its making collected
	VouchedBy string // id of the passkey that approved that, or that vouched by itself
}

// ClientType is the native contract's word for what kind of application a
// client is.
type ClientType string

// The client types of the native contract.
const (
	ClientWeb        ClientType = "directweb"
	ClientNative     ClientType = "native"
	ClientOIDC       ClientType = "oidc"
	ClientManagement ClientType = "management"
)

// Client types of nod's own: a client of the standard faces, and a Keycloak realm
// that lets nod ask its users (contract, "Being Keycloak's CIBA authentication
// channel").
const (
	ClientOAuth    ClientType = "oauth"
	ClientKeycloak ClientType = "keycloak-channel"
)

// ClientTypes lists every type, in the order help texts print them.
var ClientTypes = []ClientType{ClientManagement, ClientWeb, ClientNative, ClientOIDC, ClientOAuth, ClientKeycloak}

// Match says how a request that was opened without anything having travelled
// from the new device is tied to it.
type Match string

// The match modes: type the six digits, pick one of three, confirm that the
// device shows the same message (where there is one), or nothing.
const (
	MatchType    Match = "type"
	MatchPick    Match = "pick"
	MatchMessage Match = "message"
	MatchNone    Match = "none"
)

// Matches lists every match mode.
var Matches = []Match{MatchType, MatchPick, MatchMessage, MatchNone}

// Client is an application: what it is called, what its tokens may ask for and
// where its pages live.
type Client struct {
	ID               string // opaque, base64url text of 44 characters
	NamespaceID      string
	Name             string // shown to people as verified
	Type             ClientType
	Scopes           []Scope
	Origins          []string // exact origins, scheme://host[:port]
	OpenRegistration bool     // passkeys may be registered without a token
	RequireWaitToken bool     // a wait needs an auth.temporary token
	Match            Match
	Notify           bool   // its requests prompt the user's phones unless they say otherwise
	RotateQR         bool   // its QR codes change every approval.RotateEvery
	Issuer           string // "": nod's own
	OAuth            *OAuth // nil: it does not use the standard faces
	CreatedAt        time.Time
}

// May says whether the client was registered with the scope.
func (c Client) May(s Scope) bool { return slices.Contains(c.Scopes, s) }

// ClientKey is the public half of an API credential. A client has at most two
// that live, so that one can be rotated out.
type ClientKey struct {
	ID        string
	ClientID  string
	Public    []byte // SubjectPublicKeyInfo, DER
	CreatedAt time.Time
}

// MaxClientKeys is how many live keys a client may have: the old and the new
// one of a rotation (native contract, "A client may have two live keys").
const MaxClientKeys = 2

// Session is a phone's signed-in browser.
type Session struct {
	Hash      []byte // SHA-256 of the cookie's 256-bit secret
	UserID    string
	PasskeyID string // signed in with
	Name      string // of the browser, as far as it is known
	Address   string // it was signed in from
	CreatedAt time.Time
	SeenAt    time.Time
}

// SessionIdle is how long an unused session lives: 30 days, the number.
const SessionIdle = 30 * 24 * time.Hour

// Live says whether the session may still be used at now.
func (s Session) Live(now time.Time) bool { return now.Before(s.SeenAt.Add(SessionIdle)) }

// Invitation lets one person enrol a passkey on a phone: the first one, one more, or
// one in the place of what was lost. Its secret is spent in the transaction that
// stores the passkey.
type Invitation struct {
	Hash      []byte // SHA-256 of the link's 256-bit secret
	UserID    string
	PasskeyID string // of its user: who vouched, and must be active when it is used; "": an operator, a backend, a recovery code
	Recovers  bool   // a recovery code was used up for it
	CreatedAt time.Time
	Expires   time.Time
}

// InvitationLife is how long an invitation can be used: 24 h, the number.
const InvitationLife = 24 * time.Hour
