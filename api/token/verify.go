package token

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// maxTokenBytes bounds a token that Verify reads: nod's own limit on bodies.
const maxTokenBytes = 16 << 10

// Expect says what a token must be. Issuer, Typ and Audience or AnyAud are required.
type Expect struct {
	Issuer   string
	Audience string
	Typ      string        // header typ, compared without case: "JWT", "at+jwt"
	Now      time.Time     // zero: the ring's clock
	Leeway   time.Duration // granted to exp, nbf and iat
	Algs     []string      // any of these; none: ES256 alone, as of every token but an ID token
	AnyTime  bool          // exp, nbf and iat are read but not judged, as of an id_token_hint
	AnyAud   bool          // aud is read but not judged: whoever made the token asks what it is worth
}

// Claims are a verified token's claims as they were signed.
type Claims struct {
	KID  string          // the key that signed
	JSON json.RawMessage // one object with unique names
}

// Decode unmarshals the claims, into a *[Login] say.
func (c Claims) Decode(into any) error {
	if err := json.Unmarshal(c.JSON, into); err != nil {
		return fmt.Errorf("decode claims: %w", err)
	}
	return nil
}

// Verify returns the claims of a token that a key of the ring signed and that
// is what expect says. The claims iss, aud and exp must be there; iat and nbf
// count when they are. An algorithm the ring has no keys of matches no token.
//
// The error matches ErrMalformed, ErrSignature (unknown kids too), ErrPurpose
// or ErrStale. Another one is the store's or the context's, met while looking
// for an unknown kid, and says nothing about the token.
func (r *Ring) Verify(ctx context.Context, compact string, expect Expect) (Claims, error) {
	if expect.Issuer == "" || expect.Audience == "" && !expect.AnyAud || expect.Typ == "" {
		return Claims{}, errors.New("verify token: issuer, audience and typ to expect are not all given")
	}
	if expect.Now.IsZero() {
		expect.Now = r.now()
	}
	p, err := parseCompact(compact, dialect{limit: maxTokenBytes, algs: expect.algs()})
	if err != nil {
		return Claims{}, fmt.Errorf("verify token: %w", err)
	}
	kid, err := r.verifySignature(ctx, p)
	if err != nil {
		return Claims{}, fmt.Errorf("verify token: %w", err)
	}
	if err := cmp.Or(expect.purpose(p), expect.time(p.claims)); err != nil {
		return Claims{}, fmt.Errorf("verify token: %w", err)
	}
	return Claims{KID: kid, JSON: p.payload}, nil
}

func (r *Ring) verifySignature(ctx context.Context, p *parsed) (kid string, err error) {
	kid, found, err := p.header.text("kid")
	if err != nil {
		return "", err
	}
	if !found || kid == "" {
		return "", fmt.Errorf("%w: no kid", ErrMalformed)
	}
	k, err := r.find(ctx, kid, &r.publicLook)
	if errors.Is(err, ErrUnknownKey) {
		return "", fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if err != nil {
		return "", err
	}
	if p.alg != k.alg || !p.signedBy(k.public) {
		return "", ErrSignature
	}
	return kid, nil
}

func (e Expect) algs() []jose.SignatureAlgorithm {
	if len(e.Algs) == 0 {
		return onlyES256
	}
	list := make([]jose.SignatureAlgorithm, len(e.Algs))
	for i, alg := range e.Algs {
		list[i] = jose.SignatureAlgorithm(alg)
	}
	return list
}

func (e Expect) purpose(p *parsed) error {
	typ, _, err := p.header.text("typ")
	if err != nil {
		return err
	}
	if !strings.EqualFold(typ, e.Typ) {
		return fmt.Errorf("%w: typ", ErrPurpose)
	}
	iss, found, err := p.claims.text("iss")
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%w: no iss", ErrMalformed)
	}
	if iss != e.Issuer {
		return fmt.Errorf("%w: iss", ErrPurpose)
	}
	audiences, err := p.claims.audiences()
	if err != nil {
		return err
	}
	if !e.AnyAud && !slices.Contains(audiences, e.Audience) {
		return fmt.Errorf("%w: aud", ErrPurpose)
	}
	return nil
}

// audiences reads aud, a string or an array of strings (RFC 7519 section 4.1.3).
func (o object) audiences() ([]string, error) {
	if o.absent("aud") {
		return nil, fmt.Errorf("%w: no aud", ErrMalformed)
	}
	var list []string
	if json.Unmarshal(o["aud"], &list) == nil {
		return list, nil
	}
	one, _, err := o.text("aud")
	return []string{one}, err
}

func (e Expect) time(claims object) error {
	exp, found, err := claims.seconds("exp")
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%w: no exp", ErrMalformed)
	}
	if !e.AnyTime && !e.Now.Before(time.Unix(exp, 0).Add(e.Leeway)) {
		return fmt.Errorf("%w: expired", ErrStale)
	}
	for _, name := range []string{"nbf", "iat"} {
		from, found, err := claims.seconds(name)
		if err != nil {
			return err
		}
		if found && !e.AnyTime && e.Now.Before(time.Unix(from, 0).Add(-e.Leeway)) {
			return fmt.Errorf("%w: %s lies in the future", ErrStale, name)
		}
	}
	return nil
}
