package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/push/egress"
)

// hookBody is what a receiver gets: the id travels as a header.
type hookBody struct {
	Type      string           `json:"type"`
	Timestamp time.Time        `json:"timestamp"`
	Data      approval.Subject `json:"data"`
}

// send makes one attempt and says what the receiver answered, in a few words that can
// be shown. Any 2xx is a success; a 410 is ErrGone; everything else may pass and is a
// *RetryError, a refusal of the guard and a redirect too: names and receivers change.
// The reply's body is thrown away.
func (h *Hooks) send(ctx context.Context, w account.Webhook, a approval.Announcement, now time.Time) (answer string, err error) {
	r, err := h.request(ctx, w, a, now)
	if err != nil {
		return err.Error(), err
	}
	reply, err := h.client.Do(r)
	if err != nil {
		answer = h.unanswered(ctx, err)
		return answer, &RetryError{Err: errors.New(answer)}
	}
	defer reply.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(reply.Body, maxAnswer)) // only so that its connection is used again
	answer = "answered " + strconv.Itoa(reply.StatusCode)
	switch code := reply.StatusCode; {
	case code >= 200 && code < 300:
		return answer, nil
	case code == http.StatusGone:
		return answer, ErrGone
	default:
		asks := min(retryAfter(reply.Header.Get("Retry-After"), now), longestHookPause)
		return answer, &RetryError{After: asks, Err: errors.New(answer)}
	}
}

// unanswered says why there was no reply. Nothing in it repeats the URL, and nothing
// but the guard's own words an address.
func (h *Hooks) unanswered(ctx context.Context, err error) string {
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return "no answer within " + h.within.String()
	}
	return clip(egress.Reason(err).Error(), maxSaid)
}

func (h *Hooks) request(ctx context.Context, w account.Webhook, a approval.Announcement, now time.Time) (*http.Request, error) {
	body, err := json.Marshal(hookBody{a.Type, a.Timestamp.UTC(), a.Data})
	if err != nil {
		return nil, fmt.Errorf("write announcement: %w", err)
	}
	keys, err := h.keys(w, now)
	if err != nil {
		return nil, err
	}
	// A receiver refuses what is more than five minutes from its own clock, so what is
	// signed is the time of the attempt; that of the event stands in the body.
	signatures := make([]string, len(keys))
	for i, key := range keys {
		sign, err := webhooks.NewWebhookRaw(key)
		if err == nil {
			signatures[i], err = sign.Sign(a.ID, now, body)
		}
		if err != nil {
			return nil, fmt.Errorf("sign announcement: %w", err)
		}
	}
	r, err := newPost(ctx, w.URL, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set(webhooks.HeaderWebhookID, a.ID)
	r.Header.Set(webhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	r.Header.Set(webhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return r, nil
}

// TypeTest is the type of what Test sends: about nobody, and no event.
const TypeTest = "webhook.test"

// Test sends a signed test to one webhook at once, from here, and says in a sentence
// what came of it. It takes hookTime, 15 s, at most and changes nothing.
func (h *Hooks) Test(ctx context.Context, w account.Webhook) (says string, taken bool) {
	ctx, cancel := context.WithTimeout(ctx, h.within)
	defer cancel()
	now, err := h.push.store.Now(ctx)
	if err != nil {
		return "Nothing was sent: nod could not read its own data. Try again in a moment.", false
	}
	began := time.Now()
	answer, err := h.send(ctx, w, approval.Announcement{ID: uuid.NewString(), Type: TypeTest, Timestamp: now}, now)
	took := time.Since(began).Round(time.Millisecond)
	retry, sent := errors.AsType[*RetryError](err)
	switch {
	case err == nil:
		return fmt.Sprintf("The receiver %s after %s: it took the test.", answer, took), true
	case errors.Is(err, ErrGone):
		return "The receiver answered 410: it wants nothing more. An event that it answers so disables the webhook.", false
	case !sent:
		return fmt.Sprintf("Nothing was sent: %s.", answer), false
	case retry.After > 0:
		return fmt.Sprintf("The receiver %s after %s and asks to be tried again in %s.", answer, took, retry.After.Round(time.Second)), false
	case strings.HasPrefix(answer, "answered"):
		return fmt.Sprintf("The receiver %s after %s: only 2xx counts as taken.", answer, took), false
	default:
		return fmt.Sprintf("The receiver was not reached: %s.", answer), false
	}
}
