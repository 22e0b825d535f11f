package account

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
)

// Secret is a text that whoever holds it may use. It prints as [secret]
// wherever a value is printed, logged or marshalled; Reveal is the one way out.
type Secret string

const hidden = "[secret]"

// NewSecret draws 256 bits and writes them as 43 base64url characters. At that
// size a plain SHA-256 at rest is enough: it cannot be guessed.
func NewSecret() Secret {
	var b [32]byte
	rand.Read(b[:]) // never fails, Go 1.24 and later
	return Secret(base64.RawURLEncoding.EncodeToString(b[:]))
}

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// Hash is what may be stored of a 256-bit secret.
func (s Secret) Hash() []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

// String, GoString, LogValue and MarshalText all say [secret].
func (Secret) String() string               { return hidden }
func (Secret) GoString() string             { return hidden }
func (Secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
