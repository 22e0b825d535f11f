package token

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

const (
	// maxServiceBytes bounds a service token. The largest claim is a user name
	// of at most a few hundred characters; real tokens have 300 to 600 bytes.
	maxServiceBytes = 4 << 10

	// nonceLength is the contract's: 16 of A-Z a-z 0-9.
	nonceLength = 16

	typJWT = "JWT"
)

var (
	noncePattern = regexp.MustCompile(fmt.Sprintf(`^[A-Za-z0-9]{%d}$`, nonceLength))

	// scopePattern admits one scope and no list; which scopes exist is the
	// caller's to know.
	scopePattern = regexp.MustCompile(`^[a-z0-9_.]{1,64}$`)

	// clientPattern leaves client ids opaque, but keeps out what a log line or
	// a database column could choke on.
	clientPattern = regexp.MustCompile(`^[\x21-\x7e]{1,255}$`)
)

// Service holds the claims of a service token: one backend asks for one thing.
// Username, Udata, UserID and PayloadHash are optional and as the caller wrote
// them; the request's body must agree with those that are there.
type Service struct {
	ClientID    string
	Type        string    // exactly one scope
	Nonce       string    // 16 of A-Z a-z 0-9
	IssuedAt    time.Time // whole seconds
	Username    string
	Udata       string
	UserID      string
	PayloadHash string // tx.create: base64url(SHA-256(payload)), no padding
}

// Fresh returns an error matching ErrStale unless the token was issued within
// window of now, before or after, both counted in whole seconds.
func Fresh(s Service, now time.Time, window time.Duration) error {
	age := time.Duration(now.Unix()-s.IssuedAt.Unix()) * time.Second
	if age.Abs() > window {
		return fmt.Errorf("check service token: %w: issued %s ago, %s allowed", ErrStale, age, window)
	}
	return nil
}

// StaleFrom is the first instant at which Fresh refuses the token for good: a
// spent nonce must be remembered until then.
func (s Service) StaleFrom(window time.Duration) time.Time {
	return s.IssuedAt.Add(window.Truncate(time.Second) + time.Second)
}

// Unverified is a service token that has the right shape. It says whose keys to
// try, and nothing else until one of them has verified it.
type Unverified struct {
	claims Service
	token  *parsed
}

// ClientID is the client the token claims to come from, "" when it names none.
func (u Unverified) ClientID() string { return u.claims.ClientID }

// Verify returns the claims if one of the keys signed them. Keys of another
// curve are passed over. The error matches ErrSignature.
//
// The keys are those of ClientID, or of the client the request names when that
// is empty; the claims returned have the ClientID of the token.
func (u Unverified) Verify(keys ...*ecdsa.PublicKey) (Service, error) {
	for _, k := range keys {
		if u.token.signedBy(k) {
			return u.claims, nil
		}
	}
	return Service{}, fmt.Errorf("verify service token: %w", ErrSignature)
}

// ParseService reads a service token of at most 4 KiB, without looking at its
// signature. The error matches ErrMalformed.
//
// The scope is the claim type or scope, or both when they are equal; a null
// claim counts as absent; claims and header members it does not know are
// ignored, the kid too: a client's keys are found by the client.
func ParseService(compact string) (Unverified, error) {
	p, err := parseCompact(compact, dialect{limit: maxServiceBytes, algs: onlyES256})
	if err != nil {
		return Unverified{}, fmt.Errorf("parse service token: %w", err)
	}
	if err := checkServiceType(p.header); err != nil {
		return Unverified{}, fmt.Errorf("parse service token: %w", err)
	}
	claims, err := serviceClaims(p.claims)
	if err != nil {
		return Unverified{}, fmt.Errorf("parse service token: %w", err)
	}
	return Unverified{claims: claims, token: p}, nil
}

// VerifyService reads a service token and verifies it with the keys of its
// client, or of clientIDHint when it names none. It does not judge freshness,
// nonce or scope.
//
// The error matches ErrMalformed or ErrSignature (a client without keys, too),
// or is the one keysOf returned.
func VerifyService(
	compact string, keysOf func(clientID string) ([]*ecdsa.PublicKey, error), clientIDHint string,
) (Service, error) {
	u, err := ParseService(compact)
	if err != nil {
		return Service{}, err
	}
	clientID := cmp.Or(u.ClientID(), clientIDHint)
	if !clientPattern.MatchString(clientID) {
		return Service{}, fmt.Errorf("verify service token: %w: no client", ErrMalformed)
	}
	keys, err := keysOf(clientID)
	if err != nil {
		return Service{}, fmt.Errorf("verify service token: %w", err)
	}
	s, err := u.Verify(keys...)
	if err != nil {
		return Service{}, err
	}
	s.ClientID = clientID
	return s, nil
}

func checkServiceType(header object) error {
	typ, found, err := header.text("typ")
	if err != nil {
		return err
	}
	if found && !strings.EqualFold(typ, typJWT) {
		return fmt.Errorf("%w: typ is not JWT", ErrMalformed)
	}
	return nil
}

func serviceClaims(claims object) (Service, error) {
	var s Service
	var scope string
	for name, field := range map[string]*string{
		"client_id": &s.ClientID, "type": &s.Type, "scope": &scope, "nonce": &s.Nonce,
		"username": &s.Username, "udata": &s.Udata, "user_id": &s.UserID, "payload_hash": &s.PayloadHash,
	} {
		value, _, err := claims.text(name)
		if err != nil {
			return Service{}, err
		}
		*field = value
	}
	iat, found, err := claims.seconds("iat")
	if err != nil {
		return Service{}, err
	}
	if !found {
		return Service{}, fmt.Errorf("%w: no iat", ErrMalformed)
	}
	s.IssuedAt = time.Unix(iat, 0).UTC()
	if s.Type != "" && scope != "" && s.Type != scope {
		return Service{}, fmt.Errorf("%w: type and scope differ", ErrMalformed)
	}
	s.Type = cmp.Or(s.Type, scope)
	return s, s.check()
}

func (s Service) check() error {
	switch {
	case s.ClientID != "" && !clientPattern.MatchString(s.ClientID):
		return fmt.Errorf("%w: client_id is not 1 to 255 printable characters", ErrMalformed)
	case !scopePattern.MatchString(s.Type):
		return fmt.Errorf("%w: type is not one scope", ErrMalformed)
	case !noncePattern.MatchString(s.Nonce):
		return fmt.Errorf("%w: nonce is not %d letters or digits", ErrMalformed, nonceLength)
	}
	return nil
}

// SignService is what a backend does: it returns s as a service token. An empty
// Nonce is drawn, a zero IssuedAt is the present; nothing is checked.
func SignService(private PrivateKey, s Service) (string, error) {
	if private.key == nil {
		return "", errors.New("sign service token: no private key")
	}
	if s.IssuedAt.IsZero() {
		s.IssuedAt = time.Now()
	}
	signed, err := compact(es256{key: private.key}, typJWT, struct {
		ClientID    string `json:"client_id,omitempty"`
		Type        string `json:"type"`
		Nonce       string `json:"nonce"`
		IssuedAt    int64  `json:"iat"`
		Username    string `json:"username,omitempty"`
		Udata       string `json:"udata,omitempty"`
		UserID      string `json:"user_id,omitempty"`
		PayloadHash string `json:"payload_hash,omitempty"`
	}{
		s.ClientID, s.Type, cmp.Or(s.Nonce, NewNonce()), s.IssuedAt.Unix(),
		s.Username, s.Udata, s.UserID, s.PayloadHash,
	})
	if err != nil {
		return "", fmt.Errorf("sign service token: %w", err)
	}
	return signed, nil
}

// NewNonce draws the nonce of a service token: 16 characters of base32, 80 bits.
func NewNonce() string { return rand.Text()[:nonceLength] }
