package redisbus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/nod-auth/nod/approval"
)

const (
	// answerWithin is how long a request may be held up by counting it: a hundred
	// times what the script takes (17 to 23 us and a round trip, performance.md).
	answerWithin = 50 * time.Millisecond
	// restAfter is how long a Redis that did not answer is left alone, so that a
	// frozen one costs one request a second its 50 ms and the others nothing.
	restAfter = time.Second
	prefix    = "nod:pace:"
	notes     = "nod:note:"
)

// gcra counts one event by the generic cell rate algorithm and answers how many
// microseconds to wait, 0 for "welcome". KEYS[1] holds the theoretical arrival
// time of the next event. ARGV: microseconds between events, the burst in
// microseconds.
var gcra = redis.NewScript(`
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local gap, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = tonumber(redis.call('GET', KEYS[1]) or 0)
if due < now then due = now end
if due - now > burst then return due - now - burst end
local next = due + gap
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000) + 1)
return 0`)

type pacer struct {
	client redis.UniversalClient
	own    approval.Pacer
	rests  atomic.Int64 // until when Redis is not asked, Unix microseconds
}

// Take implements approval.Pacer.
func (b *Bus) Take(ctx context.Context, key string, limit int, window time.Duration) time.Duration {
	return b.pacer.take(ctx, key, limit, window)
}

func (p *pacer) take(ctx context.Context, key string, limit int, window time.Duration) time.Duration {
	if limit <= 0 || window < time.Duration(limit)*time.Microsecond {
		return 0
	}
	now := time.Now()
	if rests := p.rests.Load(); now.UnixMicro() < rests {
		return p.own.Take(ctx, key, limit, window)
	}
	asked, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	gap := window / time.Duration(limit)
	name := fmt.Sprintf("%s%d/%d/%s", prefix, limit, window.Milliseconds(), key)
	wait, err := gcra.Run(asked, p.client, []string{name}, gap.Microseconds(), (gap * time.Duration(limit-1)).Microseconds()).Int64()
	if err != nil {
		p.rest(ctx, now)
		return p.own.Take(ctx, key, limit, window)
	}
	return time.Duration(wait) * time.Microsecond
}

// Note implements approval.Pacer.
func (b *Bus) Note(ctx context.Context, key string, ttl time.Duration, next func(was []byte) []byte) {
	b.pacer.note(ctx, key, ttl, next)
}

// note reads and writes in two steps: who comes in between is no worse off than
// when it came a moment earlier or later. Both together get answerWithin.
func (p *pacer) note(ctx context.Context, key string, ttl time.Duration, next func(was []byte) []byte) {
	now := time.Now()
	if now.UnixMicro() < p.rests.Load() {
		p.own.Note(ctx, key, ttl, next)
		return
	}
	asked, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	was, err := p.client.Get(asked, notes+key).Bytes()
	if err != nil && !errors.Is(err, redis.Nil) {
		p.rest(ctx, now)
		p.own.Note(ctx, key, ttl, next)
		return
	}
	if len(was) == 0 {
		was = nil
	}
	is := next(was)
	if ttl = max(ttl, time.Millisecond); p.client.Set(asked, notes+key, is, ttl).Err() != nil { // 0 would be for good
		p.rest(ctx, now)
		p.own.Note(ctx, key, ttl, func([]byte) []byte { return is })
	}
}

// rest leaves Redis alone for a while, unless it was a client that left.
func (p *pacer) rest(ctx context.Context, now time.Time) {
	if ctx.Err() == nil {
		p.rests.Store(now.Add(restAfter).UnixMicro())
	}
}
