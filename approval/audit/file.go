package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// FileReport is what VerifyFile found.
type FileReport struct {
	Rows     int64 `json:"rows"`
	Unsealed int64 `json:"unsealed"` // nothing holds these
	First    int64 `json:"first,omitempty"`
	Last     int64 `json:"last,omitempty"` // the lowest and the highest place
	// Gaps is how often places are left out between the first and the last: by the
	// export's filters, or by somebody.
	Gaps   int     `json:"gaps"`
	Breaks []Break `json:"breaks"`
	More   int64   `json:"more_breaks,omitempty"`
}

// Whole says whether nothing is wrong.
func (r FileReport) Whole() bool { return len(r.Breaks) == 0 }

// VerifyFile holds an export of JSONLines to itself: each row to its hash, and each
// to its neighbours in the chain as far as they are in the file. Who can write the
// file can compute hashes anew; it is a witness where that person cannot. The error
// is about reading, and names the row that cannot be.
func VerifyFile(r io.Reader) (FileReport, error) {
	f := file{heads: make(map[int64]Hash), tails: make(map[int64]Hash)}
	lines := json.NewDecoder(r)
	lines.DisallowUnknownFields()
	for {
		var e Entry
		err := lines.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return FileReport{}, fmt.Errorf("verify export: row %d: %w", f.report.Rows+1, err)
		}
		f.step(e)
	}
	f.report.Gaps = max(len(f.heads)-1, 0)
	f.report.Breaks = inOrder(f.report.Breaks)
	return f.report, nil
}

// file joins rows to runs of places without a gap: heads holds the hash before each
// run, tails the hash at its end. Rows of an export are nearly in order, so there
// are few.
type file struct {
	heads, tails map[int64]Hash // by the first place, and the last
	report       FileReport
}

func (f *file) step(e Entry) {
	f.report.Rows++
	if e.N == 0 {
		f.report.Unsealed++
		return
	}
	if f.report.First == 0 || e.N < f.report.First {
		f.report.First = e.N
	}
	f.report.Last = max(f.report.Last, e.N)
	if Seal(e.Prev, e.Row) != e.Hash {
		f.wrong(e.broken(Changed, "the row is not what was sealed"))
	}
	before, joined := f.tails[e.N-1]
	if !joined && e.N == 1 {
		before, joined = Hash{}, true
		f.heads[1] = Hash{}
	}
	if joined && before != e.Prev {
		f.wrong(e.broken(Reordered, "it was not sealed behind the row that stands before it"))
	}
	if joined {
		delete(f.tails, e.N-1)
	} else {
		f.heads[e.N] = e.Prev
	}
	f.tail(e)
}

// tail joins e to the run behind it, or makes it the end of one.
func (f *file) tail(e Entry) {
	next, joined := f.heads[e.N+1]
	if !joined {
		f.tails[e.N] = e.Hash
		return
	}
	if next != e.Hash {
		f.wrong(e.broken(Reordered, "the row that stands behind it was not sealed behind it"))
	}
	delete(f.heads, e.N+1)
}

func (f *file) wrong(b Break) {
	if len(f.report.Breaks) == mostMisfits {
		f.report.More++
		return
	}
	f.report.Breaks = append(f.report.Breaks, b)
}
