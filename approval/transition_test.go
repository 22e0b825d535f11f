package approval

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nod-auth/nod/approval/account"
)

var (
	born    = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	runsOut = born.Add(3 * time.Minute)
	states  = []State{Pending, Approved, Denied, Canceled, Expired, Lapsed, Redeemed}
)

func inState(s State) Request {
	r := Request{
		ID: "r1", Face: "native", NamespaceID: "ns", ClientID: "c1", UserID: "u1", Purpose: SignIn,
		Match: account.MatchType, CreatedAt: born, Expires: runsOut, State: s, Version: 7,
		Context: Context{App: "Acme TV", Username: "ada"},
	}
	if s != Pending && s != Expired && s != Canceled {
		r.Decision = &Decision{By: ByPasskey, UserID: "u1", PasskeyID: "p1", At: born}
	}
	if s == Redeemed {
		r.Grant = &Grant{JTI: "j1", Audience: "c1", Address: "192.0.2.1", IssuedAt: born}
	}
	return r
}

func proofOf(r Request, way Way) *Proof {
	return &Proof{UserID: "u1", PasskeyID: "p1", Way: way, Matched: true, Record: Record(r, "u1", way, Approve)}
}

// every transition, so that the properties below hold for all of them.
var transitions = map[string]func(r Request, now time.Time) (Change, bool){
	"open": func(r Request, now time.Time) (Change, bool) {
		c, ok, err := r.open("op", now, Scanned, "u1", "phone 1")
		return c, ok && err == nil
	},
	"open again": func(r Request, now time.Time) (Change, bool) {
		r.OpenedAt, r.OpenedBy = born, "phone 1"
		c, ok, err := r.open("op", now, Scanned, "u1", "phone 2")
		return c, ok && err == nil
	},
	"mismatch": func(r Request, now time.Time) (Change, bool) {
		c, err := r.mismatch("op", now, Listed, "u1")
		return c, err == nil
	},
	"approve": func(r Request, now time.Time) (Change, bool) {
		c, err := r.approve("op", now, Decision{By: ByPasskey, UserID: "u1", Way: Scanned}, proofOf(r, Scanned))
		return c, err == nil
	},
	"deny": func(r Request, now time.Time) (Change, bool) {
		c, err := r.deny("op", now, Decision{By: BySession, UserID: "u1"})
		return c, err == nil
	},
	"cancel": func(r Request, now time.Time) (Change, bool) { return r.cancel("op", now, ByHolder) },
	"expire": func(r Request, now time.Time) (Change, bool) { return r.expire("op", now) },
	"bind": func(r Request, now time.Time) (Change, bool) {
		if !r.State.Open() {
			return Change{}, false
		}
		return r.bind("op", "key"), true
	},
	"lost": func(r Request, now time.Time) (Change, bool) { return r.lost("op") },
	"remint": func(r Request, now time.Time) (Change, bool) {
		if r.Grant != nil {
			g := *r.Grant
			g.Lost = true
			r.Grant = &g
		}
		if !r.remintable(now, "c1", "") {
			return Change{}, false
		}
		return r.remint("op", Grant{JTI: "j2", Audience: "c1", IssuedAt: now}), true
	},
}

func TestTransitions_lead_only_where_the_state_diagram_says(t *testing.T) {
	allowed := map[State][]State{
		Pending:  {Pending, Approved, Denied, Canceled, Expired},
		Approved: {Approved, Canceled, Lapsed}, // a key is bound
		Redeemed: {Redeemed},                   // its grant is revoked, lost, replaced
	}
	for _, from := range states {
		for name, do := range transitions {
			for _, now := range []time.Time{born, runsOut.Add(-1), runsOut, runsOut.Add(CollectGrace)} {
				c, ok := do(inState(from), now)
				if ok && !slices.Contains(allowed[from], c.Request.State) {
					t.Errorf("%s at %v: got %s -> %s, want one of %v", name, now.Sub(born), from, c.Request.State, allowed[from])
				}
			}
		}
	}
}

func TestTransitions_are_conditional_and_audited_once(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := inState(rapid.SampledFrom(states).Draw(t, "state"))
		r.Version = rapid.Int64Range(1, 1<<40).Draw(t, "version")
		now := born.Add(time.Duration(rapid.Int64Range(0, int64(10*time.Minute)).Draw(t, "after")))
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(transitions))).Draw(t, "transition")
		before := r
		c, ok := transitions[name](r, now)
		if !ok {
			return
		}
		if c.From != r.Version || c.Request.Version != r.Version+1 {
			t.Fatalf("%s: from %d to %d, want %d to %d", name, c.From, c.Request.Version, r.Version, r.Version+1)
		}
		if c.Event.Name == "" || c.Event.RequestID != r.ID || c.Event.Version != c.Request.Version {
			t.Fatalf("%s: audit row %+v does not name the step", name, c.Event)
		}
		if c.Request.Expires != r.Expires || !reflect.DeepEqual(c.Request.Context, r.Context) || c.Request.Audience != r.Audience {
			t.Fatalf("%s changed what is frozen (I5, I8)", name)
		}
		if r.State != before.State || r.Version != before.Version {
			t.Fatalf("%s changed its receiver", name)
		}
	})
}

func TestVerdict_after_expiry_is_refused_and_guarded_in_the_store(t *testing.T) {
	r := inState(Pending)
	if _, err := r.deny("op", runsOut, Decision{}); !errors.Is(err, ErrExpired) {
		t.Errorf("deny at expiry: got %v, want %v", err, ErrExpired)
	}
	c, err := r.deny("op", runsOut.Add(-1), Decision{})
	if err != nil || !c.Before.Equal(runsOut) {
		t.Errorf("deny just before: got %v, before %v; want the store to refuse it from %v on", err, c.Before, runsOut)
	}
}

func TestVerdict_second_one_is_told_which_was_first(t *testing.T) {
	for _, s := range []State{Approved, Denied, Canceled, Redeemed} {
		_, err := inState(s).deny("op", born, Decision{})
		var d *DecidedError
		if !errors.As(err, &d) || d.State != s {
			t.Errorf("deny of %s: got %v, want a DecidedError with that state", s, err)
		}
	}
}

func TestApprove_rests_on_a_proof_over_exactly_this_record(t *testing.T) {
	r := inState(Pending)
	d := Decision{By: ByPasskey, UserID: "u1", Way: Scanned}
	other := r
	other.ID = "r2"
	shown := r
	shown.Context.DeviceName = "another"
	for name, p := range map[string]*Proof{
		"none":                 nil,
		"of another request":   proofOf(other, Scanned),
		"of another context":   proofOf(shown, Scanned),
		"of another way":       proofOf(r, Typed),
		"of another verdict":   {UserID: "u1", Way: Scanned, Record: Record(r, "u1", Scanned, Decline)},
		"of another person":    {UserID: "u2", Way: Scanned, Record: Record(r, "u2", Scanned, Approve)},
		"of nothing (sign-in)": {UserID: "u1", Way: Scanned},
	} {
		if _, err := r.approve("op", born, d, p); !errors.Is(err, ErrMismatch) {
			t.Errorf("approve with a proof %s: got %v, want %v", name, err, ErrMismatch)
		}
	}
	if _, err := r.approve("op", born, d, proofOf(r, Scanned)); err != nil {
		t.Errorf("approve with its own proof: %v", err)
	}
}

func TestApprove_by_another_than_the_expected_one_is_refused(t *testing.T) {
	r := inState(Pending)
	r.UserID, r.Context.ExpectedSub = "", "u2"
	for way, want := range map[Way]error{Scanned: ErrForbidden, Typed: ErrForbidden} {
		_, err := r.approve("op", born, Decision{By: ByPasskey, Way: way, UserID: "u1"}, proofOf(r, way))
		if !errors.Is(err, want) {
			t.Errorf("%s by another: got %v, want %v", way, err, want)
		}
	}
	r.Context.ExpectedSub = "u1"
	if _, err := r.approve("op", born, Decision{By: ByPasskey, Way: Typed, UserID: "u1"}, proofOf(r, Typed)); err != nil {
		t.Errorf("by the expected one: got %v, want nil", err)
	}
}

func TestApprove_needs_the_number_where_nothing_travelled(t *testing.T) {
	for _, way := range []Way{Scanned, Typed, Pushed, Listed} {
		for _, m := range account.Matches {
			r := inState(Pending)
			r.Match = m
			r.Context.BindingMessage = "W4SCT"
			p := proofOf(r, way)
			p.Matched = false
			_, err := r.approve("op", born, Decision{By: ByPasskey, UserID: "u1", Way: way}, p)
			refused := (way == Pushed || way == Listed) && m != account.MatchNone
			if got := errors.Is(err, ErrMismatch); got != refused {
				t.Errorf("%s, match %s, no number: refused %v (%v), want %v", way, m, got, err, refused)
			}
		}
	}
}

func TestMismatch_last_try_declines(t *testing.T) {
	for m, tries := range map[account.Match]int{account.MatchType: 3, account.MatchPick: 1} {
		r := inState(Pending)
		r.Match = m
		for i := 1; i <= tries; i++ {
			c, err := r.mismatch("op", born, Listed, "u1")
			if err != nil {
				t.Fatal(err)
			}
			r = *c.Request
			if want := i == tries; (r.State == Denied) != want {
				t.Errorf("match %s after %d wrong: got %s", m, i, r.State)
			}
		}
	}
}

func TestRedelivery_is_bounded(t *testing.T) {
	r := inState(Redeemed)
	revoked := inState(Redeemed)
	revoked.Grant.RevokedAt = born
	for name, tc := range map[string]struct {
		r               Request
		at              time.Time
		client, address string
		want            bool
	}{
		"same collector":  {r, born.Add(RedeliveryWindow - 1), "c1", "192.0.2.1", true},
		"too late":        {r, born.Add(RedeliveryWindow), "c1", "192.0.2.1", false},
		"another client":  {r, born, "c2", "192.0.2.1", false},
		"another address": {r, born, "c1", "192.0.2.2", false},
		"revoked":         {revoked, born, "c1", "192.0.2.1", false},
		"not redeemed":    {inState(Approved), born, "c1", "192.0.2.1", false},
	} {
		if got := tc.r.redeliverable(tc.at, tc.client, tc.address); got != tc.want {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
}

func TestRedeem_needs_everybody_it_rests_on(t *testing.T) {
	r := inState(Approved)
	r.Decision.ClientID = "backend"
	c := r.redeem("op", Grant{Audience: "web"})
	if c.Needs.UserID != "u1" || c.Needs.PasskeyID != "p1" || !slices.Equal(c.Needs.ClientIDs, []string{"c1", "web", "backend"}) {
		t.Errorf("got needs %+v", c.Needs)
	}
	if !c.Before.Equal(runsOut.Add(CollectGrace)) {
		t.Errorf("got collectable before %v, want expiry plus a minute", c.Before)
	}
}

func TestRemint_is_bounded(t *testing.T) {
	lost := func(change func(g *Grant)) Request {
		r := inState(Redeemed)
		r.Grant.Lost, r.Grant.JKT = true, "key"
		if change != nil {
			change(r.Grant)
		}
		return r
	}
	for name, tc := range map[string]struct {
		r           Request
		at          time.Duration
		client, key string
		want        bool
	}{
		"lost":           {lost(nil), RedeliveryWindow - 1, "c1", "key", true},
		"too late":       {lost(nil), RedeliveryWindow, "c1", "key", false},
		"another client": {lost(nil), 0, "c2", "key", false},
		"another key":    {lost(nil), 0, "c1", "other", false},
		"no key":         {lost(nil), 0, "c1", "", false},
		"not lost":       {lost(func(g *Grant) { g.Lost = false }), 0, "c1", "key", false},
		"once already":   {lost(func(g *Grant) { g.Reminted = true }), 0, "c1", "key", false},
		"revoked":        {lost(func(g *Grant) { g.RevokedAt = born }), 0, "c1", "key", false},
		"not redeemed":   {inState(Approved), 0, "c1", "", false},
	} {
		if got := tc.r.remintable(born.Add(tc.at), tc.client, tc.key); got != tc.want {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
	r := lost(nil)
	c := r.remint("op", Grant{JTI: "j2", Audience: "c1"})
	if !c.Request.Grant.Reminted || c.Request.Grant.Lost || c.Needs.UserID != "u1" || c.Needs.PasskeyID != "p1" ||
		!c.Before.Equal(born.Add(RedeliveryWindow)) {
		t.Errorf("got %+v with grant %+v, want the last one, judged like the first, within the window", c, c.Request.Grant)
	}
	if _, ok := c.Request.lost("op"); !ok {
		t.Error("the second grant cannot get lost")
	}
}

// Who asked to be told is told with exactly the transitions that decide.
func TestTransitions_answer_exactly_when_a_request_is_decided(t *testing.T) {
	for _, from := range states {
		for name, do := range transitions {
			for _, now := range []time.Time{born, runsOut, runsOut.Add(CollectGrace)} {
				for _, wanted := range []bool{true, false} {
					r := inState(from)
					r.Tries = 2 // the next wrong number is the last
					if wanted {
						r.AnswerTo = []byte("sealed")
					}
					c, ok := do(r, now)
					if !ok {
						continue
					}
					told := slices.ContainsFunc(c.Effects, func(e Effect) bool {
						d, ok := e.(Deliver)
						return ok && d.Topic == TopicAnswer && d.Key == r.ID
					})
					if decided := from == Pending && c.Request.State != Pending; told != (decided && wanted) {
						t.Errorf("%s, %s -> %s, wanted %v: told %v", name, from, c.Request.State, wanted, told)
					}
				}
			}
		}
	}
}

func TestCancel_after_the_end_is_the_expiry(t *testing.T) {
	for _, tc := range []struct {
		from, want State
		at         time.Time
	}{
		{Pending, Canceled, runsOut.Add(-1)}, {Pending, Expired, runsOut},
		{Approved, Canceled, runsOut.Add(CollectGrace - 1)}, {Approved, Lapsed, runsOut.Add(CollectGrace)},
	} {
		c, ok := inState(tc.from).cancel("op", tc.at, ByHolder)
		if !ok || c.Request.State != tc.want {
			t.Errorf("%s, %v after it was asked: got %s, want %s", tc.from, tc.at.Sub(born), c.Request.State, tc.want)
		}
	}
}
