package soak

import (
	"fmt"
	"slices"
	"time"
)

// judgement collects what is wrong.
type judgement struct {
	faults []string
}

func (j *judgement) fault(format string, args ...any) {
	j.faults = append(j.faults, fmt.Sprintf(format, args...))
}

const (
	// redeliveredFor and collectGrace are approval.RedeliveryWindow and
	// approval.CollectGrace, written again: this package judges from outside.
	redeliveredFor = 60 * time.Second
	collectGrace   = 60 * time.Second
	// readingError is what two processes of one machine may differ in when they
	// read the clock, and what a node's copy of the database's drifts by.
	readingError = 100 * time.Millisecond
	// clockError is what that copy is off by at most while the database's replies to
	// the node are late, 550 ms in the nemesis: half of that, and a little.
	clockError = 300 * time.Millisecond
)

// judge checks a history against what the database holds in the end.
func judge(acts []act, records map[string]*record) []string {
	j := &judgement{}
	byRequest, byUser := make(map[string][]act), make(map[string][]act)
	for _, a := range acts {
		if a.request != "" {
			byRequest[a.request] = append(byRequest[a.request], a)
		} else {
			byUser[a.user] = append(byUser[a.user], a)
		}
	}
	for id, on := range byRequest {
		slices.SortFunc(on, func(a, b act) int { return a.asked.Compare(b.asked) })
		c := newStory(id, on, byUser[on[0].user], records[id])
		c.judgement = j
		c.judge()
	}
	for _, r := range records {
		j.trail(r)
		j.signIn(r)
	}
	slices.Sort(j.faults)
	return slices.Compact(j.faults)
}

// story is what happened to one request.
type story struct {
	*judgement
	id          string
	born        *act // nil: nobody was told that it was made
	vouched     bool // approved from birth
	yes, taken  []act
	noes        []act // what may have taken it back: asked before, of its user
	is          *record
	life        time.Time // its expiry
	jti         string    // of the tokens that came out; "" when none did
	firstTaking time.Time // when the first collection that may have been one was asked
}

func newStory(id string, on, ofUser []act, is *record) *story {
	c := &story{id: id, is: is}
	for i, a := range on {
		switch a.verb {
		case generates:
			c.born, c.life, c.vouched = &on[i], a.expires, a.vouched
		case authorizes:
			c.yes = append(c.yes, a)
		case collects:
			c.taken = append(c.taken, a)
			if (a.outcome == done || a.outcome == unknown) && c.firstTaking.IsZero() {
				c.firstTaking = a.asked
			}
		}
	}
	for _, a := range ofUser {
		isNo := a.verb == invalidates || a.verb == deactivates || a.verb == revokes
		if isNo && (a.outcome == done || a.outcome == unknown) && (c.born == nil || !a.answered.Before(c.born.asked) || a.outcome == unknown) {
			c.noes = append(c.noes, a)
		}
	}
	return c
}

func (c *story) judge() {
	c.oneToken()
	for _, a := range c.taken {
		switch a.outcome {
		case done:
			c.rightlyGiven(a)
		case other:
			c.fault("unexpected: %s", a)
		case unknown, again:
		default:
			c.rightlyRefused(a)
		}
	}
	for _, a := range c.yes {
		if a.outcome == done {
			c.kept(a)
		}
	}
	for _, no := range c.noes {
		if no.outcome == done && c.born != nil && !c.born.answered.After(no.asked) {
			c.takenBack(no)
		}
	}
}

// oneToken is I1, as far as clients see it.
func (c *story) oneToken() {
	var first string
	for _, a := range c.taken {
		if a.outcome != done {
			continue
		}
		if first == "" {
			first = a.token
		}
		if a.token != first {
			c.fault("I1: request %s gave two different tokens: %s and %s", c.id, first, a.token)
		}
		said, err := claimsOf(a.token)
		if err != nil {
			c.fault("token: %v", err)
			continue
		}
		c.jti = said.JTI
		if said.For != a.user {
			c.fault("I16: a token for %s answered %s", said.For, a)
		}
		if c.is == nil || c.is.grant == nil || c.is.grant.JTI != said.JTI {
			c.fault("I11: the redemption of %s is not in the database", a)
		}
	}
}

// rightlyGiven judges a token that came out.
func (c *story) rightlyGiven(a act) {
	said, err := claimsOf(a.token)
	if err != nil {
		return // said already
	}
	if !c.vouched && !slices.ContainsFunc(c.yes, func(y act) bool {
		return y.asked.Before(a.answered) && (y.outcome == done || y.outcome == unknown)
	}) {
		c.fault("a token that nobody approved: %s", a)
	}
	for _, no := range c.noes {
		if no.outcome != done || c.born == nil || c.born.answered.After(no.asked) || no.answered.After(a.asked) {
			continue
		}
		if no.verb == revokes && !c.approvedBefore(no) { // it may have been approved later
			continue
		}
		// The end of a user stops redemptions; a token that is out stays out.
		if no.verb != deactivates || !c.firstTaking.Before(no.answered) {
			c.fault("I2: a token after an acknowledged no: %s, after %s", a, no)
		}
	}
	issued := time.Unix(said.IAT, 0)
	if a.asked.After(issued.Add(redeliveredFor + readingError)) {
		c.fault("I7: a token again %s after it was made: %s", a.asked.Sub(issued), a)
	}
	if a.asked.After(c.life.Add(collectGrace + readingError)) {
		c.fault("I8: a token %s after the code's end: %s", a.asked.Sub(c.life), a)
	}
	if c.is != nil && c.is.grant != nil && c.is.grant.Address != a.from {
		c.fault("I7: a token of %s for somebody else: %s", c.is.grant.Address, a)
	}
}

// approvedBefore says whether a revocation found it approved, or signed in.
func (c *story) approvedBefore(no act) bool {
	before := no.asked.Add(-clockError)
	return c.vouched && c.born != nil && c.born.answered.Before(before) ||
		slices.ContainsFunc(c.yes, func(y act) bool { return y.outcome == done && y.answered.Before(before) })
}

// rightlyRefused judges an answer without a token.
func (c *story) rightlyRefused(a act) {
	yes := slices.ContainsFunc(c.yes, func(y act) bool { return y.outcome == done && !y.answered.After(a.asked) })
	mayBeNo := slices.ContainsFunc(c.noes, func(no act) bool { return no.asked.Before(a.answered) })
	switch a.outcome {
	case pending:
		if yes && !mayBeNo {
			c.fault("I11: pending after an acknowledged yes: %s", a)
		}
	case denied, inactive:
		if !mayBeNo {
			c.fault("a no that nobody said: %s", a)
		}
	case expired:
		end := c.life
		if yes {
			end = end.Add(collectGrace)
		}
		if !mayBeNo && a.answered.Before(end.Add(-readingError)) {
			c.fault("expired %s too early: %s", end.Sub(a.answered), a)
		}
	case notFound:
		c.rightlyUnknown(a, yes)
	}
}

// rightlyUnknown judges a "not found": right when another address collected, or
// when it was collected long ago, or when the question itself was lost in a crash
// before anybody had said anything about it.
func (c *story) rightlyUnknown(a act, yes bool) {
	switch {
	case c.is == nil && !yes:
	case c.is == nil:
		c.fault("I11: the request is gone: %s", a)
	case c.is.grant == nil:
		c.fault("not found, though it is %s in the database: %s", c.is.state, a)
	case c.is.grant.Address == a.from && a.answered.Before(c.is.grant.Issued.Add(redeliveredFor-readingError)):
		c.fault("I7: not found, though %s collected it itself at %s: %s", a.from, c.is.grant.Issued, a)
	}
}

// kept judges that an acknowledged yes was not lost (I11).
func (c *story) kept(yes act) {
	switch {
	case c.is == nil:
		c.fault("I11: the database has no %s", yes)
	case !c.is.has("request.approved"):
		c.fault("I11: the audit has no approval for %s", yes)
	case c.is.decided.After(c.is.expires):
		c.fault("I8: approved %s after its end: %s", c.is.decided.Sub(c.is.expires), yes)
	case len(c.noes) == 0 && !slices.Contains([]string{"approved", "redeemed", "lapsed"}, c.is.state):
		c.fault("I11: it is %s in the database: %s", c.is.state, yes)
	}
}

// takenBack judges that an acknowledged no reached what was there (I2, I4).
func (c *story) takenBack(no act) {
	switch {
	case c.is == nil: // lost before anybody decided, or never collected
	case no.verb == revokes && !c.approvedBefore(no):
	case no.verb == revokes && c.is.state == "redeemed" && c.is.device != nil && !c.is.device.revoked:
		c.fault("I4: the device of request %s is signed in after %s", c.id, no)
	case c.is.state == "pending", c.is.state == "approved":
		c.fault("I4: request %s is %s after %s", c.id, c.is.state, no)
	case c.is.state == "redeemed" && no.verb == invalidates && !c.is.revoked:
		c.fault("I4: the grant of request %s lives after %s", c.id, no)
	}
}

func (r *record) has(name string) bool {
	return slices.ContainsFunc(r.events, func(e trace) bool { return e.name == name })
}

// paths says which audit row may follow which, and what state each leads to; "" is
// the beginning.
var paths = map[string][]string{
	"":                 {"request.created"},
	"request.created":  {"request.approved", "request.canceled", "request.expired"},
	"request.approved": {"request.redeemed", "request.canceled", "request.lapsed"},
	"request.redeemed": {"grant.revoked"},
}

var leadsTo = map[string]string{
	"request.created": "pending", "request.approved": "approved", "request.canceled": "canceled",
	"request.expired": "expired", "request.lapsed": "lapsed", "request.redeemed": "redeemed", "grant.revoked": "redeemed",
}

// trail is I18 and I9: one audit row for every version, and no way back.
func (j *judgement) trail(r *record) {
	if int64(len(r.events)) != r.version {
		j.fault("I18: request %s has version %d and %d audit rows: %v", r.id, r.version, len(r.events), r.events)
		return
	}
	last := ""
	for i, e := range r.events {
		if e.version != int64(i)+1 {
			j.fault("I18: request %s has no audit row for version %d: %v", r.id, i+1, r.events)
			return
		}
		if !slices.Contains(paths[last], e.name) {
			j.fault("I9: request %s: %s after %q", r.id, e.name, last)
		}
		last = e.name
		if e.name == "request.redeemed" && (r.grant == nil || r.grant.JTI != e.detail) {
			j.fault("I1: the audit of request %s names token %s, the request another", r.id, e.detail)
		}
	}
	if leadsTo[last] != r.state {
		j.fault("I18: request %s is %s, its last audit row %s", r.id, r.state, last)
	}
}

// signIn is I18 of what came of a request: a device for every redemption, which has
// ended exactly when audit rows say so.
func (j *judgement) signIn(r *record) {
	ended := r.signedOut > 0 || r.has("grant.revoked")
	switch {
	case r.grant == nil:
		if r.device != nil || r.signedOut > 0 {
			j.fault("I18: request %s is %s and signed in %+v", r.id, r.state, r.device)
		}
	case r.device == nil:
		if time.Now().Before(r.grant.Expires) {
			j.fault("I18: request %s is redeemed, and nothing is signed in", r.id)
		}
	case r.device.id != r.grant.SID:
		j.fault("I18: request %s is redeemed by %s, and %s is signed in", r.id, r.grant.SID, r.device.id)
	case r.device.revoked != ended:
		j.fault("I18: of the device of request %s the audit says that it ended: %t, the database %t", r.id, ended, r.device.revoked)
	}
	if r.signedOut > 1 {
		j.fault("I18: the device of request %s ended %d times", r.id, r.signedOut)
	}
}
