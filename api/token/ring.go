package token

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// KeyStore keeps the signing keys. Its methods may block on I/O and heed ctx.
type KeyStore interface {
	// SigningKeys returns every key in any order, and then the store's time: the
	// one clock, by which all nodes judge when a key is used. It sees every change
	// that returned before it was called, on any node.
	SigningKeys(ctx context.Context) (keys []StoredKey, now time.Time, err error)

	// ChangeSigningKeys shows change every key at the store's time and makes what
	// it returns the keys: new ones are added, missing ones deleted, and of the
	// others UseUntil, KeepUntil and Sealed are changed. That is one serialisable
	// transaction: of two at the same moment, one is shown what the other made. It
	// returns once that is durable.
	//
	// change may run more than once and does not modify what it is shown. When it
	// returns an error, nothing is changed and ChangeSigningKeys returns that one.
	ChangeSigningKeys(ctx context.Context, change func(now time.Time, keys []StoredKey) ([]StoredKey, error)) error
}

const (
	// reloadEvery bounds how often one reason makes a ring read its store, so
	// that made-up kids cost nothing.
	reloadEvery = time.Second

	// readTimeout bounds a read that serves everyone who waits for it, so it
	// does not end with the caller who happened to start it.
	readTimeout = 5 * time.Second

	// maxAge is when a ring looks for a new key, and maxStale how old the keys may
	// be that it chooses from: a node that cannot look signs nothing new rather than
	// with a key that another one may have ended.
	maxAge   = 30 * time.Second
	maxStale = time.Minute
)

// Ring holds nod's signing keys. All nodes that share a store and a seal key
// sign alike and accept each other's tokens.
//
// It works on a snapshot that is swapped whole, so signing and verifying take
// no lock. The store is read, by one goroutine at a time, when Current finds
// the snapshot older than 30 seconds, JWKS older than one second, or when
// somebody names an unknown kid; each at most once a second. While the store
// does not answer, the ring goes on with what it knows, but after a minute it
// chooses no key for new tokens any more.
//
// What is due is judged by the store's time. The ring is told it with the keys,
// and counts on from there by this machine's clock.
type Ring struct {
	redacted
	store KeyStore
	seal  sealer
	local func() time.Time

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

// Open reads the ring from the store, and makes the first key of each algorithm of
// which none is there that can sign. In an empty store they sign at once. The first
// RS256 key beside others is published for [Lead] before: verifiers may have been
// told of the others only.
//
// The seal key, 32 bytes derived from the master key for this purpose alone,
// encrypts the private halves. Open returns ErrMasterKey when the stored keys
// were sealed with another one, ErrDamagedKey when only some of them open. By
// local, this machine's clock (time.Now), the ring counts how much time has
// passed; it need not agree with the store's.
func Open(ctx context.Context, store KeyStore, sealKey []byte, local func() time.Time) (*Ring, error) {
	seal, err := newSealer(sealKey)
	if err != nil {
		return nil, fmt.Errorf("open key ring: %w", err)
	}
	r := &Ring{store: store, seal: seal, local: local, reading: make(chan struct{}, 1)}
	if err := r.Reload(ctx); err != nil {
		return nil, fmt.Errorf("open key ring: %w", err)
	}
	if err := r.begin(ctx); err != nil {
		return nil, fmt.Errorf("open key ring: %w", err)
	}
	return r, nil
}

// begin makes the keys that are missing, unless another node is faster.
func (r *Ring) begin(ctx context.Context) error {
	missing := r.snap.Load().missing(r.now())
	if len(missing) == 0 {
		return nil
	}
	made, err := r.seal.generateEach(missing)
	if err != nil {
		return err
	}
	err = r.store.ChangeSigningKeys(ctx, func(now time.Time, keys []StoredKey) ([]StoredKey, error) {
		return r.seal.begun(keys, made, now)
	})
	if err != nil {
		return fmt.Errorf("add signing keys: %w", err)
	}
	return r.Reload(ctx)
}

// begun is the keys with those made of which there are none.
func (s sealer) begun(keys, made []StoredKey, now time.Time) ([]StoredKey, error) {
	is, err := newSnapshot(keys, s)
	if err != nil {
		return nil, err
	}
	missing := is.missing(now)
	out := slices.Clip(keys)
	for _, k := range made {
		from := now
		if k.Alg != AlgES256 && len(is.keys) > 0 {
			from = now.Add(Lead)
		}
		if slices.Contains(missing, k.Alg) {
			out = append(out, k.from(from))
		}
	}
	return out, nil
}

// Reload reads the store now. On any error the ring keeps what it had.
func (r *Ring) Reload(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return fmt.Errorf("read signing keys: %w", err)
	}
	defer r.unlock()
	return r.read(ctx)
}

// Current is CurrentFor ES256.
func (r *Ring) Current(ctx context.Context, now time.Time) (kid string, err error) {
	return r.CurrentFor(ctx, now, AlgES256)
}

// CurrentFor returns the kid to sign a new token with at now, which is the store's
// time, by an algorithm: [AlgES256] or [AlgRS256]. A grant keeps that kid, so that
// it is signed alike every time.
//
// The error matches ErrUnknownKey when every key has ended, or the first one of
// RS256 is not to be used yet, which takes no longer than [Lead]; else it is the
// store's, which has not answered for a minute, or the context's.
func (r *Ring) CurrentFor(ctx context.Context, now time.Time, alg string) (kid string, err error) {
	r.refresh(ctx, maxAge)
	if err := r.insist(ctx); err != nil {
		return "", fmt.Errorf("choose signing key: %w", err)
	}
	k := r.snap.Load().current(alg, now)
	if k == nil {
		return "", fmt.Errorf("choose signing key: %w: none of %q signs now", ErrUnknownKey, alg)
	}
	return k.kid, nil
}

// Sign returns the claims as a compact JWS whose header carries kid and typ.
// The algorithm is that of the kid's key. The same kid, typ and claims give the
// same token, on every node. Claims are anything that marshals to a JSON object,
// always to the same one.
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
	signed, err := compact(k.signer(), typ, claims)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
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
	if !r.older(age) {
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

// insist reads the store if the snapshot is too old to choose a key from, also
// when that means waiting for somebody else who is reading.
func (r *Ring) insist(ctx context.Context) error {
	if !r.older(maxStale) {
		return nil
	}
	if err := r.lock(ctx); err != nil {
		return fmt.Errorf("read signing keys: %w", err)
	}
	defer r.unlock()
	if !r.older(maxStale) {
		return nil
	}
	return r.look(ctx, &r.signLook)
}

// older says whether the snapshot is at least as old as that.
func (r *Ring) older(age time.Duration) bool { return elapsed(r.local(), r.snap.Load().began, age) }

// now is the store's time.
func (r *Ring) now() time.Time {
	s := r.snap.Load()
	return s.now.Add(r.local().Sub(s.ended))
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
	now := r.local()
	if !elapsed(now, last.at, reloadEvery) {
		return last.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	last.at, last.err = now, r.read(ctx)
	if last.err != nil { // whoever waited meanwhile does not try again one by one
		last.at = r.local()
	}
	return last.err
}

// read is called with the lock held, so a snapshot never replaces a later one.
func (r *Ring) read(ctx context.Context) error {
	began := r.local()
	stored, now, err := r.store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("read signing keys: %w", err)
	}
	snap, err := newSnapshot(stored, r.seal)
	if err != nil {
		return err
	}
	snap.began, snap.ended, snap.now = began, r.local(), now
	r.snap.Store(snap)
	return nil
}

// elapsed also holds when the clock stepped back, or a wait could last as long
// as the step.
func elapsed(now, since time.Time, d time.Duration) bool {
	passed := now.Sub(since)
	return passed < 0 || passed >= d
}
