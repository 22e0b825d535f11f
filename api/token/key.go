package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
)

// The algorithms of the keys that this package makes and uses.
const (
	AlgES256 = string(jose.ES256)
	AlgRS256 = string(jose.RS256) // for ID tokens of clients that know no other
)

// algs are the ring's algorithms, in the order in which keys are listed: a reader
// of the set that takes its first key takes one that signs every kind of token.
var algs = []string{AlgES256, AlgRS256}

// The size of an RSA key in bits: what is made (RFC 7518 section 3.3 asks for 2048
// or more), and the most that is loaded, as a bound on what a verification costs.
const (
	rsaBits    = 2048
	maxRSABits = 4096
)

// StoredKey is a signing key as a [KeyStore] keeps it.
//
// A key signs new tokens in [UseFrom, UseUntil) and is published, and accepted,
// until KeepUntil. A zero UseUntil or KeepUntil is open-ended. Times are kept
// to the microsecond.
type StoredKey struct {
	KID    string // RFC 7638 thumbprint of the public half
	Alg    string // AlgES256 or AlgRS256; rows of other algorithms are left alone
	Public []byte // SubjectPublicKeyInfo, DER (RFC 5280 section 4.1)
	Sealed []byte // PKCS #8 under the seal key; empty when the private half is gone

	UseFrom, UseUntil, KeepUntil time.Time
}

// String names the key and shows nothing of it.
func (k StoredKey) String() string { return "signing key " + k.KID }

// ours says whether the ring knows what to do with the key.
func (k StoredKey) ours() bool { return slices.Contains(algs, k.Alg) }

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
	alg      string           // one of algs
	public   crypto.PublicKey // fits alg
	pem      []byte           // SubjectPublicKeyInfo
	private  crypto.Signer    // nil when the private half is gone
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
func (s sealer) generate(alg string) (StoredKey, error) {
	private, err := newPrivate(alg)
	if err != nil {
		return StoredKey{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return StoredKey{}, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return StoredKey{}, err
	}
	kid, err := thumbprint(private.Public())
	if err != nil {
		return StoredKey{}, err
	}
	sealed, err := s.aead.Encrypt(pkcs8, sealedPlace(kid))
	if err != nil {
		return StoredKey{}, err
	}
	return StoredKey{KID: kid, Alg: alg, Public: spki, Sealed: sealed}, nil
}

func newPrivate(alg string) (crypto.Signer, error) {
	switch alg {
	case AlgES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case AlgRS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		return nil, fmt.Errorf("no keys of algorithm %s", alg)
	}
}

// generateEach makes a key of each algorithm.
func (s sealer) generateEach(algs []string) ([]StoredKey, error) {
	made := make([]StoredKey, len(algs))
	for i, alg := range algs {
		var err error
		if made[i], err = s.generate(alg); err != nil {
			return nil, fmt.Errorf("make %s key: %w", alg, err)
		}
	}
	return made, nil
}

// load checks a stored key and opens its private half. It returns ErrMasterKey
// when that does not open, ErrDamagedKey when row and key disagree.
func (s sealer) load(stored StoredKey) (*key, error) {
	public, err := x509.ParsePKIXPublicKey(stored.Public)
	if err != nil || !fits(stored.Alg, public) {
		return nil, ErrDamagedKey
	}
	if kid, err := thumbprint(public); err != nil || kid != stored.KID {
		return nil, ErrDamagedKey
	}
	k := &key{
		kid: stored.KID, alg: stored.Alg, public: public,
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
	private, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, ErrDamagedKey
	}
	k.private, _ = private.(crypto.Signer)
	if k.private == nil || !samePublic(k.private.Public(), public) {
		return nil, ErrDamagedKey
	}
	return k, nil
}

// fits says whether tokens of that algorithm may be signed with that key.
func fits(alg string, public crypto.PublicKey) bool {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		return alg == AlgES256 && checkCurve(k) == nil
	case *rsa.PublicKey:
		return alg == AlgRS256 && k.N.BitLen() >= rsaBits && k.N.BitLen() <= maxRSABits
	default:
		return false
	}
}

func samePublic(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

func thumbprint(public crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}
