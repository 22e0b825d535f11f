package approval

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"github.com/nod-auth/nod/approval/account"
)

// Three handles are made from a request's id with the codes' key instead of being
// drawn and stored: the prompt's, the one of a QR code that rotates, and the one
// that such a QR code is exchanged for once it was scanned in time. Each is
//
//	base64url(id 16 bytes | step 2 bytes, of a rotating one | tag 24 bytes)
//
// with a tag of 192 bits that names what the handle is for, so that none is good
// as another (house rules, 15: a proof names its purpose). That is 54 characters,
// 56 of a rotating one.
const (
	handleTag  = 24
	handleStep = 2
)

// RotateEvery is how long a rotating QR code is shown; one is taken for
// rotateGrace longer, which is what a camera and a page load need.
const (
	RotateEvery = 30 * time.Second
	rotateGrace = 5 * time.Second
)

func (c *Codes) handle(label, requestID string, step []byte, more ...string) account.Secret {
	id, err := uuid.Parse(requestID)
	if err != nil { // ids are ours
		return ""
	}
	body := append(id[:], step...)
	tag := c.prf(label, append([]string{string(body)}, more...)...)[:handleTag]
	return account.Secret(base64.RawURLEncoding.EncodeToString(append(body, tag...)))
}

// requestOf reads the id out of a handle without judging it: whoever asks makes
// the handle again and compares.
func requestOf(handle account.Secret) (id string, step []byte) {
	b, err := base64.RawURLEncoding.DecodeString(handle.Reveal())
	if err != nil || len(b) < 16+handleTag {
		return "", nil
	}
	return uuid.UUID(b[:16]).String(), b[16 : len(b)-handleTag]
}

func same(a, b account.Secret) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// Prompt is the handle that a push prompt carries.
func (c *Codes) Prompt(requestID string) account.Secret { return c.handle("prompt", requestID, nil) }

// prompted is the id of the request that a prompt's handle is for, "" when it is
// none.
func (c *Codes) prompted(handle account.Secret) string {
	id, _ := requestOf(handle)
	if id == "" || !same(handle, c.Prompt(id)) {
		return ""
	}
	return id
}

// Rotating is the handle in the QR code of a request at a time, and when it will
// be replaced.
func (c *Codes) Rotating(r Request, now time.Time) (handle account.Secret, until time.Time) {
	n := uint16(max(0, now.Sub(r.CreatedAt)) / RotateEvery) // a request lives minutes, a uint16 of them 22 days
	return c.rotating(r.ID, n), r.CreatedAt.Add(time.Duration(n+1) * RotateEvery)
}

func (c *Codes) rotating(requestID string, step uint16) account.Secret {
	return c.handle("rotating", requestID, binary.BigEndian.AppendUint16(nil, step))
}

// rotated is the id of the request that a rotating handle is for, "" when it is
// none, and whether it is still taken, given the request's birth.
func (c *Codes) rotated(handle account.Secret) (id string, step uint16) {
	id, b := requestOf(handle)
	if id == "" || len(b) != handleStep {
		return "", 0
	}
	step = binary.BigEndian.Uint16(b)
	if !same(handle, c.rotating(id, step)) {
		return "", 0
	}
	return id, step
}

// fresh says whether the QR code of that step is, or was just now, on the screen.
func (r *Request) fresh(step uint16, now time.Time) bool {
	gone := r.CreatedAt.Add(time.Duration(int(step)+1)*RotateEvery + rotateGrace)
	return now.Before(gone)
}

// own is the handle that one user has for a request whose QR code rotates, once
// they scanned it in time: it does not rotate and is no good to anybody else.
func (c *Codes) own(requestID, userID string) account.Secret {
	return c.handle("own", requestID, nil, userID)
}
