package web

import (
	"fmt"
	"time"
)

// Page is a view model that [Pages.Render] knows a template for. The types of
// this package are its only implementations.
type Page interface {
	// template names the file under templates/ that shows the page.
	template() string
}

// Frame is what every page needs besides its own content.
type Frame struct {
	// Now is the server's clock when the page is made. "20 seconds ago" and the
	// countdown start from it, so a phone whose clock is wrong still tells them
	// right. When zero, times are absolute.
	Now time.Time
	// SignedInAs is the name of the person signed in; empty when nobody is.
	SignedInAs string
}

// SignInPage asks for a passkey.
type SignInPage struct {
	Frame
	// Next is the path to go to afterwards. Anything [LocalPath] refuses
	// becomes "/".
	Next string
	// Reason says in a sentence why a sign-in is needed now; may be empty.
	Reason string
}

// HomePage lists what waits for the person signed in.
type HomePage struct {
	Frame
	Requests []WaitingRequest
	// PushKey is the key with which a browser subscribes to push; empty when this
	// server sends none. With it the page offers notifications, before the
	// browser's own question, where this browser has none yet.
	PushKey string
	// Nudge is [NudgeSpare], [NudgeCodes] or empty.
	Nudge string
}

// NotificationsPage shows where the person signed in is told of new requests.
type NotificationsPage struct {
	Frame
	Phones []Phone
	// PushKey is as in [HomePage].
	PushKey string
	// MutedUntil is when push goes on after two declines; zero when it does.
	MutedUntil time.Time
	// Notice says what has just been done, Error what was refused; both are
	// whole sentences and may be empty.
	Notice, Error string
}

// Phone is one line of [NotificationsPage], and of the answer to GET
// /phone/phones.
type Phone struct {
	ID   string `json:"id"`
	Kind string `json:"kind"` // webpush, fcm or email
	Name string `json:"name"`
	// CreatedAt is when it was registered, ReachedAt when a provider last took
	// something for it; zero for never.
	CreatedAt time.Time `json:"created_at"`
	ReachedAt time.Time `json:"reached_at,omitzero"`
	// Fault is what the provider answered last when it did not; may be empty.
	Fault string `json:"fault,omitempty"`
}

// OfflinePage is what the service worker shows while nod cannot be reached. It
// names nobody and nothing that changes.
type OfflinePage struct{ Frame }

// WaitingRequest is one line of [HomePage], and of the answer to
// GET /phone/requests with which the page keeps itself up to date.
type WaitingRequest struct {
	ID        string    `json:"id"`
	AppName   string    `json:"app"`
	Device    string    `json:"device"`
	AskedAt   time.Time `json:"asked_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// DevicePage asks for the code that a new device shows: the one field for every
// code that a person can type.
type DevicePage struct {
	Frame
	// Error is the sentence about the code typed before; empty at first.
	Error string
}

// PasskeysPage lists the passkeys of the person signed in.
type PasskeysPage struct {
	Frame
	Passkeys []Passkey
	Codes    CodeSet
	// Notice says what has just been done, Error what was refused; both are
	// whole sentences and may be empty.
	Notice, Error string
	// Left is what a passkey that was just deleted let in, and is still signed in.
	Left []Device
}

// Passkey is one line of [PasskeysPage].
type Passkey struct {
	ID   string
	Name string
	// CreatedAt and LastUsedAt are left out when zero.
	CreatedAt, LastUsedAt time.Time
	// Synced says that a password manager keeps copies of it.
	Synced bool
	// Current marks the passkey of this very session.
	Current bool
	// Suspended marks one that is refused because its counter went backwards.
	Suspended bool
	// Last marks the only one that can still sign in: it cannot be deleted.
	Last bool
}

// ActivityPage lists what happened, newest first.
type ActivityPage struct {
	Frame
	Entries []ActivityEntry
}

// The marks of an [ActivityEntry]: the icon in front of its words.
const (
	MarkApproved = "approved"
	MarkDeclined = "declined"
	MarkAlert    = "alert"
)

// ActivityEntry is one line of the audit in words.
type ActivityEntry struct {
	At time.Time
	// Words is a sentence without a full stop: "Approved a sign-in on Living-room TV".
	Words string
	// Detail is a second, quieter line; may be empty.
	Detail string
	// Mark is one of the constants above or empty.
	Mark string
	// Receipt is where its receipt is downloaded; empty where there is none.
	Receipt string
}

// ResultPage says how a request ended.
type ResultPage struct {
	Frame
	RequestID string
	// State is the request's final state in the words of the core: approved, redeemed,
	// denied, expired, canceled or lapsed; or what its person did about it since:
	// undone, ended, deleted, reported, reported ended, reported deleted, reported late.
	State string
	// Already says that it had been decided before this person's last attempt.
	Already   bool
	AppName   string
	Device    string
	DecidedAt time.Time
	// Passkey says that a new passkey was asked for; Deleted what went with it since;
	// LastPasskey that it stays, because no other is left.
	Passkey     bool
	Deleted     Deletions
	LastPasskey bool
	// Backend is as in [Review]; Scopes say what was allowed, if it was.
	Backend bool
	Scopes  []Scope
	// Payload is the text of a transaction that was approved; Receipt is where the
	// receipt of an approval is downloaded. Both may be empty.
	Payload, Receipt string
	After            After
}

// Deletions count what was taken back of a request for a passkey: passkeys that were
// deleted, the one that was made with it among them, and devices that were signed out.
type Deletions struct{ Passkeys, Devices int }

// Says is a sentence, "" when nothing was deleted.
func (d Deletions) Says() string {
	if d.Passkeys == 0 {
		return ""
	}
	said, who := "The passkey that was made with it is deleted", "it"
	if d.Passkeys > 1 {
		who = "they"
	}
	switch n := d.Passkeys - 1; {
	case n == 1:
		said += ", so is another passkey that came of it"
	case n > 1:
		said += fmt.Sprintf(", so are %d other passkeys that came of it", n)
	}
	switch {
	case d.Devices == 1:
		said += ", and the device " + who + " let in is signed out"
	case d.Devices > 1:
		said += fmt.Sprintf(", and the %d devices %s let in are signed out", d.Devices, who)
	}
	return said + "."
}

// MessagePage says what happened and what to do: errors and 404.
type MessagePage struct {
	Frame
	// Title is the heading, without a full stop; What and Do are sentences.
	Title, What, Do string
	// LinkText and LinkPath lead on; without them the page leads home.
	LinkText, LinkPath string
	// RequestID is the id under which the log has this HTTP exchange.
	RequestID string
}

func (SignInPage) template() string        { return "signin.html" }
func (HomePage) template() string          { return "home.html" }
func (ReviewPage) template() string        { return "review.html" }
func (DevicePage) template() string        { return "device.html" }
func (PasskeysPage) template() string      { return "passkeys.html" }
func (NotificationsPage) template() string { return "notifications.html" }
func (OfflinePage) template() string       { return "offline.html" }
func (ActivityPage) template() string      { return "activity.html" }
func (ResultPage) template() string        { return "result.html" }
func (MessagePage) template() string       { return "message.html" }
