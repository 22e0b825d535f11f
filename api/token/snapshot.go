package token

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// snapshot is the ring as it was read once. It never changes.
type snapshot struct {
	keys  []*key // in the order of algs, of each the newest UseFrom first, then by kid
	byKID map[string]*key

	began, ended time.Time // of reading it, by this machine's clock
	now          time.Time // the store's time when it ended
}

// newSnapshot makes stored keys ready, and refuses the ring when one of them is
// not sound. Its error matches ErrMasterKey when not one private half opened,
// ErrDamagedKey when others did.
func newSnapshot(stored []StoredKey, seal sealer) (*snapshot, error) {
	s := &snapshot{byKID: map[string]*key{}}
	var opened int
	var shut *StoredKey
	for i, row := range stored {
		if !row.ours() {
			continue
		}
		k, err := seal.load(row)
		if errors.Is(err, ErrMasterKey) {
			shut = &stored[i]
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", row, err)
		}
		if k.private != nil {
			opened++
		}
		s.keys = append(s.keys, k)
		s.byKID[k.kid] = k
	}
	if shut != nil && opened > 0 {
		return nil, fmt.Errorf("open %s: %w", shut, ErrDamagedKey)
	}
	if shut != nil {
		return nil, fmt.Errorf("open %s: %w", shut, ErrMasterKey)
	}
	slices.SortFunc(s.keys, func(a, b *key) int {
		return cmp.Or(
			cmp.Compare(slices.Index(algs, a.alg), slices.Index(algs, b.alg)),
			b.useFrom.Compare(a.useFrom), cmp.Compare(a.kid, b.kid),
		)
	})
	return s, nil
}

// current picks the key of an algorithm for a new token: of those in use the
// newest, by kid where two are equally new, so that every node picks the same.
//
// Where none has begun yet, the one that begins first serves early: a clock that
// stepped back must not stop every login. When only RS256 has not begun it is no
// clock, but the first key of it, which is published and must not sign yet.
//
// Nil means that all have ended, or that the first is not to be used yet.
func (s *snapshot) current(alg string, now time.Time) *key {
	var early *key
	for _, k := range s.keys {
		if k.alg != alg || !k.signs(now) {
			continue
		}
		if k.begun(now) {
			return k
		}
		early = k
	}
	if early != nil && alg != AlgES256 {
		if k := s.current(AlgES256, now); k != nil && k.begun(now) {
			return nil
		}
	}
	return early
}

// missing lists the algorithms of which no key can sign, now or later.
func (s *snapshot) missing(now time.Time) []string {
	var without []string
	for _, alg := range algs {
		if !slices.ContainsFunc(s.keys, func(k *key) bool { return k.alg == alg && k.signs(now) }) {
			without = append(without, alg)
		}
	}
	return without
}

// find returns a published key, or nil.
func (s *snapshot) find(kid string, now time.Time) *key {
	if k := s.byKID[kid]; k != nil && k.published(now) {
		return k
	}
	return nil
}
