package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/nod-auth/nod/push/virtual"
)

// takeTimeout is how long a script waits for a message at most.
const takeTimeout = 10 * time.Second

// controlProviders lets a script be a browser that is subscribed to push: it
// subscribes, takes what arrived after it was decrypted, and makes the service
// fail. Every call is a POST of JSON; subscriptions are named by their endpoint.
func controlProviders(t *testing.T, p *providers) string {
	t.Helper()
	c := &providerControl{providers: p, subscriptions: map[string]*virtual.Subscription{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /subscribe", control(c.subscribe))
	mux.HandleFunc("POST /unsubscribe", control(c.unsubscribe))
	mux.HandleFunc("POST /take", control(c.take))
	mux.HandleFunc("POST /pending", control(c.pending))
	mux.HandleFunc("POST /fail", control(c.fail))
	return serve(t, mux).URL
}

type providerControl struct {
	*providers
	mu            sync.Mutex
	subscriptions map[string]*virtual.Subscription // by endpoint
}

// controlCall is what the calls take.
type controlCall struct {
	Key      string `json:"key"`
	Endpoint string `json:"endpoint"`

	Times      int    `json:"times"`
	Status     int    `json:"status"`
	RetryAfter string `json:"retry_after"`
	Hang       bool   `json:"hang"`
}

func control(act func(context.Context, controlCall) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in controlCall
		err := json.NewDecoder(r.Body).Decode(&in)
		var out any
		if err == nil {
			out, err = act(r.Context(), in)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out) // a script that left
	}
}

// subscribe answers what PushSubscription.toJSON gives.
func (c *providerControl) subscribe(_ context.Context, in controlCall) (any, error) {
	sub, err := c.service.Subscribe(c.web.URL, in.Key)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscriptions[sub.Endpoint()] = sub
	return json.RawMessage(sub.JSON()), nil
}

func (c *providerControl) named(endpoint string) (*virtual.Subscription, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sub := c.subscriptions[endpoint]; sub != nil {
		return sub, nil
	}
	return nil, &unknownSubscription{endpoint}
}

type unknownSubscription struct{ endpoint string }

func (e *unknownSubscription) Error() string { return "there is no subscription at " + e.endpoint }

func (c *providerControl) unsubscribe(_ context.Context, in controlCall) (any, error) {
	sub, err := c.named(in.Endpoint)
	if err == nil {
		sub.Unsubscribe()
	}
	return nil, err
}

// take waits for the oldest message that was not taken yet.
func (c *providerControl) take(ctx context.Context, in controlCall) (any, error) {
	sub, err := c.named(in.Endpoint)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	d, err := sub.Receive(ctx)
	return map[string]any{
		"text": string(d.Plaintext), "ttl": d.TTL.Seconds(), "urgency": d.Urgency, "topic": d.Topic, "size": d.Size,
	}, err
}

// pending is how many messages were not taken yet.
func (c *providerControl) pending(_ context.Context, in controlCall) (any, error) {
	sub, err := c.named(in.Endpoint)
	if err != nil {
		return nil, err
	}
	return sub.Pending(), nil
}

// fail lets the next requests to the push service fail: as many as Times says,
// all when it is below 0.
func (c *providerControl) fail(_ context.Context, in controlCall) (any, error) {
	c.service.Fail(in.Times, virtual.Fault{Status: in.Status, RetryAfter: in.RetryAfter, Hang: in.Hang})
	return nil, nil
}
