package account

import (
	"context"
	"encoding/json"
	"time"
)

// DeviceKind is what a sign-in looks like to the person it is of.
type DeviceKind string

// The kinds of devices.
const (
	// DeviceScreen showed a code, and collected the answer itself: a television, a
	// terminal, a browser.
	DeviceScreen DeviceKind = "screen"
	// DeviceServer is the backend of an application, which asked for somebody and
	// collected for them (CIBA); where the person sits, only it knows.
	DeviceServer DeviceKind = "server"
	// DevicePage is a page of the application on which the passkey itself was used.
	DevicePage DeviceKind = "page"
)

// KeepDevice is how long a device is kept after it was last seen: 30 days, as long as
// a browser session (SessionIdle). Its tokens may have run out long before. What the
// application keeps by itself has not, so its owner still wants to find the device,
// and the application to read that it was revoked.
const KeepDevice = 30 * 24 * time.Hour

// Device is what one approval signed in: the television, the terminal, the
// backend's session, and all tokens that it was given. Revoking it ends them all.
type Device struct {
	ID          string // UUID; the sid of its tokens
	Version     int64  // 1 when it was signed in, plus one with every change
	NamespaceID string
	ClientID    string
	UserID      string
	RequestID   string // the approval
	PasskeyID   string `json:",omitempty"` // that approved, "" for a backend's word
	Username    string
	Name        string `json:",omitempty"` // as it called itself
	Place       string `json:",omitempty"` // roughly where it asked from
	Address     string `json:",omitempty"` // that asked, as far as anybody said

	// What its owner is told beside that. Devices from before these have none of it.
	App           string     `json:",omitempty"` // that asked, by the name that was shown
	Kind          DeviceKind `json:",omitempty"`
	Agent         string     `json:",omitempty"` // its User-Agent, as far as anybody said
	CollectedFrom string     `json:",omitempty"` // the address that collected its first tokens
	ApprovedBy    string     `json:",omitempty"` // what the approval rests on, in approval's words: passkey, backend
	ApprovedWith  string     `json:",omitempty"` // the passkey's name then, or the backend's
	ApprovedVia   string     `json:",omitempty"` // how the phone got to the request: scanned, typed …, "" for none

	Scopes    []string        `json:",omitempty"`
	Details   json.RawMessage `json:",omitempty"` // authorization_details (RFC 9396), nil for none
	JKT       string          `json:",omitempty"` // the thumbprint of the key that its tokens are bound to (RFC 9449), "" for none
	AMR       []string
	ACR       string
	AuthTime  time.Time
	CreatedAt time.Time
	SeenAt    time.Time // when it last got tokens
	UsedAt    time.Time `json:",omitzero"` // when nod last heard of their use, to the hour; zero: not since then
	Expires   time.Time // when nothing it has is good any more
	// Generation counts its refresh tokens: only the newest is good, and an older
	// one that turns up again is theft. 0: it has none.
	Generation int64 `json:",omitempty"`
	// Lost says that the server saw the reply with the newest tokens fail: the
	// refresh token before is taken once more.
	Lost      bool      `json:",omitempty"`
	RevokedAt time.Time `json:",omitzero"`
	RevokedBy string    `json:",omitempty"` // a word: why
}

// Live says whether the device's tokens may be good at now.
func (d Device) Live(now time.Time) bool { return d.RevokedAt.IsZero() && now.Before(d.Expires) }

// LastSeen is when nod last heard of the device: it got tokens, or they were used.
func (d Device) LastSeen() time.Time {
	if d.UsedAt.After(d.SeenAt) {
		return d.UsedAt
	}
	return d.SeenAt
}

// KeepUntil is when the device is forgotten: not before its tokens are worthless, and
// KeepDevice after it was last seen.
func (d Device) KeepUntil() time.Time {
	if seen := d.LastSeen().Add(KeepDevice); seen.After(d.Expires) {
		return seen
	}
	return d.Expires
}

// Devices reads what is signed in.
type Devices interface {
	Device(ctx context.Context, id string) (Device, error)
	// Devices lists a user's, newest first, ended ones included as long as they
	// are kept.
	Devices(ctx context.Context, userID string) ([]Device, error)
}
