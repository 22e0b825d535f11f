package audit

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Head is where the chain ends. The zero Head is that of an empty chain.
type Head struct {
	N    int64
	Hash Hash
	// Mark is how far rows were taken in order; what turned up later below it has a
	// place all the same.
	Mark Position
	// MAC authenticates what stands above it.
	MAC []byte
	// Holder seals until LeaseUntil; others may when that is over, and nothing but
	// wasted work comes of it when they do before.
	Holder     string
	LeaseUntil time.Time
}

// Place names a head for people and programs: its number and hash, with a colon
// between them.
func (h Head) Place() string { return Place{h.N, h.Hash}.String() }

// Place is a place in the chain and the hash that it has.
type Place struct {
	N    int64
	Hash Hash
}

func (p Place) String() string { return strconv.FormatInt(p.N, 10) + ":" + p.Hash.String() }

// ParsePlace reads what Place.String writes.
func ParsePlace(text string) (p Place, err error) {
	n, hash, _ := strings.Cut(strings.TrimSpace(text), ":")
	if p.N, err = strconv.ParseInt(n, 10, 64); err == nil {
		err = p.Hash.UnmarshalText([]byte(hash))
	}
	if err != nil || p.N < 1 {
		return Place{}, errors.New("a head is a number, a colon and 64 hexadecimal digits, as audit verify prints it")
	}
	return p, nil
}

// Key authenticates heads: 32 bytes, derived from the master key for this alone.
type Key []byte

// Format writes "[secret]" whatever the verb.
func (Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[secret]") }

const headTag = "nod/audit/head/v1"

// mac is HMAC-SHA256 over the tag, N, Hash and Mark, numbers in 8 bytes, big endian.
func (k Key) mac(h Head) []byte {
	var b bytes.Buffer
	b.WriteString(headTag)
	number(&b, h.N)
	b.Write(h.Hash[:])
	number(&b, h.Mark.Seq)
	column(&b, h.Mark.Op)
	m := hmac.New(sha256.New, k)
	m.Write(b.Bytes())
	return m.Sum(nil)
}

func (k Key) made(h Head) bool { return hmac.Equal(h.MAC, k.mac(h)) }

// Trail is where rows, chain and head are kept. Its promises are those of
// approval.Store: safe for concurrent use, ErrUnavailable when it cannot answer.
// Reads are in no transaction that writes, and see what was committed.
type Trail interface {
	// Now is the store's clock.
	Now(ctx context.Context) (time.Time, error)
	// Settled is up to where rows are final: only by a fault does one turn up later
	// that comes before it.
	Settled(ctx context.Context) (Position, error)
	// Head reads the head; the zero Head when there is none.
	Head(ctx context.Context) (Head, error)
	// Extend adds links and moves the head, in one transaction. ErrConflict when the
	// head is not from any more, or a place or an Op is in the chain already.
	Extend(ctx context.Context, from, to Head, links []Link) error
	// Restart writes an EventRestarted with this Op and Detail, and puts what seal makes
	// of its row in the place of the head and behind the chain, in one transaction.
	// ErrConflict when that place is taken.
	Restart(ctx context.Context, op, detail string, seal func(Row) (Head, Link)) error
	// Chain reads the chain in order, after a place, at most limit; without Prev.
	Chain(ctx context.Context, after int64, limit int) ([]Entry, error)
	// Stride is where one gets, and over how many rows, by going at most limit rows
	// on; after itself, over 0, at the end.
	Stride(ctx context.Context, after Position, limit int) (to Position, passed int, err error)
	// Entries reads the rows that match, behind after and up to to, in order.
	Entries(ctx context.Context, f Filter, after, to Position) ([]Entry, error)
}

// Filter selects rows; every field that is set must match.
type Filter struct {
	Since, Until time.Time // Since <= At < Until
	UserID       string
	ClientID     string
	RequestID    string
	Unsealed     bool // only those without a place
}
