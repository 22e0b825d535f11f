package account

import (
	"context"
	"slices"
	"time"
)

// PhoneKind is the road on which a phone is reached.
type PhoneKind string

// The kinds of phones: a browser's push subscription (RFC 8030), an
// application's Firebase registration token, a mailbox.
const (
	PhoneWebPush PhoneKind = "webpush"
	PhoneFCM     PhoneKind = "fcm"
	PhoneEmail   PhoneKind = "email"
)

// PhoneKinds lists every kind.
var PhoneKinds = []PhoneKind{PhoneWebPush, PhoneFCM, PhoneEmail}

// Known says whether k is a kind nod has.
func (k PhoneKind) Known() bool { return slices.Contains(PhoneKinds, k) }

// Phone is where one user is told that something waits. It can do nothing by
// itself: whoever holds it still needs a passkey.
type Phone struct {
	ID        string // UUID
	UserID    string
	Kind      PhoneKind
	Name      string // what its owner's software calls itself, "Chrome on Android"
	Hash      []byte // keyed hash of where it is reached, unique: one place, one owner
	Sealed    []byte // where it is reached, encrypted
	CreatedAt time.Time
	SeenAt    time.Time // when its software last registered it
	ReachedAt time.Time // when a provider last took something for it; zero: never
	Fault     string    // what the provider answered last when it did not, "" otherwise
}

// MaxPhones is how many phones one user may have: enough for a household's
// worth of devices and browsers, few enough that a prompt stays one prompt.
const MaxPhones = 10

// Phones reads phones.
type Phones interface {
	Phone(ctx context.Context, id string) (Phone, error)
	// PhoneByHash finds the phone that is reached at one place.
	PhoneByHash(ctx context.Context, hash []byte) (Phone, error)
	// Phones lists a user's, oldest first.
	Phones(ctx context.Context, userID string) ([]Phone, error)
}
