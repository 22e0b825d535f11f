package account

import (
	"context"
	"encoding/json"
	"time"
)

// Device is what one approval signed in: the television, the terminal, the
// backend's session, and all tokens that it was given. Revoking it ends them all.
type Device struct {
	ID          string // UUID; the sid of its tokens
	Version     int64  // 1 when it was signed in, plus one with every change
	NamespaceID string
	ClientID    string
	UserID      string
	RequestID   string // the approval
	PasskeyID   string // that approved, "" for a backend's word
	Username    string
	Name        string // as it called itself
	Place       string // roughly where it asked from
	Address     string // that asked, as far as anybody said
	Scopes      []string
	Details     json.RawMessage `json:",omitempty"` // authorization_details (RFC 9396), nil for none
	JKT         string          // the thumbprint of the key that its tokens are bound to (RFC 9449), "" for none
	AMR         []string
	ACR         string
	AuthTime    time.Time
	CreatedAt   time.Time
	SeenAt      time.Time // when it last got tokens
	Expires     time.Time // when nothing it has is good any more
	// Generation counts its refresh tokens: only the newest is good, and an older
	// one that turns up again is theft. 0: it has none.
	Generation int64
	// Lost says that the server saw the reply with the newest tokens fail: the
	// refresh token before is taken once more.
	Lost      bool
	RevokedAt time.Time
	RevokedBy string // a word: why
}

// Live says whether the device's tokens may be good at now.
func (d Device) Live(now time.Time) bool { return d.RevokedAt.IsZero() && now.Before(d.Expires) }

// Devices reads what is signed in.
type Devices interface {
	Device(ctx context.Context, id string) (Device, error)
	// Devices lists a user's, newest first, ended ones included as long as they
	// are kept.
	Devices(ctx context.Context, userID string) ([]Device, error)
}
