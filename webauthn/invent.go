package webauthn

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"github.com/nod-auth/nod/approval/account"
)

// inventedSizes are how long credential ids are, in bytes: Google's 16, Apple's
// 20, Windows Hello's and Chromium's 32.
var inventedSizes = []int{16, 20, 32}

// everyTransport is what descriptors say on the native face, of real passkeys
// and invented ones: its SDKs do not tell how a passkey is reached, the phone's
// pages do, and the difference would tell the two apart.
var everyTransport = []string{"internal", "hybrid", "usb", "nfc", "ble"}

// nobody is the user who does not exist, with one passkey that does not exist
// either: stable for a name, and beyond telling from a real one without the key.
func (c *Ceremonies) nobody(namespaceID, username string) person {
	seed := func(label string) []byte {
		return invented(c.cfg.InventKey, label, namespaceID, norm.NFC.String(username))
	}
	size := inventedSizes[int(seed("size")[0])%len(inventedSizes)]
	id := uuid.NewSHA1(uuid.Nil, seed("user")).String()
	return person{
		user: account.User{ID: id, NamespaceID: namespaceID, Username: username},
		passkeys: []account.Passkey{{
			UserID: id, CredentialID: seed("credential")[:size], PublicKey: c.nobodyKey, Transports: everyTransport,
		}},
	}
}

// invented is HMAC-SHA256 over length-prefixed parts: no two lists run together.
func invented(key []byte, parts ...string) []byte {
	m := hmac.New(sha256.New, key)
	for _, p := range parts {
		fmt.Fprintf(m, "%d:%s", len(p), p)
	}
	return m.Sum(nil)
}
