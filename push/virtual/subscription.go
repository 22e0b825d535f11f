package virtual

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Subscription is a browser's: it holds the keys that messages are encrypted for.
type Subscription struct {
	service *Service
	origin  string
	id      string
	key     string // the application server's, base64url
	private *ecdh.PrivateKey
	secret  []byte
	inbox   *inbox[Delivery]
}

// Delivery is one message as a phone received it.
type Delivery struct {
	Plaintext []byte
	TTL       time.Duration
	Urgency   string // empty: the sender did not say
	Topic     string
	Subject   string // the sender's contact, from its VAPID token
	Size      int    // of the encrypted message, bytes
	At        time.Time
}

// Subscribe does what pushManager.subscribe does: origin is where the service is
// reached, such as "http://127.0.0.1:8030", applicationServerKey the sender's
// public key in base64url.
func (s *Service) Subscribe(origin, applicationServerKey string) (*Subscription, error) {
	key := strings.TrimRight(applicationServerKey, "=")
	if _, err := parseKey(key); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	sub := &Subscription{
		service: s,
		origin:  strings.TrimSuffix(origin, "/"),
		id:      rand.Text(),
		key:     key,
		private: private,
		secret:  make([]byte, 16),
		inbox:   newInbox[Delivery](),
	}
	rand.Read(sub.secret) // never fails, Go 1.24 and later
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscriptions[sub.id] = sub
	return sub, nil
}

// Endpoint is where messages are posted.
func (s *Subscription) Endpoint() string { return s.origin + pathPrefix + s.id }

// JSON is what PushSubscription.toJSON gives.
func (s *Subscription) JSON() string {
	encode := base64.RawURLEncoding.EncodeToString
	text, err := json.Marshal(map[string]any{
		"endpoint":       s.Endpoint(),
		"expirationTime": nil,
		"keys":           map[string]string{"p256dh": encode(s.private.PublicKey().Bytes()), "auth": encode(s.secret)},
	})
	if err != nil { // strings and nil always marshal
		panic(err)
	}
	return string(text)
}

// Receive waits for the oldest message that was not received yet. The error is
// the context's.
func (s *Subscription) Receive(ctx context.Context) (Delivery, error) { return s.inbox.receive(ctx) }

// Pending is how many messages were not received yet.
func (s *Subscription) Pending() int { return s.inbox.len() }

// Unsubscribe ends the subscription: the service answers 410 from now on.
func (s *Subscription) Unsubscribe() {
	s.service.mu.Lock()
	defer s.service.mu.Unlock()
	s.service.subscriptions[s.id] = nil
}
