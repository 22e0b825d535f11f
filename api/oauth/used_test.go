package oauth_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// Whoever asks about a token tells that its device is in use.
func TestUsed_isNotedOfWhatIsAskedAbout(t *testing.T) {
	for name, ask := range map[string]func(h *house, s signedIn, post func(token string)){
		"an access token at introspection": func(_ *house, s signedIn, post func(string)) { post(s.access) },
		"a refresh token at introspection": func(_ *house, s signedIn, post func(string)) { post(s.refresh) },
		"an access token at userinfo": func(h *house, s signedIn, _ func(string)) {
			shows(h, "Bearer "+s.access, nil).Want(ok)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			r := h.NewRelying(account.OAuth{AccessLife: 24 * time.Hour})
			s := letIn(r, h.NewPerson("ada"), "openid offline_access")
			written := make(chan struct{}, 1)
			hook := func() { written <- struct{}{} }
			h.store.onApply.Store(&hook)
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { _ = h.Service.Run(ctx) })
			defer func() {
				stop()
				running.Wait()
			}()

			h.advance(2 * time.Hour)
			ask(h, s, func(token string) {
				if got := r.Post(introspectPath, F{"token": token}).Want(ok); got.JSON["active"] != true {
					t.Fatalf("got %s, want it active", got.Text)
				}
			})
			select {
			case <-written:
			case <-time.After(10 * time.Second):
				t.Fatal("nothing was noted within 10s")
			}
			d, err := h.store.Device(t.Context(), s.sid)
			if after := d.LastSeen().Sub(d.CreatedAt).Round(time.Minute); err != nil || after != 2*time.Hour || d.Version != 1 {
				t.Errorf("last seen %s after its sign-in, in version %d, %v; want 2h0m0s in version 1", after, d.Version, err)
			}
		})
	}
}
