package approval

import (
	"slices"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// maxTries is how many wrong match numbers decline a request: three when it is
// typed, one when it is picked from three (a second pick would be a coin toss).
func maxTries(m account.Match) int {
	if m == account.MatchPick {
		return 1
	}
	return 3
}

// step is the common part of every transition: the next version, in state to,
// conditional on the version it was.
func (r Request) step(op string, name EventName, to State) Change {
	next := r
	next.State = to
	next.Version++
	return Change{
		Op:      op,
		Request: &next,
		From:    r.Version,
		Event: Event{
			Name: name, NamespaceID: r.namespace(), RequestID: r.ID, Version: next.Version,
			UserID: r.UserID, ClientID: r.ClientID,
		},
	}
}

// create is the first version of a request.
func (r Request) create(op string) Change {
	c := r.step(op, EventRequested, Pending)
	c.From = 0
	c.Needs = Needs{UserID: r.UserID, ClientIDs: clients(r.ClientID, r.Audience)}
	return c
}

// undecided is nil while a verdict can be given at now.
func (r Request) undecided(now time.Time) error {
	switch {
	case r.State == Pending && now.Before(r.Expires):
		return nil
	case r.State == Pending, r.State == Expired, r.State == Lapsed:
		return ErrExpired
	default:
		return &DecidedError{r.State}
	}
}

// open notes that somebody looks at the request on a phone. The first time is a
// change, and so is the first time on another phone; otherwise ok is false. phone
// is "" when nobody can tell one from another.
func (r Request) open(op string, now time.Time, way Way, userID, phone string) (c Change, ok bool, err error) {
	if err := r.undecided(now); err != nil {
		return Change{}, false, err
	}
	switch {
	case r.OpenedAt.IsZero():
		c = r.step(op, EventOpened, Pending)
		c.Request.OpenedAt, c.Request.OpenedVia, c.Request.OpenedBy = now, way, phone
	case r.AgainAt.IsZero() && phone != "" && r.OpenedBy != "" && phone != r.OpenedBy:
		c = r.step(op, EventOpenedAgain, Pending)
		c.Request.AgainAt = now
	default:
		return Change{}, false, nil
	}
	c.Event.UserID, c.Event.Detail = userID, string(way)
	c.Before = r.Expires
	return c, true, nil
}

// needsNumber says whether an approval that came by way must name the match
// number.
func (r Request) needsNumber(way Way) bool {
	return !way.tied() && (r.Match == account.MatchType || r.Match == account.MatchPick)
}

// needsSeen says whether it must say that the device shows the binding message.
func (r Request) needsSeen(way Way) bool {
	return !way.tied() && r.Match == account.MatchMessage && r.Context.BindingMessage != ""
}

// mismatch counts a wrong match number; the last one declines.
func (r Request) mismatch(op string, now time.Time, way Way, userID string) (Change, error) {
	if err := r.undecided(now); err != nil {
		return Change{}, err
	}
	c := r.step(op, EventMismatched, Pending)
	c.Request.Tries++
	if c.Request.Tries >= maxTries(r.Match) {
		c.Request.State = Denied
		c.Request.Decision = &Decision{By: ByTries, Way: way, UserID: userID, At: now}
		c.Event.Name = EventDenied
		c.answer(r)
	}
	c.Event.UserID, c.Event.Detail = userID, "wrong number"
	c.Before = r.Expires
	return c, nil
}

// approve is the yes. What it rests on is judged here and nowhere else: a
// person's yes needs a proof over exactly this record, and the match number
// where nothing travelled.
func (r Request) approve(op string, now time.Time, d Decision, p *Proof) (Change, error) {
	if err := r.undecided(now); err != nil {
		return Change{}, err
	}
	if r.Purpose == Transaction && d.By != ByPasskey { // nobody consents for somebody else
		return Change{}, ErrForbidden
	}
	if d.By == ByPasskey {
		switch {
		case p == nil, p.UserID != d.UserID, p.Way != d.Way, recordedID(p.Record) != r.ID:
			return Change{}, ErrMismatch
		case !slices.Equal(p.Record, Record(r, d.UserID, d.Way, Approve)):
			return Change{}, &ChangedError{r.ID}
		}
		if (r.needsNumber(d.Way) || r.needsSeen(d.Way)) && !p.Matched {
			return Change{}, &MismatchError{Left: maxTries(r.Match) - r.Tries}
		}
		d.PasskeyID, d.PasskeyName, d.Matched = p.PasskeyID, p.PasskeyName, p.Matched
	}
	if !r.expects(d.UserID) {
		return Change{}, ErrForbidden
	}
	return r.decide(op, d, p), nil
}

// vouch approves a request that is being created, by whoever asks for it.
func (r Request) vouch(op string, d Decision, p *Proof) Change { return r.decide(op, d, p) }

func (r Request) decide(op string, d Decision, p *Proof) Change {
	c := r.step(op, EventApproved, Approved)
	c.Request.Decision = &d
	if c.Request.UserID == "" {
		c.Request.UserID = d.UserID
	}
	c.Event.NamespaceID, c.Event.UserID, c.Event.PasskeyID = c.Request.namespace(), c.Request.UserID, d.PasskeyID
	c.Event.Detail = string(d.By)
	if d.ClientID != "" {
		c.Event.ClientID = d.ClientID
	}
	c.Before = r.Expires
	c.Needs = Needs{UserID: c.Request.UserID, PasskeyID: d.PasskeyID, ClientIDs: clients(r.ClientID, d.ClientID)}
	if p != nil {
		c.Effects = slices.Clone(p.Effects)
	}
	c.answer(r)
	return c
}

// answerFor is how long after a request's time somebody who asked to be told of
// its verdict is still told.
const answerFor = 10 * time.Minute

// answer lets whoever asked to be told of the end of r know it: once, with the
// verdict or with what took its place.
func (c *Change) answer(r Request) {
	if r.AnswerTo != nil {
		c.Effects = append(c.Effects, Deliver{Topic: TopicAnswer, Key: r.ID, Body: []byte("{}"), Until: r.Expires.Add(answerFor)})
	}
}

// bind ties a request to the first key that its new device shows: from then on
// nobody without it collects.
func (r Request) bind(op string, jkt string) Change {
	c := r.step(op, EventBound, r.State)
	c.Request.JKT = jkt
	return c
}

// deny is the no. It needs no proof: declining must be as easy as looking away.
func (r Request) deny(op string, now time.Time, d Decision) (Change, error) {
	if err := r.undecided(now); err != nil {
		return Change{}, err
	}
	c := r.step(op, EventDenied, Denied)
	c.Request.Decision = &d
	if c.Request.UserID == "" {
		c.Request.UserID = d.UserID
	}
	c.Event.NamespaceID, c.Event.UserID, c.Event.Detail = c.Request.namespace(), d.UserID, string(d.By)
	c.Before = r.Expires
	c.answer(r)
	return c, nil
}

// cancel takes a request back before it is collected, or the grant after (I4).
// One whose time is over has run out: time was first.
func (r Request) cancel(op string, now time.Time, why By) (c Change, ok bool) {
	if c, ok := r.expire(op, now); ok {
		return c, true
	}
	switch {
	case r.State.Open():
		c = r.step(op, EventCanceled, Canceled)
		c.Request.EndedBy = why
		if r.State == Pending { // of an approval they were told already
			c.answer(r)
		}
	case r.State == Redeemed && r.Grant.RevokedAt.IsZero():
		c = r.step(op, EventGrantRevoked, Redeemed)
		g := *r.Grant
		g.RevokedAt = now
		c.Request.Grant = &g
		c.Effects = append(c.Effects, RevokeDevice{By: why, Device: account.Device{
			ID: g.SID, ClientID: g.Audience, Username: g.Username, Name: r.Context.DeviceName,
		}})
	default:
		return Change{}, false
	}
	c.Event.Detail = string(why)
	return c, true
}

// collectBy is when an approved request can no longer be collected.
func (r Request) collectBy() time.Time { return r.Expires.Add(CollectGrace) }

// expire ends what ran out; ok is false while it has not.
func (r Request) expire(op string, now time.Time) (c Change, ok bool) {
	switch {
	case r.State == Pending && !now.Before(r.Expires):
		c = r.step(op, EventExpired, Expired)
		c.NotBefore = r.Expires
		c.answer(r)
	case r.State == Approved && !now.Before(r.collectBy()):
		c = r.step(op, EventLapsed, Lapsed)
		c.NotBefore = r.collectBy()
		c.Event.Detail = r.Face // where nobody collects, all lapse
	default:
		return Change{}, false
	}
	return c, true
}

// redeem hands the grant out, once (I1). User, passkey and clients are checked
// again in the same transaction (I13).
func (r Request) redeem(op string, g Grant) Change {
	c := r.step(op, EventRedeemed, Redeemed)
	c.Request.Grant = &g
	c.Before = r.collectBy()
	c.Event.UserID, c.Event.ClientID, c.Event.Address = r.UserID, g.Audience, g.Address
	c.Event.Detail = g.JTI
	c.Needs = Needs{UserID: r.UserID, ClientIDs: clients(r.ClientID, g.Audience)}
	if r.Decision != nil {
		c.Event.PasskeyID = r.Decision.PasskeyID
		c.Needs.PasskeyID = r.Decision.PasskeyID
		c.Needs.ClientIDs = clients(r.ClientID, g.Audience, r.Decision.ClientID)
	}
	c.Effects = r.toldReceipt(g)
	return c
}

// lost notes that the server saw the reply with the grant fail.
func (r Request) lost(op string) (c Change, ok bool) {
	if r.State != Redeemed || r.Grant.Lost || !r.Grant.RevokedAt.IsZero() {
		return Change{}, false
	}
	c = r.step(op, EventLost, Redeemed)
	g := *r.Grant
	g.Lost = true
	c.Request.Grant = &g
	c.Event.Detail = g.JTI
	return c, true
}

// remint hands a fresh grant out in the place of one that was lost.
func (r Request) remint(op string, g Grant) Change {
	g.Reminted = true
	c := r.redeem(op, g)
	c.Event.Name = EventReminted
	c.Before = r.Grant.IssuedAt.Add(RedeliveryWindow)
	return c
}

// remintable says whether the grant was lost and may be replaced: once, within the
// window, for the same client with the same key.
func (r *Request) remintable(now time.Time, clientID, jkt string) bool {
	g := r.Grant
	return r.State == Redeemed && g != nil && g.Lost && !g.Reminted && g.RevokedAt.IsZero() &&
		g.Audience == clientID && g.JKT == jkt && now.Before(g.IssuedAt.Add(RedeliveryWindow))
}

// redeliverable says whether the stored grant may be handed out again: to the
// same collector, within the window, unless it was revoked (I7).
func (r *Request) redeliverable(now time.Time, clientID, address string) bool {
	g := r.Grant
	return r.State == Redeemed && g != nil && g.RevokedAt.IsZero() &&
		g.Audience == clientID && g.Address == address &&
		now.Before(g.IssuedAt.Add(RedeliveryWindow))
}

// clients lists the distinct, named ones.
func clients(ids ...string) []string {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		if id != "" && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}
