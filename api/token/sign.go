package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// rs256 signs with RSASSA-PKCS1-v1_5 and SHA-256 (RFC 7518 section 3.3), which
// gives the same signature every time (RFC 8017 section 8.2.1).
type rs256 struct {
	kid string
	key *rsa.PrivateKey
}

var _ jose.OpaqueSigner = rs256{}

func (s rs256) Public() *jose.JSONWebKey {
	return &jose.JSONWebKey{Key: &s.key.PublicKey, KeyID: s.kid, Algorithm: AlgRS256, Use: "sig"}
}

func (s rs256) Algs() []jose.SignatureAlgorithm { return []jose.SignatureAlgorithm{jose.RS256} }

func (s rs256) SignPayload(payload []byte, _ jose.SignatureAlgorithm) ([]byte, error) {
	digest := sha256.Sum256(payload)
	return rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, digest[:])
}

// signer signs as the key's algorithm says. The private half must be there.
func (k *key) signer() jose.OpaqueSigner {
	switch private := k.private.(type) {
	case *ecdsa.PrivateKey:
		return es256{kid: k.kid, key: private}
	case *rsa.PrivateKey:
		return rs256{kid: k.kid, key: private}
	default:
		panic("token: a key of no algorithm") // load lets none in
	}
}

// compact returns claims as a token signed by s whose header carries typ.
func compact(s jose.OpaqueSigner, typ string, claims any) (string, error) {
	payload, err := encodeClaims(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	opts := new(jose.SignerOptions).WithType(jose.ContentType(typ))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: s.Algs()[0], Key: s}, opts)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
