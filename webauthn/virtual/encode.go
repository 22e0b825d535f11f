package virtual

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// es256 is ECDSA with SHA-256 in COSE's numbers (RFC 9053 section 2.1).
const es256 = -7

// Flags of authenticator data (WebAuthn L3 section 6.1).
const (
	userPresent    = 1 << 0
	userVerified   = 1 << 2
	backupEligible = 1 << 3
	backupState    = 1 << 4
	hasCredential  = 1 << 6
)

// authenticatorData is SHA-256(RP ID), flags, counter, and for a new credential
// what is attested of it.
func (a *Authenticator) authenticatorData(c *Credential, attested []byte) []byte {
	flags := byte(userPresent)
	if !a.Unverified {
		flags |= userVerified
	}
	if c.backedUp {
		flags |= backupEligible | backupState
	}
	if attested != nil {
		flags |= hasCredential
	}
	hash := sha256.Sum256([]byte(c.RPID))
	head := binary.BigEndian.AppendUint32(append(hash[:], flags), c.Counter)
	return append(head, attested...)
}

// attested is attested credential data (WebAuthn L3 section 6.5.1).
func attested(aaguid [16]byte, id, public []byte) []byte {
	out := binary.BigEndian.AppendUint16(slices.Clone(aaguid[:]), uint16(len(id)))
	return slices.Concat(out, id, public)
}

// CBOR heads (RFC 8949 section 3) of the few forms that are needed.
const (
	cborMap3   = 0xa3
	cborMap5   = 0xa5
	cborMap0   = 0xa0
	cborBytes1 = 0x58 // a byte string whose length is the next byte
	cborBytes2 = 0x59 // … the next two bytes
)

// cose writes the public key as a COSE_Key: kty 2 (EC2), alg -7, crv 1 (P-256),
// x and y, in canonical order. A negative number n is written as 0x20 - 1 - n.
func (c *Credential) cose() ([]byte, error) {
	point, err := c.key.PublicKey.Bytes() // 0x04, x, y
	if err != nil {
		return nil, err
	}
	head := []byte{cborMap5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01}
	x := append([]byte{0x21, cborBytes1, 32}, point[1:33]...)
	y := append([]byte{0x22, cborBytes1, 32}, point[33:]...)
	return slices.Concat(head, x, y), nil
}

// attestationNone writes {"fmt": "none", "attStmt": {}, "authData": data}.
func attestationNone(data []byte) []byte {
	out := []byte{cborMap3}
	out = appendText(out, "fmt")
	out = appendText(out, "none")
	out = appendText(out, "attStmt")
	out = append(out, cborMap0)
	out = appendText(out, "authData")
	out = append(out, cborBytes2)
	out = binary.BigEndian.AppendUint16(out, uint16(len(data)))
	return append(out, data...)
}

// appendText appends a text string shorter than 24 bytes.
func appendText(to []byte, s string) []byte {
	return append(append(to, 0x60|byte(len(s))), s...)
}
