package approval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// commitDeadline bounds a commit that must not be abandoned half-way: the
// caller may be gone, but the change is either made or known not to be.
const commitDeadline = 5 * time.Second

// maxConflicts ends a read-judge-apply loop that never gets through. A request
// has fewer than ten transitions, so a loop that lost this often is a defect or
// an attack, not a race.
const maxConflicts = 32

// Config is what a Service is made of. Store, Codes, KeyID are required.
type Config struct {
	Store   Store
	Upkeep  Upkeep
	Hub     *Hub    // nil: a new one
	Signals Signals // nil: this node is alone
	Codes   *Codes
	// KeyID names the signing key that is current at the time given.
	KeyID func(ctx context.Context, now time.Time) (string, error)
	// Lives is how long codes live; DefaultLives fills what is missing.
	Lives map[CodeKind]time.Duration
	// TokenLife is how long a grant's token lives; 0: ten minutes (native contract).
	TokenLife time.Duration
	Guesses   Guesses
	// Reach and Outbox tell phones outside of their own requests; nil: nobody is
	// told, and an asker who wants a prompt learns that there is none.
	Reach  Reach
	Outbox Outbox
	// Hooks are the webhooks that are told what happens; nil: there are none.
	// Receivers is needed to add one, and to rotate its secret.
	Hooks     Hooks
	Receivers Receivers
	// Locate says roughly where an address is; nil, or a zero Place: nobody knows.
	Locate func(address string) Place
}

// Place is where an address is, roughly enough to be recognised and no better.
type Place struct {
	Name    string // "Berlin, Germany"
	Country string // two letters, ISO 3166-1
}

// Place is where an address is, as far as anybody knows.
func (s *Service) Place(address string) Place {
	if s.Locate == nil || address == "" {
		return Place{}
	}
	return s.Locate(address)
}

// Guesses is how many wrong codes are answered before ErrTooMany (threats B1).
// Zero fields mean the default; budgets of users and approvers are one.
type Guesses struct {
	PerUser       int // in 2 minutes; default 5
	PerUserHourly int // in an hour; default 10
	PerAddress    int // in 2 minutes, an IPv6 address counts by its /64; default 20
	PerClient     int // in 2 minutes; default 200
}

// defaultTokenLife is the native contract's "10 min after iat by default".
const defaultTokenLife = 10 * time.Minute

// Service asks, decides and hands out. Safe for concurrent use; it starts no
// goroutine before Run.
type Service struct {
	Config
	hooks *hookCache
	uses  *uses
}

// New checks the configuration and fills its defaults.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Codes == nil || c.KeyID == nil {
		return nil, errors.New("approval service: store, codes and key id are required")
	}
	if c.Hub == nil {
		c.Hub = NewHub()
	}
	if c.TokenLife == 0 {
		c.TokenLife = defaultTokenLife
	}
	lives := make(map[CodeKind]time.Duration)
	for k, d := range DefaultLives {
		lives[k] = d
		if own := c.Lives[k]; own > 0 {
			lives[k] = own
		}
	}
	c.Lives = lives
	c.Guesses = c.Guesses.withDefaults()
	return &Service{Config: c, hooks: &hookCache{}, uses: newUses()}, nil
}

// Ask is a question to be put to a person.
type Ask struct {
	Face     string
	Client   account.Client // who asks; its name is what is shown as verified
	User     account.User   // whom; zero while unknown
	Purpose  Purpose
	Kind     CodeKind
	Context  Context       // App and Username are filled in from Client and User
	Audience string        // the one client that may collect; "": any of the namespace
	Notify   bool          // the owner's phones should be prompted
	Life     time.Duration // how long anybody may decide; 0: as its kind's codes live
	Typed    bool          // a user code is made that any user of the namespace may type
	JKT      string        // the key that alone may collect; "": the first that is shown, or none
	AnswerTo []byte        // sealed: who is told of the verdict
	Vouch    *Vouch        // approved from birth
	With     []Effect
}

// Vouch approves a request as it is created: a backend that may, or a passkey
// that was just used.
type Vouch struct {
	Decision Decision // Begin fills in At
	Proof    *Proof
}

// Begun is what the asker learns. The code is for the new device and may be
// waited on; the handle is for the phone and may only be reviewed and decided.
type Begun struct {
	Request     Request
	Code        account.Secret
	UserCode    account.Secret // "" unless the ask was Typed
	Handle      account.Secret
	HandleUntil time.Time // when another handle takes its place; zero: it never does
	MatchNumber account.Secret
	Prompted    bool // a prompt is queued
}

// Begin freezes the question. It reports ErrInvalid for texts that cannot be
// shown, ErrForbidden when somebody would vouch for a transaction, or when no client
// asks and it is not for a new passkey of whoever comes (join.go), ErrInactive and
// ErrRevoked when user or client ended, ErrReplayed when an effect of With was used
// before.
func (s *Service) Begin(ctx context.Context, a Ask) (Begun, error) {
	shown, err := a.clean()
	if err == nil {
		err = a.unclaimed()
	}
	if err != nil {
		return Begun{}, err
	}
	shown.App, shown.Username = a.Client.Name, a.User.Username
	now, err := s.Store.Now(ctx)
	if err != nil {
		return Begun{}, fmt.Errorf("begin: %w", err)
	}
	where := s.Place(shown.Address)
	shown.Place, shown.Country = where.Name, where.Country
	for range maxConflicts {
		var changes []Change
		b := s.compose(a, shown, now)
		if changes, err = s.birth(ctx, a, &b, now); err == nil {
			err = s.apply(ctx, changes...)
		}
		if err == nil {
			return b, nil
		}
		// A short code of this user, or a user code, came up twice, or another prompt
		// was first.
		if !errors.Is(err, ErrExists) && !errors.Is(err, ErrConflict) {
			break
		}
	}
	return Begun{}, fmt.Errorf("begin: %w", heard(err))
}

// compose draws the ids and codes of a new request.
func (s *Service) compose(a Ask, shown Context, now time.Time) Begun {
	r := Request{
		ID: newRequestID(), Face: a.Face, NamespaceID: a.Client.NamespaceID, ClientID: a.Client.ID,
		Purpose: a.Purpose, Context: shown, Audience: a.Audience, TokenNeeded: a.Client.RequireWaitToken,
		UserID: a.User.ID, Match: a.Client.Match, CodeKind: a.Kind,
		CreatedAt: now, Expires: now.Add(cmp.Or(a.Life, s.Lives[a.Kind])), JKT: a.JKT, AnswerTo: a.AnswerTo,
	}
	if a.Purpose == Transaction {
		r.Context.ServerNonce = s.Codes.ServerNonce(r.ID)
	}
	b := Begun{Code: s.Codes.Code(a.Kind, r.ID), MatchNumber: s.Codes.MatchNumber(r)}
	r.CodeHash = s.Codes.Hash(r.NamespaceID, r.UserID, a.Kind, b.Code.Reveal())
	if a.Typed {
		b.UserCode = s.Codes.Code(UserCode, r.ID)
		r.TypedHash = s.Codes.Hash(r.NamespaceID, "", UserCode, b.UserCode.Reveal())
	}
	if r.Rotates = a.Client.RotateQR; r.Rotates {
		b.Handle, b.HandleUntil = s.Codes.Rotating(r, now)
	} else {
		b.Handle = account.NewSecret()
		r.HandleHash = b.Handle.Hash()
	}
	b.Request = r
	return b
}

// birth returns the changes that bring b into the world, and notes in b what
// they make of it.
func (s *Service) birth(ctx context.Context, a Ask, b *Begun, now time.Time) ([]Change, error) {
	c := b.Request.create(NewOp())
	c.Event.Address, c.Event.Detail = b.Request.Context.Address, string(a.Purpose)
	told, err := s.tell(ctx, a, b.Request, now)
	if err != nil {
		return nil, err
	}
	b.Prompted = a.Vouch == nil && len(told) > 0
	c.Effects = append(slices.Clone(a.With), told...)
	b.Request = *c.Request
	if a.Vouch == nil {
		return []Change{c}, nil
	}
	d := a.Vouch.Decision
	d.At = now
	v := b.Request.vouch(NewOp(), d, a.Vouch.Proof)
	b.Request = *v.Request
	return []Change{c, v}, nil
}

// tell returns the effects that let the owner's phones know: a question as a
// prompt where the asker wants one, an answer that a backend gave in their name
// as a notice always.
func (s *Service) tell(ctx context.Context, a Ask, r Request, now time.Time) ([]Effect, error) {
	switch {
	case a.Vouch == nil && a.Notify:
		return s.prompt(ctx, r, now)
	case a.Vouch != nil && a.Vouch.Decision.By == ByBackend:
		return s.notice(ctx, r.UserID, NoticeCode, now)
	default:
		return nil, nil
	}
}

// Target names the codes of one user, kind and purpose.
type Target struct {
	NamespaceID string
	UserID      string // "": no such user; nothing is found, at the same price
	Asked       string // what the caller called the user, to budget those who do not exist
	Kind        CodeKind
	Purpose     Purpose
}

// Authorize approves by a backend's word. Authorizing what is approved already
// is a success that changes nothing but spends With. ErrNotFound for a wrong,
// canceled or collected code, ErrExpired, ErrTooMany when too many were wrong.
func (s *Service) Authorize(ctx context.Context, t Target, code account.Secret, by account.Client, with ...Effect) (Request, error) {
	budgets := append(s.userBudgets(t.UserID, t.Asked), s.clientBudget(by.ID))
	found, err := s.byCode(ctx, t.NamespaceID, t.UserID, t.Kind, code, budgets)
	if err != nil {
		return Request{}, fmt.Errorf("authorize: %w", err)
	}
	if found.Purpose != t.Purpose {
		return Request{}, fmt.Errorf("authorize: %w", ErrNotFound)
	}
	return s.change(ctx, found, func(r Request, op string, now time.Time) (*Change, error) {
		switch {
		case r.State == Approved:
			return &Change{Op: op, Effects: with}, nil
		case !r.State.Open() && r.State != Expired && r.State != Lapsed:
			return nil, ErrNotFound
		}
		d := Decision{By: ByBackend, ClientID: by.ID, ClientName: by.Name, At: now}
		c, err := r.approve(op, now, d, nil)
		c.Effects = append(c.Effects, with...)
		return &c, err
	})
}

// Spend uses up single-use keys that guard a call which changes nothing else.
func (s *Service) Spend(ctx context.Context, with ...Effect) error {
	if len(with) == 0 {
		return nil
	}
	return heard(s.apply(ctx, Change{Op: NewOp(), Effects: with}))
}

// change judges a request that was just found and applies the judgement; when
// somebody else was faster it reads it and judges again. A nil change means
// there is nothing to do. It returns the request as it then stands.
func (s *Service) change(ctx context.Context, found *Request, judge func(r Request, op string, now time.Time) (*Change, error)) (Request, error) {
	op, r := NewOp(), *found // one op for all tries: an op that conflicted was not applied
	for range maxConflicts {
		now, err := s.Store.Now(ctx)
		if err != nil {
			return Request{}, err
		}
		c, err := judge(r, op, now)
		if err != nil || c == nil {
			return r, err
		}
		switch err := s.apply(ctx, *c); {
		case err == nil && c.Request == nil:
			return r, nil
		case err == nil:
			return *c.Request, nil
		case !errors.Is(err, ErrConflict):
			return Request{}, err
		}
		if r, err = s.Store.Find(ctx, Key{ID: found.ID}); err != nil {
			return Request{}, err
		}
	}
	return Request{}, fmt.Errorf("request %s: %w", found.ID, ErrUnavailable)
}

// apply commits and then wakes: first this node's sleepers, then the others'.
// It is not abandoned when the caller leaves, so that no commit goes unheard.
func (s *Service) apply(ctx context.Context, changes ...Change) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitDeadline)
	defer cancel()
	changes, err := s.announce(ctx, changes)
	if err != nil {
		return err
	}
	if changes, err = s.commit(ctx, changes); err != nil {
		return err
	}
	if s.Reach != nil && slices.ContainsFunc(changes, delivers) {
		s.Reach.Queued()
	}
	for _, c := range changes {
		if c.Request == nil || c.From == 0 {
			continue // nobody can sleep on what did not exist
		}
		s.Hub.Wake(c.Request.ID)
		if s.Signals != nil {
			s.Signals.Wake(c.Request.ID)
		}
	}
	return nil
}

func delivers(c Change) bool {
	return slices.ContainsFunc(c.Effects, func(e Effect) bool {
		switch e.(type) {
		case Deliver, Replay:
			return true
		}
		return false
	})
}
