package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LoginConfig says where and as what to log in. Issuer and ClientID are required.
type LoginConfig struct {
	Issuer       string   // byte-equal to what the server's metadata says
	ClientID     string   // as it was registered
	ClientSecret string   // "": a public client
	Scopes       []string // nil: whatever the server gives without being asked
	DeviceName   string   // what the person is told the device calls itself

	// DPoP, when set, binds the tokens to its key where the server can: see
	// Token.TokenType.
	DPoP *DPoP

	// HTTPClient makes the calls; nil: one of its own, with the system's trust and
	// proxies. Redirects are not followed. A Timeout below 30 s would cut every held
	// poll; the calls have limits of their own.
	HTTPClient *http.Client

	// Prompt shows the code to the person; required. It should return soon.
	Prompt func(Prompt)

	// Progress, when set, hears how the wait goes on. It should return soon.
	Progress func(Progress)
}

// String keeps the secret out of logs.
func (c LoginConfig) String() string { return c.Issuer + " as " + c.ClientID }

// GoString keeps the secret out of logs.
func (c LoginConfig) GoString() string { return c.String() }

// Prompt is what the new device shows.
type Prompt struct {
	UserCode        string // as it is to be typed: BCDF-GHJK
	VerificationURI string // where it is typed
	// VerificationURIComplete leads there with the code in it: for a QR code. ""
	// where the server has none.
	VerificationURIComplete string
	Expires                 time.Time // by this machine's clock, monotonic
}

// Event is how a wait goes on.
type Event string

// The events.
const (
	// Opened: somebody looks at the request on a phone. Only nod tells.
	Opened Event = "opened"

	// Interrupted: the server cannot be reached, and the wait goes on. It comes once
	// until Resumed.
	Interrupted Event = "interrupted"

	// Resumed: the server answers again.
	Resumed Event = "resumed"

	// Withdrawn: the context ended, and the server was told that the code is no
	// longer wanted. With an Err that did not work, and the code is good until it
	// runs out.
	Withdrawn Event = "withdrawn"
)

// Progress is an event, with its cause where there is one.
type Progress struct {
	Event Event
	Err   error
}

// Token is what an approval gave.
type Token struct {
	AccessToken  string
	TokenType    string // "Bearer", or "DPoP" when it is bound to the key of LoginConfig.DPoP
	RefreshToken string // "" unless offline_access was granted
	// IDToken is as it came, "" unless openid was granted. It came from the issuer
	// itself over a connection that names it, which OpenID Connect Core (section
	// 3.1.3.7, number 6) takes for a verification.
	IDToken    string
	Expiry     time.Time // of the access token, by this machine's clock; zero: not said
	Scopes     []string  // granted
	ApprovedBy string    // whose phone approved, where the server says it
	Raw        json.RawMessage
}

// String keeps tokens out of logs.
func (Token) String() string { return redacted }

// GoString keeps tokens out of logs.
func (Token) GoString() string { return redacted }

// LogValue keeps tokens out of logs.
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }

const redacted = "[secret]"

// Login asks the issuer for a code, shows it through c.Prompt, and waits until it
// has been approved (RFC 8628). It returns at once with an error when the request
// cannot be made; once the code is out, only a verdict, its end or ctx ends the
// wait.
//
// The error matches [ErrDenied] or [ErrExpired]; [ErrUnreachable] when no code could
// be had; ctx's cause when ctx ended, and then the server was told that the code is
// no longer wanted (RFC 7009; at most 3 s). Any other answer of the server is an
// [*Error].
func Login(ctx context.Context, c LoginConfig) (*Token, error) {
	token, err := login(ctx, c)
	switch left := ctx.Err() != nil && errors.Is(err, ctx.Err()); {
	case left && !errors.Is(err, ErrExpired):
		return nil, fmt.Errorf("log in at %s: %w", c.Issuer, context.Cause(ctx))
	case err != nil:
		return nil, fmt.Errorf("log in at %s: %w", c.Issuer, err)
	}
	return token, nil
}

func login(ctx context.Context, c LoginConfig) (*Token, error) {
	if c.ClientID == "" || c.Prompt == nil {
		return nil, errors.New("client id and prompt are not both given")
	}
	l := &session{LoginConfig: c, auth: authNone}
	if l.Progress == nil {
		l.Progress = func(Progress) {}
	}
	var done func()
	l.http, done = ownHTTP(c.HTTPClient)
	defer done()
	var err error
	if l.meta, err = discover(ctx, l.http, c.Issuer); err != nil {
		return nil, err
	}
	if err := l.meta.check(); err != nil {
		return nil, err
	}
	asked, err := l.ask(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for a code: %w", err)
	}
	c.Prompt(asked.prompt())
	token, err := l.wait(ctx, asked)
	if left := ctx.Err(); left != nil && errors.Is(err, left) && !errors.Is(err, ErrExpired) {
		l.withdraw(ctx, asked)
	}
	return token, err
}

// session is one login under way. It is used by one goroutine.
type session struct {
	LoginConfig
	http  *http.Client
	meta  *metadata
	auth  string // how the client says who it is
	nonce string // of the server, for DPoP proofs
}

// The methods of client authentication that are spoken here, in the metadata's
// words.
const (
	authNone  = "none"
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
)

// asked is the answer to a device authorization request.
type asked struct {
	DeviceCode  string  `json:"device_code"`
	UserCode    string  `json:"user_code"`
	URI         string  `json:"verification_uri"`
	URIComplete string  `json:"verification_uri_complete"`
	ExpiresIn   seconds `json:"expires_in"`
	Interval    seconds `json:"interval"`

	expires time.Time
}

func (a *asked) prompt() Prompt {
	return Prompt{UserCode: a.UserCode, VerificationURI: a.URI, VerificationURIComplete: a.URIComplete, Expires: a.expires}
}

// seconds are a JSON number or, as some servers have it, a text; 0 for anything
// else.
type seconds float64

// UnmarshalJSON implements json.Unmarshaler.
func (s *seconds) UnmarshalJSON(text []byte) error {
	const most = 100 * 365 * 24 * 3600 // far less than time.Duration holds
	n, err := strconv.ParseFloat(strings.Trim(string(text), `"`), 64)
	if err != nil || !(n > 0) {
		n = 0
	}
	*s = seconds(min(n, most))
	return nil
}

func (s seconds) duration() time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

// ask requests a code (RFC 8628 section 3.1). A client with a secret shows it in
// the header, as every server must understand (RFC 6749 section 2.3.1), and in the
// body where that is what the server wants.
func (l *session) ask(ctx context.Context) (*asked, error) {
	methods := []string{authNone}
	if l.ClientSecret != "" {
		methods = slices.DeleteFunc([]string{authBasic, authPost}, func(m string) bool { return !l.meta.takes(m) })
	}
	err := errors.New("the server takes no client secret")
	for _, l.auth = range methods {
		var a *asked
		if a, err = l.askOnce(ctx); err == nil {
			return a, nil
		}
		if e := (*Error)(nil); !errors.As(err, &e) || e.Code != "invalid_client" {
			break
		}
	}
	return nil, err
}

func (l *session) askOnce(ctx context.Context) (*asked, error) {
	values := url.Values{}
	if len(l.Scopes) > 0 {
		values.Set("scope", strings.Join(l.Scopes, " "))
	}
	if l.DeviceName != "" {
		values.Set("device_name", l.DeviceName) // nod's; others ignore it (RFC 8628 section 3.1)
	}
	reply, err := l.post(ctx, l.meta.DeviceAuthorization, values, quickTimeout)
	if err != nil {
		return nil, err
	}
	a := new(asked)
	if err := reply.ok(a); err != nil {
		return nil, err
	}
	if a.DeviceCode == "" || a.UserCode == "" || a.URI == "" || a.ExpiresIn <= 0 {
		return nil, errors.New("the answer lacks what RFC 8628 section 3.2 requires")
	}
	a.expires = time.Now().Add(a.ExpiresIn.duration())
	return a, nil
}

// post sends a form in the client's name, with a proof of its key where there is
// one. A proof is made once more with the nonce that the server asks for.
func (l *session) post(ctx context.Context, endpoint string, values url.Values, limit time.Duration) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for again := false; ; again = true {
		req, err := l.request(ctx, endpoint, values)
		if err != nil {
			return nil, err
		}
		a, err := send(l.http, req)
		if err != nil || l.DPoP == nil {
			return a, err
		}
		used := l.nonce
		if nonce := a.header.Get("DPoP-Nonce"); nonce != "" {
			l.nonce = nonce
		}
		e := a.fault()
		if again || e == nil || e.Code != "use_dpop_nonce" || l.nonce == used {
			return a, nil
		}
	}
}

func (l *session) request(ctx context.Context, endpoint string, values url.Values) (*http.Request, error) {
	switch l.auth {
	case authNone:
		values.Set("client_id", l.ClientID)
	case authPost:
		values.Set("client_id", l.ClientID)
		values.Set("client_secret", l.ClientSecret)
	}
	req, err := form(ctx, endpoint, values)
	if err != nil {
		return nil, err
	}
	if l.auth == authBasic {
		req.SetBasicAuth(url.QueryEscape(l.ClientID), url.QueryEscape(l.ClientSecret)) // RFC 6749 section 2.3.1
	}
	if l.DPoP != nil {
		proof, err := l.DPoP.Proof(req.Method, endpoint, "", l.nonce)
		if err != nil {
			return nil, err
		}
		req.Header.Set("DPoP", proof)
	}
	return req, nil
}

// withdrawTimeout bounds how long somebody who leaves is kept.
const withdrawTimeout = 3 * time.Second

// withdraw takes the request back: whoever opens it on a phone afterwards finds it
// canceled.
func (l *session) withdraw(ctx context.Context, a *asked) {
	err := errors.New("the server has no revocation endpoint")
	if l.meta.Revocation != "" {
		err = l.revoke(context.WithoutCancel(ctx), a.DeviceCode)
	}
	l.Progress(Progress{Event: Withdrawn, Err: err})
}

func (l *session) revoke(ctx context.Context, deviceCode string) error {
	values := url.Values{"token": {deviceCode}, "token_type_hint": {"device_code"}}
	a, err := l.post(ctx, l.meta.Revocation, values, withdrawTimeout)
	if err != nil {
		return fmt.Errorf("revoke the code: %w", err)
	}
	if e := a.fault(); e != nil {
		return fmt.Errorf("revoke the code: %w", e)
	}
	return nil
}
