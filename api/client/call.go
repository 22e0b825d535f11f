package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer: far above any of these protocols,
// far below what would hurt.
const maxAnswer = 1 << 20

// userAgent is how this package introduces itself.
const userAgent = "nod-client-go"

// ownHTTP returns a client that follows no redirect, since a redirect would carry
// a secret to where nobody meant it to go. Done gives back what was opened.
func ownHTTP(given *http.Client) (own *http.Client, done func()) {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if given != nil {
		copied := *given
		copied.CheckRedirect = stay
		return &copied, func() {}
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
	}
	return &http.Client{Transport: transport, CheckRedirect: stay}, transport.CloseIdleConnections
}

// answer is what came back, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send makes one call. An error is one of the way there or back, the context's end
// included, and matches ErrUnreachable.
func send(h *http.Client, req *http.Request) (*answer, error) {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	res, err := h.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: read the answer of %s: %w", ErrUnreachable, req.URL.Redacted(), err)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("%w: %s answers with more than %d bytes", ErrUnreachable, req.URL.Redacted(), maxAnswer)
	}
	return &answer{res.StatusCode, res.Header, body}, nil
}

// ok decodes an answer with a status of success that is one JSON object, and
// returns what else it is otherwise: an Error.
func (a *answer) ok(into any) error {
	if e := a.fault(); e != nil {
		return e
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("%w: the answer is not the JSON that was expected", ErrUnreachable)
	}
	return nil
}

// fault is what an answer complains about, nil for none. Some servers complain
// with a status of success.
func (a *answer) fault() *Error {
	var said struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Code        string `json:"code"` // of the native interface
		Message     string `json:"message"`
	}
	_ = json.Unmarshal(a.body, &said) // what is not JSON complains by its status
	e := &Error{Status: a.status, Code: said.Error, Description: said.Description, RetryAfter: a.retryAfter(time.Now())}
	if said.Error == "" && said.Code != "" {
		e.Code, e.Description = said.Code, said.Message
	}
	if said.Error == "" && a.status >= 200 && a.status < 300 {
		return nil
	}
	return e
}

// retryAfter reads RFC 9110 section 10.2.3: seconds, or a date. 0 for neither.
func (a *answer) retryAfter(now time.Time) time.Duration {
	text := a.header.Get("Retry-After")
	if text == "" {
		return 0
	}
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// form makes a POST as RFC 6749 wants it.
func form(ctx context.Context, endpoint string, values url.Values) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(values.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req, nil
}

// checkURL refuses what a secret must not be sent to: anything but https, or http
// to this same machine.
func checkURL(what, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return fmt.Errorf("%s %q is not an absolute URL", what, text)
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%s %q must be https: only this machine itself is spoken to in the clear", what, text)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
