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
	Key        string // a user's id, or noticeKey of it
	Version    int64  // 0: there is no row yet; never the same again once it was purged
	Live       string // the request of the latest prompt
	Sent       []time.Time
	Declined   []time.Time
	MutedUntil time.Time
}

// noticeKey keeps what people are told apart from what they are asked: a flood of
// questions must not silence the news that somebody got in.
func noticeKey(userID string) string { return userID + "/notice" }

// forget drops what is too long ago to count.
func (p Prompting) forget(now time.Time) Prompting {
	old := func(age time.Duration) func(time.Time) bool {
		return func(t time.Time) bool { return !now.Before(t.Add(age)) }
	}
	p.Sent = slices.DeleteFunc(slices.Clone(p.Sent), old(dayWindow))
	p.Declined = slices.DeleteFunc(slices.Clone(p.Declined), old(MuteFor))
	p.Version = max(p.Version+1, now.UnixMicro())
	return p
}

// prompt is the row with one more prompt in it; ok is false when there must not
// be one. live says whether the last one's request is still undecided (I15).
func (p Prompting) prompt(now time.Time, requestID string, live bool) (next Prompting, ok bool) {
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
	next.Live, next.Sent = requestID, append(next.Sent, now)
	return next, true
}

// approved starts all counts again: the person is there and wants this.
func (p Prompting) approved(now time.Time) Prompting {
	return Prompting{Key: p.Key, Version: p.forget(now).Version}
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

// KeepUntil is when nothing in the row counts any more.
func (p Prompting) KeepUntil() time.Time {
	until := p.MutedUntil
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
	// Reaches says whether there is any road to the user. It may read the store.
	Reaches(ctx context.Context, userID string) (bool, error)
	// Queued says that the outbox has something new. It never blocks.
	Queued()
	// Check judges where a phone is to be reached, and names it by a keyed hash.
	// An InvalidError says what is wrong with it.
	Check(kind account.PhoneKind, target account.Secret) (hash []byte, err error)
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
	live, err := s.live(ctx, p.Live, now)
	if err != nil {
		return nil, err
	}
	next, ok := p.prompt(now, r.ID, live)
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
func (s *Service) live(ctx context.Context, id string, now time.Time) (bool, error) {
	if id == "" {
		return false, nil
	}
	r, err := s.Store.Find(ctx, Key{ID: id})
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
// reached or too many were told. Its counts are apart from those of prompts.
func (s *Service) notice(ctx context.Context, userID string, n Notice, now time.Time) ([]Effect, error) {
	reached, err := s.reaches(ctx, userID)
	if err != nil || !reached {
		return nil, err
	}
	p, err := s.Store.Prompting(ctx, noticeKey(userID))
	if err != nil {
		return nil, err
	}
	next, ok := p.prompt(now, "", false)
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
