package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// The flood guard (threats A3; MITRE ATT&CK T1621 is the attack): how many
// prompts one person gets without having approved anything in between, and how
// long push is silent after they said no twice. The QR code, the typed code and
// the list of waiting requests are never limited.
const (
	promptsPerBurst = 3
	burstWindow     = 10 * time.Minute
	promptsPerDay   = 10
	dayWindow       = 24 * time.Hour
	declinesToMute  = 2
	// MuteFor is how long push is silent, and how close two declines must be.
	MuteFor = 30 * time.Minute
)

// Prompting is what one person has been prompted with. It is a row of the
// store's with a version, like a request, so that the rules below decide and the
// store only compares and swaps.
type Prompting struct {
	Key        string    // a user's id, or noticeKey of it
	Version    int64     // 0: there is no row yet; never the same again once it was purged
	Live       string    // the request of the latest prompt
	LiveUntil  time.Time // when that request runs out, if nobody decides it
	Sent       []time.Time
	Declined   []time.Time
	MutedUntil time.Time
}

// noticeKey keeps what people are told apart from what they are asked, and one
// kind of news from another: no flood of the one must silence the other.
func noticeKey(userID string, n Notice) string { return userID + "/" + string(n) }

// forget drops what is too long ago to count.
func (p Prompting) forget(now time.Time) Prompting {
	old := func(age time.Duration) func(time.Time) bool {
		return func(t time.Time) bool { return !now.Before(t.Add(age)) }
	}
	p.Sent = slices.DeleteFunc(slices.Clone(p.Sent), old(dayWindow))
	p.Declined = slices.DeleteFunc(slices.Clone(p.Declined), old(MuteFor))
	p.Version = max(p.Version+1, now.UnixMicro()) // see keepMoved
	return p
}

// prompt is the row with one more prompt in it, of r; ok is false when there must
// not be one. live says whether the last one's request is still undecided (I15).
func (p Prompting) prompt(now time.Time, r Request, live bool) (next Prompting, ok bool) {
	next = p.forget(now)
	recent := 0
	for _, t := range next.Sent {
		if now.Before(t.Add(burstWindow)) {
			recent++
		}
	}
	if live || now.Before(p.MutedUntil) || recent >= promptsPerBurst || len(next.Sent) >= promptsPerDay {
		return p, false
	}
	next.Live, next.LiveUntil, next.Sent = r.ID, r.Expires, append(next.Sent, now)
	return next, true
}

// approved starts all counts again: the person is there and wants this. A prompt
// that is live stays so, since it need not be the one that was approved.
func (p Prompting) approved(now time.Time) Prompting {
	return Prompting{Key: p.Key, Version: p.forget(now).Version, Live: p.Live, LiveUntil: p.LiveUntil}
}

// declined counts a no; the second within MuteFor of the first mutes.
func (p Prompting) declined(now time.Time) Prompting {
	next := p.forget(now)
	next.Declined = append(next.Declined, now)
	if len(next.Declined) >= declinesToMute {
		next.MutedUntil, next.Declined = now.Add(MuteFor), nil
	}
	return next
}

// keepMoved is how long a row stays after its last change whatever is in it. A
// version is the time of its change, so one that is made after the purge is
// another even for a caller who read the clock a while ago (commitDeadline).
const keepMoved = time.Minute

// KeepUntil is when nothing in the row counts any more.
func (p Prompting) KeepUntil() time.Time {
	until := time.UnixMicro(p.Version).UTC().Add(keepMoved)
	until = later(until, later(p.MutedUntil, p.LiveUntil))
	for _, t := range p.Sent {
		until = later(until, t.Add(dayWindow))
	}
	for _, t := range p.Declined {
		until = later(until, t.Add(MuteFor))
	}
	return until
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Reach finds people outside of any request they make. Package push is one.
// Safe for concurrent use.
type Reach interface {
	// Reaches says whether there is any road to the user. It may read the store and
	// asks no provider; its error is the caller's.
	Reaches(ctx context.Context, userID string) (bool, error)
	// Queued says that the outbox has something new. It never blocks.
	Queued()
	// Check judges where a user's phone is to be reached, and names kind and place by
	// a keyed hash: the same for the same place, however its target is written, and
	// of a place that several people may share another one for each of them.
	// An InvalidError says what is wrong with it.
	Check(userID string, kind account.PhoneKind, target account.Secret) (hash []byte, err error)
	// Seal encrypts a target that passed Check, for one phone's row.
	Seal(phoneID string, target account.Secret) (sealed []byte, err error)
}

// prompt returns the effects that queue a prompt for the request, none when
// there must not be one or no road leads to the user.
func (s *Service) prompt(ctx context.Context, r Request, now time.Time) ([]Effect, error) {
	reached, err := s.reaches(ctx, r.UserID)
	if err != nil || !reached {
		return nil, err
	}
	p, err := s.Store.Prompting(ctx, r.UserID)
	if err != nil {
		return nil, err
	}
	live, err := s.live(ctx, p, now)
	if err != nil {
		return nil, err
	}
	next, ok := p.prompt(now, r, live)
	if !ok {
		return nil, nil
	}
	return []Effect{SetPrompting{p.Version, next}, Deliver{Topic: TopicPrompt, Key: r.ID, Until: r.Expires}}, nil
}

func (s *Service) reaches(ctx context.Context, userID string) (bool, error) {
	if s.Reach == nil || userID == "" {
		return false, nil
	}
	return s.Reach.Reaches(ctx, userID)
}

// live says whether the request of the last prompt can still be decided. What
// was seen settled stays so, and the row's version guards against a newer one.
func (s *Service) live(ctx context.Context, p Prompting, now time.Time) (bool, error) {
	if !now.Before(p.LiveUntil) {
		return false, nil
	}
	r, err := s.Store.Find(ctx, Key{ID: p.Live})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && r.undecided(now) == nil, err
}

// answered returns the effect of a person's verdict on the prompts to come.
func (s *Service) answered(ctx context.Context, userID string, to State, now time.Time) ([]Effect, error) {
	if s.Reach == nil || userID == "" {
		return nil, nil
	}
	p, err := s.Store.Prompting(ctx, userID)
	switch {
	case err != nil:
		return nil, err
	case to == Denied:
		return []Effect{SetPrompting{p.Version, p.declined(now)}}, nil
	case to == Approved && p.Version > 0:
		return []Effect{SetPrompting{p.Version, p.approved(now)}}, nil
	default:
		return nil, nil
	}
}

// Notice is something a user's phones should hear of, without being asked.
type Notice string

// The notices.
const (
	// NoticeCode: a code was made for them that needs no approval of theirs.
	NoticeCode Notice = "code_authorized"
	// NoticeSuspended: a passkey of theirs may have been copied.
	NoticeSuspended Notice = "passkey_suspended"
)

// NoticeLife is how long a phone that is off can still get a notice: a day, after
// which the activity page is the better place.
const NoticeLife = 24 * time.Hour

// notice returns the effects that tell a user's phones, none where nobody is
// reached or the same was told too often. Nothing of it mutes or is muted.
func (s *Service) notice(ctx context.Context, userID string, n Notice, now time.Time) ([]Effect, error) {
	reached, err := s.reaches(ctx, userID)
	if err != nil || !reached {
		return nil, err
	}
	p, err := s.Store.Prompting(ctx, noticeKey(userID, n))
	if err != nil {
		return nil, err
	}
	next, ok := p.prompt(now, Request{}, false)
	if !ok {
		return nil, nil
	}
	return []Effect{SetPrompting{p.Version, next}, Deliver{
		Topic: TopicNotice, Key: userID, Body: []byte(`"` + n + `"`), Until: now.Add(NoticeLife),
	}}, nil
}

// Muted says until when a user gets no prompts; a zero time when they do.
func (s *Service) Muted(ctx context.Context, userID string) (time.Time, error) {
	now, err := s.Store.Now(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("read mute: %w", err)
	}
	p, err := s.Store.Prompting(ctx, userID)
	if err != nil {
		return time.Time{}, fmt.Errorf("read mute: %w", err)
	}
	if !now.Before(p.MutedUntil) {
		return time.Time{}, nil
	}
	return p.MutedUntil, nil
}
