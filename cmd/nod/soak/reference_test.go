package soak

import (
	"time"

	"github.com/nod-auth/nod/approval"
)

// plain is the reference: one request as a reader of the architecture would write
// it down, without a store, a version to lose or anybody beside. Each method says
// what the call must answer, as an error word or nil.
type plain struct {
	state    approval.State
	version  int64
	life     time.Time
	tries    int
	opened   string // phone
	again    bool   // a second one
	ended    approval.By
	client   string // who collected, and from where
	from     string
	token    string // "" until known
	issued   time.Time
	isRevoke bool
}

func (p *plain) move(to approval.State) { p.state, p.version = to, p.version+1 }

// undecided is the answer to whoever wants to decide now.
func (p *plain) undecided(now time.Time) error {
	switch {
	case p.state == approval.Pending && now.Before(p.life):
		return nil
	case p.state == approval.Pending, p.state == approval.Expired, p.state == approval.Lapsed:
		return approval.ErrExpired
	default:
		return approval.ErrDecided
	}
}

func (p *plain) authorize(now time.Time) error {
	switch p.state {
	case approval.Approved:
		return nil
	case approval.Denied, approval.Canceled, approval.Redeemed:
		return approval.ErrNotFound
	}
	return p.decide(now, approval.Approved)
}

func (p *plain) decide(now time.Time, to approval.State) error {
	err := p.undecided(now)
	if err == nil {
		p.move(to)
	}
	return err
}

// guess is a number typed on a phone: three wrong ones decline.
func (p *plain) guess(now time.Time) error {
	if err := p.undecided(now); err != nil {
		return err
	}
	p.tries++
	p.move(approval.Pending)
	if p.tries == 3 {
		p.state = approval.Denied
	}
	return approval.ErrMismatch
}

func (p *plain) open(now time.Time, phone string) error {
	if err := p.undecided(now); err != nil {
		return err
	}
	switch {
	case p.opened == "":
		p.opened = phone
		p.move(approval.Pending)
	case !p.again && p.opened != phone:
		p.again = true
		p.move(approval.Pending)
	}
	return nil
}

// cancel is the end by another hand, of what can still come to something; what ran
// out before ran out.
func (p *plain) cancel(now time.Time, why approval.By) {
	switch {
	case p.state == approval.Pending && !now.Before(p.life):
		p.move(approval.Expired)
	case p.state == approval.Approved && !now.Before(p.life.Add(collectGrace)):
		p.move(approval.Lapsed)
	case p.state.Open():
		p.move(approval.Canceled)
		p.ended = why
	}
}

func (p *plain) revoke() {
	if p.state == approval.Redeemed && !p.isRevoke {
		p.isRevoke = true
		p.move(approval.Redeemed)
	}
}

func (p *plain) collect(now time.Time, client, from string) error {
	switch {
	case p.state == approval.Pending && now.Before(p.life):
		return approval.ErrPending
	case p.state == approval.Pending:
		p.move(approval.Expired)
	case p.state == approval.Approved && now.Before(p.life.Add(collectGrace)):
		p.move(approval.Redeemed)
		p.client, p.from, p.issued = client, from, now.Truncate(time.Second)
		return nil
	case p.state == approval.Approved:
		p.move(approval.Lapsed)
	}
	switch {
	case p.state == approval.Expired, p.state == approval.Lapsed:
		return approval.ErrExpired
	case p.state == approval.Canceled && p.ended == approval.ByUserEnded:
		return approval.ErrInactive
	case p.state == approval.Denied, p.state == approval.Canceled, p.isRevoke:
		return approval.ErrDenied
	case p.client == client && p.from == from && now.Before(p.issued.Add(redeliveredFor)):
		return nil
	default:
		return approval.ErrNotFound
	}
}
