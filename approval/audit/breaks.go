package audit

import (
	"cmp"
	"slices"
	"time"
)

// mostMisfits bounds the rows that are compared with each other to tell how they
// were moved; what does not fit beyond them is counted.
const mostMisfits = 100

// Kind says what was done to the chain.
type Kind string

// The kinds.
const (
	Changed   Kind = "changed"   // the row is not what was sealed
	Rehashed  Kind = "rehashed"  // the row is, its stored hash is not
	Missing   Kind = "missing"   // a row, or its place
	Inserted  Kind = "inserted"  // a row that was not there when the next was sealed
	Reordered Kind = "reordered" // a row that was sealed at another place
	CutOff    Kind = "cut_off"   // rows at the end
	Rewritten Kind = "rewritten" // all hashes fit, but not the head or a witness
	WrongHead Kind = "head"      // the head is gone or not authentic
)

// Break is one thing that is wrong with the chain. Op, At and Name are of the row
// at place N, as it is now; empty when there is none.
type Break struct {
	Kind Kind      `json:"kind"`
	N    int64     `json:"n"`
	Op   string    `json:"op,omitempty"`
	At   time.Time `json:"at,omitzero"`
	Name string    `json:"name,omitempty"`
	Says string    `json:"says"` // a sentence's worth, for people
}

func (e Entry) broken(k Kind, says string) Break {
	return Break{Kind: k, N: e.N, Op: e.Op, At: e.At, Name: e.Name, Says: says}
}

func inOrder(bs []Break) []Break {
	slices.SortStableFunc(bs, func(a, b Break) int { return cmp.Compare(a.N, b.N) })
	if bs == nil {
		bs = []Break{} // in JSON a list, too
	}
	return bs
}

// explain finds for each misfit what was done: which hash its own was made with, or
// which row. What nothing explains was changed.
func (v *verifier) explain() {
	v.rehashed()
	moved := v.reordered()
	v.inserted(moved)
	v.takenOut()
	shorter := v.head.N - v.n
	for _, m := range v.misfits {
		switch {
		case m.understood:
		case shorter > 0 && v.hash == v.head.Hash:
			v.wrong(m.broken(Missing, "rows before it were taken out, or it was changed: the chain is shorter than its head says"))
		default:
			v.wrong(m.broken(Changed, "the row is not what was sealed"))
		}
	}
}

// rehashed finds stored hashes that were changed: the next row fits what this one
// makes.
func (v *verifier) rehashed() {
	for i := range v.misfits {
		m := &v.misfits[i]
		var next *misfit
		if i+1 < len(v.misfits) && v.misfits[i+1].N == m.N+1 {
			next = &v.misfits[i+1]
		}
		switch {
		case m.understood:
			continue
		case next != nil && Seal(m.makes, next.Row) == next.Hash:
			next.understood = true
		case m.N != v.head.N || m.makes != v.head.Hash:
			continue
		}
		m.understood = true
		v.wrong(m.broken(Rehashed, "the hash in the chain was changed; the row is what was sealed"))
	}
}

// reordered finds rows that changed places with others: by the row that fits here,
// or by the hash that the row was sealed with. It returns their places.
func (v *verifier) reordered() map[int64]bool {
	moved := make(map[int64]bool)
	for i := range v.misfits {
		m := &v.misfits[i]
		if !m.understood && slices.ContainsFunc(v.misfits, m.movedBeside) {
			m.understood, moved[m.N] = true, true
			v.wrong(m.broken(Reordered, "this row was sealed at another place"))
		}
	}
	return moved
}

// movedBeside says whether m and another explain each other.
func (m *misfit) movedBeside(other misfit) bool {
	if other.N == m.N {
		return false
	}
	if Seal(m.Prev, other.Row) == m.Hash {
		return true
	}
	for _, hash := range []Hash{other.Hash, other.Prev} {
		if hash != m.Prev && hash != m.prev2 && Seal(hash, m.Row) == m.Hash {
			return true
		}
	}
	return false
}

// inserted finds rows before a misfit that were not there when it was sealed.
func (v *verifier) inserted(moved map[int64]bool) {
	for i := range v.misfits {
		m := &v.misfits[i]
		if m.understood || !m.hasPrev2 || Seal(m.prev2, m.Row) != m.Hash {
			continue
		}
		m.understood = true
		if moved[m.N-1] {
			moved[m.N] = true
			v.wrong(m.broken(Reordered, "this row was sealed at another place"))
			continue
		}
		if i > 0 && v.misfits[i-1].N == m.N-1 {
			v.misfits[i-1].understood = true
		}
		v.wrong(m.last.broken(Inserted, "this row was not there when the next one was sealed"))
	}
}

// takenOut finds rows that were sealed before a misfit and have no place any more.
func (v *verifier) takenOut() {
	for i := range v.misfits {
		m := &v.misfits[i]
		for _, e := range v.loose {
			if !m.understood && Seal(Seal(m.Prev, e.Row), m.Row) == m.Hash {
				m.understood = true
				e.N = m.N
				v.wrong(e.broken(Missing, "this row was sealed before the one at this place, and its place was taken out"))
			}
		}
	}
}
