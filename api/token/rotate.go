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

// Rotation is the change from one signing key to the next.
type Rotation struct {
	New string    // its kid; published from now on
	At  time.Time // when New begins to sign, and Old signs for the last time

	Old      string    // its kid; "" when there was none
	OldUntil time.Time // until when Old is published
}

// Rotate makes the next key, which takes over in the time given: Lead or more, or
// verifiers that cache the published keys may miss it. A token lives for life at
// most, which is how long the present key stays published afterwards.
//
// While the next key has not taken over yet there is no other: the error then
// matches ErrRotating, and the rotation returned is the one under way.
func (r *Ring) Rotate(ctx context.Context, in, life time.Duration) (Rotation, error) {
	next, err := r.seal.generate()
	if err != nil {
		return Rotation{}, fmt.Errorf("rotate signing keys: make one: %w", err)
	}
	changed := r.store.ChangeSigningKeys(ctx, func(now time.Time, keys []StoredKey) ([]StoredKey, error) {
		return rotated(keys, next, now, in, life)
	})
	if changed != nil && !errors.Is(changed, ErrRotating) {
		return Rotation{}, fmt.Errorf("rotate signing keys: %w", changed)
	}
	if err := r.Reload(ctx); err != nil {
		return Rotation{}, fmt.Errorf("rotate signing keys: %w", err)
	}
	s := r.snap.Load()
	if changed != nil {
		return s.rotationTo(s.keys[0]), fmt.Errorf("rotate signing keys: %w", changed)
	}
	return s.rotationTo(s.byKID[next.KID]), nil
}

func (s *snapshot) rotationTo(next *key) Rotation {
	is := Rotation{New: next.kid, At: next.useFrom}
	for _, k := range s.keys {
		if k.useUntil.Equal(is.At) {
			is.Old, is.OldUntil = k.kid, k.keep
			break
		}
	}
	return is
}

// rotated is the keys with another one that signs in the time given, and those
// before it ended at that moment.
func rotated(keys []StoredKey, next StoredKey, now time.Time, in, life time.Duration) ([]StoredKey, error) {
	next = next.from(now.Add(in))
	out := make([]StoredKey, 0, len(keys)+1)
	for _, k := range keys {
		switch {
		case k.KID == next.KID: // done before, but nobody heard
			return keys, nil
		case k.Alg != AlgES256:
		case now.Before(k.UseFrom):
			return nil, ErrRotating
		case k.UseUntil.IsZero() || next.UseFrom.Before(k.UseUntil):
			k.UseUntil = next.UseFrom
			k = k.keptFor(life)
		}
		out = append(out, k)
	}
	return append(out, next), nil
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
		if k.Alg == AlgES256 && !k.UseUntil.IsZero() {
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
	KID                          string
	State                        KeyState
	UseFrom, UseUntil, KeepUntil time.Time
}

// Keys reads the store and returns the published keys, the newest first.
func (r *Ring) Keys(ctx context.Context) ([]KeyInfo, error) {
	if err := r.Reload(ctx); err != nil {
		return nil, fmt.Errorf("list signing keys: %w", err)
	}
	s, now := r.snap.Load(), r.now()
	current := s.current(now)
	var list []KeyInfo
	for _, k := range s.keys {
		if k.published(now) {
			list = append(list, KeyInfo{k.kid, k.state(now, k == current), k.useFrom, k.useUntil, k.keep})
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
