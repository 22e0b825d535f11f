package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"cloud.google.com/go/auth"
)

const (
	// messagingScope is all that sending needs; the SDK would ask for six.
	messagingScope = "https://www.googleapis.com/auth/firebase.messaging"

	proofTimeout = 5 * time.Second // for the access token fetched at start-up
	maxFCMAnswer = 64 << 10        // bytes of a reply that are read; Google's have 1 KB
)

// fcmTransport signs requests in, lets the SDK try once and bounds what it reads.
// The address is the operator's, so it dials like any other client, and over the
// proxy of the environment.
type fcmTransport struct {
	base   *http.Transport
	tokens *fcmTokens
}

func newFCMTransport(a serviceAccount) *fcmTransport {
	base := http.DefaultTransport.(*http.Transport).Clone()
	return &fcmTransport{base: base, tokens: newFCMTokens(a, base)}
}

// fcmAttempt is what one call of the SDK came to, as seen on the wire.
type fcmAttempt struct {
	end        context.CancelFunc // keeps the SDK from trying again
	status     int                // 0: no reply
	retryAfter time.Duration
	err        error
}

type fcmAttemptKey struct{}

func (a *fcmAttempt) fail(err error) error {
	a.err = err
	a.end()
	return err
}

// RoundTrip implements http.RoundTripper.
func (t *fcmTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	a, _ := r.Context().Value(fcmAttemptKey{}).(*fcmAttempt)
	if a == nil {
		return t.roundTrip(r)
	}
	if a.status != 0 { // the SDK tries again because the first reply's body broke off
		closeBody(r)
		return nil, a.fail(errors.New("the reply broke off"))
	}
	resp, err := t.roundTrip(r)
	if err != nil {
		return nil, a.fail(err)
	}
	a.status = resp.StatusCode
	a.retryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	if resp.StatusCode == http.StatusServiceUnavailable {
		a.end()
	}
	return resp, nil
}

func (t *fcmTransport) roundTrip(r *http.Request) (*http.Response, error) {
	token, err := t.tokens.get(r.Context())
	if err != nil {
		closeBody(r)
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = boundedBody{Reader: io.LimitReader(resp.Body, maxFCMAnswer), Closer: resp.Body}
	return resp, nil
}

// closeBody is due on every way out of a RoundTripper.
func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

type boundedBody struct {
	io.Reader
	io.Closer
}

// fcmTokens keeps the access token. One caller at a time fetches; the others wait
// for it no longer than their own contexts allow.
type fcmTokens struct {
	provider auth.TokenProvider
	turn     chan struct{} // holds one element: whose turn it is
	token    atomic.Pointer[auth.Token]
}

func newFCMTokens(a serviceAccount, base http.RoundTripper) *fcmTokens {
	provider, err := auth.New2LOTokenProvider(&auth.Options2LO{
		Email:        a.ClientEmail,
		PrivateKey:   []byte(a.PrivateKey),
		PrivateKeyID: a.PrivateKeyID,
		TokenURL:     a.TokenURI,
		Scopes:       []string{messagingScope},
		Client: &http.Client{
			Transport:     base,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Logger: slog.New(slog.DiscardHandler), // it would log assertions
	})
	if err != nil { // a member is missing: parseServiceAccount saw to that
		panic(err)
	}
	return &fcmTokens{provider: provider, turn: make(chan struct{}, 1)}
}

func (t *fcmTokens) get(ctx context.Context) (string, error) {
	if token := t.token.Load(); token.IsValid() {
		return token.Value, nil
	}
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", &tokenError{Err: ctx.Err()}
	}
	if token := t.token.Load(); token.IsValid() {
		return token.Value, nil
	}
	token, err := t.provider.Token(ctx)
	if err != nil {
		return "", newTokenError(err)
	}
	if token.Value == "" {
		return "", &tokenError{Err: errors.New("the reply holds no access token")}
	}
	t.token.Store(token)
	return token.Value, nil
}

// prove fetches the first token. The warning is for what may pass by itself.
func (t *fcmTokens) prove(ctx context.Context) (warning string, err error) {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	_, err = t.get(ctx)
	refused := (*tokenError)(nil)
	switch {
	case err == nil:
		return "", nil
	case errors.As(err, &refused) && refused.permanent:
		return "", err
	default:
		return fmt.Sprintf("the service account could not be proven: %v; FCM is tried again with the first prompt", err), nil
	}
}

// tokenError says why there is no access token.
type tokenError struct {
	permanent bool // nothing changes until the credentials do
	Err       error
}

func (e *tokenError) Error() string { return "fetch access token: " + e.Err.Error() }
func (e *tokenError) Unwrap() error { return e.Err }

// newTokenError reads the token service's answer (RFC 6749 section 5.2; RFC 7523
// section 3.1 has invalid_grant for an assertion that does not hold).
func newTokenError(err error) error {
	answered := (*auth.Error)(nil)
	if !errors.As(err, &answered) || answered.Response == nil {
		return &tokenError{Err: withoutURL(err)}
	}
	status := answered.Response.StatusCode
	if status/100 != 4 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout {
		return &tokenError{Err: fmt.Errorf("the token service answered %d", status)}
	}
	var body struct{ Error string }
	_ = json.Unmarshal(answered.Body, &body) // without it the status has to do
	advice := "check token_uri in the service account's file"
	switch body.Error {
	case "invalid_grant", "invalid_client", "unauthorized_client":
		advice = "the key was deleted or the clock is wrong; " +
			"make a new key in the Firebase console, Project settings, Service accounts"
	default:
		body.Error = "no error code"
	}
	return &tokenError{permanent: true, Err: fmt.Errorf("the token service answered %d (%s): %s", status, body.Error, advice)}
}

// fcmUnreached judges an attempt without a reply: a refusal of the credentials is
// final, the rest may pass.
func fcmUnreached(ctx context.Context, err error) error {
	if refused := (*tokenError)(nil); errors.As(err, &refused) && refused.permanent {
		return refused
	}
	return unreached(ctx, err)
}
