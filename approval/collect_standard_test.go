package approval_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func TestCollect_signs_the_device_in_that_was_asked_for(t *testing.T) {
	h := onDisk(t)
	c := h.oauth()
	got := h.signedIn(c)
	d := h.stored(got.Grant.SID)
	if diff := cmp.Diff(*got.Device, d); diff != "" {
		t.Errorf("stored (-handed out +stored):\n%s", diff)
	}
	want := account.Device{
		ID: got.Grant.SID, Version: 1, NamespaceID: h.ada.NamespaceID, ClientID: c.ID, UserID: h.ada.ID,
		RequestID: got.Request.ID, PasskeyID: h.key.ID, Username: "ada", Name: "terminal on yew",
		App: c.Name, Kind: account.DeviceScreen, CollectedFrom: got.Grant.Address,
		ApprovedBy: "passkey", ApprovedWith: h.key.Name, ApprovedVia: "typed",
		Scopes: []string{"openid", "offline_access", "tv.watch"}, Details: []byte(`[{"type":"pay","to":"<Bob> & co"}]`),
		AMR: got.Grant.AMR, ACR: got.Grant.ACR, AuthTime: got.Grant.AuthTime,
		CreatedAt: got.Grant.IssuedAt, SeenAt: got.Grant.IssuedAt,
		Expires: got.Grant.IssuedAt.Add(account.DefaultRefreshIdle), Generation: 1,
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("device (-want +got):\n%s", diff)
	}
	if life := got.Grant.Expires.Sub(got.Grant.IssuedAt); life != account.DefaultAccessLife {
		t.Errorf("access token lives %v, want the client's %v", life, account.DefaultAccessLife)
	}
	h.wantStanding("the device", d.ID)
}

// Refresh tokens are for those who asked to stay signed in, and natively there are none.
func TestCollect_without_offline_access_gives_no_refresh_token(t *testing.T) {
	h := onDisk(t)
	got := h.signedIn(h.oauth(), func(a *approval.Ask) { a.Context.Scopes = a.Context.Scopes[:1] })
	if got.Refresh != "" || got.Device.Generation != 0 || !got.Device.Expires.Equal(got.Grant.Expires) {
		t.Errorf("got a refresh token: %v, generation %d, device until %v; want none and the access token's %v",
			got.Refresh != "", got.Device.Generation, got.Device.Expires, got.Grant.Expires)
	}
	b := h.begin(approval.Long)
	_, err := h.approve(scanned(b), "")
	must(t, err)
	native, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
	must(t, err)
	if native.Device != nil || native.Refresh != "" {
		t.Errorf("natively: got device %+v", native.Device)
	}
	must(t, h.core.Lost(t.Context(), native))
	again, err := h.core.Collect(t.Context(), h.holder(b), approval.SignIn, 0)
	if err != nil || again.Grant.JTI != native.Grant.JTI {
		t.Errorf("natively, after a lost reply: got %+v, %v; want the identical token", again, err)
	}
}

func TestCollect_of_a_device_code_ends_as_its_request_did(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		c := h.oauth()
		for name, tc := range map[string]struct {
			end  func(b approval.Begun)
			want error
		}{
			"denied": {func(b approval.Begun) {
				_, err := h.core.Decide(t.Context(), typed(b), h.viewer(h.ada), approval.Answer{Verdict: approval.Decline})
				must(t, err)
			}, approval.ErrDenied},
			"given up": {func(b approval.Begun) {
				must(t, h.core.Cancel(t.Context(), poller(c, b), approval.SignIn))
			}, approval.ErrDenied},
			"expired": {func(approval.Begun) { time.Sleep(account.DefaultDeviceCodeLife) }, approval.ErrExpired},
			"approved and never collected": {func(b approval.Begun) {
				_, err := h.approve(typed(b), "")
				must(t, err)
				time.Sleep(account.DefaultDeviceCodeLife + approval.CollectGrace)
			}, approval.ErrExpired},
			"redeemed": {func(b approval.Begun) {
				_, err := h.approve(typed(b), "")
				must(t, err)
				_, err = h.poll(poller(c, b))
				must(t, err)
			}, approval.ErrNotFound},
		} {
			b := h.device(c)
			tc.end(b)
			for range 2 { // step goes on polling after a no; the answer stays
				_, err := h.poll(poller(c, b))
				wantError(t, name, err, tc.want)
				if name != "redeemed" { // a key that is shown first now changes nothing
					_, err = h.poll(withKey(poller(c, b), "key"))
					wantError(t, name+", with a key", err, tc.want)
				}
			}
		}
	})
}

// CVE-2023-2585 and its relatives (threat C4): everything about the holder counts.
func TestCollect_of_a_device_code_is_for_its_client_face_purpose_and_namespace(t *testing.T) {
	h := onDisk(t)
	mine, other := h.oauth(), h.oauth()
	elsewhere := mine
	ns, err := h.people.Namespace(t.Context(), "elsewhere")
	must(t, err)
	elsewhere.NamespaceID = ns.ID
	b := h.device(mine)
	_, err = h.approve(typed(b), "")
	must(t, err)
	for name, change := range map[string]func(*approval.Holder){
		"another client":             func(p *approval.Holder) { p.Client = other },
		"another namespace":          func(p *approval.Holder) { p.Client = elsewhere },
		"another face":               func(p *approval.Holder) { p.Face = "ciba" },
		"another kind":               func(p *approval.Holder) { p.Kind = approval.Long },
		"the user code":              func(p *approval.Holder) { p.Code = b.UserCode },
		"the user code as such":      func(p *approval.Holder) { p.Kind, p.Code = approval.UserCode, b.UserCode },
		"another code":               func(p *approval.Holder) { p.Code = account.NewSecret() },
		"the phone's handle":         func(p *approval.Holder) { p.Code = b.Handle },
		"the refresh token of later": func(p *approval.Holder) { p.Code = h.signedIn(mine).Refresh },
	} {
		p := poller(mine, b)
		change(&p)
		_, err := h.poll(p)
		wantError(t, name, err, approval.ErrNotFound)
	}
	_, err = h.core.Collect(t.Context(), poller(mine, b), approval.AddCredential, 0)
	wantError(t, "another purpose", err, approval.ErrNotFound)
	_, err = h.poll(poller(mine, b))
	must(t, err)
}

// What a client wants to know beside the verdict: how far its request got.
func TestCollect_pending_says_how_far_it_got(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		c := h.oauth()
		b := h.device(c)
		far := func(err error) approval.PendingError {
			t.Helper()
			wantError(t, "pending", err, approval.ErrPending)
			var p *approval.PendingError
			if !errors.As(err, &p) {
				t.Fatalf("got %v, want it to say how far", err)
			}
			return *p
		}
		_, err := h.poll(poller(c, b))
		if got := far(err); got != (approval.PendingError{Version: 1}) {
			t.Errorf("new: got %+v", got)
		}
		p := poller(c, b)
		p.Since = 1
		held := h.wait(t.Context(), p)
		began := time.Now()
		_, err = h.core.Opened(t.Context(), typed(b), h.viewer(h.ada))
		must(t, err)
		if got := far((<-held).err); got != (approval.PendingError{Version: 2, Opened: true}) || time.Since(began) != 0 {
			t.Errorf("opened: got %+v after %v, want version 2, opened, at once", got, time.Since(began))
		}
		p.Since = 2 // it knows that: the wait goes on
		held = h.wait(t.Context(), p)
		_, err = h.approve(typed(b), "")
		must(t, err)
		if end := <-held; end.err != nil || !end.got.Slept {
			t.Errorf("approved: got %+v, %v; want a token that was waited for", end.got, end.err)
		}
	})
}

// x/oauth2 and others poll as they please; who polls at once gets one grant.
func TestCollect_64_polls_of_one_device_code_get_one_grant(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		c := h.oauth()
		for range 5 {
			b := h.device(c)
			_, err := h.approve(typed(b), "")
			must(t, err)
			var granted, refused atomic.Int32
			var all sync.WaitGroup
			for range 64 {
				all.Go(func() {
					switch _, err := h.poll(poller(c, b)); {
					case err == nil:
						granted.Add(1)
					case errors.Is(err, approval.ErrNotFound):
						refused.Add(1)
					default:
						t.Errorf("poll: %v", err)
					}
				})
			}
			all.Wait()
			if granted.Load() != 1 || refused.Load() != 63 {
				t.Errorf("got %d grants and %d refusals, want 1 and 63", granted.Load(), refused.Load())
			}
		}
		ds, err := h.store.Devices(t.Context(), h.ada.ID)
		if err != nil || len(ds) != 5 {
			t.Errorf("%d devices, %v; want one for each approval", len(ds), err)
		}
	})
}

func TestCollect_first_key_that_is_shown_is_the_only_one(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		c := h.oauth()
		b := h.device(c)
		keyless := h.wait(t.Context(), poller(c, b))
		_, err := h.poll(withKey(poller(c, b), "first"))
		wantError(t, "the first key", err, approval.ErrPending)
		wantError(t, "who waits without one", (<-keyless).err, approval.ErrMismatch)
		_, err = h.approve(typed(b), "")
		must(t, err)
		for _, jkt := range []string{"", "second"} {
			_, err := h.poll(withKey(poller(c, b), jkt))
			wantError(t, fmt.Sprintf("key %q", jkt), err, approval.ErrMismatch)
		}
		got, err := h.poll(withKey(poller(c, b), "first"))
		must(t, err)
		if got.Grant.JKT != "first" || got.Device.JKT != "first" {
			t.Errorf("grant bound to %q, device to %q; want both to the first key", got.Grant.JKT, got.Device.JKT)
		}
		if n := len(h.audit(b, approval.EventBound)); n != 1 {
			t.Errorf("%d audit rows of the binding, want 1", n)
		}
		born := h.device(c, func(a *approval.Ask) { a.JKT = "at birth" })
		_, err = h.poll(withKey(poller(c, born), "later"))
		wantError(t, "bound when it began", err, approval.ErrMismatch)
	})
}

func (h *house) audit(b approval.Begun, names ...approval.EventName) (found []approval.Event) {
	h.t.Helper()
	for _, who := range []string{h.ada.ID, ""} { // until somebody decides it is nobody's
		es, err := h.store.Events(h.t.Context(), who, 1000)
		must(h.t, err)
		for _, e := range es {
			if e.RequestID == b.Request.ID && slices.Contains(names, e.Name) {
				found = append(found, e)
			}
		}
	}
	return found
}

func TestCollect_64_keys_at_once_bind_one(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		c := h.oauth()
		for range 5 {
			b := h.device(c)
			var bound atomic.Pointer[string]
			var all sync.WaitGroup
			for i := range 64 {
				all.Go(func() {
					key := fmt.Sprint("key ", i)
					switch _, err := h.poll(withKey(poller(c, b), key)); {
					case errors.Is(err, approval.ErrPending):
						if other := bound.Swap(&key); other != nil {
							t.Errorf("%s and %s were both taken", *other, key)
						}
					case !errors.Is(err, approval.ErrMismatch):
						t.Errorf("%s: %v", key, err)
					}
				})
			}
			all.Wait()
			r := h.stands(b)
			if bound.Load() == nil || r.JKT != *bound.Load() || r.Version != 2 {
				t.Errorf("it is bound to %q at version %d; want the one that was taken, and nothing else written", r.JKT, r.Version)
			}
		}
	})
}

// A poll that binds a key while it is being approved: both happen.
func TestCollect_binds_while_the_verdict_is_given(t *testing.T) {
	h := onDisk(t)
	c := h.oauth()
	b := h.device(c)
	h.between(func() {
		_, err := h.approve(typed(b), "")
		must(t, err)
	})
	got, err := h.poll(withKey(poller(c, b), "key"))
	if err != nil || got.Grant.JKT != "key" {
		t.Fatalf("got %+v, %v; want a grant bound to the key", got, err)
	}
}

// A commit that the store did not answer for (threats C6, C7). Whoever still waits
// finds its own; for whoever was told to come again it is a lost reply.
func TestCollect_that_nobody_answered_for_is_not_lost(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		c := h.oauth()
		silent := func() { // one commit stands, and its caller hears of a fault
			h.tamper.set(func(s *tampered) {
				s.applied = func(...approval.Change) error {
					s.set(func(s *tampered) { s.applied = nil })
					return approval.ErrUnavailable
				}
			})
		}
		held, told := h.device(c), h.device(c)
		for _, b := range []approval.Begun{held, told} {
			_, err := h.approve(typed(b), "")
			must(t, err)
		}
		silent()
		got, err := h.core.Collect(t.Context(), poller(c, held), approval.SignIn, 20*time.Second)
		must(t, err)
		if r := h.stands(held); r.Grant.JTI != got.Grant.JTI || r.Grant.Lost {
			t.Errorf("handed out %s, and %s stands (lost: %v)", got.Grant.JTI, r.Grant.JTI, r.Grant.Lost)
		}
		h.wantStanding("the device of who waited", got.Device.ID)

		silent()
		_, err = h.poll(poller(c, told))
		wantError(t, "who does not wait", err, approval.ErrUnavailable)
		got, err = h.poll(poller(c, told))
		must(t, err)
		h.wantStanding("the device of who came again", got.Device.ID)
		ds, err := h.store.Devices(t.Context(), h.ada.ID)
		must(t, err)
		live := slices.DeleteFunc(ds, func(d account.Device) bool { return !d.RevokedAt.IsZero() })
		if len(live) != 2 {
			t.Errorf("%d devices are live, want one for each approval", len(live))
		}
	})
}

// Time was first: what is taken back after its end has run out.
func TestCancel_after_the_end_is_an_expiry(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		c := h.oauth()
		time.Sleep(2 * time.Second) // so that no turn of the janitor's falls on the end
		pending, approved := h.device(c), h.device(c)
		_, err := h.approve(typed(approved), "")
		must(t, err)
		want := map[string]approval.State{pending.Request.ID: approval.Expired, approved.Request.ID: approval.Lapsed}
		time.Sleep(account.DefaultDeviceCodeLife)
		must(t, h.core.Cancel(t.Context(), poller(c, pending), approval.SignIn))
		time.Sleep(approval.CollectGrace)
		must(t, h.core.Cancel(t.Context(), poller(c, approved), approval.SignIn))
		for _, b := range []approval.Begun{pending, approved} {
			if r := h.stands(b); r.State != want[b.Request.ID] || r.EndedBy != "" {
				t.Errorf("it stands at %s by %q, want %s", r.State, r.EndedBy, want[b.Request.ID])
			}
		}
	})
}
