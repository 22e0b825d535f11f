package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"
)

// Row is one audit row: what approval.Event says, and the columns that the store
// adds. The order of the fields is the order in which they are hashed.
type Row struct {
	Op          string    `json:"op"`  // operation id, unique for good
	Seq         int64     `json:"seq"` // orders rows; see Position
	At          time.Time `json:"at"`  // the store's time, whole microseconds
	Name        string    `json:"name"`
	NamespaceID string    `json:"namespace_id"`
	RequestID   string    `json:"request_id"`
	Version     int64     `json:"version"`
	UserID      string    `json:"user_id"`
	ClientID    string    `json:"client_id"`
	PasskeyID   string    `json:"passkey_id"`
	Address     string    `json:"address"`
	Detail      string    `json:"detail"`
}

// Entry is a row with its place in the chain. N is 0 while it is not sealed.
type Entry struct {
	N    int64 `json:"n,omitempty"`
	Prev Hash  `json:"prev,omitzero"` // of the place before; zeroes at the first
	Hash Hash  `json:"hash,omitzero"`
	Row
	// Gone means that the chain names the row's Op and there is no such row.
	Gone bool `json:"-"`
	// Damaged means that a column holds something of another type.
	Damaged bool `json:"-"`
}

func (r Row) damage() error {
	return fmt.Errorf("read audit row %s: a column holds something of another type", r.Op)
}

// Link is a place in the chain.
type Link struct {
	N    int64
	Op   string
	Hash Hash
}

// Position is a place in the order of rows: by Seq, then by Op.
type Position struct {
	Seq int64
	Op  string
}

// first is before every row: only what a fault wrote has a Seq below zero.
var first = Position{Seq: math.MinInt64}

// Position of the row.
func (r Row) Position() Position { return Position{r.Seq, r.Op} }

// Before says whether p comes before q.
func (p Position) Before(q Position) bool { return p.Seq < q.Seq || p.Seq == q.Seq && p.Op < q.Op }

// Hash is a link's hash: SHA-256. As text it is 64 hexadecimal digits.
type Hash [sha256.Size]byte

// AsHash reads a stored hash. Bytes that are none become the zero Hash, which fits
// no row.
func AsHash(b []byte) (h Hash) {
	if len(b) == len(h) {
		copy(h[:], b)
	}
	return h
}

// String is the hash in hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(h) {
		return errors.New("a hash has 64 hexadecimal digits")
	}
	copy(h[:], b)
	return nil
}

// rowTag keeps hashes of rows apart from everything else that is hashed.
const rowTag = "nod/audit/row/v1"

// Seal is the hash of the row at the place after the one whose hash is prev.
func Seal(prev Hash, r Row) Hash {
	var b bytes.Buffer
	b.WriteString(rowTag)
	b.Write(prev[:])
	r.encode(&b)
	return sha256.Sum256(b.Bytes())
}

// encode writes every column, each behind its length.
func (r Row) encode(b *bytes.Buffer) {
	column(b, r.Op)
	number(b, r.Seq)
	number(b, micros(r.At))
	column(b, r.Name)
	column(b, r.NamespaceID)
	column(b, r.RequestID)
	number(b, r.Version)
	column(b, r.UserID)
	column(b, r.ClientID)
	column(b, r.PasskeyID)
	column(b, r.Address)
	column(b, r.Detail)
}

func column(b *bytes.Buffer, text string) {
	b.Write(binary.BigEndian.AppendUint32(b.AvailableBuffer(), uint32(len(text))))
	b.WriteString(text)
}

func number(b *bytes.Buffer, v int64) {
	b.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b.AvailableBuffer(), 8), uint64(v)))
}

// micros is the time in microseconds since 1970, as it is stored; 0 for none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
