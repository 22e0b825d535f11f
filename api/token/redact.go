package token

import (
	"fmt"
	"io"
	"log/slog"
)

const redaction = "[secret]"

// redacted is embedded by whatever holds a private key.
type redacted struct{}

// String says "[secret]".
func (redacted) String() string { return redaction }

// Format writes "[secret]" whatever the verb, %d and %#v included.
func (redacted) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redaction) }

// LogValue says "[secret]".
func (redacted) LogValue() slog.Value { return slog.StringValue(redaction) }

// MarshalText says "[secret]", in JSON too.
func (redacted) MarshalText() ([]byte, error) { return []byte(redaction), nil }
