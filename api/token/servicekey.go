package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
)

const (
	pemPublic  = "PUBLIC KEY"  // RFC 7468 section 13
	pemPrivate = "PRIVATE KEY" // RFC 7468 section 10
)

// PrivateKey is a backend's half of an API credential. It prints as "[secret]".
type PrivateKey struct {
	redacted
	key *ecdsa.PrivateKey
}

// Public returns the half that nod keeps with the client.
func (k PrivateKey) Public() *ecdsa.PublicKey { return &k.key.PublicKey }

// PrivatePEM is a private key, PKCS #8 in PEM. It prints as "[secret]", in JSON
// too: converting it to a string is the deliberate act of showing it.
type PrivatePEM []byte

// String says "[secret]".
func (PrivatePEM) String() string { return redaction }

// Format writes "[secret]" whatever the verb.
func (PrivatePEM) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redaction) }

// LogValue says "[secret]".
func (PrivatePEM) LogValue() slog.Value { return slog.StringValue(redaction) }

// MarshalText says "[secret]".
func (PrivatePEM) MarshalText() ([]byte, error) { return []byte(redaction), nil }

// NewServiceKey makes an API credential: the private half for the backend,
// which is shown once and kept nowhere, and the public half as
// SubjectPublicKeyInfo in DER, to store with the client.
func NewServiceKey() (private PrivatePEM, public []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make service key: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, fmt.Errorf("make service key: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		return nil, nil, fmt.Errorf("make service key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: pkcs8}), spki, nil
}

// ParsePrivateKey reads a P-256 private key, PKCS #8 in PEM or DER. The error
// matches ErrBadKey.
func ParsePrivateKey(data []byte) (PrivateKey, error) {
	der, err := unwrapPEM(data, pemPrivate)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("parse private key: %w", err)
	}
	k, err := parsePrivateDER(der)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("parse private key: %w", err)
	}
	return PrivateKey{key: k}, nil
}

// ParsePublicKey reads a P-256 public key, SubjectPublicKeyInfo in PEM or DER.
// The error matches ErrBadKey.
func ParsePublicKey(data []byte) (*ecdsa.PublicKey, error) {
	der, err := unwrapPEM(data, pemPublic)
	if err != nil {
		return nil, fmt.Errorf("parse public key: %w", err)
	}
	k, err := parsePublicDER(der)
	if err != nil {
		return nil, fmt.Errorf("parse public key: %w", err)
	}
	return k, nil
}

// unwrapPEM returns the only block of PEM, or data itself when it is not PEM.
func unwrapPEM(data []byte, want string) ([]byte, error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return data, nil
	}
	if block.Type != want {
		return nil, fmt.Errorf("%w: the PEM block is %q, not %q", ErrBadKey, block.Type, want)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%w: something follows the PEM block", ErrBadKey)
	}
	return block.Bytes, nil
}

func parsePublicDER(der []byte) (*ecdsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: not a SubjectPublicKeyInfo", ErrBadKey)
	}
	k, _ := parsed.(*ecdsa.PublicKey)
	return k, checkCurve(k)
}

func parsePrivateDER(der []byte) (*ecdsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: not a PKCS #8 private key", ErrBadKey)
	}
	k, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: another kind of key", ErrBadKey)
	}
	return k, checkCurve(&k.PublicKey)
}

func checkCurve(k *ecdsa.PublicKey) error {
	if k == nil {
		return fmt.Errorf("%w: another kind of key", ErrBadKey)
	}
	if k.Curve != elliptic.P256() {
		return fmt.Errorf("%w: another curve", ErrBadKey)
	}
	return nil
}
