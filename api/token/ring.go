package token

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// KeyStore keeps the signing keys. Its methods may block on I/O and heed ctx.
type KeyStore interface {
	// SigningKeys returns every key, retired ones included, in any order. It
	// sees every AddSigningKey that returned before it was called, on any node.
	SigningKeys(ctx context.Context) ([]StoredKey, error)

	// AddSigningKey inserts the key and returns once that is durable. It never
	// replaces: when a key with the same KID is there, it changes nothing and
	// returns an error matching ErrKeyExists.
	//
	// Two nodes that start on an empty store may both add a first key. A
	// backend may keep both (the ring copes), or refuse the second with
	// ErrKeyExists.
	AddSigningKey(ctx context.Context, k StoredKey) error
}

const (
	// reloadEvery bounds how often one reason makes a ring read its store, so
	// that made-up kids cost nothing.
	reloadEvery = time.Second

	// readTimeout bounds a read that serves everyone who waits for it, so it
	// does not end with the caller who happened to start it.
	readTimeout = 5 * time.Second

	// maxAge is how long a ring may go without looking for a new key. A
	// rotation publishes the next key longer than this before its use.
	maxAge = 30 * time.Second
)

// Ring holds nod's signing keys. All nodes that share a store and a seal key
// sign alike and accept each other's tokens.
//
// It works on a snapshot that is swapped whole, so signing and verifying take
// no lock. The store is read, by one goroutine at a time, when Current finds
// the snapshot older than 30 seconds, JWKS older than one second, or when
// somebody names an unknown kid; each at most once a second. While the store
// does not answer, the ring goes on with what it knows.
type Ring struct {
	redacted
	store KeyStore
	seal  sealer
	now   func() time.Time

	snap atomic.Pointer[snapshot]

	// reading is held, by sending, while the store is read; it guards the
	// looks. Signing has one of its own: strangers who ask for made-up kids
	// must not use up the look that a grant of another node needs.
	reading    chan struct{}
	publicLook look
	signLook   look
}

// look is when the store was last read for one reason, and how that went.
type look struct {
	at  time.Time
	err error
}

// Open reads the ring from the store, and makes the first key when none is
// there that can sign.
//
// The seal key, 32 bytes derived from the master key for this purpose alone,
// encrypts the private halves. Open returns ErrMasterKey when the stored keys
// were sealed with another one, ErrDamagedKey when only some of them open. The
// clock now is used for the ring's own housekeeping and what is published.
func Open(ctx context.Context, store KeyStore, sealKey []byte, now func() time.Time) (*Ring, error) {
	seal, err := newSealer(sealKey)
	if err != nil {
		return nil, fmt.Errorf("open key ring: %w", err)
	}
	r := &Ring{store: store, seal: seal, now: now, reading: make(chan struct{}, 1)}
	if err := r.Reload(ctx); err != nil {
		return nil, fmt.Errorf("open key ring: %w", err)
	}
	if r.snap.Load().current(now()) != nil {
		return r, nil
	}
	if _, err := r.Add(ctx, now()); err != nil && !errors.Is(err, ErrKeyExists) {
		return nil, fmt.Errorf("open key ring: %w", err)
	}
	// Whoever won a race for the first key, the store knows.
	if err := r.Reload(ctx); err != nil {
		return nil, fmt.Errorf("open key ring: %w", err)
	}
	if r.snap.Load().current(now()) == nil {
		return nil, fmt.Errorf("open key ring: %w: the store keeps none that can sign", ErrUnknownKey)
	}
	return r, nil
}

// Add makes a new key that signs from useFrom on. To rotate without a verifier
// ever missing a key, choose useFrom later than the time for which verifiers
// cache the published keys, and at least a minute from now.
func (r *Ring) Add(ctx context.Context, useFrom time.Time) (kid string, err error) {
	stored, err := r.seal.generate(useFrom)
	if err != nil {
		return "", fmt.Errorf("make signing key: %w", err)
	}
	if err := r.store.AddSigningKey(ctx, stored); err != nil {
		return "", fmt.Errorf("add signing key: %w", err)
	}
	return stored.KID, r.Reload(ctx)
}

// Reload reads the store now. On any error the ring keeps what it had.
func (r *Ring) Reload(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return fmt.Errorf("read signing keys: %w", err)
	}
	defer r.unlock()
	return r.read(ctx)
}

// Current returns the kid to sign a new token with at now, which is the
// database's clock where one decides. A grant keeps that kid, so that it is
// signed alike every time. The error matches ErrUnknownKey and means that every
// key has ended.
func (r *Ring) Current(ctx context.Context, now time.Time) (kid string, err error) {
	r.refresh(ctx, maxAge)
	k := r.snap.Load().current(now)
	if k == nil {
		return "", fmt.Errorf("choose signing key: %w: all have ended", ErrUnknownKey)
	}
	return k.kid, nil
}

// Sign returns the claims as a compact JWS whose header carries kid and typ.
// The same kid, typ and claims give the same token, on every node. Claims are
// anything that marshals to a JSON object, always to the same one.
//
// A key signs as long as the store keeps its private half, past UseUntil too:
// when it may be used for new tokens is for Current to say. The error matches
// ErrUnknownKey when there is no such key.
func (r *Ring) Sign(ctx context.Context, kid, typ string, claims any) (string, error) {
	k, err := r.find(ctx, kid, &r.signLook)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	if k.private == nil {
		return "", fmt.Errorf("sign token: %w: the private half is gone", ErrUnknownKey)
	}
	compact, err := es256{kid: k.kid, key: k.private}.compact(typ, claims)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return compact, nil
}

// find returns the published key of that name, after one look at the store
// when the ring does not know it. The error matches ErrUnknownKey, or is the
// store's or the context's.
func (r *Ring) find(ctx context.Context, kid string, last *look) (*key, error) {
	if k := r.snap.Load().find(kid, r.now()); k != nil {
		return k, nil
	}
	if err := r.lock(ctx); err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	defer r.unlock()
	// Whoever held the lock may have brought the key.
	if k := r.snap.Load().find(kid, r.now()); k != nil {
		return k, nil
	}
	if err := r.look(ctx, last); err != nil {
		return nil, err
	}
	if k := r.snap.Load().find(kid, r.now()); k != nil {
		return k, nil
	}
	return nil, ErrUnknownKey
}

// refresh reads the store if the snapshot is older than age and nobody else is
// reading. Its error is nobody's: the ring goes on with what it has.
func (r *Ring) refresh(ctx context.Context, age time.Duration) {
	if !elapsed(r.now(), r.snap.Load().read, age) {
		return
	}
	select {
	case r.reading <- struct{}{}:
		defer r.unlock()
	default:
		return
	}
	_ = r.look(ctx, &r.publicLook)
}

func (r *Ring) lock(ctx context.Context) error {
	select {
	case r.reading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Ring) unlock() { <-r.reading }

// look reads the store, or says how the last look went when that was less than
// a second ago. It is called with the lock held.
func (r *Ring) look(ctx context.Context, last *look) error {
	now := r.now()
	if !elapsed(now, last.at, reloadEvery) {
		return last.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	last.at, last.err = now, r.read(ctx)
	return last.err
}

// read is called with the lock held, so a snapshot never replaces a later one.
func (r *Ring) read(ctx context.Context) error {
	read := r.now()
	stored, err := r.store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("read signing keys: %w", err)
	}
	snap, err := newSnapshot(stored, r.seal, read)
	if err != nil {
		return err
	}
	r.snap.Store(snap)
	return nil
}

// elapsed also holds when the clock stepped back, or a wait could last as long
// as the step.
func elapsed(now, since time.Time, d time.Duration) bool {
	passed := now.Sub(since)
	return passed < 0 || passed >= d
}
