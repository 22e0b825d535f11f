package push

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
	"github.com/nod-auth/nod/push/virtual"
)

// roadsHouse has everything between Begin and a phone in earnest: the store, the
// deliverer, the guarded client, encryption and a service that verifies.
func roadsHouse(t *testing.T) (h *house, service *virtual.Service, sub *virtual.Subscription) {
	t.Helper()
	service = virtual.NewService()
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	h = build(t, freshdb.File(t), Config{
		VAPID: newTestVAPID(t), Contact: "mailto:push@example.org", Services: []string{server.URL},
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	t.Cleanup(func() { h.file.Close() })
	sub, err := service.Subscribe(server.URL, h.push.Key())
	h.must(err)
	_, err = h.people.RegisterPhone(t.Context(), h.ada, approval.NewPhone{
		Kind: account.PhoneWebPush, Target: account.Secret(sub.JSON()), Name: "Browser",
	}, "")
	h.must(err)
	return h, service, sub
}

func (h *house) receive(sub *virtual.Subscription) virtual.Delivery {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), 10*time.Second)
	defer cancel()
	d, err := sub.Receive(ctx)
	h.must(err)
	return d
}

func TestRoads_prompt_reaches_a_browser_within_a_second(t *testing.T) {
	h, _, sub := roadsHouse(t)
	defer h.runs()()
	began := time.Now()
	b := h.ask(h.ada)
	got := h.receive(sub)
	took := time.Since(began)
	if t.Logf("from begin to the decrypted message: %s", took); took > time.Second {
		t.Errorf("it took %s, want less than a second", took)
	}
	life := time.Until(b.Request.Expires)
	if got.Urgency != "high" || got.TTL < life-2*time.Second || got.TTL > life+2*time.Second {
		t.Errorf("urgency and ttl: got %s, %s; want high, %s", got.Urgency, got.TTL, life)
	}
	var p Payload
	h.must(json.Unmarshal(got.Plaintext, &p))
	if p.Type != Prompt || p.ID != h.push.codes.Prompt(b.Request.ID).Reveal() {
		t.Errorf("payload: got %+v, want the prompt's handle", p)
	}
	h.settled()
	h.wantDelivery(b, approval.DeliverySent)
}

func TestRoads_service_that_is_busy_is_asked_again(t *testing.T) {
	for _, fault := range []virtual.Fault{{Status: 503}, {Status: 429, RetryAfter: "2"}} {
		h, service, sub := roadsHouse(t)
		service.Fail(1, fault)
		stop := h.runs()
		began := time.Now()
		b := h.ask(h.ada)
		h.receive(sub)
		if took := time.Since(began); fault.RetryAfter == "2" && took < 2*time.Second || took < 800*time.Millisecond {
			t.Errorf("%d: asked again after %s, want a second or what it said", fault.Status, took)
		}
		h.settled()
		h.wantDelivery(b, approval.DeliverySent)
		stop()
	}
}

func TestRoads_subscription_that_ended_is_removed(t *testing.T) {
	h, _, sub := roadsHouse(t)
	sub.Unsubscribe()
	defer h.runs()()
	b := h.ask(h.ada)
	h.settled()
	h.wantDelivery(b, approval.DeliveryFailed)
	h.until("the phone is removed", func() bool { // after the message was settled
		phones, err := h.file.Phones(t.Context(), h.ada.ID)
		h.must(err)
		return len(phones) == 0
	})
}
