package push

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	webpush "github.com/SherClockHolmes/webpush-go"
)

// webPush reaches browsers: RFC 8030 carries, RFC 8291 encrypts, RFC 8292 says
// who sends. Every message is padded to the same 4,096 bytes, the size that all
// services take (RFC 8030 section 7.2), so that lengths tell nothing.
type webPush struct {
	vapid    VAPID
	contact  string
	services Services
	client   *http.Client
	warning  string // for the operator; empty when all is well
}

// newWebPush wants a client that dials guardedly and follows no redirect.
func newWebPush(v VAPID, contact string, s Services, client *http.Client) (*webPush, error) {
	if v.key == nil {
		return nil, errors.New("set up web push: there is no VAPID key; make one with nod push keys")
	}
	warning, err := checkContact(contact)
	if err != nil {
		return nil, fmt.Errorf("set up web push: %w", err)
	}
	return &webPush{vapid: v, contact: contact, services: s, client: client, warning: warning}, nil
}

// Send implements Channel.
func (w *webPush) Send(ctx context.Context, m Message) error {
	s, err := parseSubscription(m.Target)
	if err != nil {
		return fmt.Errorf("send web push: %w", err)
	}
	if err := w.services.Allow(s.Endpoint); err != nil {
		return fmt.Errorf("send web push: %w", err)
	}
	if err := w.post(ctx, s, m); err != nil {
		return fmt.Errorf("send web push to %s: %w", s.origin.host, err)
	}
	return nil
}

func (w *webPush) post(ctx context.Context, s subscription, m Message) error {
	life, err := remaining(m)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(m.Payload())
	if err != nil {
		return err
	}
	resp, err := webpush.SendNotificationWithContext(ctx, payload, s.forLibrary(), &webpush.Options{
		HTTPClient: w.client,
		RecordSize: webpush.MaxRecordSize,
		// The library writes "mailto:" itself. It dates every token 12 hours ahead;
		// 24 are the most that services take (RFC 8292 section 2).
		Subscriber:      strings.TrimPrefix(w.contact, "mailto:"),
		VAPIDPublicKey:  w.vapid.Public(),
		VAPIDPrivateKey: w.vapid.Private().Reveal(),
		TTL:             int(life / time.Second),
		Urgency:         webpush.Urgency(urgency(m.Kind)),
		Topic:           collapseID(m.ID),
	})
	if err != nil {
		return unreached(ctx, err)
	}
	defer resp.Body.Close()
	return webPushAnswer(resp, time.Now())
}

func (s subscription) forLibrary() *webpush.Subscription {
	encode := base64.RawURLEncoding.EncodeToString
	return &webpush.Subscription{
		Endpoint: s.Endpoint,
		Keys:     webpush.Keys{P256dh: encode(s.p256dh), Auth: encode(s.auth)},
	}
}

// check says what can be known without a phone.
func (w *webPush) check(context.Context) (says string, err error) {
	if w.warning != "" {
		return "", errors.New(w.warning)
	}
	return "ready: browsers subscribe with the key " + w.vapid.Public() + ", push services see the contact " + w.contact, nil
}

// webPushAnswer reads a push service's reply (RFC 8030 section 5, and what the
// services in use have made of it). It names the status and a word of the body's
// at most: the rest may repeat the endpoint.
func webPushAnswer(resp *http.Response, now time.Time) error {
	reason := reasonWord(resp.Body)
	answer := "it answered " + strconv.Itoa(resp.StatusCode)
	if reason != "" {
		answer += " " + reason
	}
	permanent := func(sentence string) error { return errors.New(answer + ": " + sentence) }
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return nil
	case code == http.StatusNotFound, code == http.StatusGone:
		return fmt.Errorf("%s: %w", answer, ErrGone)
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code/100 == 5,
		code == http.StatusNotAcceptable: // Microsoft's word for too many requests
		return &RetryError{After: retryAfter(resp.Header.Get("Retry-After"), now), Err: errors.New(answer)}
	case code == http.StatusRequestEntityTooLarge:
		return permanent("the message is too large for it")
	case code == http.StatusUnauthorized, code == http.StatusForbidden, reason == "VapidPkHashMismatch":
		return permanent("the VAPID key, push-contact or clock is wrong, or the phone has to subscribe again")
	case code/100 == 3:
		return permanent("redirects are not followed")
	default:
		return permanent("the service does not understand the message; the phone may have to subscribe again")
	}
}

// maxAnswer bounds how much of a reply is read, in bytes: enough for a word, and
// for a small body to be drained so that the connection is used again.
const maxAnswer = 4 << 10

// reasonWord finds the word by which Apple explains an error ("BadJwtToken").
// Anything that is not one word of letters is left out.
func reasonWord(body io.Reader) string {
	const longest = 40
	raw, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	if err != nil {
		return ""
	}
	var said struct {
		Reason string `json:"reason"`
	}
	if json.Unmarshal(raw, &said) != nil || len(said.Reason) > longest {
		return ""
	}
	for _, c := range []byte(said.Reason) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return ""
		}
	}
	return said.Reason
}
