package virtual

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// The header of an aes128gcm message (RFC 8188 section 2.1): salt, record size,
// length of the key id, and the key id, here the sender's public key (RFC 8291
// section 4).
const (
	saltBytes   = 16
	sizeBytes   = 4
	pointBytes  = 65
	headerBytes = saltBytes + sizeBytes + 1 + pointBytes
	tagBytes    = 16
)

// Decrypt opens a Web Push message as a browser does (RFC 8291): key is the
// subscription's private key, secret its authentication secret of 16 bytes. The
// message must be a single record, and its padding is taken off.
func Decrypt(key *ecdh.PrivateKey, secret, message []byte) ([]byte, error) {
	if len(message) < headerBytes+tagBytes+1 {
		return nil, errors.New("decrypt message: it is shorter than a header and a record")
	}
	salt, record := message[:saltBytes], message[headerBytes:]
	size := binary.BigEndian.Uint32(message[saltBytes:])
	if message[saltBytes+sizeBytes] != pointBytes {
		return nil, errors.New("decrypt message: the key id is not 65 bytes long")
	}
	if uint64(size) < uint64(len(record)) {
		return nil, fmt.Errorf("decrypt message: %d bytes are more than one record of %d", len(record), size)
	}
	sender, err := ecdh.P256().NewPublicKey(message[headerBytes-pointBytes : headerBytes])
	if err != nil {
		return nil, errors.New("decrypt message: the key id is not a point on P-256")
	}
	gcm, nonce, err := recordCipher(key, sender, secret, salt)
	if err != nil {
		return nil, fmt.Errorf("decrypt message: %w", err)
	}
	padded, err := gcm.Open(nil, nonce, record, nil)
	if err != nil {
		return nil, errors.New("decrypt message: it was not encrypted for this subscription")
	}
	return unpad(padded)
}

// recordCipher derives the key and the nonce of the first record (RFC 8291
// section 3.4, RFC 8188 sections 2.2 and 2.3).
func recordCipher(key *ecdh.PrivateKey, sender *ecdh.PublicKey, secret, salt []byte) (cipher.AEAD, []byte, error) {
	shared, err := key.ECDH(sender)
	if err != nil {
		return nil, nil, err
	}
	info := "WebPush: info\x00" + string(key.PublicKey().Bytes()) + string(sender.Bytes())
	ikm, err := hkdf.Key(sha256.New, shared, secret, info, 32)
	if err != nil {
		return nil, nil, err
	}
	cek, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, nil, err
	}
	nonce, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(cek)
	if err != nil {
		return nil, nil, err
	}
	gcm, err := cipher.NewGCM(block)
	return gcm, nonce, err
}

// unpad takes off zeros and the delimiter of a last record, 2 (RFC 8188 section 2).
func unpad(padded []byte) ([]byte, error) {
	for i := len(padded) - 1; i >= 0; i-- {
		switch padded[i] {
		case 0:
		case 2:
			return padded[:i], nil
		default:
			return nil, errors.New("decrypt message: the padding does not end a last record")
		}
	}
	return nil, errors.New("decrypt message: it is nothing but padding")
}
