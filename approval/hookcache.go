package approval

import (
	"context"
	"sync"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// hooksFresh is how long the webhooks of a namespace are taken to be what was read: a
// change then costs no read for them. What another process added or removed less than
// that ago may be told late; what this one did is seen at once.
const hooksFresh = time.Second

// hookCache remembers the webhooks of each namespace. Its zero value is empty. It
// holds as many entries as there are namespaces, which operators make.
type hookCache struct {
	mu    sync.Mutex
	known map[string]*hookEntry
}

// hookEntry is one namespace's. Its lock is held while the store is asked, so that of
// many changes at once one asks.
type hookEntry struct {
	mu    sync.Mutex
	read  time.Time // zero: ask
	hooks []account.Webhook
}

// of lists a namespace's webhooks. Nobody changes what it returns.
func (c *hookCache) of(ctx context.Context, from account.Webhooks, namespaceID string) ([]account.Webhook, error) {
	e := c.entry(namespaceID)
	e.mu.Lock()
	defer e.mu.Unlock()
	began := time.Now()
	if !e.read.IsZero() && began.Sub(e.read) < hooksFresh {
		return e.hooks, nil
	}
	hooks, err := from.Webhooks(ctx, namespaceID)
	if err != nil {
		return nil, err
	}
	e.hooks, e.read = hooks, began
	return hooks, nil
}

// forget makes the next look ask the store.
func (c *hookCache) forget(namespaceID string) {
	e := c.entry(namespaceID)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.read = time.Time{}
}

func (c *hookCache) entry(namespaceID string) *hookEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.known[namespaceID]
	if e == nil {
		if c.known == nil {
			c.known = make(map[string]*hookEntry)
		}
		e = &hookEntry{}
		c.known[namespaceID] = e
	}
	return e
}
