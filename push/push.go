package push

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// Channel is one road to a person.
type Channel interface {
	// Send delivers a message once, or says why not, before ctx ends. Nil means
	// that the other side took it, not that anybody has seen it. ErrGone: this
	// phone will never be reached again. A *RetryError: later may work. Anything
	// else: trying again is pointless until somebody changes something. Errors name
	// what the other side answered and never a target. Safe for concurrent use.
	Send(ctx context.Context, m Message) error
}

// ErrGone means that the provider does not know the phone any more.
var ErrGone = errors.New("the phone is gone")

// RetryError means that later may work.
type RetryError struct {
	After time.Duration // as the provider asks; 0: it did not say
	Err   error
}

func (e *RetryError) Error() string { return fmt.Sprintf("try again later: %v", e.Err) }
func (e *RetryError) Unwrap() error { return e.Err }

// Kind is what a message is about.
type Kind string

// The kinds of messages.
const (
	Prompt Kind = "prompt" // a request waits
	Notice Kind = "notice" // something happened
	Test   Kind = "test"   // the owner wants to know whether this works
)

// Message wakes somebody up. It says that there is something to look at and
// where, never what: no code, no number, no name, nothing to approve with.
type Message struct {
	ID     string // the same on every attempt, for the receiver to recognise repeats
	Kind   Kind
	Handle account.Secret // of a prompt: opaque, good for looking and deciding by its owner alone
	Notice approval.Notice
	At     time.Time      // when what it is about happened
	Until  time.Time      // nobody wants it later, by the store's clock
	Left   time.Duration  // until then: what a provider is told, whatever clock this machine has
	User   account.User   // whom it is for
	Phone  account.Phone  // the zero phone on channels that need none
	Target account.Secret // where that phone is reached, unsealed
}

// Path is where on nod's own origin the message leads.
func (m Message) Path() string {
	switch m.Kind {
	case Prompt:
		return "/a/" + m.Handle.Reveal()
	case Notice:
		return "/activity"
	default:
		return "/notifications"
	}
}

// Payload is what travels to phones and webhooks, as JSON: just enough to fetch
// the rest from nod.
type Payload struct {
	Type    Kind      `json:"type"`
	ID      string    `json:"id,omitempty"`     // a prompt's handle
	Notice  string    `json:"notice,omitempty"` // a notice's word
	Expires time.Time `json:"expires_at"`
}

// Payload is the message as it travels.
func (m Message) Payload() Payload {
	return Payload{Type: m.Kind, ID: m.Handle.Reveal(), Notice: string(m.Notice), Expires: m.Until.UTC().Truncate(time.Second)}
}
