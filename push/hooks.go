package push

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/push/egress"
)

// Hooks tells the webhooks of namespaces what happened: each announcement at least
// once, signed as Standard Webhooks describes. It has a queue of its own (hookQueue),
// so that receivers hold up neither prompts nor each other. Safe for concurrent use.
type Hooks struct {
	push   *Push
	guard  egress.Config
	client *http.Client
	aead   *subtle.XChaCha20Poly1305
	within time.Duration // hookTime, except in tests
}

var _ approval.Receivers = (*Hooks)(nil)

// hookTime is how long a receiver has for an answer: what Standard Webhooks recommends
// at least ("Timeouts", 15 to 30 s).
const hookTime = 15 * time.Second

// Hooks is the part of p that webhooks are told through.
func (p *Push) Hooks() *Hooks { return p.hooks }

func newHooks(p *Push, c Config) (*Hooks, error) {
	key, err := hkdf.Key(sha256.New, c.Key, nil, "nod/push/webhooks/v1", keySize) // the label is for ever
	if err != nil {
		return nil, fmt.Errorf("push key: %w", err)
	}
	aead, err := subtle.NewXChaCha20Poly1305(key)
	if err != nil {
		return nil, fmt.Errorf("push key: %w", err)
	}
	// Whoever may register a webhook names a port too: at a public address it is
	// reached with https alone, elsewhere the operator has allowed the range.
	guard := egress.Config{Allow: slices.Clone(c.Allow), AnyPort: true, Timeout: hookTime}
	client := egress.New(guard)
	p.closers = append(p.closers, client.CloseIdleConnections)
	return &Hooks{push: p, guard: guard, client: client, aead: aead, within: hookTime}, nil
}

// CheckHook implements approval.Receivers. It resolves no name: where one leads is
// judged at every attempt.
func (h *Hooks) CheckHook(address string) error {
	bad := func(reason string) error { return &approval.InvalidError{Field: "url", Reason: reason} }
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "":
		return bad("must be an absolute https address, such as https://backend.example.com/nod")
	case u.Fragment != "":
		return bad("must not have a fragment")
	}
	if err := h.guard.Refuses(address); err != nil {
		return bad(fmt.Sprintf("must be one that this server may call: %v (push-allow-networks names what else it may)", err))
	}
	return nil
}

// hookPlace names table, row and column: what is sealed for one webhook cannot be
// opened as another's. The secret before stands in a column of its own under the same
// seal: it is moved there by who cannot open it.
func hookPlace(id string) []byte { return []byte("webhooks/" + id + "/sealed") }

// SealHook implements approval.Receivers.
func (h *Hooks) SealHook(webhookID string, secret account.Secret) ([]byte, error) {
	sealed, err := h.aead.Encrypt([]byte(secret.Reveal()), hookPlace(webhookID))
	if err != nil {
		return nil, fmt.Errorf("seal webhook %s: %w", webhookID, err)
	}
	return sealed, nil
}

// keys opens what signs a webhook's messages at now: the secret, and after a rotation
// for a while the one before.
func (h *Hooks) keys(w account.Webhook, now time.Time) (keys [][]byte, err error) {
	sealed := [][]byte{w.Sealed}
	if len(w.Before) > 0 && now.Before(w.BeforeEnds) {
		sealed = append(sealed, w.Before)
	}
	for _, s := range sealed {
		secret, err := h.aead.Decrypt(s, hookPlace(w.ID))
		if err != nil {
			return nil, errors.New("its secret was sealed under another master key: rotate it")
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(secret), webhookPrefix))
		if err != nil {
			return nil, errors.New("its secret cannot be read: rotate it")
		}
		keys = append(keys, key)
	}
	return keys, nil
}
