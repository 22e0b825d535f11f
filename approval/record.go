package approval

import (
	"bytes"
	"encoding/json"
	"time"
)

// RecordVersion names the layout of Record, so that a receipt can be read long
// after the layout changed.
const RecordVersion = "nod/approval/1"

// Verdict is the answer to a request.
type Verdict string

// The two verdicts.
const (
	Approve Verdict = "approve"
	Decline Verdict = "decline"
)

// signed is the layout of RecordVersion: the members, in this order.
type signed struct {
	Layout      string  `json:"layout"`
	RequestID   string  `json:"request_id"`
	Face        string  `json:"face"`
	NamespaceID string  `json:"namespace_id"`
	ClientID    string  `json:"client_id"`
	Audience    string  `json:"audience"`
	UserID      string  `json:"user_id"`
	Purpose     Purpose `json:"purpose"`
	Context     Context `json:"context"`
	Way         Way     `json:"way"`
	Verdict     Verdict `json:"verdict"`
	Match       string  `json:"match"`   // how it had to be tied to the screen
	Asked       string  `json:"asked"`   // RFC 3339, UTC, microseconds
	Expires     string  `json:"expires"` // likewise
}

const recordTime = "2006-01-02T15:04:05.000000Z"

// Record is the canonical record of a question and its answer: the bytes the
// passkey signs (through its challenge) and the receipt keeps. It is JSON with
// a fixed member order and no optional white space; userID is the decider's.
// Whoever checks a receipt reads these bytes and never rebuilds them; nod itself
// rebuilds them at the verdict and compares (A5).
func Record(r Request, userID string, way Way, v Verdict) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	// Encode of these plain values cannot fail.
	_ = e.Encode(signed{
		Layout:      RecordVersion,
		RequestID:   r.ID,
		Face:        r.Face,
		NamespaceID: r.NamespaceID,
		ClientID:    r.ClientID,
		Audience:    r.Audience,
		UserID:      userID,
		Purpose:     r.Purpose,
		Context:     r.Context,
		Way:         way,
		Verdict:     v,
		Match:       string(r.Match),
		Asked:       r.CreatedAt.UTC().Format(recordTime),
		Expires:     r.Expires.UTC().Format(recordTime),
	})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// recordedID is the id of the request that a record is of, "" when it is none.
func recordedID(record []byte) string {
	var s signed
	if json.Unmarshal(record, &s) != nil {
		return ""
	}
	return s.RequestID
}

// Proof is what a verified passkey assertion is worth: who made it, over which
// record, and the effects that must happen with whatever it is used for (the
// ceremony is spent, the counter moves, the receipt is kept).
type Proof struct {
	UserID      string
	PasskeyID   string
	PasskeyName string
	Record      []byte // for an approval: the canonical record it signs
	Way         Way    // for an approval: how the decider got here
	Matched     bool   // for an approval: the match number was entered right
	At          time.Time
	Effects     []Effect
}
