package audit

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nod-auth/nod/approval"
)

// EventRestarted is the row behind which a chain that was broken goes on.
const EventRestarted approval.EventName = "audit.restarted"

// ErrWhole means that nothing is wrong with the chain, so there is nothing to restart.
var ErrWhole = errors.New("the audit chain is whole")

// maxRestarts is how often Restart tries while sealers are faster.
const maxRestarts = 8

// Restarted is what the row of a restart tells.
type Restarted struct {
	N  int64     `json:"n,omitempty"` // its place
	At time.Time `json:"at,omitzero"`
	// By is who did it and Reason why, in their own words.
	By     string `json:"by"`
	Reason string `json:"reason"`
	// After is the place it was put behind, and Head what stood where the head is, as
	// Place.String writes them; Head is "" when there was none.
	After string `json:"after"`
	Head  string `json:"head,omitempty"`
	// Breaks is how many were found, First what was wrong at the first of them.
	Breaks int64  `json:"breaks"`
	First  string `json:"first"`
	// Content is a hash over all rows and links up to After, as they were then: what is
	// changed of them later is no break that was known.
	Content Hash `json:"content"`
	MAC     Hash `json:"mac"`
}

const (
	restartTag = "nod/audit/restart/v1"
	contentTag = "nod/audit/content/v1"
)

// vouch is HMAC-SHA256 over the tag, the row's Op and all that it tells but its place.
func (k Key) vouch(op string, r Restarted) (sum Hash) {
	r.N, r.At, r.MAC = 0, time.Time{}, Hash{}
	told, _ := json.Marshal(r) // of plain values, cannot fail
	var b bytes.Buffer
	b.WriteString(restartTag)
	column(&b, op)
	b.Write(told)
	m := hmac.New(sha256.New, k)
	m.Write(b.Bytes())
	m.Sum(sum[:0])
	return sum
}

// content goes on with a hash over everything that is stored of the chain.
func content(before Hash, e Entry) Hash {
	var b bytes.Buffer
	b.WriteString(contentTag)
	b.Write(before[:])
	b.Write(binary.BigEndian.AppendUint64(nil, uint64(e.N)))
	b.Write(e.Hash[:])
	row := Seal(e.Hash, e.Row)
	b.Write(row[:])
	fmt.Fprintf(&b, "%t %t", e.Gone, e.Damaged)
	return sha256.Sum256(b.Bytes())
}

// restart reads a row of EventRestarted, and says whether it was made with this key,
// for this place, and whether everything before it still is what it was then.
func (v *verifier) restart(e Entry) (r Restarted, ok bool) {
	if json.Unmarshal([]byte(e.Detail), &r) != nil {
		return r, false
	}
	mac := v.key.vouch(e.Op, r)
	ok = hmac.Equal(r.MAC[:], mac[:]) && r.After == Place{v.n, v.hash}.String() && r.Content == v.content
	r.N, r.At = e.N, e.At
	return r, ok
}

// Restart lets a chain that is broken go on: it writes a row that tells who did it,
// why, and what was broken, puts it behind the last link there is, and makes a head
// for it. Nothing is removed, no row and no link, and no break is forgotten: Verify
// goes on naming what was broken, as known, and takes everything before the restart
// for evidence that must not change any more.
//
// Rows without a place are sealed behind it. A sealer that has seen a place further on
// goes on refusing, until its process starts anew. ErrWhole when nothing is broken.
func Restart(ctx context.Context, t Trail, key Key, by, reason string) (r Restarted, err error) {
	for range maxRestarts {
		if r, err = restart(ctx, t, key, Restarted{By: by, Reason: reason}); !errors.Is(err, approval.ErrConflict) {
			break
		}
	}
	if err != nil {
		return r, fmt.Errorf("restart audit chain: %w", err)
	}
	return r, nil
}

func restart(ctx context.Context, t Trail, key Key, r Restarted) (Restarted, error) {
	v := newVerifier(t, key)
	if err := v.verify(ctx); err != nil {
		return r, err
	}
	if v.report.Whole() {
		return r, ErrWhole
	}
	worst := v.report.Breaks[0]
	r.After, r.Head, r.Content = Place{v.n, v.hash}.String(), v.report.Head, v.content
	r.Breaks, r.First = int64(len(v.report.Breaks))+v.report.More, fmt.Sprintf("%s at place %d", worst.Kind, worst.N)
	op := approval.NewOp()
	r.MAC = key.vouch(op, r)
	detail, _ := json.Marshal(r) // of plain values, cannot fail
	err := t.Restart(ctx, op, string(detail), func(row Row) (Head, Link) {
		to := Head{N: v.n + 1, Hash: Seal(v.hash, row)}
		if key.made(v.head) {
			to.Mark = v.head.Mark
		}
		to.MAC = key.mac(to)
		r.N, r.At = to.N, row.At
		return to, Link{to.N, op, to.Hash}
	})
	return r, err
}
