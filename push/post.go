package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// What every server that nod posts JSON to has in common.

// newPost is a request that carries JSON. The error never repeats the address: it
// may be a secret.
func newPost(ctx context.Context, address string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("its address is not one")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "nod")
	return r, nil
}

// post makes one exchange with a server, called who in errors, and puts what came
// of it into a Channel's words. What the server says beyond its status is thrown
// away. client is the guarded one: a redirect is an error, and not tried again.
func post(client *http.Client, r *http.Request, who string, now func() time.Time) error {
	reply, err := client.Do(r)
	if err != nil {
		return unreached(r.Context(), err)
	}
	defer reply.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(reply.Body, maxAnswer)) // only so that its connection is used again
	return judge(reply, who, now())
}

// judge says what a status means: any 2xx is a success, whatever its body, and
// later may work where RFC 9110 section 15.6, RFC 8470 section 5.2 (425) or RFC
// 6585 section 4 (429) say so.
func judge(reply *http.Response, who string, now time.Time) error {
	answer := fmt.Errorf("%s answered %d", who, reply.StatusCode)
	switch code := reply.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		return &RetryError{After: retryAfter(reply.Header.Get("Retry-After"), now), Err: answer}
	default:
		return answer
	}
}
