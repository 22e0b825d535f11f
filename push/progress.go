package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
	"unicode"

	"github.com/nod-auth/nod/approval"
)

// Pauses between the attempts on one road, so at most one attempt more than there
// are pauses. A prompt is for somebody who stands before a screen: half a minute
// outlasts a provider's hiccup, and after it the QR code is faster. News keep for a
// day: almost three hours outlast an outage. A server that asked for an answer is
// told for fourteen minutes, or until the row's end: that is ten minutes after the
// request's own. Each pause is drawn within a fifth of what stands here, so that what
// failed together does not come again together.
var (
	promptBackoff = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second}
	noticeBackoff = []time.Duration{2 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour}
	answerBackoff = []time.Duration{
		time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 2 * time.Minute, 4 * time.Minute, 4 * time.Minute,
	}
)

const jitter = 0.2

func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - jitter + 2*jitter*rand.Float64()))
}

// progress is a row's body while its message is on the way: how far each road got.
type progress struct {
	Notice approval.Notice     `json:"notice,omitempty"`
	Roads  map[string]attempts `json:"roads"`
}

// attempts are those on one road: none yet, going on at Next, or over.
type attempts struct {
	Tries int       `json:"tries,omitempty"`
	Next  time.Time `json:"next,omitzero"` // zero after a try: it is over
	Taken bool      `json:"taken,omitempty"`
}

func (a attempts) over() bool { return a.Tries > 0 && a.Next.IsZero() }

// readProgress reads a body of ours, or one that the core wrote: nothing for a
// prompt, a notice's word as a JSON text.
func readProgress(body []byte) (progress, error) {
	var p progress
	var err error
	switch {
	case len(body) == 0:
	case body[0] == '"':
		err = json.Unmarshal(body, &p.Notice)
	default:
		err = json.Unmarshal(body, &p)
	}
	if err != nil {
		return progress{}, err
	}
	if p.Roads == nil {
		p.Roads = make(map[string]attempts)
	}
	return p, nil
}

// reached says whether anybody took the message.
func (p progress) reached() bool {
	for _, a := range p.Roads {
		if a.Taken {
			return true
		}
	}
	return false
}

// again judges a failed attempt, the tries-th on its road: when to try again, or
// that there is no use in it. What a provider asks for is obeyed, but never until
// nobody wants the message any more.
func (q *queue) again(tries int, err error, now, until time.Time) (next time.Time, ok bool) {
	retry, asked := errors.AsType[*RetryError](err)
	if !asked && !errors.Is(err, context.DeadlineExceeded) || tries > len(q.backoff) {
		return time.Time{}, false
	}
	pause := jittered(q.backoff[tries-1])
	if asked {
		pause = max(pause, retry.After)
	}
	next = now.Add(pause).Truncate(time.Microsecond) // as the store keeps it: due there is due here
	return next, next.Before(until)
}

// maxSaid bounds what is kept of an answer, in characters: a sentence.
const maxSaid = 200

// plain is what an attempt's error says, fit to be stored and shown: channels keep
// targets out of it, and this the length and the control characters.
func plain(err error) string {
	if retry, ok := errors.AsType[*RetryError](err); ok && retry.Err != nil {
		err = retry.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %s", attemptTime)
	}
	return clip(err.Error(), maxSaid)
}

// clip makes one line of a text, and bounds it.
func clip(text string, most int) string {
	line := []rune(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text))
	return string(line[:min(len(line), most)])
}
