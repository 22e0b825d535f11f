package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/hex"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// RFC 6979 appendix A.2.5: P-256, SHA-256, message "sample".
func TestES256_vectorOfRFC6979(t *testing.T) {
	const (
		d    = "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721"
		want = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716" +
			"f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
	)
	raw, err := hex.DecodeString(d)
	if err != nil {
		t.Fatal(err)
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := es256{key: private}.SignPayload([]byte("sample"), jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(sig); got != want {
		t.Errorf("signature\n got %s\nwant %s", got, want)
	}
}
