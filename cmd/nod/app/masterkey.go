package app

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keySize is the master key's and every derived key's size in bytes: what
// HMAC-SHA256 and XChaCha20-Poly1305 take whole.
const keySize = 32

// masterKey is the one secret outside the database. It is never used itself:
// each use has a key of its own, derived by HKDF-SHA256 (RFC 5869) without salt.
type masterKey struct{ bytes []byte }

// Format writes "[secret]" whatever the verb.
func (masterKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[secret]") }

// purpose is HKDF's info: it keeps the derived keys independent of each other.
// A label is for ever; what it is used for changes with a new one.
type purpose string

const (
	// forCodes derives codes and match numbers from request ids, and the keyed
	// hashes under which codes are found (approval.Codes).
	forCodes purpose = "nod/codes/v1"
	// forSigningKeys seals the private halves of the signing keys (token.Ring).
	forSigningKeys purpose = "nod/signing-keys/v1"
	// forInvented makes up the credentials of users who do not exist, the same
	// ones every time (webauthn.Config.InventKey).
	forInvented purpose = "nod/invented-credentials/v1"
	// forVAPID seals the key pair by which push services know this installation.
	forVAPID purpose = "nod/vapid/v1"
	// forPush seals where phones and servers are reached, and finds a phone by it
	// (push.Config.Key).
	forPush purpose = "nod/push/v1"
	// forAudit authenticates where the chain over the audit rows ends (audit.Key).
	forAudit purpose = "nod/audit/v1"
	// forDPoPNonces makes the nonces of DPoP proofs (api.Config.NonceKey).
	forDPoPNonces purpose = "nod/dpop-nonces/v1"
)

func (k masterKey) derive(p purpose) []byte {
	key, err := hkdf.Key(sha256.New, k.bytes, nil, string(p), keySize)
	if err != nil { // only for more than 255 hashes' worth of key
		panic(err)
	}
	return key
}

// makeMasterKey writes a new key to path, readable by its owner alone, and never
// over another: of two processes that start together one wins and both use its.
func makeMasterKey(path string) error {
	var key [keySize]byte
	rand.Read(key[:])                                            // never fails, Go 1.24 and later
	f, err := os.CreateTemp(filepath.Dir(path), ".master-key-*") // 0600
	if err != nil {
		return fmt.Errorf("make master key: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = fmt.Fprintln(f, base64.StdEncoding.EncodeToString(key[:]))
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Link(f.Name(), path) // the name appears with the whole key, or not
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make master key %s: %w", path, err)
	}
	return nil
}

// readMasterKey reads and judges the key at path. The error says what to do, or
// matches fs.ErrNotExist.
func readMasterKey(path string) (masterKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return masterKey{}, fmt.Errorf("master key: %w", err)
	}
	if exposed(info) {
		return masterKey{}, fmt.Errorf("master key %s: others on this machine may use it (mode %04o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return masterKey{}, fmt.Errorf("master key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		err = errors.New("the file is empty")
	case err != nil:
		err = errors.New("it is not base64")
	case len(key) != keySize:
		err = fmt.Errorf("it has %d bytes, not %d", len(key), keySize)
	case !random(key):
		err = errors.New("it is not random")
	default:
		return masterKey{key}, nil
	}
	return masterKey{}, fmt.Errorf("master key %s: %w; restore the file from your backup, "+
		"or for a new installation make one with: openssl rand -base64 32", path, err)
}

// fewestValues is how many different values a drawn key has at least: 32 random
// bytes have 30 on average, and fewer than 16 less than once in 10^16.
const fewestValues = 16

// random tells a drawn key from one that somebody made up.
func random(key []byte) bool {
	different := make(map[byte]bool)
	for _, b := range key {
		different[b] = true
	}
	return len(different) >= fewestValues
}
