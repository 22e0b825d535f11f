package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The life of a key, by the store's time:
//
//	rotate         UseFrom = UseUntil of the one before           UseUntil
//	  | published    | signs new tokens                              | maxStale + redelivery | maxStale + life + leeway
//	  |--- Lead -----|----------- until the next rotation -----------|-- private half goes --|-- public half goes -----|
//
// maxStale is in both ends because a node may choose a key from a snapshot that
// old.
const (
	// Lead is how long a rotation publishes the next key before it signs: as long
	// as verifiers keep what they were told, after every node has seen it and tells.
	Lead = CacheFor + maxStale

	// redelivery is how long a lost reply may be asked for again, which signs the
	// same token again (approval.RedeliveryWindow).
	redelivery = time.Minute

	// leeway is what verifiers may grant an expired token for their clocks' sake.
	leeway = time.Minute
)

// Rotation is the change from one signing key to the next of its algorithm.
type Rotation struct {
	Alg string
	New string    // its kid; published from now on
	At  time.Time // when New begins to sign, and Old signs for the last time

	Old      string    // its kid; "" when there was none
	OldUntil time.Time // until when Old is published
}

// Rotate makes the next keys, one of each algorithm, which take over in the time
// given: Lead or more, or verifiers that cache the published keys may miss them. A
// token lives for life at most, which is how long the present keys stay published
// afterwards.
//
// The rotations are those of ES256 and RS256, in this order, and happen at the same
// moment. While there is a key that has not taken over yet there is no other: the
// error then matches ErrRotating, and the rotations returned are those under way.
func (r *Ring) Rotate(ctx context.Context, in, life time.Duration) ([]Rotation, error) {
	next, err := r.seal.generateEach(algs)
	if err != nil {
		return nil, fmt.Errorf("rotate signing keys: %w", err)
	}
	changed := r.store.ChangeSigningKeys(ctx, func(now time.Time, keys []StoredKey) ([]StoredKey, error) {
		return rotated(keys, next, now, in, life)
	})
	if changed != nil && !errors.Is(changed, ErrRotating) {
		return nil, fmt.Errorf("rotate signing keys: %w", changed)
	}
	if err := r.Reload(ctx); err != nil {
		return nil, fmt.Errorf("rotate signing keys: %w", err)
	}
	s, now := r.snap.Load(), r.now()
	var list []Rotation
	for _, k := range s.keys {
		made := slices.ContainsFunc(next, func(n StoredKey) bool { return n.KID == k.kid })
		if made || changed != nil && !k.begun(now) {
			list = append(list, s.rotationTo(k))
		}
	}
	if changed != nil {
		return list, fmt.Errorf("rotate signing keys: %w", changed)
	}
	return list, nil
}

func (s *snapshot) rotationTo(next *key) Rotation {
	is := Rotation{Alg: next.alg, New: next.kid, At: next.useFrom}
	for _, k := range s.keys {
		if k.alg == is.Alg && k.useUntil.Equal(is.At) {
			is.Old, is.OldUntil = k.kid, k.keep
			break
		}
	}
	return is
}

// rotated is the keys with others that sign in the time given, and those before
// them ended at that moment.
func rotated(keys, next []StoredKey, now time.Time, in, life time.Duration) ([]StoredKey, error) {
	at := StoredKey{}.from(now.Add(in)).UseFrom
	out := make([]StoredKey, 0, len(keys)+len(next))
	for _, k := range keys {
		switch {
		case slices.ContainsFunc(next, func(n StoredKey) bool { return n.KID == k.KID }):
			return keys, nil // done before, but nobody heard
		case !k.ours():
		case now.Before(k.UseFrom):
			return nil, ErrRotating
		case k.UseUntil.IsZero() || at.Before(k.UseUntil):
			k.UseUntil = at
			k = k.keptFor(life)
		}
		out = append(out, k)
	}
	for _, n := range next {
		out = append(out, n.from(at))
	}
	return out, nil
}

// Tend deletes what no token needs any more: the private half of a key that has
// ended, once nothing is delivered again with it, and the rest once its last
// token has expired. A token lives for life at most; of nodes that are configured
// differently, the longest life counts. It writes only when something is due.
// Every node calls it, more often than every Lead.
func (r *Ring) Tend(ctx context.Context, life time.Duration) error {
	keys, now, err := r.store.SigningKeys(ctx)
	if err == nil && !slices.EqualFunc(keys, tended(keys, now, life), sameTimes) {
		err = r.store.ChangeSigningKeys(ctx, func(now time.Time, keys []StoredKey) ([]StoredKey, error) {
			return tended(keys, now, life), nil
		})
	}
	if err == nil {
		err = r.Reload(ctx)
	}
	if err != nil {
		return fmt.Errorf("tend signing keys: %w", err)
	}
	return nil
}

// tended is the keys without what has had its time.
func tended(keys []StoredKey, now time.Time, life time.Duration) []StoredKey {
	out := make([]StoredKey, 0, len(keys))
	for _, k := range keys {
		if k.ours() && !k.UseUntil.IsZero() {
			k = k.keptFor(life)
			if !now.Before(k.KeepUntil) {
				continue
			}
			if !now.Before(k.UseUntil.Add(maxStale + redelivery)) {
				k.Sealed = nil
			}
		}
		out = append(out, k)
	}
	return out
}

// from is the key with the moment from which it signs.
func (k StoredKey) from(at time.Time) StoredKey {
	k.UseFrom = at.UTC().Truncate(time.Microsecond)
	return k
}

// keptFor is a key that ends, published until tokens of that life have expired.
func (k StoredKey) keptFor(life time.Duration) StoredKey {
	if until := k.UseUntil.Add(maxStale + life + leeway); k.KeepUntil.Before(until) {
		k.KeepUntil = until
	}
	return k
}

// sameTimes compares what may change of a key.
func sameTimes(a, b StoredKey) bool {
	return a.KID == b.KID && a.UseUntil.Equal(b.UseUntil) && a.KeepUntil.Equal(b.KeepUntil) && len(a.Sealed) == len(b.Sealed)
}

// KeyState is what a key is for at the moment.
type KeyState string

// The states, in the order of a key's life.
const (
	KeyNext     KeyState = "next"     // published, and signs later
	KeyCurrent  KeyState = "current"  // signs new tokens
	KeySpare    KeyState = "spare"    // could sign, but a newer one does
	KeyRetiring KeyState = "retiring" // signs nothing but what is delivered again
	KeyRetired  KeyState = "retired"  // verifies; its private half is gone
)

// KeyInfo is a published key as an operator sees it. Zero times are open-ended.
type KeyInfo struct {
	KID, Alg                     string
	State                        KeyState
	UseFrom, UseUntil, KeepUntil time.Time
}

// Keys reads the store and returns the published keys in the order of [Ring.JWKS].
func (r *Ring) Keys(ctx context.Context) ([]KeyInfo, error) {
	if err := r.Reload(ctx); err != nil {
		return nil, fmt.Errorf("list signing keys: %w", err)
	}
	s, now := r.snap.Load(), r.now()
	var list []KeyInfo
	for _, k := range s.keys {
		if k.published(now) {
			list = append(list, KeyInfo{k.kid, k.alg, k.state(now, k == s.current(k.alg, now)), k.useFrom, k.useUntil, k.keep})
		}
	}
	return list, nil
}

func (k *key) state(now time.Time, current bool) KeyState {
	switch {
	case current:
		return KeyCurrent
	case k.private == nil:
		return KeyRetired
	case k.ended(now):
		return KeyRetiring
	case k.begun(now):
		return KeySpare
	default:
		return KeyNext
	}
}

// Opens says whether the keys can be used with a seal key: nil, or an error that
// matches ErrMasterKey or ErrDamagedKey.
func Opens(keys []StoredKey, sealKey []byte) error {
	seal, err := newSealer(sealKey)
	if err == nil {
		_, err = newSnapshot(keys, seal)
	}
	if err != nil {
		return fmt.Errorf("open signing keys: %w", err)
	}
	return nil
}
