package approval

import (
	"context"
	"fmt"
	"time"
)

// Outbox is what must reach the world outside because something happened: rows
// written in the transaction of the change, delivered at least once. Its
// promises are Store's; whoever claims a message has it alone for a while, over
// all nodes.
type Outbox interface {
	// Claim takes up to limit messages of a topic that have a Next that has come
	// and an Until that has not, oldest first, and keeps them from others until the
	// lease ends. A new message's Next is the time it was written.
	Claim(ctx context.Context, topic Topic, limit int, lease time.Duration) ([]Message, error)
	// Settle says what came of a claimed message and gives it back. ErrConflict
	// when the lease ended and somebody else has claimed it since.
	Settle(ctx context.Context, m Message, o Outcome) error
	// NextDue is when the next message of a topic can be claimed, which may be
	// past; the zero time when there is none.
	NextDue(ctx context.Context, topic Topic) (time.Time, error)
	// Delivery is how far the newest message of a topic about key got: DeliveryNone
	// when there is none, DeliveryFailed also when it was queued until too late.
	Delivery(ctx context.Context, topic Topic, key string) (Delivery, error)
}

// Message is an outbox row: something to be delivered at least once, before
// Until.
type Message struct {
	ID        string // unique for good, the same on every attempt
	Topic     Topic
	Key       string // what it is about
	Body      []byte // JSON; whoever delivers it may keep its progress there
	CreatedAt time.Time
	Until     time.Time // zero: for good
	Attempt   int64     // 1 when it is claimed the first time
	Tries     int64     // of a webhook's: attempts since it was queued, or replayed
}

// Delivery is how far a message got.
type Delivery string

// The words of the native face's push member.
const (
	DeliveryNone   Delivery = "none"
	DeliveryQueued Delivery = "queued"
	DeliverySent   Delivery = "sent"   // somebody took it
	DeliveryFailed Delivery = "failed" // nobody did
)

// Outcome is what came of an attempt.
type Outcome struct {
	State Delivery
	Next  time.Time // when to go on with it; zero: it is done
	Body  []byte    // takes the place of the message's; nil: that stays
	Note  string    // what the other side said, for the operator; never a secret
}

// Prompted says how far a request's prompt got.
func (s *Service) Prompted(ctx context.Context, requestID string) (Delivery, error) {
	if s.Outbox == nil {
		return DeliveryNone, nil
	}
	d, err := s.Outbox.Delivery(ctx, TopicPrompt, requestID)
	if err != nil {
		return "", fmt.Errorf("read delivery: %w", err)
	}
	return d, nil
}
