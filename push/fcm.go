package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"firebase.google.com/go/v4/errorutils"
	"firebase.google.com/go/v4/messaging"
	"google.golang.org/api/option"
)

// fcm reaches native applications over Firebase Cloud Messaging's HTTP v1 API,
// and through it Apple's and browsers' services. One is made only when credentials
// are configured: nothing of the Firebase SDK runs otherwise.
type fcm struct {
	client    *messaging.Client
	transport *fcmTransport
	warning   string // for the operator; empty when all is well
}

// newFCM reads a service account's JSON and proves it by fetching an access token,
// which takes 5 s at most. Credentials that Google refuses are an error that says
// what to do; a token service that is not reached is no more than a warning, since
// it may be back when the first prompt is due. An empty endpoint is Google's.
func newFCM(ctx context.Context, credentials []byte, endpoint string) (*fcm, error) {
	a, err := parseServiceAccount(credentials)
	if err != nil {
		return nil, fmt.Errorf("set up FCM: %w", err)
	}
	if endpoint != "" {
		if err := checkOperatorURL(endpoint); err != nil {
			return nil, fmt.Errorf("set up FCM: the endpoint %w", err)
		}
	}
	f := &fcm{transport: newFCMTransport(a)}
	if f.warning, err = f.transport.tokens.prove(ctx); err != nil {
		return nil, fmt.Errorf("set up FCM: %w", err)
	}
	if f.client, err = f.transport.messaging(ctx, a.ProjectID, endpoint); err != nil {
		return nil, fmt.Errorf("set up FCM: %w", err)
	}
	return f, nil
}

func (t *fcmTransport) messaging(ctx context.Context, project, endpoint string) (*messaging.Client, error) {
	options := []option.ClientOption{option.WithHTTPClient(&http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})}
	if endpoint != "" {
		options = append(options, option.WithEndpoint(strings.TrimSuffix(endpoint, "/")))
	}
	return newMessaging(ctx, messaging.NewClient, messagingConfig{Opts: options, ProjectID: project, Version: sdkVersion})
}

// sdkVersion is what the SDK tells Firebase of itself.
const sdkVersion = "4.19.0"

// messagingConfig has the shape of the SDK's own, which has no name out here.
type messagingConfig = struct {
	Opts      []option.ClientOption
	ProjectID string
	Version   string
}

// newMessaging makes the SDK's client as firebase.App.Messaging does, without
// firebase.App: that one links Firestore, Storage and what they need, 24 MB and 8 ms
// of every start, for services that nod never calls. The compiler checks the shape.
func newMessaging[C ~messagingConfig](ctx context.Context, client func(context.Context, *C) (*messaging.Client, error), c messagingConfig) (*messaging.Client, error) {
	own := C(c)
	return client(ctx, &own)
}

// close drops idle connections. The channel stays usable.
func (f *fcm) close() { f.transport.base.CloseIdleConnections() }

// Send implements Channel.
func (f *fcm) Send(ctx context.Context, m Message) error {
	if m.Target == "" {
		return errors.New("send over FCM: there is no registration token")
	}
	message, err := fcmMessage(m)
	if err != nil {
		return fmt.Errorf("send over FCM: %w", err)
	}
	if err := f.once(ctx, message, f.client.Send); err != nil {
		return fmt.Errorf("send over FCM: %w", err)
	}
	return nil
}

type fcmCall func(context.Context, *messaging.Message) (string, error)

// once makes one attempt. The SDK would repeat 503 and network faults up to four
// times and wait up to two minutes for each as Retry-After says; when to repeat is
// the deliverer's to decide, within the message's life. So the transport ends the
// attempt's context as soon as the SDK would repeat it.
func (f *fcm) once(ctx context.Context, message *messaging.Message, call fcmCall) error {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	a := &fcmAttempt{end: cancel}
	_, err := call(context.WithValue(within, fcmAttemptKey{}, a), message)
	switch {
	case err == nil:
		return nil
	case a.err != nil:
		return fcmUnreached(ctx, a.err)
	case a.status == 0, ctx.Err() != nil:
		return unreached(ctx, err)
	default:
		return fcmAnswer(a, err)
	}
}

// check asks FCM to validate a message to a token that nobody has. The complaint
// about that token, and no other, proves that everything before it is right.
func (f *fcm) check(ctx context.Context) (string, error) { //nolint:unparam // what a check of a channel answers
	probe := &messaging.Message{Token: "nod-doctor"}
	if err := f.once(ctx, probe, f.client.SendDryRun); err != nil && !errors.Is(err, ErrGone) {
		return "", err
	}
	return "ready: the service account is accepted and may send", nil
}

// fcmAnswer reads what FCM answered
// (https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode). Google's own
// sentences are left out: some repeat the request.
func fcmAnswer(a *fcmAttempt, err error) error {
	answer := "it answered " + strconv.Itoa(a.status)
	permanent := func(sentence string) error { return errors.New(answer + ": " + sentence) }
	switch {
	case messaging.IsUnregistered(err), tokenRefused(err):
		return fmt.Errorf("%s: %w", answer, ErrGone)
	case messaging.IsQuotaExceeded(err), messaging.IsUnavailable(err), messaging.IsInternal(err),
		a.status == http.StatusTooManyRequests, a.status/100 == 5:
		return &RetryError{After: a.retryAfter, Err: errors.New(answer)}
	case messaging.IsSenderIDMismatch(err):
		return permanent("the phone's app belongs to another Firebase project than the service account")
	case messaging.IsThirdPartyAuthError(err):
		return permanent("Firebase lacks a valid key for Apple's or the browser's service; " +
			"upload one in its console, Project settings, Cloud Messaging")
	case a.status == http.StatusUnauthorized:
		return permanent("the access token is not accepted; make a new key for the service account and restart")
	case a.status == http.StatusForbidden:
		return permanent("the service account may not send; enable the Firebase Cloud Messaging API " +
			"and give it the role Firebase Cloud Messaging API Admin")
	case a.status == http.StatusNotFound:
		return permanent("the project is not known; check the endpoint and the service account's project_id")
	case a.status == http.StatusRequestEntityTooLarge:
		return permanent("the message is too large for it")
	case a.status/100 == 3:
		return permanent("redirects are not followed; check the endpoint")
	case a.status/100 == 2:
		return permanent("the reply is not FCM's; check the endpoint")
	default:
		return permanent("FCM does not understand the message")
	}
}

// tokenRefused tells a malformed token from every other fault in a request:
// INVALID_ARGUMENT alone may just as well be our mistake, and must not cost
// somebody their phone.
func tokenRefused(err error) bool {
	// As documented at https://firebase.google.com/docs/cloud-messaging/error-codes.
	const sentence = "The registration token is not a valid FCM registration token"
	resp := errorutils.HTTPResponse(err) //nolint:bodyclose // read by the SDK, which kept a copy
	if resp == nil || !messaging.IsInvalidArgument(err) {
		return false
	}
	var body struct {
		Error struct {
			Message string
			Details []struct{ FieldViolations []struct{ Field string } }
		}
	}
	if json.NewDecoder(resp.Body).Decode(&body) != nil {
		return false
	}
	for _, detail := range body.Error.Details {
		for _, violation := range detail.FieldViolations {
			return violation.Field == "message.token"
		}
	}
	return body.Error.Message == sentence
}
