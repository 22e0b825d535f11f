package redisbus

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/nod-auth/nod/approval"
)

const (
	// channel is the one channel. The braces choose a Cluster's slot.
	channel = "nod:{wake}"
	// everything stands in a message for "look at all".
	everything = "*"
	// maxPending bounds the set of ids to be published: past it one "look at all"
	// is cheaper for everybody.
	maxPending = 10_000
	// maxIDs bounds one message: 500 ids of 36 characters are 18 KiB.
	maxIDs = 500
	// pauseAfter is between attempts to reach a Redis that is away.
	pauseAfter = 250 * time.Millisecond
)

// Bus is a node's end of the bus.
type Bus struct {
	client  redis.UniversalClient
	cluster bool
	self    string // names this node in messages: its own wakes are not news to it
	log     *slog.Logger
	pacer   pacer

	mu      sync.Mutex
	pending map[string]struct{}
	lost    bool // something was not published
	poke    chan struct{}

	listening  atomic.Bool
	publishing atomic.Bool // the last attempt got through
	warned     atomic.Bool
}

var (
	_ approval.Signals = (*Bus)(nil)
	_ approval.Pacer   = (*Bus)(nil)
)

// New reads the URL and prepares a client; it does not connect. own paces while
// Redis is away. The caller closes the Bus after Run returned.
func New(url string, own approval.Pacer, log *slog.Logger) (*Bus, error) {
	t, err := parse(url)
	if err != nil {
		return nil, fmt.Errorf("redis url: %w", err)
	}
	redis.SetLogger(quietly{log}) // one for the whole process, as the library has it
	b := &Bus{
		client: redis.NewUniversalClient(&t.options), cluster: t.cluster, self: rand.Text(), log: log,
		pending: make(map[string]struct{}), poke: make(chan struct{}, 1),
	}
	b.publishing.Store(true)
	b.pacer = pacer{client: b.client, own: own}
	return b, nil
}

// quietly lets the library's own remarks be seen only by who looks for them: what
// matters is said by this package, once.
type quietly struct{ log *slog.Logger }

func (q quietly) Printf(ctx context.Context, format string, v ...any) {
	q.log.DebugContext(ctx, "redis client: "+fmt.Sprintf(format, v...))
}

// Close closes the connections.
func (b *Bus) Close() error { return b.client.Close() }

func tlsFor(address string) *tls.Config {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	return &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
}

// Health is nil while wakes travel; otherwise it says in a sentence what is hurt.
func (b *Bus) Health() error {
	switch {
	case !b.listening.Load():
		return errors.New("not subscribed, so that decisions of other nodes are noticed within 5 s instead of at once")
	case !b.publishing.Load():
		return errors.New("not publishing, so that other nodes notice this one's decisions within 5 s instead of at once")
	default:
		return nil
	}
}

// Wake implements approval.Signals.
func (b *Bus) Wake(ids ...string) {
	b.mu.Lock()
	if len(b.pending)+len(ids) > maxPending {
		clear(b.pending)
		b.lost = true
	} else {
		for _, id := range ids {
			b.pending[id] = struct{}{}
		}
	}
	b.mu.Unlock()
	select {
	case b.poke <- struct{}{}:
	default:
	}
}

// Run implements approval.Signals: it publishes and listens until ctx ends, and
// does not end because Redis does.
func (b *Bus) Run(ctx context.Context, wake func(id string), resync func()) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.publish(ctx) })
	g.Go(func() error { return b.subscribe(ctx, wake, resync) })
	return g.Wait()
}

// publish sends what is pending whenever there is something.
func (b *Bus) publish(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.poke:
		}
		for b.send(ctx) != nil {
			if !pause(ctx, pauseAfter) {
				return nil
			}
		}
	}
}

// send publishes everything pending. What fails is not kept: a "look at all"
// follows once Redis answers again.
func (b *Bus) send(ctx context.Context) error {
	for _, m := range b.messages() {
		if err := b.post(ctx, m); err != nil {
			b.mu.Lock()
			b.lost = true
			b.mu.Unlock()
			if b.publishing.Swap(false) && ctx.Err() == nil {
				b.log.WarnContext(ctx, "redis takes no wakes; other nodes look by themselves every 5 s", "error", err)
			}
			return err
		}
	}
	if !b.publishing.Swap(true) {
		b.log.InfoContext(ctx, "redis takes wakes again")
	}
	return nil
}

// messages takes what is pending and writes it down.
func (b *Bus) messages() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	if b.lost {
		out = append(out, everything)
	} else {
		ids := make([]string, 0, min(len(b.pending), maxIDs))
		for id := range b.pending {
			if ids = append(ids, id); len(ids) == maxIDs {
				out, ids = append(out, strings.Join(ids, "\n")), ids[:0]
			}
		}
		if len(ids) > 0 {
			out = append(out, strings.Join(ids, "\n"))
		}
	}
	b.lost = false
	clear(b.pending)
	return out
}

func (b *Bus) post(ctx context.Context, message string) error {
	message = b.self + "\n" + message
	if b.cluster {
		return b.client.SPublish(ctx, channel, message).Err()
	}
	return b.client.Publish(ctx, channel, message).Err()
}

// pause is false when ctx ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// subscribe listens, and subscribes again whenever that ends.
func (b *Bus) subscribe(ctx context.Context, wake func(string), resync func()) error {
	for {
		err := b.listen(ctx, wake, resync)
		was := b.listening.Swap(false)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // told to stop
		}
		if c, ok := b.client.(*redis.ClusterClient); ok {
			c.ReloadState(ctx) // the channel's slot may be elsewhere by now
		}
		if was {
			b.log.WarnContext(ctx, "redis ended the subscription; subscribing again", "error", err)
		}
		if !pause(ctx, pauseAfter) {
			return nil
		}
	}
}

// quiet is how long the subscription may say nothing before it is asked whether
// it is there; after as long again it is not. Twice quiet is the 2 s within which
// a Redis that was frozen is found again.
const quiet = time.Second

// errSilent means that the server answered no ping.
var errSilent = errors.New("no answer to a ping")

// errEnded means that the server ended the subscription: a slot moved.
var errEnded = errors.New("the server ended it")

// listen is one subscription, from its beginning to its end.
func (b *Bus) listen(ctx context.Context, wake func(string), resync func()) error {
	ps := b.open(ctx)
	defer func() { _ = ps.Close() }()                         // it is over either way
	defer context.AfterFunc(ctx, func() { _ = ps.Close() })() // a read does not notice the end of ctx
	for asked := false; ; {
		m, err := ps.ReceiveTimeout(ctx, quiet)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout() && ctx.Err() == nil:
			if asked {
				return errSilent
			}
			if err := ps.Ping(ctx); err != nil {
				return fmt.Errorf("ping: %w", err)
			}
			asked = true
			continue
		case err != nil:
			return err
		}
		asked = false
		switch m := m.(type) {
		case *redis.Subscription:
			if strings.HasSuffix(m.Kind, "unsubscribe") {
				return errEnded
			}
			b.subscribed(ctx)
			resync() // what was published before is gone
		case *redis.Message:
			b.hear(m.Payload, wake, resync)
		}
	}
}

func (b *Bus) open(ctx context.Context) *redis.PubSub {
	if b.cluster {
		return b.client.SSubscribe(ctx, channel)
	}
	return b.client.Subscribe(ctx, channel)
}

// hear reads one message. One that is not ours is as good as "look at all".
func (b *Bus) hear(message string, wake func(string), resync func()) {
	from, ids, _ := strings.Cut(message, "\n")
	switch {
	case from == b.self:
	case ids == everything, ids == "":
		resync()
	default:
		for id := range strings.SplitSeq(ids, "\n") {
			wake(id)
		}
	}
}

// subscribed notes that wakes arrive, and looks once at how Redis is set up.
func (b *Bus) subscribed(ctx context.Context) {
	if !b.listening.Swap(true) {
		b.log.InfoContext(ctx, "redis carries wakes")
	}
	if b.warned.Load() {
		return
	}
	policy, err := b.evicts(ctx)
	if err != nil || policy == "" {
		return
	}
	b.warned.Store(true)
	b.log.WarnContext(ctx, "redis may evict keys, so that polls and addresses are counted too low; "+
		"set maxmemory-policy noeviction, or give nod a Redis of its own", "maxmemory_policy", policy)
}

// evicts is the maxmemory policy when it is one that evicts, read from INFO
// because CONFIG is often forbidden.
func (b *Bus) evicts(ctx context.Context) (string, error) {
	info, err := b.client.Info(ctx, "memory").Result()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(info) {
		if policy, ok := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:"); ok && policy != "noeviction" {
			return policy, nil
		}
	}
	return "", nil
}
