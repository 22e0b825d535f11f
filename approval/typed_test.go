package approval_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func TestTyped_user_code_is_decided_by_whoever_of_the_namespace_types_it(t *testing.T) {
	h := onDisk(t)
	c := h.oauth()
	b := h.device(c)
	shown := b.UserCode.Reveal()
	for _, text := range []string{shown, strings.ToLower(shown), " " + strings.ReplaceAll(shown, "-", " ") + "\n", strings.ReplaceAll(shown, "-", "–")} {
		view, err := h.core.Inspect(t.Context(), approval.Ref{Way: approval.Typed, Secret: account.Secret(text)}, h.viewer(h.ada))
		must(t, err)
		if view.Request.ID != b.Request.ID || view.UserCode != shown || view.NeedsNumber || view.NeedsSeen {
			t.Errorf("%q: got %s with code %q, number %v, seen %v; want the request, its code, and nothing to match",
				text, view.Request.ID, view.UserCode, view.NeedsNumber, view.NeedsSeen)
		}
	}
	r, err := h.approve(typed(b), "")
	must(t, err)
	if r.UserID != h.ada.ID || r.Decision.Way != approval.Typed || r.Decision.Username != "ada" {
		t.Errorf("decided by %q (%s), way %s; want ada, typed", r.UserID, r.Decision.Username, r.Decision.Way)
	}
	bob, _ := h.person(account.Namespace{ID: h.ada.NamespaceID}, "bob")
	_, err = h.core.Inspect(t.Context(), typed(b), h.viewer(bob))
	wantError(t, "what somebody else has decided", err, approval.ErrNotFound)
}

func TestTyped_user_code_is_nobody_else_s(t *testing.T) {
	h := onDisk(t)
	c := h.oauth()
	ns, err := h.people.Namespace(t.Context(), "elsewhere")
	must(t, err)
	eve, _ := h.person(ns, "eve")
	bob, _ := h.person(account.Namespace{ID: h.ada.NamespaceID}, "bob")
	anybodys, adas := h.device(c), h.device(c, func(a *approval.Ask) { a.User = h.ada })
	for name, tc := range map[string]struct {
		ref approval.Ref
		who account.User
	}{
		"typed in another namespace":     {typed(anybodys), eve},
		"scanned in another namespace":   {scanned(anybodys), eve},
		"listed by its id":               {listed(anybodys), h.ada},
		"ada's, typed by bob":            {typed(adas), bob},
		"the device code, typed":         {approval.Ref{Way: approval.Typed, Secret: anybodys.Code}, h.ada},
		"the user code, scanned":         {approval.Ref{Way: approval.Scanned, Secret: anybodys.UserCode}, h.ada},
		"the user code, as its id":       {approval.Ref{Way: approval.Listed, Secret: anybodys.UserCode}, h.ada},
		"the prompt of what has no user": {approval.Ref{Way: approval.Pushed, Secret: h.core.Codes.Prompt(anybodys.Request.ID)}, h.ada},
	} {
		_, err := h.core.Decide(t.Context(), tc.ref, h.viewer(tc.who), approval.Answer{Verdict: approval.Decline})
		if !errors.Is(err, approval.ErrNotFound) && !(tc.ref.Way == approval.Pushed && errors.Is(err, approval.ErrForbidden)) {
			t.Errorf("%s: got %v, want %v", name, err, approval.ErrNotFound)
		}
	}
	for _, b := range []approval.Begun{anybodys, adas} {
		if r := h.stands(b); r.State != approval.Pending || r.Version != 1 {
			t.Errorf("something changed: %s, version %d", r.State, r.Version)
		}
	}
}

// keycloak#51275: no limit on the guesses of user codes (threat B1, I12).
func TestTyped_guesses_from_64_are_answered_up_to_the_limit(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		c := h.oauth()
		b := h.device(c)
		guess := func(n int, who approval.Viewer) error {
			code := h.core.Codes.Code(approval.UserCode, fmt.Sprint("none ", n))
			_, err := h.core.Inspect(t.Context(), approval.Ref{Way: approval.Typed, Secret: code}, who)
			return err
		}
		var answered, refused atomic.Int32
		crowd := func(who func(i int) approval.Viewer) {
			answered.Store(0)
			refused.Store(0)
			var all sync.WaitGroup
			for i := range 64 {
				all.Go(func() {
					for n := range 5 {
						switch err := guess(i*100+n, who(i)); {
						case errors.Is(err, approval.ErrNotFound):
							answered.Add(1)
						case errors.Is(err, approval.ErrTooMany):
							refused.Add(1)
						default:
							t.Errorf("guess: %v", err)
						}
					}
				})
			}
			all.Wait()
		}
		crowd(func(int) approval.Viewer { return h.viewer(h.ada) })
		if answered.Load() != 5 || refused.Load() != 64*5-5 {
			t.Errorf("one person: %d answered, %d refused; want 5 in two minutes", answered.Load(), refused.Load())
		}
		_, err := h.core.Inspect(t.Context(), typed(b), h.viewer(h.ada))
		wantError(t, "the right code, after too many", err, approval.ErrTooMany)
		_, err = h.core.Inspect(t.Context(), scanned(b), h.viewer(h.ada)) // B5: the other way is open
		must(t, err)

		people := make([]account.User, 8)
		for i := range people {
			people[i], _ = h.person(account.Namespace{ID: h.ada.NamespaceID}, fmt.Sprint("p", i, "x"))
		}
		crowd(func(i int) approval.Viewer { // one household: a /64
			return approval.Viewer{User: people[i%8], Address: fmt.Sprintf("2001:db8::%x", i)}
		})
		if answered.Load() != 20 {
			t.Errorf("one address: %d answered, want 20 in two minutes", answered.Load())
		}
	})
}

// Two devices that are shown the same code would be one too many: another id is
// drawn until its code is free.
func TestBegin_draws_again_while_a_user_code_is_taken(t *testing.T) {
	h := onDisk(t)
	c := h.oauth()
	taken := h.device(c)
	tries := 0
	h.tamper.set(func(s *tampered) {
		s.rewrite = func(changes []approval.Change) {
			if tries++; tries <= 3 {
				changes[0].Request.TypedHash = taken.Request.TypedHash
			}
		}
	})
	b := h.device(c)
	if tries != 4 || b.UserCode == taken.UserCode || slices.Equal(h.stands(b).TypedHash, taken.Request.TypedHash) {
		t.Errorf("after %d tries it has code %s, taken is %s; want another one at the fourth", tries, b.UserCode.Reveal(), taken.UserCode.Reveal())
	}
	_, err := h.approve(typed(b), "")
	must(t, err)
	if r := h.stands(taken); r.State != approval.Pending {
		t.Errorf("the other one is %s", r.State)
	}
}

// Where the device cannot show a number it does not know of, the message takes its
// place (contract, CIBA).
func TestPrepare_of_a_backchannel_request_asks_whether_the_message_is_seen(t *testing.T) {
	h := onDisk(t)
	h.withPush()
	c := h.oauth()
	for name, ref := range map[string]func(b approval.Begun) approval.Ref{"pushed": h.pushed, "listed": listed} {
		b := h.device(c, h.toAda, func(a *approval.Ask) { a.Notify = true })
		view, err := h.core.Inspect(t.Context(), ref(b), h.viewer(h.ada))
		must(t, err)
		if !view.NeedsSeen || view.NeedsNumber || view.UserCode != "" {
			t.Errorf("%s: seen %v, number %v, code %q; want the message to be confirmed", name, view.NeedsSeen, view.NeedsNumber, view.UserCode)
		}
		for _, number := range []string{"", "000000", "SEEN"} {
			_, err := h.approve(ref(b), number)
			var m *approval.MismatchError
			if !errors.As(err, &m) || m.Left != 3 {
				t.Errorf("%s with %q: got %v, want a mismatch that costs nothing", name, number, err)
			}
		}
		r, err := h.approve(ref(b), approval.MessageSeen)
		must(t, err)
		if !r.Decision.Matched {
			t.Errorf("%s: the record of the verdict does not say that it was confirmed", name)
		}
		_, err = h.poll(poller(c, b))
		must(t, err)
		plain := h.device(c, h.toAda, func(a *approval.Ask) { a.Context.BindingMessage = "" })
		_, err = h.approve(ref(plain), "")
		must(t, err)
	}
}

// The seen message is judged with the proof as well: a phone's page is not trusted.
func TestDecide_needs_the_message_confirmed_in_the_proof(t *testing.T) {
	h := onDisk(t)
	b := h.device(h.oauth(), h.toAda)
	v := h.viewer(h.ada)
	q, err := h.core.Prepare(t.Context(), listed(b), v, approval.MessageSeen)
	must(t, err)
	p := &approval.Proof{UserID: h.ada.ID, PasskeyID: h.key.ID, Record: q.Record, Way: q.Way}
	_, err = h.core.Decide(t.Context(), listed(b), v, approval.Answer{Verdict: approval.Approve, Proof: p})
	wantError(t, "a proof without it", err, approval.ErrMismatch)
}

// Every end of a request whose asker wants to be told is one message, in the
// transaction of that end, whoever brings it about.
func TestAnswer_is_queued_once_at_each_end(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		time.Sleep(2 * time.Second) // so that no turn of the janitor's falls on an end
		c := h.oauth()
		numbered := c
		numbered.Match = account.MatchType
		verdict := func(v approval.Verdict) func(b approval.Begun) {
			return func(b approval.Begun) {
				if v == approval.Approve {
					_, err := h.approve(listed(b), approval.MessageSeen)
					must(t, err)
					return
				}
				_, err := h.core.Decide(t.Context(), listed(b), h.viewer(h.ada), approval.Answer{Verdict: v})
				must(t, err)
			}
		}
		approve := verdict(approval.Approve)
		poll := func(want error) func(b approval.Begun) {
			return func(b approval.Begun) {
				_, err := h.poll(poller(c, b))
				wantError(t, "poll", err, want)
			}
		}
		giveUp := func(b approval.Begun) { must(t, h.core.Cancel(t.Context(), poller(c, b), approval.SignIn)) }
		pass := func(d time.Duration) func(approval.Begun) { return func(approval.Begun) { time.Sleep(d) } }
		life := account.DefaultDeviceCodeLife
		wrongly := func(b approval.Begun) {
			for _, n := range []string{"000000", "000001", "000002", "000003"} { // one of them may be right
				_, _ = h.core.Prepare(t.Context(), listed(b), h.viewer(h.ada), n)
			}
		}
		lock := func(approval.Begun) {
			_, err := h.people.Deactivate(t.Context(), h.ada)
			must(t, err)
		}
		for _, tc := range []struct {
			name   string
			client account.Client
			steps  []func(approval.Begun)
			end    approval.State
		}{
			{"approved", c, []func(approval.Begun){approve}, approval.Approved},
			{"approved and collected", c, []func(approval.Begun){approve, poll(nil)}, approval.Redeemed},
			{"approved and given up", c, []func(approval.Begun){approve, giveUp}, approval.Canceled},
			{"approved and left to the janitor", c, []func(approval.Begun){approve, pass(life + approval.CollectGrace + 10*time.Second)}, approval.Lapsed},
			{"declined", c, []func(approval.Begun){verdict(approval.Decline)}, approval.Denied},
			{"wrong numbers", numbered, []func(approval.Begun){wrongly}, approval.Denied},
			{"given up", c, []func(approval.Begun){giveUp}, approval.Canceled},
			{"given up too late", c, []func(approval.Begun){pass(life), giveUp}, approval.Expired},
			{"left to the janitor", c, []func(approval.Begun){pass(life + 10*time.Second)}, approval.Expired},
			{"found to have run out", c, []func(approval.Begun){pass(life), poll(approval.ErrExpired)}, approval.Expired},
			{"user locked", c, []func(approval.Begun){lock}, approval.Canceled},
		} {
			b := h.device(tc.client, h.toAda)
			if ms := h.queued(approval.TopicAnswer); len(ms) != 0 {
				t.Fatalf("%s: told before it ended", tc.name)
			}
			for _, step := range tc.steps {
				step(b)
			}
			ms := h.queued(approval.TopicAnswer)
			if r := h.stands(b); r.State != tc.end || len(ms) != 1 {
				t.Fatalf("%s: it is %s and %d messages are queued; want %s and one", tc.name, r.State, len(ms), tc.end)
			}
			if m := ms[0]; m.Key != b.Request.ID || string(m.Body) != "{}" || !m.Until.After(b.Request.Expires) {
				t.Errorf("%s: got %+v, want an empty object about it, kept past its end", tc.name, m)
			}
		}
	})
}

func TestAnswer_of_an_end_that_lost_the_race_is_not_queued(t *testing.T) {
	h := onDisk(t)
	c := h.oauth()
	b := h.device(c, h.toAda)
	h.between(func() {
		_, err := h.core.Decide(t.Context(), listed(b), h.viewer(h.ada), approval.Answer{Verdict: approval.Decline})
		must(t, err)
	})
	_, err := h.approve(listed(b), approval.MessageSeen)
	wantError(t, "the second verdict", err, approval.ErrDecided)
	plain := h.device(c)
	_, err = h.approve(typed(plain), "")
	must(t, err)
	if ms := h.queued(approval.TopicAnswer); len(ms) != 1 || ms[0].Key != b.Request.ID {
		t.Errorf("got %+v, want one about %s", ms, b.Request.ID)
	}
}
