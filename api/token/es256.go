package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"

	"github.com/go-jose/go-jose/v4"
)

// scalarSize is the length of each half of an ES256 signature in bytes
// (RFC 7518 section 3.4: R and S as 32-octet big-endian integers).
const scalarSize = 32

// es256 signs deterministically under go-jose, whose own ECDSA signer draws
// fresh randomness and so would never produce the same token twice.
type es256 struct {
	kid string // "" writes no kid
	key *ecdsa.PrivateKey
}

var _ jose.OpaqueSigner = es256{}

func (s es256) Public() *jose.JSONWebKey {
	return &jose.JSONWebKey{Key: &s.key.PublicKey, KeyID: s.kid, Algorithm: string(jose.ES256), Use: "sig"}
}

func (s es256) Algs() []jose.SignatureAlgorithm { return []jose.SignatureAlgorithm{jose.ES256} }

func (s es256) SignPayload(payload []byte, _ jose.SignatureAlgorithm) ([]byte, error) {
	digest := sha256.Sum256(payload)
	// A nil source of randomness is crypto/ecdsa's request for RFC 6979.
	der, err := s.key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, err
	}
	out := make([]byte, 2*scalarSize)
	sig.R.FillBytes(out[:scalarSize])
	sig.S.FillBytes(out[scalarSize:])
	return out, nil
}
