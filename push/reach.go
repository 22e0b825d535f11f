package push

import (
	"context"
	"fmt"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var _ approval.Reach = (*Push)(nil)

// Reaches implements approval.Reach.
func (p *Push) Reaches(ctx context.Context, userID string) (bool, error) {
	if userID == "" || len(p.shared) > 0 {
		return userID != "", nil
	}
	roads, err := p.roads(ctx, userID)
	if err != nil {
		return false, fmt.Errorf("look for phones: %w", err)
	}
	return len(roads) > 0, nil
}

// Queued implements approval.Reach: whichever topic it is about, all look.
func (p *Push) Queued() {
	p.prompts.look()
	p.notices.look()
	p.answers.look()
	p.told.look()
}

// Check implements approval.Reach.
func (p *Push) Check(userID string, kind account.PhoneKind, target account.Secret) (hash []byte, err error) {
	if p.byKind[kind] == nil {
		return nil, badField("kind", "must be one that this server can reach")
	}
	place, err := p.book.place(kind, target)
	if err != nil {
		return nil, err
	}
	return p.book.hash(userID, kind, place), nil
}

// Seal implements approval.Reach.
func (p *Push) Seal(phoneID string, target account.Secret) (sealed []byte, err error) {
	return p.book.seal(phoneID, target)
}

// road leads to one user: a phone and the channel of its kind, or a channel that
// needs none.
type road struct {
	name    string // the phone's id, or the channel's name; unique among a user's
	label   string // the channel's, for metrics
	channel Channel
	phone   account.Phone // zero where none is needed
}

// roads are all that lead to a user now, account.MaxPhones and two at most.
func (p *Push) roads(ctx context.Context, userID string) ([]road, error) {
	phones, err := p.store.Phones(ctx, userID)
	if err != nil {
		return nil, err
	}
	var out []road
	for _, ph := range phones {
		if c := p.byKind[ph.Kind]; c != nil {
			out = append(out, road{name: ph.ID, label: string(ph.Kind), channel: c, phone: ph})
		}
	}
	return append(out, p.shared...), nil
}

// send makes one attempt. It ends in attemptTime, and when nobody wants the message
// any more.
func (p *Push) send(ctx context.Context, r road, m Message, left time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, min(attemptTime, left))
	defer cancel()
	m.Left = left
	if m.Phone = r.phone; r.phone.ID != "" {
		var err error
		if m.Target, err = p.book.open(r.phone); err != nil {
			return err
		}
	}
	return r.channel.Send(ctx, m)
}
