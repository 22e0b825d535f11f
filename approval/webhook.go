package approval

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// TopicWebhook is an Announcement for one webhook, keyed by its id. A Deliver of it
// is not claimed by Outbox.Claim but by HookQueue.
const TopicWebhook Topic = "webhook"

const (
	// AnnounceFor is how long a webhook's receiver may be away without losing
	// anything.
	AnnounceFor = 24 * time.Hour
	// KeepDeliveries is how long the log of what webhooks were told is kept.
	KeepDeliveries = 7 * 24 * time.Hour
)

// announced is what webhooks hear of, and in which words. Two names in the audit may
// be one here: what lapsed ran out, what was handed out a second time because the
// first reply was lost was redeemed, and with its grant a device is revoked.
var announced = map[EventName]string{
	EventRequested:      "request.requested",
	EventOpened:         "request.opened",
	EventApproved:       "request.approved",
	EventDenied:         "request.denied",
	EventReported:       "request.reported",
	EventCanceled:       "request.canceled",
	EventExpired:        "request.expired",
	EventLapsed:         "request.expired",
	EventRedeemed:       "request.redeemed",
	EventReminted:       "request.redeemed",
	EventDeviceRevoked:  "device.revoked",
	EventGrantRevoked:   "device.revoked",
	EventPasskeyAdded:   "passkey.added",
	EventPasskeyRevoked: "passkey.revoked",
	EventPasskeySuspect: "passkey.suspended",
}

// Announced lists the names of what webhooks hear of, in order.
func Announced() []string {
	names := make([]string, 0, len(announced))
	for _, n := range announced {
		names = append(names, n)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Announcement is what a webhook's receiver gets: the members type, timestamp and
// data of Standard Webhooks. ID is the same on every attempt and replay, and at every
// webhook that hears of the event. Of two announcements at one webhook the one with the
// later timestamp is the later, whichever nodes they come from; about one request that is
// the one with the higher version.
type Announcement struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	// Timestamp is when the store wrote it, by the store's own clock: Message.CreatedAt.
	Timestamp time.Time `json:"-"`
	Data      Subject   `json:"data"`
}

// ReadAnnouncement reads the body of a message that was written then.
func ReadAnnouncement(body []byte, written time.Time) (a Announcement, err error) {
	if err := json.Unmarshal(body, &a); err != nil {
		return a, fmt.Errorf("read announcement: %w", err)
	}
	a.Timestamp = written
	return a, nil
}

// Subject is what an announcement is about. It holds no secret, no code or number,
// and nothing that could decide or collect anything.
type Subject struct {
	RequestID  string  `json:"request_id,omitempty"`
	Version    int64   `json:"version,omitempty"` // of the request
	State      State   `json:"state,omitempty"`
	Purpose    Purpose `json:"purpose,omitempty"`
	ClientID   string  `json:"client_id,omitempty"` // that asked; of a device: that it is signed in at
	UserID     string  `json:"user_id,omitempty"`
	Username   string  `json:"username,omitempty"`
	PasskeyID  string  `json:"passkey_id,omitempty"`
	DeviceID   string  `json:"device_id,omitempty"` // the sid of the tokens
	DeviceName string  `json:"device_name,omitempty"`
	By         By      `json:"by,omitempty"` // what the verdict, or the end, rests on
}

// Hooks reads the webhooks, and the log of what they were told. Its promises are
// Store's.
type Hooks interface {
	account.Webhooks
	// HookDeliveries lists what one webhook was told or will be, newest first, at
	// most limit.
	HookDeliveries(ctx context.Context, f HookFilter, limit int) ([]HookDelivery, error)
}

// HookQueue is Outbox for the announcements of webhooks. They are claimed of one
// webhook at a time, so that a slow receiver holds up nobody else's; Outbox.Settle
// gives them back.
type HookQueue interface {
	// DueHooks says of every webhook that has something to be told when the first of
	// it can be claimed, which may be past.
	DueHooks(ctx context.Context) (map[string]time.Time, error)
	// ClaimHook is Outbox.Claim for the messages of one webhook. Message.Tries counts.
	ClaimHook(ctx context.Context, webhookID string, limit int, lease time.Duration) ([]Message, error)
}

// HookFilter selects deliveries of one webhook; every field that is set must match.
type HookFilter struct {
	WebhookID string
	EventID   string
	Since     time.Time // written then or later
	Failed    bool      // did not arrive though it was tried, be it tried again or not
	Before    int64     // has a smaller Seq, to read on; 0: from the newest
}

// HookDelivery is a line of the log: one announcement for one webhook.
type HookDelivery struct {
	Seq          int64  // orders the log
	MessageID    string // of the outbox
	Announcement Announcement
	State        Delivery
	Tries        int64     // attempts since it was queued, or since the last replay
	Next         time.Time // of the next attempt; zero: there is none
	Answer       string    // what the receiver said last, "" before the first attempt
	CreatedAt    time.Time
	SettledAt    time.Time // of the last answer; zero: none yet
}

// announce puts the rows that webhooks are told with into the changes that they are
// told of.
func (s *Service) announce(ctx context.Context, changes []Change) ([]Change, error) {
	if s.Hooks == nil {
		return changes, nil
	}
	var now time.Time
	out, copied := changes, false
	for i, c := range changes {
		name := c.announcedAs()
		if name == "" || c.Event.NamespaceID == "" {
			continue
		}
		hooks, err := s.hooks.of(ctx, s.Hooks, c.Event.NamespaceID)
		if err != nil {
			return nil, fmt.Errorf("find webhooks: %w", err)
		}
		hooks = slices.DeleteFunc(slices.Clone(hooks), func(w account.Webhook) bool { return !w.Wants(name) })
		if len(hooks) == 0 {
			continue
		}
		if now.IsZero() {
			if now, err = s.Store.Now(ctx); err != nil {
				return nil, err
			}
		}
		if !copied {
			out, copied = slices.Clone(changes), true
		}
		out[i].Effects = slices.Concat(c.Effects, announcing(c, name, hooks, now))
	}
	return out, nil
}

// announcedAs is the name by which webhooks hear of a change, "" when they do not: with
// a grant that signed nothing in, no device ends.
func (c Change) announcedAs() string {
	if c.Event.Name == EventGrantRevoked && !c.Request.Purpose.signsIn() {
		return ""
	}
	return announced[c.Event.Name]
}

func announcing(c Change, name string, hooks []account.Webhook, now time.Time) []Effect {
	body, err := json.Marshal(Announcement{ID: c.Op, Type: name, Data: subject(c)})
	if err != nil { // plain values
		panic(err)
	}
	out := make([]Effect, 0, len(hooks))
	for _, w := range hooks {
		out = append(out, Deliver{Topic: TopicWebhook, Key: w.ID, Body: body, Until: now.Add(AnnounceFor)})
	}
	return out
}

// subject reads what a change is about from the request or the device that it
// changes, and else from its audit row. Of the row's Detail nothing is told: what it
// holds differs from event to event.
func subject(c Change) Subject {
	e := c.Event
	s := Subject{
		RequestID: e.RequestID, Version: e.Version, UserID: e.UserID, ClientID: e.ClientID, PasskeyID: e.PasskeyID,
	}
	if c.Request != nil && c.Event.Name != EventGrantRevoked {
		s.ofRequest(*c.Request)
		return s
	}
	for _, effect := range c.Effects {
		if r, ok := effect.(RevokeDevice); ok {
			d := r.Device
			s.DeviceID, s.DeviceName, s.Username, s.ClientID, s.By = d.ID, d.Name, d.Username, d.ClientID, r.By
		}
	}
	return s
}

func (s *Subject) ofRequest(r Request) {
	s.State, s.Purpose, s.ClientID, s.UserID = r.State, r.Purpose, r.ClientID, r.UserID
	s.Username, s.DeviceName, s.By = r.name(), r.Context.DeviceName, r.EndedBy
	if d := r.Decision; d != nil && s.By == "" {
		s.By = d.By
	}
	if r.Grant != nil && r.Purpose.signsIn() { // any other grant names no device
		s.DeviceID = r.Grant.SID
	}
}
