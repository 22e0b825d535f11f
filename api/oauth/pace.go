package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// The numbers of pacing. interval is advertised (RFC 8628 section 3.2), slower is
// what slow_down adds to it (section 3.5); the others are what real clients need,
// see cadence.poll.
const (
	interval  = 5 * time.Second
	slower    = 5 * time.Second
	tolerance = 500 * time.Millisecond
	twins     = time.Second

	// paceKept is how long a cadence is remembered: after interval + slower of
	// silence everything is welcome anyway.
	paceKept = time.Minute
)

// cadence is what is remembered of the polls with one code. It is kept in the bus
// and may be lost: then the next poll is a first one. It can never touch the
// request.
type cadence struct {
	counted time.Time // when the last poll began that was in time; zero: none, or it does not count any more
	last    time.Time // when the last poll began of those that were counted
	slowed  bool      // that one was told to slow down
	told    int64     // the newest version that was told early, see news
}

// poll judges a poll that begins at now: the cadence after it, and whether it is too
// fast. Intervals are from start to start, whatever was held in between.
//
//   - The first one is never too fast: clients poll at once, and from two processes.
//   - One within a second of another is its twin: it counts as nothing and is
//     answered like the other. Libraries that try out how to authenticate send every
//     poll twice.
//   - One that leaves the advertised interval, give or take half a second of network,
//     is in time, and everything is forgiven.
//   - Any other is too fast, and slow_down. Whoever goes on like that is welcome
//     again once an interval of five seconds more has passed since the last poll that
//     was in time: never sooner, but never later either, so that no client is
//     trapped.
func (p cadence) poll(now time.Time) (next cadence, tooFast bool) {
	since := func(t time.Time) time.Duration { return now.Sub(t).Abs() } // a clock that stepped back must not hurt
	switch next = p; {
	case p.last.IsZero():
	case since(p.last) < twins:
		return p, p.slowed
	case since(p.last) >= interval-tolerance:
	case p.slowed && since(p.counted) >= interval+slower-tolerance:
	default:
		next.last, next.slowed = now, true
		return next, true
	}
	next.counted, next.last, next.slowed = now, now, false
	return next, false
}

// news notes that a client that asked to be told was answered early, with a version
// that it did not know: its next poll is like a first one. ok is false for a version
// that was told before, for that would be a way to poll as fast as one likes.
func (p cadence) news(version int64) (next cadence, ok bool) {
	if version <= p.told {
		return p, false
	}
	return cadence{told: version}, true
}

// cadence is kept as four numbers: times in Unix microseconds, 0 for none.
func (p cadence) encode() []byte {
	micro := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixMicro()
	}
	slowed := 0
	if p.slowed {
		slowed = 1
	}
	return fmt.Appendf(nil, "%d %d %d %d", micro(p.counted), micro(p.last), slowed, p.told)
}

// decodeCadence makes of anything else the cadence of a code nobody has polled.
func decodeCadence(text []byte) cadence {
	var counted, last, told int64
	var slowed int
	if _, err := fmt.Sscanf(string(text), "%d %d %d %d", &counted, &last, &slowed, &told); err != nil {
		return cadence{}
	}
	at := func(micro int64) time.Time {
		if micro == 0 {
			return time.Time{}
		}
		return time.UnixMicro(micro)
	}
	return cadence{counted: at(counted), last: at(last), slowed: slowed == 1, told: told}
}

// tooFast judges a poll with a code that began at began.
func (f *face) tooFast(ctx context.Context, code account.Secret, began time.Time) (fast bool) {
	f.Pacer.Note(ctx, paceKey(code), paceKept, func(was []byte) []byte {
		var next cadence
		next, fast = decodeCadence(was).poll(began)
		return next.encode()
	})
	return fast
}

// news notes that a version is told early, and says whether that may count as no poll.
func (f *face) news(ctx context.Context, code account.Secret, version int64) (ok bool) {
	f.Pacer.Note(ctx, paceKey(code), paceKept, func(was []byte) []byte {
		var next cadence
		next, ok = decodeCadence(was).news(version)
		return next.encode()
	})
	return ok
}

// paceKey names a code without telling it.
func paceKey(code account.Secret) string {
	sum := sha256.Sum256([]byte("pace " + code.Reveal()))
	return "poll " + base64.RawURLEncoding.EncodeToString(sum[:16])
}
