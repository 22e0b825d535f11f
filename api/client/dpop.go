package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// DPoP proves that its holder has a key, so that tokens which are bound to it are
// worth nothing to anybody else (RFC 9449). Safe for concurrent use.
type DPoP struct{ signer jose.Signer }

// NewDPoP makes one of a P-256 key, which it keeps.
func NewDPoP(key *ecdsa.PrivateKey) (*DPoP, error) {
	if key == nil || key.Curve != elliptic.P256() {
		return nil, errors.New("make dpop: not a P-256 key")
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		return nil, fmt.Errorf("make dpop: %w", err)
	}
	return &DPoP{signer}, nil
}

// Proof is the value of the header DPoP for one call of method to target (RFC 9449
// section 4.2). AccessToken is the token that is sent with it, "" at the token
// endpoint; nonce is what the server's latest DPoP-Nonce said, "" for none. A
// proof is good once and soon.
func (d *DPoP) Proof(method, target, accessToken, nonce string) (string, error) {
	u, err := url.Parse(target)
	if err != nil {
		return "", fmt.Errorf("prove: %w", err)
	}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment, u.User = "", false, "", "", nil
	claims := struct {
		ID     string `json:"jti"`
		Method string `json:"htm"`
		URL    string `json:"htu"`
		At     int64  `json:"iat"`
		Nonce  string `json:"nonce,omitempty"`
		Token  string `json:"ath,omitempty"`
	}{ID: rand.Text(), Method: method, URL: u.String(), At: time.Now().Unix(), Nonce: nonce}
	if accessToken != "" {
		sum := sha256.Sum256([]byte(accessToken))
		claims.Token = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("prove: %w", err)
	}
	signed, err := d.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("prove: %w", err)
	}
	return signed.CompactSerialize()
}
