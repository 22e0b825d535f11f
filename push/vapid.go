package push

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strings"

	"github.com/nod-auth/nod/approval/account"
)

// VAPID is the P-256 key pair by which a push service recognises this
// installation (RFC 8292). Browsers bind every subscription to its public half:
// with another pair, every phone has to subscribe again. The zero VAPID is no
// pair; make one with NewVAPID or ParseVAPID.
type VAPID struct {
	key    *ecdsa.PrivateKey
	public string
}

// NewVAPID draws a key pair.
func NewVAPID() (VAPID, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return VAPID{}, fmt.Errorf("generate VAPID key: %w", err)
	}
	return newVAPID(key)
}

// ParseVAPID reads what Private wrote: the private key as 32 bytes in base64url,
// with or without padding, which is also how the common command-line tools for
// Web Push write it. Errors never repeat the text.
func ParseVAPID(text account.Secret) (VAPID, error) {
	raw, err := decodeBase64URL(strings.TrimSpace(text.Reveal()))
	if err != nil {
		return VAPID{}, errors.New("parse VAPID key: not base64url")
	}
	if len(raw) != 32 {
		return VAPID{}, fmt.Errorf("parse VAPID key: %d bytes where a private key has 32", len(raw))
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		return VAPID{}, errors.New("parse VAPID key: not a private key on P-256")
	}
	return newVAPID(key)
}

func newVAPID(key *ecdsa.PrivateKey) (VAPID, error) {
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return VAPID{}, fmt.Errorf("encode VAPID public key: %w", err)
	}
	return VAPID{key: key, public: base64.RawURLEncoding.EncodeToString(point)}, nil
}

// Private is the pair as text, for ParseVAPID: it belongs where secrets are kept.
// It is empty for the zero VAPID.
func (v VAPID) Private() account.Secret {
	if v.key == nil {
		return ""
	}
	raw, err := v.key.Bytes()
	if err != nil { // not on P-256: newVAPID refused it
		return ""
	}
	return account.Secret(base64.RawURLEncoding.EncodeToString(raw))
}

// Public is the public key as browsers want it for applicationServerKey: the
// uncompressed point, 65 bytes, in base64url.
func (v VAPID) Public() string { return v.public }

// String, GoString and MarshalText show the public half alone.
func (v VAPID) String() string               { return v.public }
func (v VAPID) GoString() string             { return v.public }
func (v VAPID) MarshalText() ([]byte, error) { return []byte(v.public), nil }

// checkContact wants what RFC 8292 section 2.1 has for the claim "sub": a mailto:
// or https: URI at which a push service finds the operator. The warning is for
// addresses that only mean something at home: Apple refuses every message from
// them.
func checkContact(contact string) (warning string, err error) {
	var host string
	if address, ok := strings.CutPrefix(contact, "mailto:"); ok {
		parsed, err := mail.ParseAddress(address)
		if err != nil || parsed.Address != address {
			return "", errors.New("the contact must be one address, such as mailto:push@example.org")
		}
		host = address[strings.LastIndexByte(address, '@')+1:]
	} else {
		u, err := url.Parse(contact)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
			return "", errors.New("the contact must be a mailto: or an https: address, such as mailto:push@example.org")
		}
		host = u.Hostname()
	}
	if !publicHost(strings.ToLower(host)) {
		return fmt.Sprintf("the contact %s is not an address on the Internet: Apple's push service refuses it, so iPhones and Safari are not reached", contact), nil
	}
	return "", nil
}

// publicHost tells names of the Internet from names that are kept for local use
// (RFC 6761, RFC 6762) and from IP addresses.
func publicHost(host string) bool {
	name := strings.TrimSuffix(host, ".")
	if checkHostname(name) != nil || !strings.Contains(name, ".") {
		return false
	}
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "local", "localhost", "internal", "test", "invalid", "lan", "home":
		return false
	}
	return true
}
