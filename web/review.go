package web

import (
	"encoding/json"
	"time"
)

// How the card makes sure that the person sees the screen of the new device.
// An empty Match is the same as [MatchNone].
const (
	MatchType    = "type"    // the number is typed
	MatchPick    = "pick"    // the number is picked among Choices; one wrong choice declines
	MatchMessage = "message" // it is confirmed that the device shows the same BindingMessage
	MatchNone    = "none"    // nothing is asked: the way here carried the proof
)

// What is worth saying about where the new device is. An empty Network says
// nothing.
const (
	SameNetwork  = "same network"  // the same public address, or the same /64 of IPv6
	OtherCountry = "other country" // by the operator's database
)

// ReviewPage is the card on which a request is approved or declined.
type ReviewPage struct {
	Frame
	Card Review
}

// Review is what a person is told before deciding. As JSON it is the card of a
// phone that is not a browser; the secret is not part of that, because its
// holder has just sent it.
type Review struct {
	RequestID string `json:"request_id"`
	// Way (scanned, pushed, typed or listed) and Secret are the reference that
	// every call about this request carries.
	Way    string `json:"way"`
	Secret string `json:"-"`

	// Version is the request's when the card was made: what follows it is news.
	Version int64 `json:"version"`

	// What nod knows itself. AppName is the registered name of the client;
	// WaitAddress is where the waiting connection comes from, WaitPlace roughly
	// where that is: hints, and no part of what is signed.
	AppName     string    `json:"app"`
	Username    string    `json:"username"`
	WaitAddress string    `json:"wait_address,omitempty"`
	WaitPlace   string    `json:"wait_place,omitempty"`
	AskedAt     time.Time `json:"asked_at"`
	ExpiresAt   time.Time `json:"expires_at"`

	// Own says that nod itself asks, for a browser that has its page /join open: what it
	// says of Address and Place nod saw itself.
	Own bool `json:"own,omitempty"`

	// Backend says that a server asks, which knows the person already: there may
	// be no device at all.
	Backend bool `json:"backend,omitempty"`
	// UserCode is what the device shows to be typed, as XXXX-XXXX; empty for none.
	UserCode string `json:"user_code,omitempty"`
	// What an approval allows: scopes in the words of the operator, and
	// authorization_details (RFC 9396), JSON of which all is shown.
	Scopes  []Scope         `json:"scopes,omitempty"`
	Details json.RawMessage `json:"authorization_details,omitempty"`

	// Payload is the text of a transaction, shown to the letter; then the card is about
	// that and nothing else. PayloadType is what the app calls its kind ("text").
	Payload     string `json:"tx_payload,omitempty"`
	PayloadType string `json:"tx_type,omitempty"`

	// What the application or the device says about itself, unchecked.
	// UserAgent reads best in words ("Chrome on Android TV").
	DeviceName     string `json:"device"`
	UserAgent      string `json:"user_agent,omitempty"`
	Address        string `json:"address,omitempty"`
	Place          string `json:"place,omitempty"`
	BindingMessage string `json:"binding_message,omitempty"`

	// Network compares the requester's address with the phone's: one of
	// [SameNetwork], [OtherCountry] and "".
	Network string `json:"network,omitempty"`
	// OpenedElsewhere says that another phone opened the request too.
	OpenedElsewhere bool `json:"opened_elsewhere,omitempty"`

	// Purpose is what approving does, as a verb phrase that "on Living-room
	// TV?" can follow: "sign in", "add a passkey". Empty means "sign in".
	Purpose string `json:"purpose"`

	// Match is one of [MatchType], [MatchPick], [MatchMessage] and [MatchNone].
	Match string `json:"match"`
	// Choices are the numbers to pick from, as they are sent back.
	Choices []string `json:"choices,omitempty"`
	// TriesLeft is shown with a number to type when it is above zero.
	TriesLeft int `json:"tries_left,omitempty"`

	// Warning is the one sentence about what is unusual here; may be empty.
	Warning string `json:"warning,omitempty"`
}

// Large says whether the message is what the card is about, and not one of the
// claims.
func (r Review) Large() bool { return r.BindingMessage != "" && (r.Backend || r.Match == MatchMessage) }

// PayloadSize is how large a payload is set: a short one as large as it deserves.
func (r Review) PayloadSize() string {
	switch n := len(r.Payload); {
	case n <= 120:
		return "short"
	case n <= 480:
		return "medium"
	default:
		return "long"
	}
}

// NamedType is the kind of a transaction where it says more than that it is a text.
func (r Review) NamedType() string {
	if r.PayloadType == "text" {
		return ""
	}
	return r.PayloadType
}

// Scope is one thing that is asked for, and what it allows: a verb phrase after
// "may", like "see your username".
type Scope struct {
	Scope string `json:"scope"`
	Says  string `json:"says"`
}
