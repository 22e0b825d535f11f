package approval_test

import (
	"context"
	"crypto/sha256"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// roads stands for package push: whoever has a phone is reached, and every target
// but an empty one is a place.
type roads struct {
	phones account.Phones
	queued atomic.Int64
}

func (r *roads) Reaches(ctx context.Context, userID string) (bool, error) {
	ps, err := r.phones.Phones(ctx, userID)
	return len(ps) > 0, err
}

func (r *roads) Queued() { r.queued.Add(1) }

func (r *roads) Check(_ string, kind account.PhoneKind, target account.Secret) ([]byte, error) {
	if target == "" {
		return nil, &approval.InvalidError{Field: "endpoint", Reason: "must not be empty"}
	}
	h := sha256.Sum256([]byte(string(kind) + " " + target.Reveal()))
	return h[:], nil
}

func (r *roads) Seal(phoneID string, target account.Secret) ([]byte, error) {
	return []byte(phoneID + " " + target.Reveal()), nil
}

// withPush gives the house roads to its people, and ada a phone.
func (h *house) withPush() account.Phone {
	h.t.Helper()
	h.roads = &roads{phones: h.store}
	h.core.Reach, h.core.Outbox = h.roads, h.store
	return h.register(h.ada, "https://push.example/ada")
}

func (h *house) register(u account.User, place string) account.Phone {
	h.t.Helper()
	p, err := h.people.RegisterPhone(h.t.Context(), u, webPush(place), "192.0.2.9")
	must(h.t, err)
	return p
}

func webPush(place string) approval.NewPhone {
	return approval.NewPhone{Kind: account.PhoneWebPush, Target: account.Secret(place), Name: "Chrome on Android"}
}

// notify begins a request that asks for a prompt.
func (h *house) notify(kind approval.CodeKind) approval.Begun {
	h.t.Helper()
	a := h.ask(kind)
	a.Notify = true
	b, err := h.core.Begin(h.t.Context(), a)
	must(h.t, err)
	return b
}

// queued takes everything of a topic out of the outbox.
func (h *house) queued(topic approval.Topic) []approval.Message {
	h.t.Helper()
	ms, err := h.store.Claim(h.t.Context(), topic, 1000, 48*time.Hour)
	must(h.t, err)
	return ms
}

func (h *house) pushed(b approval.Begun) approval.Ref {
	return h.core.Arrived(h.core.Codes.Prompt(b.Request.ID))
}

func (h *house) decline(ref approval.Ref) {
	h.t.Helper()
	_, err := h.core.Decide(h.t.Context(), ref, h.viewer(h.ada), approval.Answer{Verdict: approval.Decline})
	must(h.t, err)
}

func (h *house) wantPrompted(b approval.Begun, want bool) {
	h.t.Helper()
	if b.Prompted != want {
		h.t.Errorf("prompted %v, want %v", b.Prompted, want)
	}
	d, err := h.core.Prompted(h.t.Context(), b.Request.ID)
	must(h.t, err)
	if got := d != approval.DeliveryNone; got != want {
		h.t.Errorf("delivery %q, want one: %v", d, want)
	}
}

func (h *house) events(of account.User) map[approval.EventName]int {
	h.t.Helper()
	es, err := h.store.Events(h.t.Context(), of.ID, 1000)
	must(h.t, err)
	out := map[approval.EventName]int{}
	for _, e := range es {
		out[e.Name]++
	}
	return out
}

// soon fails a test that would otherwise hang.
func soon[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	default:
		t.Fatalf("%s: still waiting", what)
	}
	return v
}
