package approval

import (
	"context"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// Store is the durable truth. What every backend promises, and the suite in
// approval/storetest checks:
//
//   - Every method is safe for concurrent use and may block on I/O; it does not
//     begin once ctx has ended, but what has begun may be finished. It reports an
//     error matching ErrUnavailable when the truth cannot be reached; then
//     nothing was decided, though a write may have happened.
//   - Reads see what was committed when they began.
type Store interface {
	// Now is the one clock (I8), in UTC with microseconds.
	Now(ctx context.Context) (time.Time, error)

	// Apply makes all changes true in one serialisable transaction, or none.
	// When it returns nil they are durable. For each change, in order: one whose
	// Op was applied before is skipped (the Op of a change without an Event is
	// remembered for an hour at least, others for good), one without an Op is
	// ErrInvalid; ErrConflict when the store's time is outside [NotBefore,
	// Before); ErrConflict when the version is not From, ErrExists when a new
	// request's id, handle or one of its codes is taken; ErrInactive and ErrRevoked when
	// Needs do not hold; then the errors of each Effect, and ErrNotFound for a
	// row that would belong to something that is not there. Of a request that
	// exists only UserID and what follows State in Request are written: what was
	// frozen when it was created stays. The wrapped sentinel decides, the text is
	// for logs. The changes must not be modified afterwards, whatever it returns.
	Apply(ctx context.Context, changes ...Change) error

	// Find reads one request; ErrNotFound when there is none.
	Find(ctx context.Context, k Key) (Request, error)

	// Guess is Find for a guessable code. In one transaction it takes one try
	// from each budget, looks, and gives the tries back only if it found the
	// request; the answer leaves after the transaction ended, so never more
	// guesses than the limit are answered, under any concurrency, fault or
	// crash (I12). A *LimitError when a budget is empty.
	Guess(ctx context.Context, k Key, budgets []Budget) (Request, error)

	// Take takes one try from each budget, in one transaction that has ended when it
	// returns: for guesses that are judged afterwards, right ones included (I12). When
	// one of them is empty it is a *LimitError, and none was taken.
	Take(ctx context.Context, budgets []Budget) error

	// List reads the requests that match, newest first, at most limit.
	List(ctx context.Context, f Filter, limit int) ([]Request, error)

	// Devices reads what an approval signed in, and Passkeys what it may have added;
	// ErrNotFound when there is no such device.
	account.Devices
	// Passkeys lists a user's, oldest first, revoked ones included.
	Passkeys(ctx context.Context, userID string) ([]account.Passkey, error)

	// Prompting reads the row of that key; with no row, one of version 0 that has
	// the key and nothing else.
	Prompting(ctx context.Context, key string) (Prompting, error)

	// Changed returns the ids among seen whose version is no longer the one
	// seen, those that are gone included. Callers pass at most 500 at a time.
	Changed(ctx context.Context, seen []Seen) ([]string, error)
}

// Upkeep is what the janitor needs of a store; its promises are Store's.
type Upkeep interface {
	// Due lists requests whose time is over and whose state does not say so yet:
	// pending past Expires, approved past Expires + CollectGrace. At most limit.
	Due(ctx context.Context, limit int) ([]Request, error)
	// Purge deletes what nobody can ask for any more: settled requests whose
	// Expires and grant ended before the time given; spent keys, budgets,
	// ceremonies, invitations, sessions and promptings whose own time is over;
	// outbox rows whose own time ended before the time given, and devices whose
	// KeepUntil did. Outbox rows of webhooks are a log and go KeepDeliveries after
	// they were written, or replayed. It returns how many rows went.
	Purge(ctx context.Context, before time.Time) (int64, error)
}

// Journal reads the audit rows.
type Journal interface {
	// Events lists a user's, newest first, at most limit.
	Events(ctx context.Context, userID string, limit int) ([]Event, error)
}

// Key names one request; exactly one of the ways is set, OrTyped aside.
type Key struct {
	ID       string
	Handle   []byte // hash
	CodeHash []byte // see Codes.Hash: bound to namespace, kind and, natively, the user
	Typed    []byte // likewise, of a user code
	OrTyped  []byte // beside Typed: of a user code, too, that is found where there is none of that
}

// Filter selects requests; every field that is set must match.
type Filter struct {
	NamespaceID string
	UserID      string
	ClientID    string // asks, or alone may collect
	PasskeyID   string // decided
	CodeKind    CodeKind
	Purpose     Purpose
	States      []State
	GrantLive   bool // redeemed ones only while their grant is not revoked
}

// Seen is a version somebody has read.
type Seen struct {
	ID      string
	Version int64
}

// Budget bounds wrong guesses: at most Limit in a Window that starts with the
// first. Budgets are always taken in the order given.
type Budget struct {
	Key    string
	Limit  int
	Window time.Duration
}

// Signals carries wakes to other nodes. A wake carries nothing and may be lost;
// the node that made the change wakes its own sleepers itself.
type Signals interface {
	// Wake tells the other nodes that requests changed. It never blocks.
	Wake(ids ...string)
	// Run calls wake for every id that another node reports and resync whenever
	// some may have been missed, until ctx ends.
	Run(ctx context.Context, wake func(id string), resync func()) error
}

// Pacer counts what may be forgotten: calls per address, polls. It decides
// nothing that a restart must not undo; when its backend is gone it falls back
// to this node's own count.
type Pacer interface {
	// Take counts one event of key and says how long to wait before the next is
	// welcome; 0 means go on. limit events a window, spread evenly, may burst.
	Take(ctx context.Context, key string, limit int, window time.Duration) (wait time.Duration)
	// Note replaces what is remembered under key by what next makes of it, and
	// forgets it after ttl. next is called once; it gets nil when nothing is
	// remembered, which may be so at any time, and of two calls at the same moment
	// each may get what was there before both.
	Note(ctx context.Context, key string, ttl time.Duration, next func(was []byte) []byte)
}
