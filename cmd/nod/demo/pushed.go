package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"

	"github.com/nod-auth/nod/push"
	"github.com/nod-auth/nod/push/virtual"
)

// pushService is a Web Push service of the demo's own, in place of a browser
// maker's.
type pushService struct {
	*virtual.Service
	listener net.Listener
	origin   string
}

func newPushService(ctx context.Context) (*pushService, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", anyPort)
	if err != nil {
		return nil, err
	}
	return &pushService{virtual.NewService(), l, "http://" + l.Addr().String()}, nil
}

// subscribe lets the phone be told: it subscribes at a push service with nod's
// key, as the notifications page does in a browser, and registers what it got.
func (p *phone) subscribe(ctx context.Context, at *pushService) (err error) {
	var nod struct {
		Key string `json:"push_key"`
	}
	if err := p.get(ctx, "/phone/phones", &nod); err != nil {
		return err
	}
	if p.pushed, err = at.Subscribe(at.origin, nod.Key); err != nil {
		return err
	}
	return p.call(ctx, "/phone/phones", map[string]any{
		"kind": "webpush", "name": "Phone in software", "subscription": json.RawMessage(p.pushed.JSON()),
	}, nil)
}

// prompt is a message that woke the phone.
type prompt struct {
	push.Payload
	virtual.Delivery
}

// promptWithin is how long the story waits for the push prompt before the phone
// scans instead. On one machine it takes milliseconds.
const promptWithin = 3 * time.Second

// prompted waits for the prompt of a request and looks at what it leads to. What
// else arrives is left unanswered: a request of a page that was closed, say.
func (p *phone) prompted(ctx context.Context, requestID string) (prompt, card, error) {
	ctx, cancel := context.WithTimeout(ctx, promptWithin)
	defer cancel()
	for {
		var got prompt
		var err error
		if got.Delivery, err = p.pushed.Receive(ctx); err != nil {
			return got, card{}, fmt.Errorf("no prompt: %w", err)
		}
		if err := json.Unmarshal(got.Plaintext, &got.Payload); err != nil {
			return got, card{}, fmt.Errorf("prompt: %w", err)
		}
		seen, err := p.look(ctx, ref{"pushed", got.ID})
		if err == nil && seen.RequestID == requestID {
			return got, seen, nil
		}
	}
}
