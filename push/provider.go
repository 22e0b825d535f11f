package push

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nod-auth/nod/push/egress"
)

// What the channels of phones have in common: how long, how urgent, under which
// name, and what the lack of an answer means.

// unreached says why there was no reply, without the URL that net/http writes
// into its errors.
func unreached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &RetryError{Err: fmt.Errorf("no answer in time: %w", ctx.Err())}
	}
	err = withoutURL(err)
	if errors.Is(err, egress.ErrRefused) {
		return err
	}
	return &RetryError{Err: err}
}

// withoutURL takes an error out of the one by which net/http repeats the URL.
func withoutURL(err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// remaining is how long a message still matters, at most four weeks, the longest
// that FCM keeps one.
func remaining(m Message) (time.Duration, error) {
	if m.Left <= 0 {
		return 0, errors.New("nobody wants the message any more: its time is over")
	}
	return min(m.Left, 28*24*time.Hour), nil
}

// urgency is how much a sleeping phone should mind, in the words of RFC 8030
// section 5.3.
func urgency(k Kind) string {
	if k == Notice {
		return "normal"
	}
	return "high"
}

// collapseID names a message to providers, the same on every attempt, so that a
// repeat replaces what it repeats: 32 characters of base64url, the most that a
// Topic has (RFC 8030 section 5.4). It is a hash because ids are not theirs to know.
func collapseID(id string) string {
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}

// maxRetryAfter bounds what a provider can ask for, so that no reply overflows a
// duration. Messages seldom live that long.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads the header of that name, seconds or a date (RFC 9110 section
// 10.2.3). 0: absent, past or unreadable.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if seconds, err := strconv.ParseUint(header, 10, 63); err == nil {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		return maxRetryAfter
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
