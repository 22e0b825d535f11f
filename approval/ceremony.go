package approval

import (
	"context"
	"time"
)

// CeremonyPurpose is what the answer to a passkey ceremony will be good for; it
// is refused for anything else.
type CeremonyPurpose string

// The purposes of ceremonies.
const (
	CeremonySignIn       CeremonyPurpose = "sign_in"       // a session on the phone's pages
	CeremonyApprove      CeremonyPurpose = "approve"       // one verdict on one request
	CeremonyEnrol        CeremonyPurpose = "enrol"         // a first passkey, by invitation
	CeremonyAuthenticate CeremonyPurpose = "authenticate"  // a token on the application's own page
	CeremonySelfGenerate CeremonyPurpose = "self_generate" // a code that is approved from birth
	CeremonyRegister     CeremonyPurpose = "register"      // a passkey for a user, by API
	CeremonyAdd          CeremonyPurpose = "add"           // one more passkey, by code or by force
	CeremonyConfirm      CeremonyPurpose = "confirm"       // one transaction, on the application's own page

	// What somebody signed in on the phone's pages vouches for with a passkey they have.
	CeremonyRecovery CeremonyPurpose = "recovery" // a new set of recovery codes
	CeremonyInvite   CeremonyPurpose = "invite"   // an invitation for another device of theirs
	CeremonyVouch    CeremonyPurpose = "vouch"    // one more passkey, in this browser
	CeremonyAddHere  CeremonyPurpose = "add_here" // the passkey that was vouched for
)

// Ceremony is a passkey ceremony that was begun. It is spent, by the effect
// Spend{BoxCeremony, ID}, in the transaction of whatever its answer is used for.
type Ceremony struct {
	ID          string // base64url of SHA-256(challenge)
	Purpose     CeremonyPurpose
	NamespaceID string
	UserID      string // "" while anybody may answer
	ClientID    string // of the native face
	RequestID   string // approve, confirm, add by code
	Way         Way    // approve, confirm
	Matched     bool   // approve: the match number was entered right
	Subject     []byte // purpose's own data: invitation hash, new user's name, code kind …
	Record      []byte // approve, confirm: the canonical record
	Random      []byte // approve, confirm: the challenge's 32 random bytes
	Session     []byte // the WebAuthn library's own state, JSON
	Origins     []string
	Expires     time.Time
}

// Ceremonies keeps ceremonies between their two halves.
type Ceremonies interface {
	AddCeremony(ctx context.Context, c Ceremony) error
	// Ceremony reads one; ErrNotFound when there is none. The caller compares
	// Expires with Store.Now.
	Ceremony(ctx context.Context, id string) (Ceremony, error)
}
