package approval

import (
	"encoding/json"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// State is where a request stands.
//
//	pending -> approved | denied | canceled | expired
//	approved -> redeemed | canceled | lapsed
//
// All others are final.
type State string

// The states of a request.
const (
	Pending  State = "pending"
	Approved State = "approved"
	Denied   State = "denied"
	Canceled State = "canceled"
	Expired  State = "expired"  // nobody decided in time
	Lapsed   State = "lapsed"   // approved, and nobody collected in time
	Redeemed State = "redeemed" // approved and collected
)

// Open says whether the request can still lead to a token.
func (s State) Open() bool { return s == Pending || s == Approved }

// Purpose is what an approval is good for; a request of one purpose is never
// used for another.
type Purpose string

// The purposes, in the native contract's words.
const (
	SignIn        Purpose = "temporary_authentication"
	AddCredential Purpose = "add_credential"
	// Direct is a passkey sign-in on the application's own page: asked, approved
	// and collected in one breath. It has no code and nobody waits for it.
	Direct Purpose = "direct"
	// Transaction is a consent to one text, which the approval is good for and
	// nothing else: it signs nobody in. See transaction.go.
	Transaction Purpose = "transaction"
)

// Way is how the decider got to the request. It is part of what is signed.
type Way string

// Scanned and typed prove that something travelled from the new device to the
// phone; pushed and listed do not, so they need the match number.
const (
	Scanned Way = "scanned"
	Typed   Way = "typed"
	Pushed  Way = "pushed"
	Listed  Way = "listed"
	// OnPage is a transaction that was confirmed on the application's own page: there
	// is one screen only, so nothing has to travel, and nod showed nothing there.
	OnPage Way = "page"
)

// Travelled says whether arriving this way proves that something travelled.
func (w Way) Travelled() bool { return w == Scanned || w == Typed }

// tied says whether arriving this way needs no number to tie phone and screen.
func (w Way) tied() bool { return w.Travelled() || w == OnPage }

// CollectGrace is how long after Expires a request that was approved in time
// can still be collected (architecture, "A request approved at the last second").
const CollectGrace = 60 * time.Second

// RedeliveryWindow is how long the same collector gets the identical token
// again (architecture, "Redelivery is bounded").
const RedeliveryWindow = 60 * time.Second

// Context is what the decider is shown about who asks. It is what Begin was
// given, frozen and signed; nothing is added later (I5).
type Context struct {
	App            string `json:"app"`                       // the client's registered name: verified
	Username       string `json:"username,omitempty"`        // whom it is for: verified
	DeviceName     string `json:"device_name,omitempty"`     // as the caller says
	BindingMessage string `json:"binding_message,omitempty"` // as the caller says
	Address        string `json:"requester_ip,omitempty"`    // as the caller says
	Place          string `json:"place,omitempty"`           // where that address is, roughly: the operator's database says so
	Country        string `json:"country,omitempty"`         // the same in two letters (ISO 3166-1)
	UserAgent      string `json:"requester_agent,omitempty"` // as the caller says
	// What an OAuth client asks for, in words that its operator registered, and
	// authorization_details (RFC 9396) as compact JSON.
	Scopes  []account.ScopeText `json:"scopes,omitempty"`
	Details json.RawMessage     `json:"authorization_details,omitempty"`
	// Who alone may answer a request that is for nobody yet: the id of the user whom
	// the client expects, as the caller says. It is signed and not shown.
	ExpectedSub string `json:"expected_sub,omitempty"`
	// What a transaction is about: the text to the byte, what the caller calls its
	// kind, and what two sides put in so that no two transactions are alike.
	Payload     string `json:"tx_payload,omitempty"`
	PayloadType string `json:"tx_type,omitempty"`
	Nonce       string `json:"nonce,omitempty"`        // the caller's
	ServerNonce string `json:"server_nonce,omitempty"` // nod's own, see Codes.ServerNonce
}

// Request is one question to one person.
type Request struct {
	ID          string // UUID
	Face        string // which protocol asked; a request of one is never redeemed by another
	NamespaceID string // "": nod itself asks, whoever scans or types it (join.go)
	ClientID    string // who asks; "" likewise
	Purpose     Purpose
	Context     Context
	Audience    string // the one client that may collect; "": any of the namespace
	TokenNeeded bool   // only a collector with a wait token may collect
	UserID      string // whom it is for; "" until somebody decides
	Match       account.Match
	CodeKind    CodeKind // "" for a request without a code
	CodeHash    []byte   // keyed, see Codes
	TypedHash   []byte   // keyed, of the code that is typed on a phone, where that is another one
	HandleHash  []byte   // SHA-256 of the phone's handle; nil for none, or when it rotates
	AnswerTo    []byte   // sealed: whom a deliverer tells of the verdict; nil: nobody
	Rotates     bool     // the handle changes every RotateEvery, see Codes.Rotating
	CreatedAt   time.Time
	Expires     time.Time // never moves (I8)

	State     State
	Version   int64 // 1 when created, plus one with every Change
	Tries     int   // wrong match numbers so far
	OpenedAt  time.Time
	OpenedVia Way
	OpenedBy  string    // on which phone: an opaque name, see Viewer.Phone
	AgainAt   time.Time // when a second phone opened it too; zero: none did
	JKT       string    // the key that alone may collect (RFC 9449), once one was shown; "": any
	Decision  *Decision // set by the verdict
	Grant     *Grant    // set by the redemption
	EndedBy   By        // why a canceled request was canceled; ByReport of any that its person reported; "" otherwise
}

// By says what a verdict, or the end of a request, rests on.
type By string

// A passkey's assertion, a backend's call, a signed-in person (declines only),
// wrong numbers, the new device itself, or the end of the user, the passkey or
// the client that the request hangs on.
const (
	ByPasskey      By = "passkey"
	ByBackend      By = "backend"
	BySession      By = "session"
	ByTries        By = "tries"
	ByHolder       By = "holder"
	ByOwner        By = "owner"    // the person whose device it is
	ByReport       By = "report"   // the same, who says that they did not start it
	ByReuse        By = "reuse"    // a refresh token that was used before
	ByLost         By = "lost"     // the tokens never arrived
	ByRecovery     By = "recovery" // a recovery code of the owner's was used
	ByUserEnded    By = "user ended"
	ByPasskeyEnded By = "passkey ended"
	ByClientEnded  By = "client ended"
)

// Decision is who decided, how and when.
type Decision struct {
	By          By        `json:"by"`
	Way         Way       `json:"way,omitempty"`
	UserID      string    `json:"user_id,omitempty"`
	Username    string    `json:"username,omitempty"`
	PasskeyID   string    `json:"passkey_id,omitempty"`
	PasskeyName string    `json:"passkey_name,omitempty"`
	ClientID    string    `json:"client_id,omitempty"`   // the backend that authorized
	ClientName  string    `json:"client_name,omitempty"` // its name then
	At          time.Time `json:"at"`
	Matched     bool      `json:"matched,omitempty"`      // the match number was entered right
	NamespaceID string    `json:"namespace_id,omitempty"` // the decider's, where the request was of none
}

// name is whom the token will be about: whom the request was for, or whoever
// approved a request that was for anybody.
func (r Request) name() string {
	if r.Context.Username == "" && r.Decision != nil {
		return r.Decision.Username
	}
	return r.Context.Username
}

// expects says whether this user may answer, as far as the asker has a say in it.
func (r Request) expects(userID string) bool {
	return r.Context.ExpectedSub == "" || r.Context.ExpectedSub == userID
}

// Grant is what a redemption gives: everything a face needs to sign the token,
// now or again. It is stored with the redemption; the mint is that commit.
type Grant struct {
	JTI       string    `json:"jti"`
	SID       string    `json:"sid"`
	KID       string    `json:"kid"` // the signing key that was current
	Issuer    string    `json:"iss,omitempty"`
	Audience  string    `json:"aud"` // the client that collected
	Subject   string    `json:"sub"`
	Username  string    `json:"username"`
	IssuedAt  time.Time `json:"iat"`
	Expires   time.Time `json:"exp"`
	AuthTime  time.Time `json:"auth_time"`
	AMR       []string  `json:"amr"`
	ACR       string    `json:"acr"`
	Address   string    `json:"address"` // who collected, for redelivery
	JKT       string    `json:"jkt,omitempty"`
	Offline   bool      `json:"offline,omitempty"`  // with a refresh token
	Lost      bool      `json:"lost,omitempty"`     // the server saw the reply fail
	Reminted  bool      `json:"reminted,omitempty"` // in the place of one that was lost
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}
