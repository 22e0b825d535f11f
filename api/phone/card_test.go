package phone_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func TestCard_saysWhereTheDeviceIs(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	from := func(address string) func(*approval.Ask) {
		return func(a *approval.Ask) { a.Context.Address = address }
	}
	for name, c := range map[string]struct {
		from           func(*approval.Ask)
		place, network any
	}{
		"same country":  {from("203.0.113.7"), "Berlin, Germany", nil},
		"other country": {from("198.51.100.1"), "Kyoto, Japan", "other country"},
		"same network":  {from("127.0.0.1"), "Hamburg, Germany", "same network"},
		"who knows":     {from("192.0.2.1"), nil, nil},
		"not said":      {from(""), nil, nil},
	} {
		b := h.begin(h.client, p.user, c.from)
		card := p.call("/phone/requests/inspect", map[string]any{"ref": scanned(b)}).want(http.StatusOK)
		if card.member("place") != c.place || card.member("network") != c.network {
			t.Errorf("%s: got place %v, network %v; want %v, %v", name, card.member("place"), card.member("network"), c.place, c.network)
		}
	}
	abroad := h.begin(h.client, p.user, func(a *approval.Ask) { a.Context.Address = "198.51.100.1" })
	p.get("/a/"+abroad.Handle.Reveal()).want(http.StatusOK).wantText("Take care.", "in another country", "Kyoto, Japan")
}

// TestCard_comparesTheWaiter where nobody said where the device is.
func TestCard_comparesTheWaiter(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	for address, want := range map[string]any{"127.0.0.1": "same network", "198.51.100.1": "other country", "192.0.2.1": nil} {
		b := h.begin(h.client, p.user, func(a *approval.Ask) { a.Context.Address = "" })
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			_, _ = h.service.Collect(ctx, approval.Holder{
				Face: "native", Client: h.client, UserID: p.user.ID, Kind: approval.Long, Code: b.Code, Address: address,
			}, approval.SignIn, time.Minute) // it is waited for, not collected
		}()
		h.until("somebody waits", func() bool { return h.service.Hub.Sleeping() > 0 })
		card := p.call("/phone/requests/inspect", map[string]any{"ref": scanned(b)}).want(http.StatusOK)
		leave()
		<-left
		if card.member("wait_address") != address || card.member("network") != want {
			t.Errorf("waited for from %s: got %s, want network %v", address, card.text, want)
		}
		if place := places[address].Name; place != "" && card.member("wait_place") != place {
			t.Errorf("waited for from %s: got place %v, want %s", address, card.member("wait_place"), place)
		}
	}
}

func TestCard_hasTheVersionThatFollowsIt(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Long)
	card := p.call("/phone/requests/inspect", map[string]any{"ref": scanned(b)}).want(http.StatusOK)
	if got := card.member("version"); got != float64(b.Request.Version) {
		t.Errorf("version: got %v, want %d", got, b.Request.Version)
	}
}

func TestCard_pushedWithoutMatching_warns(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.newClient(account.MatchNone), p.user, approval.Long)
	p.get("/a/" + h.prompt(b)).want(http.StatusOK).wantText("Nothing ties this request").wantNoText("Number on the screen")
}

// TestCard_ofABackend_comparesNoServer: that a server is in another country than the
// phone is as usual, and no warning.
func TestCard_ofABackend_comparesNoServer(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	c := h.newClient(account.MatchMessage)
	b := h.backendAsks(c, p.user)
	for _, address := range []string{"198.51.100.1", "127.0.0.1"} {
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			_, _ = h.service.Collect(ctx, approval.Holder{
				Face: "ciba", Client: c, Kind: approval.PollCode, Code: b.Code, Address: address, Fresh: true,
			}, approval.SignIn, time.Minute) // it is waited for, not collected
		}()
		h.until("somebody waits", func() bool { return h.service.Hub.Sleeping() > 0 })
		card := p.call("/phone/requests/inspect", map[string]any{"ref": listed(b)}).want(http.StatusOK)
		leave()
		<-left
		for _, name := range []string{"wait_address", "wait_place", "network", "warning"} {
			if got := card.member(name); got != nil {
				t.Errorf("polled from %s: got %s %v, want none", address, name, got)
			}
		}
	}
}
