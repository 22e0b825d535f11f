package virtual

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// maxTokenLife is the longest that a VAPID token may be valid (RFC 8292 section 2).
const maxTokenLife = 24 * time.Hour

// errForeignKey is for a token signed by another key than the subscription's.
var errForeignKey = errors.New("the VAPID key is not the one that this subscription was made with")

// verifyVAPID checks an Authorization header against the key that a subscription
// is bound to and the origin of the service (RFC 8292 sections 2 to 4). It returns
// the sender's contact.
func verifyVAPID(header, key, origin string, now time.Time) (subject string, err error) {
	token, sentKey, err := vapidParameters(header)
	if err != nil {
		return "", err
	}
	if sentKey != key {
		return "", errForeignKey
	}
	public, err := parseKey(key)
	if err != nil {
		return "", err
	}
	signed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return "", fmt.Errorf("the VAPID token is not a JWT signed with ES256: %w", err)
	}
	var claims jwt.Claims
	if err := signed.Claims(public, &claims); err != nil {
		return "", errForeignKey
	}
	return claims.Subject, checkClaims(claims, origin, now)
}

func vapidParameters(header string) (token, key string, err error) {
	parameters, ok := strings.CutPrefix(header, "vapid ")
	if !ok {
		return "", "", errors.New("the Authorization header is not of the scheme vapid")
	}
	for _, parameter := range strings.Split(parameters, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		switch name {
		case "t":
			token = value
		case "k":
			key = value
		}
	}
	if token == "" || key == "" {
		return "", "", errors.New("the Authorization header lacks t or k")
	}
	return token, key, nil
}

func checkClaims(claims jwt.Claims, origin string, now time.Time) error {
	switch {
	case len(claims.Audience) != 1 || claims.Audience[0] != origin:
		return fmt.Errorf("the VAPID token is for %q, not for %s", claims.Audience, origin)
	case claims.Expiry == nil:
		return errors.New("the VAPID token does not expire")
	case !claims.Expiry.Time().After(now):
		return errors.New("the VAPID token has expired")
	case claims.Expiry.Time().After(now.Add(maxTokenLife)):
		return errors.New("the VAPID token is valid for longer than 24 hours")
	}
	return checkSubject(claims.Subject)
}

func checkSubject(subject string) error {
	address, isMail := strings.CutPrefix(subject, "mailto:")
	switch {
	case isMail && strings.Contains(address, "@") && !strings.Contains(address, ":"):
		return nil
	case strings.HasPrefix(subject, "https://"):
		return nil
	}
	return fmt.Errorf("the VAPID token's subject %q is no contact", subject)
}

// parseKey reads an applicationServerKey.
func parseKey(text string) (*ecdsa.PublicKey, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("the application server key is not base64url")
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		return nil, errors.New("the application server key is not a point on P-256")
	}
	return key, nil
}
