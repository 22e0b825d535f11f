package webauthn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// algorithms are the kinds of keys nod takes: ES256 and RS256, without which
// Chromium complains, and EdDSA.
var algorithms = []webauthncose.COSEAlgorithmIdentifier{
	webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256,
}

// canonicalKey reads a COSE_Key and writes it in the one form that nod stores.
// CBOR can say the same key in several ways, and so can the numbers of
// algorithms; a receipt must have no byte that could be another.
func canonicalKey(raw []byte) (canonical []byte, key any, err error) {
	if key, err = webauthncose.ParsePublicKey(raw); err != nil {
		return nil, nil, fmt.Errorf("public key: %w", err)
	}
	if a := algorithmOf(key); !slices.Contains(algorithms, a) {
		return nil, nil, fmt.Errorf("public key: algorithm %d is not offered", a)
	}
	if canonical, err = webauthncbor.Marshal(key); err != nil {
		return nil, nil, fmt.Errorf("public key: %w", err)
	}
	return canonical, key, nil
}

func algorithmOf(key any) webauthncose.COSEAlgorithmIdentifier {
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		return webauthncose.COSEAlgorithmIdentifier(k.Algorithm)
	case webauthncose.OKPPublicKeyData:
		return webauthncose.COSEAlgorithmIdentifier(k.Algorithm)
	case webauthncose.RSAPublicKeyData:
		return webauthncose.COSEAlgorithmIdentifier(k.Algorithm)
	default:
		return 0
	}
}

// algorithmName is what JOSE calls it (RFC 8812, RFC 8037, RFC 7518).
func algorithmName(key any) string {
	switch algorithmOf(key) {
	case webauthncose.AlgES256:
		return "ES256"
	case webauthncose.AlgEdDSA:
		return "EdDSA"
	case webauthncose.AlgRS256:
		return "RS256"
	default:
		return "unknown"
	}
}

// orphanKey is the public half of a key whose private half is gone.
func orphanKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("orphan key: %w", err)
	}
	point, err := key.PublicKey.Bytes() // 0x04, X, Y
	if err != nil {
		return nil, fmt.Errorf("orphan key: %w", err)
	}
	return webauthncbor.Marshal(webauthncose.EC2PublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{
			KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(webauthncose.AlgES256),
		},
		Curve:  int64(webauthncose.P256),
		XCoord: point[1:33],
		YCoord: point[33:],
	})
}
