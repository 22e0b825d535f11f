package push

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/nod-auth/nod/approval/account"
)

// webhook posts messages to an address of the operator's, signed as Standard
// Webhooks describes (standardwebhooks.com, version 1.0.0), for whatever nod has
// no channel of its own for: SMS, ntfy, a chat.
type webhook struct {
	url    string
	public string
	sign   *webhooks.Webhook
	client *http.Client
	now    func() time.Time
}

const (
	webhookPrefix = "whsec_"
	// A key has 24 to 64 bytes (Standard Webhooks, "Signature scheme").
	minWebhookKey, maxWebhookKey = 24, 64
)

// newWebhook checks what an operator wrote. http is left to the guarded client,
// which speaks it inside allowed ranges alone.
func newWebhook(address string, secret account.Secret, public string, client *http.Client) (*webhook, error) {
	if _, err := parseWebhookURL(address); err != nil {
		return nil, err
	}
	text, prefixed := strings.CutPrefix(strings.TrimSpace(secret.Reveal()), webhookPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !prefixed || err != nil || len(key) < minWebhookKey || len(key) > maxWebhookKey {
		return nil, fmt.Errorf("push-webhook-secret: must be %s and then %d to %d bytes in base64; make one with: echo %s$(openssl rand -base64 32)",
			webhookPrefix, minWebhookKey, maxWebhookKey, webhookPrefix)
	}
	sign, err := webhooks.NewWebhookRaw(key)
	if err != nil {
		return nil, errors.New("push-webhook-secret: cannot sign with it")
	}
	return &webhook{url: address, public: public, sign: sign, client: client, now: time.Now}, nil
}

// parseWebhookURL never repeats the address: it may carry a password.
func parseWebhookURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return nil, errors.New("push-webhook-url: must be an absolute https address, such as https://hooks.example.org/nod")
	case u.User != nil:
		return nil, errors.New("push-webhook-url: must not carry a user or password; the receiver knows nod by its signature")
	case u.Fragment != "":
		return nil, errors.New("push-webhook-url: must not have a fragment")
	}
	return u, nil
}

// webhookEvent is the body: type, timestamp and data as Standard Webhooks
// recommends ("Payload structure").
type webhookEvent struct {
	Type      string      `json:"type"`
	Timestamp time.Time   `json:"timestamp"`
	Data      webhookData `json:"data"`
}

type webhookData struct {
	Payload
	UserID   string `json:"user_id,omitempty"`
	Username string `json:"username,omitempty"`
	URL      string `json:"url"` // what the person opens
}

// Send implements Channel.
func (w *webhook) Send(ctx context.Context, m Message) error {
	r, err := w.request(ctx, m)
	if err != nil {
		return err
	}
	return post(w.client, r, "the receiver of webhooks", w.now)
}

func (w *webhook) request(ctx context.Context, m Message) (*http.Request, error) {
	body, err := json.Marshal(webhookEvent{
		Type: "nod." + string(m.Kind), Timestamp: m.At.UTC(),
		Data: webhookData{Payload: m.Payload(), UserID: m.User.ID, Username: m.User.Username, URL: link(w.public, m)},
	})
	if err != nil {
		return nil, fmt.Errorf("write webhook: %w", err)
	}
	now := w.now()
	signature, err := w.sign.Sign(m.ID, now, body)
	if err != nil {
		return nil, fmt.Errorf("sign webhook: %w", err)
	}
	r, err := newPost(ctx, w.url, body)
	if err != nil {
		return nil, fmt.Errorf("write webhook: %w", err)
	}
	r.Header.Set(webhooks.HeaderWebhookID, m.ID)
	r.Header.Set(webhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	r.Header.Set(webhooks.HeaderWebhookSignature, signature)
	return r, nil
}

// check sends a test that is about nobody.
func (w *webhook) check(ctx context.Context) (says string, err error) {
	now := w.now()
	err = w.Send(ctx, Message{ID: uuid.NewString(), Kind: Test, At: now, Until: now.Add(testLife)})
	return "the receiver took a signed nod.test", err
}

// webhookPort is what the guarded client may dial for it.
func webhookPort(u *url.URL) uint16 {
	port, err := strconv.ParseUint(cmp.Or(u.Port(), map[string]string{"http": "80"}[u.Scheme], "443"), 10, 16)
	if err != nil {
		return 0 // refused when dialled
	}
	return uint16(port)
}
