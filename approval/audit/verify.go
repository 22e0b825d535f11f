package audit

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// verifyPage is how many rows one question reads.
	verifyPage = 1000
	// lateAfter is how long before the newest row sealed so far another must have
	// been written to count as late: far longer than any transaction takes.
	lateAfter = time.Minute
	// mostLoose bounds the unsealed rows that are remembered, to be recognised as
	// what is missing in the chain.
	mostLoose = 200
)

// Report is what Verify found.
type Report struct {
	Sealed int64  `json:"sealed"`         // places that were read
	Head   string `json:"head,omitempty"` // see Head.Place; "" with none
	// Unsealed rows have no place yet, the oldest since then.
	Unsealed int64     `json:"unsealed"`
	Since    time.Time `json:"unsealed_since,omitzero"`
	// Late rows were sealed after rows that were written more than a minute later;
	// the first at this place. A clock was set back, or somebody wrote them by hand.
	Late      int64 `json:"late"`
	FirstLate int64 `json:"first_late,omitempty"`
	// Breaks are what is wrong, in the order of places; More how many rows beyond
	// those do not fit either.
	Breaks []Break `json:"breaks"`
	More   int64   `json:"more_breaks,omitempty"`
	// Restarts are where a broken chain went on, and Known is how many breaks before
	// the last of them were told of there and are among Breaks no more.
	Restarts []Restarted `json:"restarts,omitempty"`
	Known    int64       `json:"known_breaks,omitempty"`
}

// Whole says whether nothing is wrong.
func (r Report) Whole() bool { return len(r.Breaks) == 0 }

// Verify computes the chain anew from the rows and holds it to what is stored, to
// the head, and to witnesses: heads that were printed before. Others may write and
// seal meanwhile. The error is about reading; what is wrong with the chain is in the
// report.
func Verify(ctx context.Context, t Trail, key Key, witnesses ...Place) (Report, error) {
	v := newVerifier(t, key, witnesses...)
	if err := v.verify(ctx); err != nil {
		return Report{}, fmt.Errorf("verify audit chain: %w", err)
	}
	return v.report, nil
}

func newVerifier(t Trail, key Key, witnesses ...Place) *verifier {
	return &verifier{trail: t, key: key, witnesses: witnesses, room: mostMisfits}
}

func (v *verifier) verify(ctx context.Context) error {
	err := v.walk(ctx)
	if err == nil {
		err = v.unsealed(ctx)
	}
	if err == nil {
		err = v.judge(ctx)
	}
	v.report.Breaks = inOrder(slices.DeleteFunc(v.report.Breaks, v.isKnown))
	return err
}

// verifier walks the chain. A row that does not fit is remembered, and the walk goes
// on from the hash that is stored, so that one change is one break.
type verifier struct {
	trail     Trail
	key       Key
	witnesses []Place
	head      Head

	n      int64 // the place that was read last
	hash   Hash  // stored there
	before Hash  // stored at the place before
	row    Entry // there
	gap    bool  // places before it are missing
	newest time.Time

	content Hash  // of everything up to n
	known   int64 // breaks up to this place were told of by a restart

	misfits []misfit
	room    int // for misfits
	loose   []Entry
	report  Report
}

// misfit is a row whose stored hash is not the one that it makes.
type misfit struct {
	Entry            // with Prev, as stored
	prev2      Hash  // stored two places before; where ok
	hasPrev2   bool  //
	last       Entry // the row one place before
	makes      Hash  // what the row makes of Prev
	understood bool
}

// walk reads until the chain is read up to the head, as that is then: while rows are
// sealed it moves on.
func (v *verifier) walk(ctx context.Context) error {
	for known := false; ; known = true {
		moved := false
		for {
			page, err := v.trail.Chain(ctx, v.n, verifyPage)
			if err != nil {
				return err
			}
			for _, e := range page {
				v.step(e)
			}
			if moved = moved || len(page) > 0; len(page) < verifyPage {
				break
			}
		}
		if known && !moved { // it ends before its head
			return nil
		}
		var err error
		if v.head, err = v.trail.Head(ctx); err != nil || v.head.N <= v.n {
			return err
		}
	}
}

func (v *verifier) step(e Entry) {
	if v.gap = e.N != v.n+1; v.gap {
		v.wrong(Break{Kind: Missing, N: v.n + 1, Says: fmt.Sprintf("there is nothing at the places %d to %d", v.n+1, e.N-1)})
	}
	e.Prev = v.hash
	makes := Seal(e.Prev, e.Row)
	switch {
	case e.Gone:
		v.wrong(e.broken(Missing, "the audit row is gone"))
	case e.Damaged:
		v.wrong(e.broken(Changed, "a column of the row holds something of another type"))
	case v.gap || makes == e.Hash: // behind a gap nobody can say
	case len(v.misfits) < v.room:
		v.misfits = append(v.misfits, misfit{Entry: e, prev2: v.before, hasPrev2: e.N > 1, last: v.row, makes: makes})
	default:
		v.report.More++
	}
	v.witness(e)
	v.late(e)
	v.restarted(e)
	v.report.Sealed++
	v.content = content(v.content, e)
	v.n, v.before, v.hash, v.row = e.N, v.hash, e.Hash, e
}

func (v *verifier) witness(e Entry) {
	for _, w := range v.witnesses {
		if w.N == e.N && w.Hash != e.Hash {
			v.wrong(e.broken(Rewritten, "the witness has another hash for this place: this row or one before it was changed"))
		}
	}
}

// restarted takes the breaks before a restart for known ones.
func (v *verifier) restarted(e Entry) {
	if e.Name != string(EventRestarted) {
		return
	}
	r, ok := v.restart(e)
	if !ok {
		v.wrong(e.broken(Changed, "it tells of a restart, and nod made none here, or what is before it was changed since"))
		return
	}
	v.report.Restarts = append(v.report.Restarts, r)
	v.known, v.room = v.n, len(v.misfits)+mostMisfits
	v.report.Known, v.report.More = v.report.Known+v.report.More, 0
}

// isKnown says whether a restart told of a break. What contradicts a witness it could
// not know.
func (v *verifier) isKnown(b Break) bool {
	if b.N > v.known || b.Kind == Rewritten {
		return false
	}
	v.report.Known++
	return true
}

func (v *verifier) late(e Entry) {
	switch {
	case e.Gone:
	case e.At.After(v.newest):
		v.newest = e.At
	case e.At.Before(v.newest.Add(-lateAfter)):
		if v.report.Late++; v.report.FirstLate == 0 {
			v.report.FirstLate = e.N
		}
	}
}

// unsealed counts the rows that have no place.
func (v *verifier) unsealed(ctx context.Context) error {
	for after := first; ; {
		to, passed, err := v.trail.Stride(ctx, after, verifyPage)
		if err != nil || passed == 0 {
			return err
		}
		rows, err := v.trail.Entries(ctx, Filter{Unsealed: true}, after, to)
		if err != nil {
			return err
		}
		for _, e := range rows {
			if v.report.Unsealed++; v.report.Since.IsZero() || e.At.Before(v.report.Since) {
				v.report.Since = e.At
			}
			if len(v.loose) < mostLoose {
				v.loose = append(v.loose, e)
			}
		}
		after = to
	}
}

// judge explains the misfits and holds the chain's end to the head.
func (v *verifier) judge(ctx context.Context) error {
	v.explain()
	if v.head.N > 0 {
		v.report.Head = v.head.Place()
	}
	for _, w := range v.witnesses {
		if w.N > v.n {
			v.wrong(Break{Kind: Rewritten, N: w.N, Says: fmt.Sprintf("the witness is of place %d, and the chain ends at %d", w.N, v.n)})
		}
	}
	switch {
	case v.head.N == 0 && v.n == 0:
	case v.head.N == 0:
		v.wrong(v.row.broken(WrongHead, "there is a chain, and no head to it"))
	case !v.key.made(v.head):
		v.wrong(Break{Kind: WrongHead, N: v.head.N, Says: "the head is not one that nod made with this master key"})
	default:
		return v.end(ctx)
	}
	return nil
}

// end holds the end to a head that is authentic.
func (v *verifier) end(ctx context.Context) error {
	fits := v.hash == v.head.Hash
	switch {
	case fits && v.n == v.head.N:
	case fits && len(v.report.Breaks) > 0: // rows were taken out or put in before it, and that is said
	case v.n < v.head.N:
		v.wrong(v.cut())
	case v.n > v.head.N:
		at, err := v.trail.Chain(ctx, v.head.N-1, 2)
		if err != nil {
			return err
		}
		if len(at) == 2 && at[0].N == v.head.N && at[0].Hash == v.head.Hash {
			v.wrong(at[1].broken(Inserted, fmt.Sprintf("the head is at place %d: nod sealed nothing behind it", v.head.N)))
			break
		}
		fallthrough
	default:
		if !v.rehashedEnd() {
			v.wrong(v.row.broken(Rewritten, "the end is not what the head says: rows were changed and all hashes behind them computed anew"))
		}
	}
	return nil
}

// cut says what is missing at the end; which row that was, where it can be told.
func (v *verifier) cut() Break {
	b := Break{Kind: CutOff, N: v.n + 1, Says: fmt.Sprintf("the chain ends at place %d, and its head is at place %d", v.n, v.head.N)}
	for _, e := range v.loose {
		if v.head.N == v.n+1 && Seal(v.hash, e.Row) == v.head.Hash {
			b.Op, b.At, b.Name = e.Op, e.At, e.Name
		}
	}
	return b
}

// rehashedEnd says whether the end differs only by a hash that was changed there.
func (v *verifier) rehashedEnd() bool {
	last := len(v.misfits) - 1
	return last >= 0 && v.misfits[last].N == v.head.N && v.misfits[last].makes == v.head.Hash
}

func (v *verifier) wrong(b Break) { v.report.Breaks = append(v.report.Breaks, b) }
