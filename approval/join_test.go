package approval_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const ownFace = "nod"

// joinAsk is what nod's own page asks.
func joinAsk() approval.Ask {
	return approval.Ask{
		Face: ownFace, Client: account.Client{Name: "nod", Match: account.MatchNone, RotateQR: true},
		Purpose: approval.AddCredential, Kind: approval.PollCode, Typed: true,
		Context: approval.Context{Address: "203.0.113.7", UserAgent: "Chrome"},
	}
}

func (h *house) join() approval.Begun {
	h.t.Helper()
	b, err := h.core.Begin(h.t.Context(), joinAsk())
	must(h.t, err)
	return b
}

func joiner(b approval.Begun) approval.Holder {
	return approval.Holder{Face: ownFace, Kind: approval.PollCode, Code: b.Code, Address: "192.0.2.7"}
}

// approveAs is approve by anybody, in a namespace of their own.
func (h *house) approveAs(u account.User, k account.Passkey, ref approval.Ref) (approval.Request, error) {
	v := h.viewer(u)
	q, err := h.core.Prepare(h.t.Context(), ref, v, "")
	if err != nil {
		return approval.Request{}, err
	}
	p := &approval.Proof{UserID: u.ID, PasskeyID: k.ID, PasskeyName: k.Name, Record: q.Record, Way: q.Way}
	return h.core.Decide(h.t.Context(), ref, v, approval.Answer{Verdict: approval.Approve, Proof: p})
}

func (h *house) elsewhere() (account.User, account.Passkey) {
	h.t.Helper()
	ns, err := h.people.Namespace(h.t.Context(), "elsewhere")
	must(h.t, err)
	return h.person(ns, "eve")
}

func TestJoin_is_whoever_s_approves_it_in_any_namespace(t *testing.T) {
	h := onDisk(t)
	eve, key := h.elsewhere()
	for name, ref := range map[string]func(approval.Begun) approval.Ref{"scanned": scanned, "typed": typed} {
		b := h.join()
		for _, u := range []account.User{h.ada, eve} { // whoever looks claims nothing
			_, err := h.core.Opened(t.Context(), ref(b), h.viewer(u))
			must(t, err)
		}
		if r := h.stands(b); r.UserID+r.NamespaceID != "" {
			t.Errorf("%s, looked at: got user %q, namespace %q; want nobody's", name, r.UserID, r.NamespaceID)
		}
		r, err := h.approveAs(eve, key, ref(b))
		must(t, err)
		if r.UserID != eve.ID || r.Decision.NamespaceID != eve.NamespaceID || r.NamespaceID != "" {
			t.Errorf("%s: got user %q, decided in %q, namespace %q; want eve's, and nothing frozen changed", name, r.UserID, r.Decision.NamespaceID, r.NamespaceID)
		}
		_, err = h.core.Inspect(t.Context(), scanned(b), h.viewer(h.ada))
		wantError(t, name+", scanned by somebody else afterwards", err, approval.ErrForbidden)
		_, err = h.core.Inspect(t.Context(), typed(b), h.viewer(h.ada))
		wantError(t, name+", typed by somebody else afterwards", err, approval.ErrNotFound)
		_, err = h.core.Inspect(t.Context(), listed(b), h.viewer(eve))
		must(t, err)
		if _, err := h.core.Redeem(t.Context(), joiner(b), r.ID); err != nil {
			t.Errorf("%s, collected: got %v", name, err)
		}
	}
	events, err := h.store.Events(t.Context(), eve.ID, 100)
	must(t, err)
	for _, e := range events {
		if e.Name != approval.EventOpened && e.Name != approval.EventOpenedAgain && e.NamespaceID != eve.NamespaceID {
			t.Errorf("%s: got namespace %q, want eve's", e.Name, e.NamespaceID)
		}
	}
}

func TestJoin_reaches_nobody_who_did_not_scan_or_type(t *testing.T) {
	h := onDisk(t)
	b := h.join()
	for name, ref := range map[string]approval.Ref{
		"listed":                   listed(b),
		"pushed":                   {Way: approval.Pushed, Secret: h.core.Codes.Prompt(b.Request.ID)},
		"its code as a typed one":  {Way: approval.Typed, Secret: b.Code},
		"its user code as scanned": {Way: approval.Scanned, Secret: b.UserCode},
	} {
		if _, err := h.core.Inspect(t.Context(), ref, h.viewer(h.ada)); err == nil {
			t.Errorf("%s: got the request, want an error", name)
		}
	}
	waiting, err := h.core.Waiting(t.Context(), h.viewer(h.ada))
	must(t, err)
	if len(waiting) != 0 {
		t.Errorf("on ada's list: got %d, want none", len(waiting))
	}
}

func TestJoin_asks_for_nothing_else_and_names_nobody(t *testing.T) {
	h := onDisk(t)
	for name, change := range map[string]func(*approval.Ask){
		"a sign-in": func(a *approval.Ask) { a.Purpose = approval.SignIn },
		"a transaction": func(a *approval.Ask) {
			a.Purpose = approval.Transaction
			a.Context.Payload, a.Context.Nonce = "pay", "n"
		},
		"of somebody":        func(a *approval.Ask) { a.User = h.ada },
		"of one expected":    func(a *approval.Ask) { a.Context.ExpectedSub = h.ada.ID },
		"with a prompt":      func(a *approval.Ask) { a.Notify = true },
		"vouched for":        func(a *approval.Ask) { a.Vouch = &approval.Vouch{Decision: approval.Decision{By: approval.ByBackend}} },
		"for an audience":    func(a *approval.Ask) { a.Audience = h.page.ID },
		"with an answer":     func(a *approval.Ask) { a.AnswerTo = []byte("sealed") },
		"of a namespace":     func(a *approval.Ask) { a.Client.NamespaceID = h.ada.NamespaceID },
		"of no namespace":    func(a *approval.Ask) { a.Client.ID = h.page.ID },
		"a client's sign-in": func(a *approval.Ask) { a.Client = h.page; a.Client.NamespaceID = ""; a.Purpose = approval.SignIn },
	} {
		a := joinAsk()
		change(&a)
		_, err := h.core.Begin(t.Context(), a)
		wantError(t, name, err, approval.ErrForbidden)
	}
}

// I6, in both directions: what nod asked is no client's to collect, and nod's page
// collects nothing that a client asked for.
func TestJoin_no_other_face_collects_it_and_it_collects_nothing_else(t *testing.T) {
	h := onDisk(t)
	b := h.join()
	_, err := h.approveAs(h.ada, h.key, typed(b))
	must(t, err)
	c := h.oauth()
	for name, change := range map[string]func(*approval.Holder){
		"a client of another face": func(k *approval.Holder) { k.Face, k.Client = face, h.page },
		"a client, as this face":   func(k *approval.Holder) { k.Client = h.page },
		"a device grant's client":  func(k *approval.Holder) { k.Face, k.Client = "device", c },
		"another face, no client":  func(k *approval.Holder) { k.Face = face },
		"as a long code":           func(k *approval.Holder) { k.Kind = approval.Long },
		"by the typed code":        func(k *approval.Holder) { k.Code = b.UserCode },
		"by the handle":            func(k *approval.Holder) { k.Code = b.Handle },
	} {
		k := joiner(b)
		change(&k)
		_, err := h.core.Approved(t.Context(), k, approval.AddCredential)
		wantError(t, name+", looking", err, approval.ErrNotFound)
		_, err = h.core.Await(t.Context(), k, approval.AddCredential, 0, 0)
		wantError(t, name+", waiting", err, approval.ErrNotFound)
		if k.Client.ID != "" || k.Face != ownFace {
			_, err = h.core.Redeem(t.Context(), k, b.Request.ID)
			wantError(t, name+", collecting", err, approval.ErrNotFound)
		}
	}
	_, err = h.core.Collect(t.Context(), joiner(b), approval.SignIn, 0)
	wantError(t, "as a sign-in", err, approval.ErrNotFound)

	tv := h.device(c)
	_, err = h.approve(typed(tv), "")
	must(t, err)
	_, err = h.core.Approved(t.Context(), joiner(tv), approval.AddCredential)
	wantError(t, "what a client asked for", err, approval.ErrNotFound)
	_, err = h.core.Redeem(t.Context(), joiner(tv), tv.Request.ID)
	wantError(t, "what a client asked for, by its id", err, approval.ErrNotFound)
	must(t, ignore(h.core.Redeem(t.Context(), joiner(b), b.Request.ID)))
}

func ignore(_ *approval.Collected, err error) error { return err }

// What is signed names no namespace before and after, so it can be made again from the
// stored request, and from nothing else.
func TestJoin_record_is_the_same_before_and_after(t *testing.T) {
	h := onDisk(t)
	b := h.join()
	q, err := h.core.Prepare(t.Context(), typed(b), h.viewer(h.ada), "")
	must(t, err)
	r, err := h.approveAs(h.ada, h.key, typed(b))
	must(t, err)
	if again := approval.Record(r, h.ada.ID, approval.Typed, approval.Approve); !bytes.Equal(q.Record, again) {
		t.Errorf("record: signed %s\nafterwards %s", q.Record, again)
	}
	got, ok := approval.ReadRecord(q.Record)
	if !ok || got.NamespaceID+got.ClientID != "" || got.UserID != h.ada.ID || got.Face != ownFace || got.Context.Address != "203.0.113.7" {
		t.Errorf("record: got %+v, want nod's own question and ada", got)
	}
}

// Backends hear of it once it is one of their users', and of nobody else's.
func TestJoin_is_told_to_the_webhooks_of_whoever_decided(t *testing.T) {
	h := onDisk(t)
	h.withHooks()
	eve, key := h.elsewhere()
	events := []string{"request.requested", "request.opened", "request.approved", "request.redeemed", "request.denied", "request.reported"}
	adas, hers := h.hook(h.ada.NamespaceID, events...), h.hook(eve.NamespaceID, events...)
	b := h.join()
	_, err := h.core.Opened(t.Context(), typed(b), h.viewer(h.ada))
	must(t, err)
	r, err := h.approveAs(eve, key, typed(b))
	must(t, err)
	must(t, ignore(h.core.Redeem(t.Context(), joiner(b), r.ID)))
	_, err = h.core.Decide(t.Context(), scanned(h.join()), h.viewer(h.ada), approval.Answer{Verdict: approval.Decline})
	must(t, err)
	_, _, err = h.core.Report(t.Context(), scanned(h.join()), h.viewer(h.ada))
	must(t, err)
	h.wantTold("eve's", hers, "request.approved", "request.redeemed")
	h.wantTold("ada's", adas, "request.denied", "request.reported")
	if got := h.told(hers)[1].Data; got.State != approval.Redeemed || got.DeviceID != "" {
		t.Errorf("told that the passkey was made: got %+v, want no device, because it signs none in", got)
	}
	if got := h.told(hers)[0].Data; got.ClientID != "" || got.UserID != eve.ID || got.Purpose != approval.AddCredential {
		t.Errorf("told of the approval: got %+v, want eve's, of no client", got)
	}
}

func TestJoin_approval_races_the_end_and_another_phone(t *testing.T) {
	h := onDisk(t)
	eve, hers := h.elsewhere()
	for range 20 {
		b := h.join()
		won := make([]error, 3)
		var all sync.WaitGroup
		all.Go(func() { _, won[0] = h.approveAs(h.ada, h.key, scanned(b)) })
		all.Go(func() { _, won[1] = h.approveAs(eve, hers, typed(b)) })
		all.Go(func() { won[2] = h.core.Cancel(t.Context(), joiner(b), approval.AddCredential) })
		all.Wait()
		r := h.stands(b)
		switch {
		case won[0] == nil && won[1] == nil:
			t.Fatalf("both approved: it is %s's", r.UserID)
		case r.State == approval.Approved && (won[0] == nil) != (r.UserID == h.ada.ID):
			t.Fatalf("approved: it is %s's, who was told otherwise (%v, %v)", r.UserID, won[0], won[1])
		}
		if _, err := h.core.Redeem(t.Context(), joiner(b), b.Request.ID); (err == nil) != (r.State == approval.Approved) {
			t.Fatalf("collected from %s: %v", r.State, err)
		}
	}
}

func TestJoin_wait_tells_how_far_it_got(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.join()
		news := make(chan *approval.Status, 1)
		await := func(since int64) {
			go func() {
				st, err := h.core.Await(context.WithoutCancel(t.Context()), joiner(b), approval.AddCredential, since, 25*time.Second)
				if err != nil {
					t.Errorf("await: %v", err)
				}
				news <- st
			}()
			synctest.Wait()
		}
		await(b.Request.Version)
		_, err := h.core.Opened(t.Context(), typed(b), h.viewer(h.ada))
		must(t, err)
		opened := <-news
		if opened.Request.State != approval.Pending || opened.Request.OpenedAt.IsZero() || opened.ApprovedBy != "" {
			t.Errorf("opened: got %s, opened at %s", opened.Request.State, opened.Request.OpenedAt)
		}
		await(opened.Request.Version)
		_, err = h.approveAs(h.ada, h.key, typed(b))
		must(t, err)
		if approved := <-news; approved.Request.State != approval.Approved || approved.ApprovedBy != "ada" {
			t.Errorf("approved: got %s as %q, want approved as ada", approved.Request.State, approved.ApprovedBy)
		}
		await(100)
		time.Sleep(12 * time.Minute) // in the bubble: past the end and the minute after it
		synctest.Wait()
		<-news
		if r := h.stands(b); r.State != approval.Lapsed {
			t.Errorf("not used: got %s, want lapsed", r.State)
		}
		_, err = h.core.Redeem(t.Context(), joiner(b), b.Request.ID)
		wantError(t, "collected too late", err, approval.ErrExpired)
	})
}

// A wait is held no longer than the QR code is shown.
func TestJoin_wait_ends_with_its_qr_code(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		b := h.join()
		time.Sleep(approval.RotateEvery - 4*time.Second)
		began := time.Now()
		_, err := h.core.Await(t.Context(), joiner(b), approval.AddCredential, b.Request.Version, 25*time.Second)
		must(t, err)
		if held := time.Since(began); held != 4*time.Second {
			t.Errorf("held for %s, want the 4s that its QR code was still shown", held)
		}
	})
}

func TestJoin_goes_with_whoever_approved_it(t *testing.T) {
	for name, end := range map[string]func(h *house, id string) error{
		"deactivated": func(h *house, _ string) error { _, err := h.people.Deactivate(h.t.Context(), h.ada); return err },
		"deleted":     func(h *house, _ string) error { return h.people.DeleteUser(h.t.Context(), h.ada) },
		"passkey revoked": func(h *house, _ string) error {
			_, err := h.people.RevokePasskey(h.t.Context(), h.ada, h.key, false)
			return err
		},
		"everything signed out": func(h *house, _ string) error {
			_, err := h.people.RevokeAllDevices(h.t.Context(), h.ada, approval.Revoker{By: approval.ByOwner})
			return err
		},
		"undone": func(h *house, id string) error { _, err := h.core.Undo(h.t.Context(), id, h.viewer(h.ada)); return err },
		"reported": func(h *house, id string) error {
			_, _, err := h.core.Report(h.t.Context(), listedID(id), h.viewer(h.ada))
			return err
		},
	} {
		h := onDisk(t)
		b := h.join()
		r, err := h.approveAs(h.ada, h.key, typed(b))
		must(t, err)
		must(t, end(h, r.ID))
		if _, err := h.core.Redeem(t.Context(), joiner(b), r.ID); err == nil {
			t.Errorf("%s: collected all the same", name)
		}
		if got := h.stands(b).State; got != approval.Canceled {
			t.Errorf("%s: got %s, want canceled", name, got)
		}
	}
}

func listedID(id string) approval.Ref {
	return approval.Ref{Way: approval.Listed, Secret: account.Secret(id)}
}
