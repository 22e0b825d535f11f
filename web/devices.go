package web

import "time"

// DevicesPage lists what is signed in as the person, and where they are signed in to
// nod itself.
type DevicesPage struct {
	Frame
	Devices  []Device
	Sessions []Session
	// Ended is what was signed out not long ago.
	Ended []Device
}

// The kinds of a [Device]. Any other is shown like [KindScreen].
const (
	KindScreen = "screen" // a television, a terminal, a browser: it showed a code
	KindServer = "server" // an application's server asked
	KindPage   = "page"   // the passkey was used on the application's own page
)

// Device is something that is signed in.
type Device struct {
	ID   string
	Kind string
	// Name is the best that is known of the device, AppName the application that it is
	// signed in at; each may be empty.
	Name, AppName string
	// Place and Address are where it asked or was signed in from; each may be empty.
	Place, Address string
	SignedInAt     time.Time
	// SeenAt is when nod last heard of it: it got tokens, or was in use.
	SeenAt time.Time
	// How says what it rests on, a sentence without a full stop; may be empty.
	How    string
	Scopes []Scope
	// EndedAt and Why are of what was signed out; Why is a phrase after "Signed out".
	EndedAt time.Time
	Why     string
}

// Title names the device, or else its application.
func (d Device) Title() string {
	switch {
	case d.Name != "":
		return d.Name
	case d.AppName != "":
		return d.AppName
	default:
		return "Device"
	}
}

// Session is a browser that is signed in to nod's own pages.
type Session struct {
	ID                   string
	Name                 string // of the browser; may be empty
	Address, Place       string // it was signed in from; each may be empty
	SignedInAt, LastUsed time.Time
	Current              bool // it is the one that asks
}

// Others says whether there is a session beside the current one.
func (p DevicesPage) Others() bool {
	for _, s := range p.Sessions {
		if !s.Current {
			return true
		}
	}
	return false
}

func (DevicesPage) template() string { return "devices.html" }

// After is what can be done about a request that has ended.
type After struct {
	// Undo says that what was approved can be taken back; Report that the person may
	// say that they did not start it.
	Undo, Report bool
	// MutedUntil is when push goes on, after a report; zero when it is not silent.
	MutedUntil time.Time
	// Same is what came from the same place as a request that was reported.
	Same []Device
}
