package token

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// maxNameBytes bounds what a token names: an issuer, a subject, a jti.
const maxNameBytes = 255

// The values of an assertion's header typ, in lower case. Without one, or as JWT,
// it may be any of these; with one it says what it is for, and callers hold it to
// that.
const (
	TypClientAuthentication = "client-authentication+jwt" // draft-ietf-oauth-rfc7523bis section 4
	TypRequest              = "oauth-authz-req+jwt"       // RFC 9101 section 10.8
)

// Assertion is a JWT that a client signed with one of its keys, ES256: to say who
// it is (RFC 7523 section 3), to ask (CIBA Core section 7.1.1) or to name a user.
type Assertion struct {
	Type      string // TypClientAuthentication, TypRequest, or "" for one that does not say
	Issuer    string
	Subject   string // "": not there, of these two
	JTI       string
	Audience  []string
	IssuedAt  time.Time // zero: not there, of these three
	NotBefore time.Time
	Expires   time.Time
	JSON      json.RawMessage // all claims, one object with unique names
}

// AssertionIssuer is who a JWT claims to be from: whose keys to verify it with, and
// nothing else. The error matches ErrMalformed.
func AssertionIssuer(compact string) (string, error) {
	_, a, err := parseAssertion(compact)
	if err != nil {
		return "", fmt.Errorf("read assertion: %w", err)
	}
	return a.Issuer, nil
}

// VerifyAssertion returns the claims of a JWT of at most 16 KiB if one of the keys
// signed it; keys of another curve are passed over. Who issued it is always said.
// Issuer, Subject and JTI have at most 255 bytes and no control characters.
//
// It judges neither times nor purpose: see the caller. The error matches
// ErrMalformed or ErrSignature.
func VerifyAssertion(compact string, keys ...*ecdsa.PublicKey) (Assertion, error) {
	p, a, err := parseAssertion(compact)
	if err != nil {
		return Assertion{}, fmt.Errorf("verify assertion: %w", err)
	}
	if !slices.ContainsFunc(keys, func(k *ecdsa.PublicKey) bool { return p.signedBy(k) }) {
		return Assertion{}, fmt.Errorf("verify assertion: %w", ErrSignature)
	}
	return a, nil
}

func parseAssertion(compact string) (*parsed, Assertion, error) {
	p, err := parseCompact(compact, dialect{limit: maxTokenBytes, algs: onlyES256})
	if err != nil {
		return nil, Assertion{}, err
	}
	a := Assertion{JSON: p.payload}
	if a.Type, err = assertionType(p.header); err != nil {
		return nil, Assertion{}, err
	}
	if err := a.read(p.claims); err != nil {
		return nil, Assertion{}, err
	}
	return p, a, nil
}

// assertionType refuses a token that says it is of another kind (RFC 8725 section
// 3.11): an access token, a DPoP proof.
func assertionType(header object) (string, error) {
	typ, _, err := header.text("typ")
	if err != nil {
		return "", err
	}
	switch typ = strings.ToLower(typ); typ {
	case "", strings.ToLower(typJWT):
		return "", nil
	case TypClientAuthentication, TypRequest:
		return typ, nil
	default:
		return "", fmt.Errorf("%w: typ of something else", ErrMalformed)
	}
}

func (a *Assertion) read(claims object) (err error) {
	for _, name := range []struct {
		claim string
		field *string
	}{{"iss", &a.Issuer}, {"sub", &a.Subject}, {"jti", &a.JTI}} {
		if *name.field, err = claims.name(name.claim); err != nil {
			return err
		}
	}
	if a.Issuer == "" {
		return fmt.Errorf("%w: no iss", ErrMalformed)
	}
	if !claims.absent("aud") {
		if a.Audience, err = claims.audiences(); err != nil {
			return err
		}
	}
	for _, at := range []struct {
		claim string
		field *time.Time
	}{{"iat", &a.IssuedAt}, {"nbf", &a.NotBefore}, {"exp", &a.Expires}} {
		seconds, found, err := claims.seconds(at.claim)
		if err != nil {
			return err
		}
		if found {
			*at.field = time.Unix(seconds, 0).UTC()
		}
	}
	return nil
}

// name returns a string that may be looked up, kept and logged: of 1 to 255 bytes,
// and without control characters, which a database or a terminal would choke on.
// It is "" when it is not there.
func (o object) name(member string) (string, error) {
	value, found, err := o.text(member)
	if err != nil || !found {
		return "", err
	}
	if value == "" || len(value) > maxNameBytes || strings.ContainsFunc(value, unicode.IsControl) {
		return "", fmt.Errorf("%w: %s is not 1 to %d bytes without control characters", ErrMalformed, member, maxNameBytes)
	}
	return value, nil
}
