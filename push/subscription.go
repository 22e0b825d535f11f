package push

import (
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const (
	// maxSubscription bounds the JSON of a subscription: twice its longest
	// endpoint leaves room for keys and for members that browsers add.
	maxSubscription = 2 * maxEndpoint
	// maxEndpoint bounds an endpoint, in bytes. Browsers' are 150 to 1,000 long;
	// Microsoft documents 1,024 as its longest.
	maxEndpoint = 2048

	publicKeyBytes  = 65 // an uncompressed point on P-256 (RFC 8291 section 3.1)
	authSecretBytes = 16 // RFC 8291 section 3.2
)

// subscription is a browser's PushSubscription: where it is reached and what
// messages to it are encrypted with.
type subscription struct {
	Endpoint     string // normalised: scheme and host in lower case, no default port
	origin       origin
	p256dh, auth []byte
}

// parseSubscription reads what PushSubscription.toJSON gives. Members that it
// does not know are ignored. The error is an *approval.InvalidError that repeats
// nothing of the text. Whether the service is allowed is for Services to say.
func parseSubscription(target account.Secret) (subscription, error) {
	text := target.Reveal()
	if len(text) > maxSubscription {
		return subscription{}, badField("subscription", fmt.Sprintf("must not be longer than %d bytes", maxSubscription))
	}
	var wire struct {
		Endpoint string `json:"endpoint"`
		Keys     struct {
			P256dh string `json:"p256dh"`
			Auth   string `json:"auth"`
		} `json:"keys"`
	}
	if err := json.Unmarshal([]byte(text), &wire); err != nil {
		return subscription{}, badField("subscription", "must be the JSON of a browser's PushSubscription")
	}
	e, err := parseEndpoint(wire.Endpoint)
	if err != nil {
		return subscription{}, err
	}
	s := subscription{Endpoint: e.String(), origin: e.origin}
	if s.p256dh, err = decodePoint(wire.Keys.P256dh); err != nil {
		return subscription{}, err
	}
	s.auth, err = decodeBase64URL(wire.Keys.Auth)
	if err != nil || len(s.auth) != authSecretBytes {
		return subscription{}, badField("keys.auth", "must be 16 bytes in base64url")
	}
	return s, nil
}

func decodePoint(text string) ([]byte, error) {
	raw, err := decodeBase64URL(text)
	if err != nil || len(raw) != publicKeyBytes {
		return nil, badField("keys.p256dh", "must be 65 bytes in base64url")
	}
	if _, err := ecdh.P256().NewPublicKey(raw); err != nil {
		return nil, badField("keys.p256dh", "must be a point on the curve P-256")
	}
	return raw, nil
}

// decodeBase64URL reads base64url with or without padding, and no other spelling
// of the same bytes.
func decodeBase64URL(text string) ([]byte, error) {
	if strings.HasSuffix(text, "=") {
		return base64.URLEncoding.Strict().DecodeString(text)
	}
	return base64.RawURLEncoding.Strict().DecodeString(text)
}

// endpoint is the address of one subscription at a push service. Who knows it
// cannot read or write messages, but can tell phones apart: it stays out of logs.
type endpoint struct {
	origin
	rest string // path and query, as the service wrote them
}

func (e endpoint) String() string { return e.origin.String() + e.rest }

// parseEndpoint reads an absolute http or https URL in plain ASCII that names no
// user and no fragment. It cuts the authority out by itself and takes the URL only
// if net/url, which dials it later, sees the same one.
func parseEndpoint(text string) (endpoint, error) {
	if text == "" {
		return endpoint{}, badEndpoint("must not be empty")
	}
	if len(text) > maxEndpoint {
		return endpoint{}, badEndpoint(fmt.Sprintf("must not be longer than %d bytes", maxEndpoint))
	}
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' || strings.IndexByte("\\#\"<>^`{|}", c) >= 0 {
			return endpoint{}, badEndpoint("must be an address in plain ASCII, without spaces, quotes, backslashes or fragments")
		}
	}
	scheme, after, found := strings.Cut(text, "://")
	if !found {
		return endpoint{}, badEndpoint("must be an absolute address")
	}
	authority, rest := after, ""
	if i := strings.IndexAny(after, "/?"); i >= 0 {
		authority, rest = after[:i], after[i:]
	}
	if !strings.HasPrefix(rest, "/") {
		return endpoint{}, badEndpoint("must have a path")
	}
	o, err := parseOrigin(strings.ToLower(scheme), authority)
	if err != nil {
		return endpoint{}, badEndpoint(err.Error())
	}
	u, err := url.Parse(text)
	if err != nil || u.Host != authority || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return endpoint{}, badEndpoint("must be a well-formed address")
	}
	return endpoint{origin: o, rest: rest}, nil
}

func badEndpoint(reason string) error { return badField("endpoint", reason) }

func badField(field, reason string) error {
	return &approval.InvalidError{Field: field, Reason: reason}
}
