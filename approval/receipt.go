package approval

import (
	"context"
	"encoding/json"
)

// Receipts reads the evidence that approvals leave behind. It outlives the request,
// the passkey, the user and the client: whoever agreed to something must not make the
// proof of it disappear by leaving, nor must whoever asked. Nobody's calls change or
// delete a receipt. Methods are safe for concurrent use; ErrUnavailable when the store
// cannot answer.
type Receipts interface {
	// Receipt reads one; ErrNotFound when the request was not approved by a passkey
	// of somebody who was shown it.
	Receipt(ctx context.Context, requestID string) (Receipt, error)
	// Receipted returns those of the requests of which the user has given a receipt.
	Receipted(ctx context.Context, userID string, requestIDs []string) ([]string, error)
}

// ReadableBy says whether a client may have the receipt: the one that asked, which is
// part of what was signed, or the one that collected.
func (r Receipt) ReadableBy(clientID string) bool {
	var s signed
	if clientID == "" || json.Unmarshal(r.Record, &s) != nil {
		return false
	}
	return s.ClientID == clientID || r.CollectedBy == clientID
}

// toldReceipt is what a redemption adds to the receipt of the verdict, if there can be
// one: who collected, where that is not who asked.
func (r Request) toldReceipt(g Grant) []Effect {
	if r.Decision == nil || r.Decision.By != ByPasskey || r.Decision.Way == "" || g.Audience == r.ClientID {
		return nil
	}
	return []Effect{NoteCollector{RequestID: r.ID, ClientID: g.Audience}}
}

// Agreed is a canonical record as it is read again, from a receipt.
type Agreed struct {
	RequestID   string
	Face        string
	NamespaceID string
	ClientID    string
	Audience    string
	UserID      string
	Purpose     Purpose
	Context     Context
	Way         Way
	Verdict     Verdict
	Match       string
	Asked       string // RFC 3339, UTC, microseconds
	Expires     string // likewise
}

// ReadRecord reads what Record wrote; ok is false for anything else.
func ReadRecord(record []byte) (a Agreed, ok bool) {
	var s signed
	if json.Unmarshal(record, &s) != nil || s.Layout != RecordVersion {
		return Agreed{}, false
	}
	return Agreed{
		RequestID: s.RequestID, Face: s.Face, NamespaceID: s.NamespaceID, ClientID: s.ClientID, Audience: s.Audience,
		UserID: s.UserID, Purpose: s.Purpose, Context: s.Context, Way: s.Way, Verdict: s.Verdict,
		Match: s.Match, Asked: s.Asked, Expires: s.Expires,
	}, true
}
