package approval_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
)

// onDisk runs a test in real time, for races that are about the store.
func onDisk(t *testing.T) *house {
	t.Helper()
	h := build(t, freshdb.File(t))
	t.Cleanup(func() { h.store.Close() })
	return h
}

func TestCollect_64_redeemers_share_one_grant(t *testing.T) {
	h := onDisk(t)
	for range 20 {
		b := h.begin(approval.Long)
		_, err := h.approve(scanned(b), "")
		must(t, err)
		var mu sync.Mutex
		grants := map[string]int{}
		fresh := 0
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				got, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("collect: %v", err)
					return
				}
				grants[got.Grant.JTI]++
				if !got.Again {
					fresh++
				}
			})
		}
		all.Wait()
		if len(grants) != 1 || fresh != 1 {
			t.Fatalf("got %d grants, %d first deliveries; want one of each: %v", len(grants), fresh, grants)
		}
	}
}

func TestCollect_other_collectors_get_nothing_after_the_first(t *testing.T) {
	h := onDisk(t)
	b := h.begin(approval.Long)
	_, err := h.approve(scanned(b), "")
	must(t, err)
	first, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
	must(t, err)
	again, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
	must(t, err)
	if again.Grant.JTI != first.Grant.JTI || !again.Again {
		t.Errorf("the same collector got %+v", again)
	}
	elsewhere, another := h.holder(b), h.holder(b)
	elsewhere.Address = "192.0.2.8"
	another.Client = h.backend
	for name, holder := range map[string]approval.Holder{"another address": elsewhere, "another client": another} {
		_, err := h.core.Collect(t.Context(), holder, approval.SignIn, 0)
		wantError(t, name, err, approval.ErrNotFound)
	}
}

// Whatever the order, one verdict is acknowledged, and a token comes only of a
// yes that nobody took back.
func TestDecide_cancel_and_redeem_race(t *testing.T) {
	h := onDisk(t)
	for range 100 {
		b := h.begin(approval.Long)
		var yes, no, invalidated, token atomic.Int32
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := h.approve(scanned(b), ""); err == nil {
				yes.Add(1)
			} else if !errors.Is(err, approval.ErrDecided) {
				t.Errorf("approve: %v", err)
			}
		})
		all.Go(func() {
			_, err := h.core.Decide(t.Context(), scanned(b), h.viewer(h.ada), approval.Answer{Verdict: approval.Decline})
			if err == nil {
				no.Add(1)
			} else if !errors.Is(err, approval.ErrDecided) {
				t.Errorf("decline: %v", err)
			}
		})
		all.Go(func() {
			if _, err := h.core.InvalidateAll(t.Context(), h.target()); err != nil {
				t.Errorf("invalidate: %v", err)
			}
			invalidated.Add(1)
		})
		all.Go(func() {
			for range 5 {
				if _, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0); err == nil {
					token.Add(1)
				}
			}
		})
		all.Wait()
		if yes.Load()+no.Load() > 1 || token.Load() > 0 && yes.Load() != 1 {
			t.Fatalf("got %d yes, %d no, %d tokens", yes.Load(), no.Load(), token.Load())
		}
		if _, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0); err == nil {
			t.Fatal("a token after an acknowledged invalidation (I4)")
		}
	}
}

func TestDecide_rests_on_what_the_phone_saw(t *testing.T) {
	h := onDisk(t)
	one, two := h.begin(approval.Long), h.begin(approval.Long)
	v := h.viewer(h.ada)
	q, err := h.core.Prepare(t.Context(), scanned(one), v, "")
	must(t, err)
	p := &approval.Proof{UserID: h.ada.ID, PasskeyID: h.key.ID, Record: q.Record, Way: q.Way}
	_, err = h.core.Decide(t.Context(), scanned(two), v, approval.Answer{Verdict: approval.Approve, Proof: p})
	wantError(t, "a proof for another request", err, approval.ErrMismatch)
	_, err = h.core.Decide(t.Context(), scanned(two), v, approval.Answer{Verdict: approval.Approve})
	wantError(t, "no proof", err, approval.ErrMismatch)
	_, err = h.core.Decide(t.Context(), scanned(one), v, approval.Answer{Verdict: approval.Approve, Proof: p})
	must(t, err)
}

func TestDecide_other_people_may_not(t *testing.T) {
	h := onDisk(t)
	ns := account.Namespace{ID: h.ada.NamespaceID}
	bob, _ := h.person(ns, "bob")
	elsewhere, err := h.people.Namespace(t.Context(), "elsewhere")
	must(t, err)
	eve, _ := h.person(elsewhere, "eve")
	b := h.begin(approval.Short)
	typed := approval.Ref{Way: approval.Typed, Secret: b.Code}
	for _, tc := range []struct {
		name string
		ref  approval.Ref
		who  account.User
		want error
	}{
		{"scanned by somebody else", scanned(b), bob, approval.ErrForbidden},
		{"scanned from another namespace", scanned(b), eve, approval.ErrNotFound},
		{"listed by somebody else", listed(b), bob, approval.ErrNotFound},
		{"typed by somebody else", typed, bob, approval.ErrNotFound},
		{"typed from another namespace", typed, eve, approval.ErrNotFound},
	} {
		_, err := h.core.Decide(t.Context(), tc.ref, h.viewer(tc.who), approval.Answer{Verdict: approval.Decline})
		wantError(t, tc.name, err, tc.want)
	}
	view, err := h.core.Inspect(t.Context(), typed, h.viewer(h.ada))
	must(t, err)
	if view.Request.State != approval.Pending || view.Request.Version != 1 || view.NeedsNumber {
		t.Errorf("something changed: %+v", view)
	}
}

func TestPrepare_wrong_numbers_decline(t *testing.T) {
	h := onDisk(t)
	b := h.begin(approval.Long)
	_, err := h.approve(listed(b), "")
	var m *approval.MismatchError
	if !errors.As(err, &m) || m.Left != 3 {
		t.Fatalf("no number: got %v, want 3 tries left", err)
	}
	wrong := "000000"
	if b.MatchNumber.Reveal() == wrong {
		wrong = "000001"
	}
	for left := 2; left >= 0; left-- {
		_, err := h.approve(listed(b), wrong)
		if !errors.As(err, &m) || m.Left != left {
			t.Fatalf("wrong number: got %v, want %d tries left", err, left)
		}
	}
	_, err = h.approve(listed(b), b.MatchNumber.Reveal())
	wantError(t, "the right number after three wrong ones", err, approval.ErrDecided)
	_, err = h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
	wantError(t, "the waiting side", err, approval.ErrDenied)
}

func TestPrepare_right_number_approves_a_listed_request(t *testing.T) {
	h := onDisk(t)
	b := h.begin(approval.Long)
	n := b.MatchNumber.Reveal()
	_, err := h.approve(listed(b), n[:3]+" "+n[3:])
	must(t, err)
	short := h.begin(approval.Short)
	_, err = h.approve(listed(short), short.Code.Reveal())
	must(t, err)
}

func TestPrepare_pick_declines_at_once(t *testing.T) {
	h := onDisk(t)
	h.backend = h.client(account.Namespace{ID: h.ada.NamespaceID}, account.ClientManagement, account.MatchPick)
	b := h.begin(approval.Long)
	view, err := h.core.Inspect(t.Context(), listed(b), h.viewer(h.ada))
	must(t, err)
	for _, n := range view.Choices {
		if n != b.MatchNumber.Reveal() {
			_, err = h.approve(listed(b), n)
			break
		}
	}
	var m *approval.MismatchError
	if !errors.As(err, &m) || m.Left != 0 {
		t.Fatalf("got %v, want no tries left", err)
	}
}

func TestGuesses_are_bounded_and_right_ones_are_free(t *testing.T) {
	h := onDisk(t)
	b := h.begin(approval.Short)
	wrong := h.holder(b)
	for range 8 { // the right one, again and again: no budget is touched
		_, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
		wantError(t, "right code", err, approval.ErrPending)
	}
	for i := range 5 {
		wrong.Code = account.Secret(fmt.Sprintf("%06d", i))
		_, err := h.core.Collect(t.Context(), wrong, approval.SignIn, 0)
		wantError(t, "wrong code", err, approval.ErrNotFound)
	}
	_, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
	var limit *approval.LimitError
	if !errors.As(err, &limit) || limit.RetryAfter <= 0 || limit.RetryAfter > 2*time.Minute {
		t.Errorf("after five wrong ones: got %v, want a limit of up to 2m", err)
	}
	// The passkey path is not locked by it (B5).
	_, err = h.approve(scanned(b), "")
	must(t, err)
}

func TestGuesses_at_a_user_who_does_not_exist_end_like_any_other(t *testing.T) {
	h := onDisk(t)
	nobody := h.holder(h.begin(approval.Short))
	nobody.UserID, nobody.Asked = "", "nobody"
	var got []error
	for range 6 {
		_, err := h.core.Collect(t.Context(), nobody, approval.SignIn, 0)
		got = append(got, err)
	}
	wantError(t, "fifth", got[4], approval.ErrNotFound)
	wantError(t, "sixth", got[5], approval.ErrTooMany)
}

func TestGuesses_of_one_client_are_bounded_over_all_names(t *testing.T) {
	h := onDisk(t)
	for i := range 201 {
		at := approval.Target{NamespaceID: h.backend.NamespaceID, Asked: fmt.Sprint("nobody ", i), Kind: approval.Short, Purpose: approval.SignIn}
		_, err := h.core.Authorize(t.Context(), at, "000000", h.backend)
		if i < 200 {
			wantError(t, "wrong code", err, approval.ErrNotFound)
		} else {
			wantError(t, "after 200 wrong ones", err, approval.ErrTooMany)
		}
	}
}

func TestCodes_of_one_purpose_audience_or_face_serve_no_other(t *testing.T) {
	h := onDisk(t)
	a := h.ask(approval.Long)
	a.Audience = h.backend.ID
	onlyBackend, err := h.core.Begin(t.Context(), a)
	must(t, err)
	a = h.ask(approval.Long)
	a.Purpose = approval.AddCredential
	adding, err := h.core.Begin(t.Context(), a)
	must(t, err)
	otherFace := h.holder(h.begin(approval.Long))
	otherFace.Face = "oauth"
	ns, err := h.people.Namespace(t.Context(), "elsewhere")
	must(t, err)
	foreign := h.holder(h.begin(approval.Long))
	foreign.Client = h.client(ns, account.ClientWeb, account.MatchType)
	for name, holder := range map[string]approval.Holder{
		"another audience": h.holder(onlyBackend), "another purpose": h.holder(adding),
		"another face": otherFace, "another namespace": foreign,
	} {
		_, err := h.core.Collect(t.Context(), holder, approval.SignIn, 0)
		wantError(t, name, err, approval.ErrNotFound)
	}
}

func TestCollect_wait_token_is_asked_for(t *testing.T) {
	h := onDisk(t)
	a := h.ask(approval.Long)
	a.Client.RequireWaitToken = true
	b, err := h.core.Begin(t.Context(), a)
	must(t, err)
	_, err = h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
	wantError(t, "without a token", err, approval.ErrForbidden)
	with := h.holder(b)
	with.Token = true
	_, err = h.core.Collect(t.Context(), with, approval.SignIn, 0)
	wantError(t, "with a token", err, approval.ErrPending)
}

func TestAuthorize_is_idempotent_and_final_states_stay(t *testing.T) {
	h := onDisk(t)
	b := h.begin(approval.Long)
	for range 2 {
		r, err := h.core.Authorize(t.Context(), h.target(), b.Code, h.backend)
		must(t, err)
		if r.State != approval.Approved || r.Version != 2 {
			t.Errorf("got %s, version %d", r.State, r.Version)
		}
	}
	_, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
	must(t, err)
	_, err = h.core.Authorize(t.Context(), h.target(), b.Code, h.backend)
	wantError(t, "authorize a collected code", err, approval.ErrNotFound)
}

func TestAuthorize_expired_code_says_so(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.begin(approval.Long)
		time.Sleep(11 * time.Minute)
		_, err := h.core.Authorize(t.Context(), h.target(), b.Code, h.backend)
		wantError(t, "authorize", err, approval.ErrExpired)
	})
}

func TestBegin_vouched_is_approved_from_birth_with_two_audit_rows(t *testing.T) {
	h := onDisk(t)
	a := h.ask(approval.Long)
	a.Vouch = &approval.Vouch{Decision: approval.Decision{By: approval.ByBackend, ClientID: h.backend.ID}}
	b, err := h.core.Begin(t.Context(), a)
	must(t, err)
	got, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
	must(t, err)
	if got.Request.Version != 3 {
		t.Errorf("got version %d, want 3: created, approved, redeemed", got.Request.Version)
	}
	events, err := h.store.Events(t.Context(), h.ada.ID, 100)
	must(t, err)
	n := 0
	for _, e := range events {
		if e.RequestID == b.Request.ID {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d audit rows for 3 transitions (I18)", n)
	}
}

func TestBegin_single_use_effect_guards_it(t *testing.T) {
	h := onDisk(t)
	a := h.ask(approval.Long)
	a.With = []approval.Effect{approval.Spend{Box: approval.BoxNonce, Key: "n", Until: time.Now().Add(time.Hour)}}
	_, err := h.core.Begin(t.Context(), a)
	must(t, err)
	_, err = h.core.Begin(t.Context(), a)
	wantError(t, "the same nonce", err, approval.ErrReplayed)
}
