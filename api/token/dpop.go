package token

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// maxProofBytes bounds a DPoP proof. Real ones have 400 to 900 bytes.
	maxProofBytes = 4 << 10

	typProof = "dpop+jwt"

	// coordinateSize is the length of a P-256 coordinate, bytes (RFC 7518 section
	// 6.2.1.2: always the full length).
	coordinateSize = 32
)

// refusedMembers of a proof's key are private (RFC 7518 section 6), or name or
// bring a certificate that nobody here would look at.
var refusedMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "x5c", "x5u", "x5t", "x5t#S256"}

// Proof is a DPoP proof (RFC 9449 section 4.2) that is genuine: it was signed for
// this method and URL with the key that it names.
type Proof struct {
	JKT      string // RFC 7638 thumbprint of the key, base64url
	JTI      string // 1 to 255 bytes without control characters
	Nonce    string // "" for none
	IssuedAt time.Time
}

// VerifyDPoP checks one DPoP header of at most 4 KiB for a call of method to
// endpoint, an absolute URL whose query and fragment do not count, and with an
// access token that it is bound to that (claim ath). Spellings of one URL (RFC 3986
// sections 6.2.2 and 6.2.3) are alike.
//
// It judges neither age (not where a proof has an exp of its own, either), nonce nor
// reuse. The error matches ErrMalformed, ErrSignature or ErrPurpose; another one
// says that endpoint is no such URL.
func VerifyDPoP(header, method, endpoint, accessToken string) (Proof, error) {
	here, ok := canonicalURL(endpoint)
	if !ok {
		return Proof{}, fmt.Errorf("verify DPoP proof: %q is not an absolute http or https URL", endpoint)
	}
	p, err := parseCompact(header, dialect{limit: maxProofBytes, algs: onlyES256, bringsKey: true})
	if err != nil {
		return Proof{}, fmt.Errorf("verify DPoP proof: %w", err)
	}
	proof, key, err := p.proof()
	if err != nil {
		return Proof{}, fmt.Errorf("verify DPoP proof: %w", err)
	}
	if !p.signedBy(key) {
		return Proof{}, fmt.Errorf("verify DPoP proof: %w", ErrSignature)
	}
	if err := p.claims.checkCall(method, here, accessToken); err != nil {
		return Proof{}, fmt.Errorf("verify DPoP proof: %w", err)
	}
	return proof, nil
}

// proof reads what a DPoP proof is made of, and whose it claims to be.
func (p *parsed) proof() (Proof, *ecdsa.PublicKey, error) {
	typ, _, err := p.header.text("typ")
	if err != nil {
		return Proof{}, nil, err
	}
	if !strings.EqualFold(typ, typProof) {
		return Proof{}, nil, fmt.Errorf("%w: typ is not %s", ErrMalformed, typProof)
	}
	key, err := proofKey(p.header["jwk"])
	if err != nil {
		return Proof{}, nil, fmt.Errorf("jwk: %w", err)
	}
	var proof Proof
	if proof.JKT, err = thumbprint(key); err != nil {
		return Proof{}, nil, fmt.Errorf("%w: jwk", ErrMalformed)
	}
	if proof.JTI, err = p.claims.name("jti"); err != nil {
		return Proof{}, nil, err
	}
	if proof.JTI == "" {
		return Proof{}, nil, fmt.Errorf("%w: no jti", ErrMalformed)
	}
	if proof.Nonce, err = p.claims.name("nonce"); err != nil {
		return Proof{}, nil, err
	}
	iat, found, err := p.claims.seconds("iat")
	if err != nil {
		return Proof{}, nil, err
	}
	if !found {
		return Proof{}, nil, fmt.Errorf("%w: no iat", ErrMalformed)
	}
	proof.IssuedAt = time.Unix(iat, 0).UTC()
	for _, name := range []string{"nbf", "exp"} { // no proof needs them
		if _, _, err := p.claims.seconds(name); err != nil {
			return Proof{}, nil, err
		}
	}
	return proof, key, nil
}

// checkCall compares a proof with the call that it came with.
func (o object) checkCall(method, here, accessToken string) error {
	htm, _, err := o.text("htm")
	if err != nil {
		return err
	}
	htu, _, err := o.text("htu")
	if err != nil {
		return err
	}
	ath, _, err := o.text("ath")
	if err != nil {
		return err
	}
	there, ok := canonicalURL(htu)
	switch {
	case htm == "" || !ok:
		return fmt.Errorf("%w: htm or htu is missing, or htu is not an absolute URL", ErrMalformed)
	case htm != method:
		return fmt.Errorf("%w: htm", ErrPurpose)
	case there != here:
		return fmt.Errorf("%w: htu", ErrPurpose)
	case accessToken == "":
		return nil
	case ath == "":
		return fmt.Errorf("%w: no ath", ErrMalformed)
	}
	hash := sha256.Sum256([]byte(accessToken))
	if want := base64.RawURLEncoding.EncodeToString(hash[:]); subtle.ConstantTimeCompare([]byte(ath), []byte(want)) != 1 {
		return fmt.Errorf("%w: ath", ErrPurpose)
	}
	return nil
}

// proofKey reads a public P-256 key (RFC 7518 section 6.2). Its error matches
// ErrMalformed.
func proofKey(jwk []byte) (*ecdsa.PublicKey, error) {
	members, err := parseObject(jwk)
	if err != nil {
		return nil, err
	}
	for _, name := range refusedMembers {
		if _, found := members[name]; found {
			return nil, fmt.Errorf("%w: it has %s", ErrMalformed, name)
		}
	}
	for _, is := range []struct {
		name     string
		want     string
		optional bool
	}{{"kty", "EC", false}, {"crv", "P-256", false}, {"alg", AlgES256, true}, {"use", "sig", true}} {
		value, found, err := members.text(is.name)
		if err != nil {
			return nil, err
		}
		if value != is.want && (found || !is.optional) {
			return nil, fmt.Errorf("%w: not a P-256 key for signatures", ErrMalformed)
		}
	}
	point := []byte{4} // uncompressed (SEC 1 section 2.3.3)
	for _, name := range []string{"x", "y"} {
		text, _, err := members.text(name)
		if err != nil {
			return nil, err
		}
		coordinate, err := decodeSegment(text)
		if err != nil || len(coordinate) != coordinateSize {
			return nil, fmt.Errorf("%w: %s is not a coordinate", ErrMalformed, name)
		}
		point = slices.Concat(point, coordinate)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, fmt.Errorf("%w: not a point of the curve", ErrMalformed)
	}
	return key, nil
}

// canonicalURL is the one spelling of an absolute URL without query and fragment
// (RFC 9449 section 4.3): scheme and host in lower case, no default port, a path
// without dot segments and escaped in one way.
func canonicalURL(text string) (canonical string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.User != nil || u.Hostname() == "" {
		return "", false
	}
	port, usual := u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if usual == "" {
		return "", false
	}
	host := strings.ToLower(u.Host)
	if port == usual || port == "" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	segments := strings.Split(u.EscapedPath(), "/")
	for i, segment := range segments {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return "", false
		}
		segments[i] = url.PathEscape(plain)
	}
	u.RawPath = strings.Join(segments, "/")
	path := new(url.URL).ResolveReference(u).EscapedPath() // without dot segments
	return u.Scheme + "://" + host + cmp.Or(path, "/"), true
}
