package apitest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// Reach stands in for the part of package push that the core knows. It reaches
// whoever has a phone, and takes every target but a Web Push endpoint without
// https.
type Reach struct {
	Phones account.Phones
	queued atomic.Int64
}

// Reaches implements approval.Reach.
func (r *Reach) Reaches(ctx context.Context, userID string) (bool, error) {
	phones, err := r.Phones.Phones(ctx, userID)
	return len(phones) > 0, err
}

// Queued implements approval.Reach.
func (r *Reach) Queued() { r.queued.Add(1) }

// Told is how often something was queued.
func (r *Reach) Told() int64 { return r.queued.Load() }

// Check implements approval.Reach.
func (r *Reach) Check(_ string, kind account.PhoneKind, target account.Secret) ([]byte, error) {
	place := target.Reveal()
	if kind == account.PhoneWebPush {
		var s struct {
			Endpoint string `json:"endpoint"`
		}
		if json.Unmarshal([]byte(place), &s) != nil || !strings.HasPrefix(s.Endpoint, "https://") {
			return nil, &approval.InvalidError{Field: "endpoint", Reason: "must be an https address"}
		}
		place = s.Endpoint
	}
	sum := sha256.Sum256([]byte(string(kind) + " " + place))
	return sum[:], nil
}

// Seal implements approval.Reach. It hides nothing.
func (r *Reach) Seal(phoneID string, target account.Secret) ([]byte, error) {
	return []byte(phoneID + " " + target.Reveal()), nil
}

// CheckHook implements approval.Receivers: it takes what is https.
func (r *Reach) CheckHook(url string) error {
	if !strings.HasPrefix(url, "https://") {
		return &approval.InvalidError{Field: "url", Reason: "must be an https address"}
	}
	return nil
}

// SealHook implements approval.Receivers. It hides nothing.
func (r *Reach) SealHook(webhookID string, secret account.Secret) ([]byte, error) {
	return []byte(webhookID + " " + secret.Reveal()), nil
}

// Push stands in for the part of package push that the phone's face knows. It
// answers tests with what Answer was told.
type Push struct {
	mu     sync.Mutex
	answer string
	sent   bool
	tested []string
}

// PushKey is the stand-in's public key: any 65 bytes in base64url.
const PushKey = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA"

// Key implements phone.Push.
func (*Push) Key() string { return PushKey }

// Kinds implements phone.Push.
func (*Push) Kinds() []account.PhoneKind { return account.PhoneKinds }

// Answer sets what tests come to.
func (p *Push) Answer(sent bool, answer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent, p.answer = sent, answer
}

// Test implements phone.Push.
func (p *Push) Test(_ context.Context, to account.Phone) (answer string, sent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tested = append(p.tested, to.ID)
	return p.answer, p.sent
}

// Tested are the phones that were sent a test.
func (p *Push) Tested() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.tested...)
}
