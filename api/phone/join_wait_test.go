package phone_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
)

func TestJoin_waitIsHeldUntilThereIsNews(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	l := h.laptop()
	held := make(chan reply, 1)
	go func() {
		got, err := l.try(context.Background(), http.MethodPost, joinWaitPath, "application/json", fmt.Sprintf(`{"since":%.0f}`, l.shown.member("version")))
		if err != nil {
			got = reply{t: t, text: err.Error()}
		}
		held <- got
	}()
	h.until("the call is held", func() bool { return h.service.Hub.Sleeping() == 1 })
	p.approve(l.scanned(), "").want(http.StatusOK)
	if got := h.answer(held).want(http.StatusOK).member("state"); got != "approved" {
		t.Errorf("state: got %v, want approved", got)
	}
}

func TestJoin_waitEndsWhenTheServerDrains(t *testing.T) {
	h := newHouse(t)
	l := h.laptop()
	h.service.Hub.Drain()
	got := l.call(joinWaitPath, map[string]any{"since": 1000}).want(http.StatusOK)
	if got.member("state") != "pending" {
		t.Errorf("state: got %v, want pending", got.member("state"))
	}
}

// A QR code that was photographed is soon good for nothing; the page shows the next.
func TestJoin_qrCodeRotates(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	l := h.laptop()
	old := l.shown.member("url").(string)
	h.clock.advance(approval.RotateEvery)
	fresh := l.look().want(http.StatusOK).member("url").(string)
	if fresh == old {
		t.Error("QR code: got the same one after 30 s")
	}
	h.clock.advance(10 * time.Second)
	path := func(link string) string { return parsed(t, link).Path }
	p.get(path(old)).want(http.StatusUnauthorized).wantText("Scan the newer QR code")
	p.get(path(fresh)).want(http.StatusSeeOther)
}

func TestJoin_asksAndWaitsAreBounded(t *testing.T) {
	h := newHouse(t)
	l := h.laptop()
	limited := reply{t: t}
	for range 100 {
		if limited = h.handset().call(joinPath, map[string]any{}); limited.status != http.StatusOK {
			break
		}
	}
	limited.wantCode(http.StatusTooManyRequests, "too_many_requests")
	if limited.header.Get("Retry-After") == "" {
		t.Error("Retry-After: got none")
	}
	ctx, leave := context.WithCancel(t.Context())
	for n := range 50 {
		go l.try(ctx, http.MethodPost, joinWaitPath, "application/json", `{"since":1000}`)
		h.until("one more is held", func() bool { return h.service.Hub.Sleeping() > n })
	}
	l.call(joinWaitPath, map[string]any{"since": 1000}).wantCode(http.StatusTooManyRequests, "too_many_requests")
	leave()
	h.until("all have left", func() bool { return h.service.Hub.Sleeping() == 0 })
}
