package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
)

// AlgES256 is the Alg of the keys this package makes and uses.
const AlgES256 = string(jose.ES256)

// StoredKey is a signing key as a [KeyStore] keeps it.
//
// A key signs new tokens in [UseFrom, UseUntil) and is published, and accepted,
// until KeepUntil. A zero UseUntil or KeepUntil is open-ended. Times are kept
// to the microsecond.
type StoredKey struct {
	KID    string // RFC 7638 thumbprint of the public half
	Alg    string // AlgES256; rows of other algorithms are left alone
	Public []byte // SubjectPublicKeyInfo, DER (RFC 5280 section 4.1)
	Sealed []byte // PKCS #8 under the seal key; empty when the private half is gone

	UseFrom, UseUntil, KeepUntil time.Time
}

// String names the key and shows nothing of it.
func (k StoredKey) String() string { return "signing key " + k.KID }

// sealer encrypts private halves with XChaCha20-Poly1305.
type sealer struct{ aead *subtle.XChaCha20Poly1305 }

func newSealer(key []byte) (sealer, error) {
	const size = 32 // XChaCha20-Poly1305's only key size, bytes
	if len(key) != size {
		return sealer{}, fmt.Errorf("seal key: %d bytes, not %d", len(key), size)
	}
	if bytes.Equal(key, make([]byte, size)) {
		return sealer{}, fmt.Errorf("seal key: all zero")
	}
	aead, err := subtle.NewXChaCha20Poly1305(key)
	return sealer{aead}, err
}

// sealedPlace names table, row and column: what is sealed for one place cannot
// be opened in another.
func sealedPlace(kid string) []byte { return []byte("signing_keys/" + kid + "/sealed") }

// key is a StoredKey made ready.
type key struct {
	kid      string
	public   *ecdsa.PublicKey
	pem      []byte            // SubjectPublicKeyInfo
	private  *ecdsa.PrivateKey // nil when the private half is gone
	useFrom  time.Time
	useUntil time.Time // zero: open-ended
	keep     time.Time // zero: open-ended
}

func (k *key) published(now time.Time) bool { return k.keep.IsZero() || now.Before(k.keep) }
func (k *key) ended(now time.Time) bool     { return !k.useUntil.IsZero() && !now.Before(k.useUntil) }
func (k *key) begun(now time.Time) bool     { return !now.Before(k.useFrom) }

// signs says whether the key can sign new tokens, now or later.
func (k *key) signs(now time.Time) bool {
	return k.private != nil && k.published(now) && !k.ended(now)
}

// generate makes a key and its stored form, which still lacks its times.
func (s sealer) generate() (StoredKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return StoredKey{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return StoredKey{}, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return StoredKey{}, err
	}
	kid, err := thumbprint(&private.PublicKey)
	if err != nil {
		return StoredKey{}, err
	}
	sealed, err := s.aead.Encrypt(pkcs8, sealedPlace(kid))
	if err != nil {
		return StoredKey{}, err
	}
	return StoredKey{KID: kid, Alg: AlgES256, Public: spki, Sealed: sealed}, nil
}

// load checks a stored key and opens its private half. It returns ErrMasterKey
// when that does not open, ErrDamagedKey when row and key disagree.
func (s sealer) load(stored StoredKey) (*key, error) {
	public, err := parsePublicDER(stored.Public)
	if err != nil {
		return nil, ErrDamagedKey
	}
	if kid, err := thumbprint(public); err != nil || kid != stored.KID {
		return nil, ErrDamagedKey
	}
	k := &key{
		kid: stored.KID, public: public,
		pem:     pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: stored.Public}),
		useFrom: stored.UseFrom, useUntil: stored.UseUntil, keep: stored.KeepUntil,
	}
	if len(stored.Sealed) == 0 {
		return k, nil
	}
	pkcs8, err := s.aead.Decrypt(stored.Sealed, sealedPlace(stored.KID))
	if err != nil {
		return nil, ErrMasterKey
	}
	k.private, err = parsePrivateDER(pkcs8)
	if err != nil || !k.private.PublicKey.Equal(public) {
		return nil, ErrDamagedKey
	}
	return k, nil
}

func thumbprint(public *ecdsa.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}
