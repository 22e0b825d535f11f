package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/nod-auth/nod/approval"
)

const (
	// sealEvery is how often a sealer looks for new rows.
	sealEvery = 3 * time.Second
	// sealBatch bounds a transaction: on SQLite other writes wait for it, two to three
	// milliseconds (BenchmarkExtend).
	sealBatch = 128
	// leaseFor is how long the others leave the sealing to who did it last: three
	// turns, so that a pause of one is no reason to take over.
	leaseFor = 3 * sealEvery
	// stuckAfter is how long rows may wait without one being sealed before something
	// is wrong: several times a store's delay (10 s) and a lease together.
	stuckAfter = time.Minute

	// sweepPage is how many rows a turn looks at again for one that turned up late,
	// in the order of an index and without reading the rows.
	sweepPage = 2000
	// sweepEvery is the pause between two sweeps, sweepBack how far they go back, and
	// wholeEvery how often one goes back to the first row.
	sweepEvery = time.Minute
	sweepBack  = 10 * time.Minute
	wholeEvery = 24 * time.Hour

	// mostCounted ends the counting of rows that wait.
	mostCounted = 100_000
)

// ErrBroken means that the head is not what a sealer wrote, or an older one. Nothing
// is sealed on top of it; Verify says more.
var ErrBroken = errors.New("the audit chain was tampered with")

// Sealer gives rows their places, on one of all nodes at a time. Safe for
// concurrent use; it starts no goroutine.
type Sealer struct {
	trail  Trail
	key    Key
	holder string
	log    *slog.Logger

	turning sync.Mutex // held during a turn
	last    Head       // as this process saw it last
	sweep   sweep

	mu       sync.Mutex
	unsealed int
	sealed   int64     // by this process
	moved    time.Time // when the chain last moved on, or had no need to
	fault    error     // of the last turn
}

// sweep is the search for rows that turned up late.
type sweep struct {
	on    bool
	at    Position
	next  time.Time
	whole time.Time // when the next one begins at the first row
}

// NewSealer makes a sealer whose heads are authenticated with the key.
func NewSealer(t Trail, key Key, log *slog.Logger) *Sealer {
	return &Sealer{trail: t, key: key, holder: uuid.NewString(), log: log, moved: time.Now()}
}

// Run seals until ctx ends. A store that is away is tried again at the next turn.
func (s *Sealer) Run(ctx context.Context) error {
	tick := time.NewTicker(sealEvery)
	defer tick.Stop()
	for said := ""; ; {
		said = s.report(ctx, s.Turn(ctx), said)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// report logs a fault when it is another than the last, and returns what it said.
func (s *Sealer) report(ctx context.Context, err error, said string) string {
	switch {
	case err == nil:
		return ""
	case ctx.Err() != nil || err.Error() == said:
		return said
	case errors.Is(err, ErrBroken):
		s.log.ErrorContext(ctx, "audit rows are not sealed any more; run nod audit verify", "error", err)
	default:
		s.log.WarnContext(ctx, "audit rows are sealed later", "error", err)
	}
	return err.Error()
}

// Turn seals what is settled, unless another node does, and looks at one page of
// rows that were passed over. Run calls it every few seconds.
func (s *Sealer) Turn(ctx context.Context) error {
	s.turning.Lock()
	defer s.turning.Unlock()
	err := s.turn(ctx)
	if errors.Is(err, approval.ErrConflict) {
		err = nil // another was faster
	}
	if err != nil {
		err = fmt.Errorf("seal audit rows: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = err
	return err
}

func (s *Sealer) turn(ctx context.Context) error {
	head, err := s.recognise(ctx)
	if err != nil {
		return err
	}
	now, err := s.trail.Now(ctx)
	if err != nil {
		return err
	}
	if head.Holder == s.holder || !now.Before(head.LeaseUntil) {
		if head, err = s.tail(ctx, head, now); err == nil {
			head, err = s.again(ctx, head, now)
		}
		if err != nil {
			return err
		}
	}
	_, waiting, err := s.trail.Stride(ctx, head.Mark, mostCounted)
	if err == nil {
		s.count(waiting)
	}
	return err
}

// recognise reads the head, and refuses one that no sealer wrote after the one that
// was seen last.
func (s *Sealer) recognise(ctx context.Context) (Head, error) {
	head, err := s.trail.Head(ctx)
	if err != nil {
		return Head{}, err
	}
	if head.N == 0 && s.last.N == 0 {
		first, err := s.trail.Chain(ctx, 0, 1)
		if err == nil && len(first) > 0 {
			err = s.unlessBegun(ctx)
		}
		return head, err
	}
	switch last := s.last; {
	case head.N == 0:
		return Head{}, fmt.Errorf("its head is gone, which was at place %d: %w", last.N, ErrBroken)
	case !s.key.made(head):
		return Head{}, fmt.Errorf("the head at place %d is not of this master key: %w", head.N, ErrBroken)
	case head.N < last.N, head.N == last.N && head.Hash != last.Hash:
		return Head{}, fmt.Errorf("the head is at place %d, and was %s: %w", head.N, last.Place(), ErrBroken)
	}
	if head.N != s.last.N {
		s.progress()
	}
	s.last = head
	return head, nil
}

// unlessBegun is nil when another sealer made the head meanwhile.
func (s *Sealer) unlessBegun(ctx context.Context) error {
	switch head, err := s.trail.Head(ctx); {
	case err != nil:
		return err
	case head.N > 0:
		return approval.ErrConflict
	}
	return fmt.Errorf("there are links and no head: %w", ErrBroken)
}

// tail seals what came after the mark and is settled.
func (s *Sealer) tail(ctx context.Context, head Head, now time.Time) (Head, error) {
	settled, err := s.trail.Settled(ctx)
	if err != nil {
		return head, err
	}
	for after := head.Mark; ctx.Err() == nil; {
		to, passed, err := s.trail.Stride(ctx, after, sealBatch)
		if err != nil || passed == 0 {
			return head, err
		}
		last := passed < sealBatch || settled.Before(to)
		if settled.Before(to) {
			to = settled
		}
		if head, err = s.seal(ctx, head, after, to, now, forwards); err != nil || last {
			return head, err
		}
		after = to
	}
	return head, ctx.Err()
}

// again looks at the next page of rows that were passed over.
func (s *Sealer) again(ctx context.Context, head Head, now time.Time) (Head, error) {
	w := &s.sweep
	if !w.on {
		if now.Before(w.next) {
			return head, nil
		}
		*w = sweep{on: true, at: Position{Seq: head.Mark.Seq - sweepBack.Microseconds()}, whole: w.whole}
		if !now.Before(w.whole) {
			w.at, w.whole = first, now.Add(wholeEvery)
		}
	}
	to, passed, err := s.trail.Stride(ctx, w.at, sweepPage)
	if err != nil {
		return head, err
	}
	if head.Mark.Before(to) {
		to = head.Mark
	}
	if passed > 0 && w.at.Before(to) {
		if head, err = s.seal(ctx, head, w.at, to, now, backwards); err != nil {
			return head, err
		}
		w.at = to
	}
	if passed < sweepPage || !to.Before(head.Mark) {
		w.on, w.next = false, now.Add(sweepEvery)
	}
	return head, nil
}

// direction says whether the mark moves on with what is sealed.
type direction bool

const (
	forwards  direction = true
	backwards direction = false
)

// seal gives places to the rows behind after and up to to that have none.
func (s *Sealer) seal(ctx context.Context, head Head, after, to Position, now time.Time, d direction) (Head, error) {
	rows, err := s.trail.Entries(ctx, Filter{Unsealed: true}, after, to)
	for len(rows) > 0 && err == nil {
		batch := rows[:min(len(rows), sealBatch)]
		rows = rows[len(batch):]
		mark := head.Mark
		if d == forwards {
			mark = batch[len(batch)-1].Position()
		}
		head, err = s.extend(ctx, head, batch, mark, now)
	}
	return head, err
}

// extend adds a batch to the chain, in one transaction.
func (s *Sealer) extend(ctx context.Context, from Head, batch []Entry, mark Position, now time.Time) (Head, error) {
	to, links := from, make([]Link, len(batch))
	for i, r := range batch {
		if r.Damaged {
			return from, r.damage()
		}
		to.N++
		to.Hash = Seal(to.Hash, r.Row)
		links[i] = Link{to.N, r.Op, to.Hash}
	}
	to.Mark, to.Holder, to.LeaseUntil = mark, s.holder, now.Add(leaseFor)
	to.MAC = s.key.mac(to)
	if err := s.trail.Extend(ctx, from, to, links); err != nil {
		return from, err
	}
	s.last = to
	s.progress()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed += int64(len(batch))
	return to, nil
}

func (s *Sealer) progress() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = time.Now()
}

func (s *Sealer) count(waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsealed = waiting
	if waiting == 0 {
		s.moved = time.Now()
	}
}

// Unsealed is how many rows waited for a place when this node last looked, up to a
// hundred thousand; those that turned up late do not count.
func (s *Sealer) Unsealed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unsealed
}

// Sealed is how many rows this process has sealed.
func (s *Sealer) Sealed() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sealed
}

// Stuck is nil while rows are sealed as they come, by this node or another. Its
// text may be shown to anybody; what is behind it stands in the log.
func (s *Sealer) Stuck() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := time.Since(s.moved).Round(time.Second)
	switch {
	case errors.Is(s.fault, ErrBroken):
		return errors.New("the chain is broken; run nod audit verify")
	case since >= stuckAfter && (s.fault != nil || s.unsealed > 0):
		return fmt.Errorf("nothing was sealed for %s", since)
	}
	return nil
}
