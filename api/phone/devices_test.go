package phone_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nod-auth/nod/api/phone"
	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// letIn is a device of the handset's owner that asked from an address, and its id.
func (p *handset) letIn(name, address string) (approval.Begun, string) {
	p.t.Helper()
	b := p.house.begin(p.house.client, p.user, func(a *approval.Ask) { a.Context.DeviceName, a.Context.Address = name, address })
	p.approve(scanned(b), "").want(http.StatusOK)
	got, err := p.house.collect(b)
	must(p.t, err)
	return b, got.Grant.SID
}

func (h *house) wantRevoked(id, by string) {
	h.t.Helper()
	d, err := h.store.Device(h.t.Context(), id)
	must(h.t, err)
	if d.RevokedBy != by {
		h.t.Errorf("device %s (%s): revoked by %q, want %q", id, d.Name, d.RevokedBy, by)
	}
}

func TestDevices_listsWhatIsSignedIn(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	p.get("/devices").want(http.StatusOK).wantText("Nothing is signed in", "this phone").wantNoText("Sign out everywhere")
	_, tv := p.letIn("Living-room TV", "203.0.113.7")
	_, nameless := p.letIn("", "")
	page := p.get("/devices").want(http.StatusOK)
	page.wantText("Living-room TV", "Acme TV", "Berlin, Germany", "203.0.113.7", "With your passkey", "by QR code or link",
		"Chrome on BRAVIA 4K GB", // what is known of a device without a name
		`value="`+tv+`"`, `value="`+nameless+`"`, "Sign out everywhere")
	stranger := h.owner("eve")
	stranger.get("/devices").want(http.StatusOK).wantNoText("Living-room TV", tv)

	stranger.form("/phone/devices/revoke", "device", tv).want(http.StatusNotFound)
	h.wantRevoked(tv, "")
	for range 2 { // again is fine
		p.form("/phone/devices/revoke", "device", tv).wantLocation("/devices")
	}
	h.wantRevoked(tv, "owner")
	page = p.get("/devices").want(http.StatusOK)
	page.wantText("Signed out lately", "By you").wantNoText(`value="` + tv + `"`)
	h.wantRevoked(nameless, "")
	p.get("/activity").want(http.StatusOK).wantText("You signed out Living-room TV (Acme TV)")

	h.clock.advance(25 * time.Hour)
	p.get("/devices").want(http.StatusOK).wantNoText("Signed out lately", "Living-room TV")
	h.clock.advance(account.KeepDevice)
	p.signIn("/").want(http.StatusOK)
	p.get("/devices").want(http.StatusOK).wantText("Nothing is signed in")
}

func TestDevices_revokeSeveralOrNone(t *testing.T) {
	h := newHouse(t)
	p, eve := h.owner("ada"), h.owner("eve")
	_, a := p.letIn("TV", "")
	_, b := p.letIn("Radio", "")
	_, hers := eve.letIn("Eve's TV", "")
	send := func(ids ...string) reply {
		return p.send(http.MethodPost, "/phone/devices/revoke", "application/x-www-form-urlencoded", url.Values{"device": ids, "next": {"/activity"}}.Encode())
	}
	send(a, hers).want(http.StatusNotFound)
	h.wantRevoked(a, "")
	h.wantRevoked(hers, "")
	send().want(http.StatusUnprocessableEntity)
	send(a, b).wantLocation("/activity")
	h.wantRevoked(a, "owner")
	h.wantRevoked(b, "owner")
	p.form("/phone/devices/revoke", "device", a, "next", "//evil.example/").wantLocation("/")
}

func TestDevices_signOutEverywhereKeepsThisBrowser(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	laptop := h.handset()
	laptop.keys = p.keys
	laptop.signIn("/").want(http.StatusOK)
	_, tv := p.letIn("TV", "")
	b := h.ask(h.client, p.user, approval.Long)
	p.approve(scanned(b), "").want(http.StatusOK)
	p.get("/devices").want(http.StatusOK).wantText("every other browser")
	p.form("/phone/devices/revoke-all").wantLocation("/devices")
	h.wantRevoked(tv, "owner")
	h.wantState(b.Request.ID, approval.Canceled)
	p.get("/devices").want(http.StatusOK).wantText("this phone").wantNoText("Sign out everywhere")
	laptop.call("/phone/requests/opened", map[string]any{"ref": scanned(b)}).wantCode(http.StatusUnauthorized, "signed_out")
	p.get("/activity").want(http.StatusOK).wantText("A browser was signed out of nod: all others", "You took back your approval")
}

func TestSession_endedFromAnotherBrowser(t *testing.T) {
	h := newHouse(t)
	p, eve := h.owner("ada"), h.owner("eve")
	laptop := h.handset()
	laptop.keys = p.keys
	laptop.signIn("/").want(http.StatusOK)
	page := p.get("/devices").want(http.StatusOK)
	_, rest, found := strings.Cut(page.text, `action="/phone/sessions/`)
	if !found {
		t.Fatalf("the laptop's session is not listed: %s", page.text)
	}
	id, _, _ := strings.Cut(rest, "/end")
	eve.form("/phone/sessions/" + id + "/end").wantLocation("/devices") // like one that has ended: nobody learns whose it is
	laptop.get("/activity").want(http.StatusOK).wantText("Activity")
	for range 2 {
		p.form("/phone/sessions/" + id + "/end").wantLocation("/devices")
	}
	laptop.get("/activity").want(http.StatusOK).wantText("Sign in")
	p.get("/devices").want(http.StatusOK).wantNoText(id)
}

func TestUndo_beforeAndAfterTheDeviceCollected(t *testing.T) {
	h := newHouse(t)
	p, eve := h.owner("ada"), h.owner("eve")
	early := h.ask(h.client, p.user, approval.Long)
	p.approve(scanned(early), "").want(http.StatusOK)
	p.get("/r/"+early.Request.ID).want(http.StatusOK).wantText("Undo", "Report: this was not me")
	eve.form("/phone/requests/undo", "request", early.Request.ID).want(http.StatusNotFound)
	for range 2 {
		p.form("/phone/requests/undo", "request", early.Request.ID).wantLocation("/r/" + early.Request.ID)
	}
	p.get("/r/"+early.Request.ID).want(http.StatusOK).wantText("Undone", "Nothing was shared").wantNoText(">Undo<")
	if _, err := h.collect(early); err == nil {
		t.Error("somebody collected what was undone")
	}

	late, id := p.letIn("TV", "")
	p.get("/r/" + late.Request.ID).want(http.StatusOK).wantText("Undo")
	done := p.call("/phone/requests/undo", map[string]any{"request_id": late.Request.ID}).want(http.StatusOK)
	if got := done.member("redirect"); got != "/r/"+late.Request.ID {
		t.Errorf("redirect: got %v", got)
	}
	h.wantRevoked(id, "owner")
	p.get("/r/"+late.Request.ID).want(http.StatusOK).wantText("Approved, and signed out", "is not undone").wantNoText(">Undo<")

	no := h.ask(h.client, p.user, approval.Long)
	p.form("/phone/requests/decline", "way", "listed", "secret", no.Request.ID).wantLocation("/r/" + no.Request.ID)
	p.form("/phone/requests/undo", "request", no.Request.ID).want(http.StatusConflict).wantText("Declined")
	p.call("/phone/requests/undo", map[string]any{"request_id": no.Request.ID}).wantCode(http.StatusConflict, "already_decided")
	p.call("/phone/requests/undo", map[string]any{"request_id": "no-such-request"}).want(http.StatusNotFound)
}

func TestReport_declinesMutesAndShowsTheSameSource(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	_, tv := p.letIn("Kitchen TV", "198.51.100.1")
	_, radio := p.letIn("Radio", "198.51.100.1")
	_, elsewhere := p.letIn("Laptop", "203.0.113.9")
	b := h.begin(h.client, p.user, func(a *approval.Ask) { a.Context.Address = "198.51.100.1" })
	p.get("/a/"+b.Handle.Reveal()).want(http.StatusOK).wantText("I did not start this: report", `action="/phone/requests/report"`)
	for range 2 {
		p.form("/phone/requests/report", "way", "scanned", "secret", b.Handle.Reveal()).wantLocation("/r/" + b.Request.ID)
	}
	h.wantState(b.Request.ID, approval.Denied)
	until, err := h.service.Muted(t.Context(), p.user.ID)
	if err != nil || until.IsZero() {
		t.Errorf("muted until %s, %v; want half an hour of silence", until, err)
	}
	page := p.get("/r/" + b.Request.ID).want(http.StatusOK)
	page.wantText("Reported", "Whoever runs this service has been told", "No notifications are sent until", "Kitchen TV", "Radio", "Sign all of these out", tv, radio).
		wantNoText("Laptop", elsewhere, "Report: this was not me")
	p.form("/phone/devices/revoke", "device", tv, "next", "/r/"+b.Request.ID).wantLocation("/r/" + b.Request.ID)
	p.get("/r/"+b.Request.ID).want(http.StatusOK).wantText("Radio").wantNoText("Kitchen TV", "Sign all of these out")
	p.get("/activity").want(http.StatusOK).wantText("You reported a sign-in on Living-room TV (Acme TV): it was not you")
}

func TestReport_afterADeclineAndAfterAnApproval(t *testing.T) {
	h := newHouse(t)
	p, eve := h.owner("ada"), h.owner("eve")
	no := h.ask(h.client, p.user, approval.Long)
	p.form("/phone/requests/decline", "way", "listed", "secret", no.Request.ID).wantLocation("/r/" + no.Request.ID)
	p.get("/r/"+no.Request.ID).want(http.StatusOK).wantText("Someone else?", "Report: this was not me")
	eve.form("/phone/requests/report", "way", "listed", "secret", no.Request.ID).want(http.StatusNotFound)
	eve.form("/phone/requests/report", "way", "scanned", "secret", no.Handle.Reveal()).want(http.StatusForbidden)
	if got := h.request(no.Request.ID).EndedBy; got != "" {
		t.Errorf("ended by %q after somebody else's report, want it untouched", got)
	}
	p.form("/phone/requests/report", "way", "listed", "secret", no.Request.ID).wantLocation("/r/" + no.Request.ID)
	p.get("/r/"+no.Request.ID).want(http.StatusOK).wantText("Reported", "Nothing was shared")

	yes, id := p.letIn("TV", "")
	done := p.call("/phone/requests/report", map[string]any{"ref": listed(yes)}).want(http.StatusOK)
	if got := done.member("state"); got != "redeemed" {
		t.Errorf("state: got %v, want it as it ended", got)
	}
	h.wantRevoked(id, "owner")
	p.get("/r/"+yes.Request.ID).want(http.StatusOK).wantText("Reported", "is signed out", "is not undone")
}

// What Keycloak has begun was told to Keycloak at once: nothing of it can be undone
// here, and nod does not say so.
func TestReport_ofWhatKeycloakHasHeard(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.begin(h.client, p.user, func(a *approval.Ask) { a.Face = "keycloak" })
	p.approve(scanned(b), "").want(http.StatusOK)
	p.get("/r/" + b.Request.ID).want(http.StatusOK).wantNoText(">Undo<")
	p.form("/phone/requests/undo", "request", b.Request.ID).want(http.StatusConflict)
	h.wantState(b.Request.ID, approval.Approved)
	p.form("/phone/requests/report", "way", "listed", "secret", b.Request.ID).wantLocation("/r/" + b.Request.ID)
	p.get("/r/"+b.Request.ID).want(http.StatusOK).wantText("Reported", "cannot be taken back here").wantNoText("Nothing was shared")
}

// Nor does it say that Keycloak did not fetch its answer: it never fetches any.
func TestResult_ofWhatKeycloakHasHeard_longAfterwards(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.begin(h.client, p.user, func(a *approval.Ask) { a.Face = "keycloak" })
	p.approve(scanned(b), "").want(http.StatusOK)
	h.clock.advance(b.Request.Expires.Sub(b.Request.CreatedAt) + approval.CollectGrace)
	p.get("/r/"+b.Request.ID).want(http.StatusOK).wantText("Approved", "has gone on by itself", "this was not me").
		wantNoText("not used", "Nothing was shared", ">Undo<")
	p.form("/phone/requests/report", "way", "listed", "secret", b.Request.ID).wantLocation("/r/" + b.Request.ID)
	h.wantState(b.Request.ID, approval.Lapsed)
	p.get("/r/"+b.Request.ID).want(http.StatusOK).wantText("Reported", "cannot be taken back here").wantNoText("Nothing was shared")
	p.get("/activity").want(http.StatusOK).wantText("You approved", "it was not you").wantNoText("never used")
}

func TestReport_tellsTheOperatorOnce(t *testing.T) {
	var log bytes.Buffer
	metrics := prometheus.NewRegistry()
	h := newHouse(t)
	p := h.owner("ada")
	h.config.Log, h.config.Metrics = slog.New(slog.NewTextHandler(&log, nil)), metrics
	h.moveTo(t)
	b := h.ask(h.client, p.user, approval.Long)
	for range 2 {
		p.form("/phone/requests/report", "way", "listed", "secret", b.Request.ID).wantLocation("/r/" + b.Request.ID)
	}
	found, err := metrics.Gather()
	must(t, err)
	if len(found) != 1 || found[0].GetName() != "nod_requests_reported_total" || found[0].GetMetric()[0].GetCounter().GetValue() != 1 {
		t.Errorf("metrics: got %v, want one report", found)
	}
	said := log.String()
	if strings.Count(said, "\n") != 1 || !strings.Contains(said, "level=WARN") || !strings.Contains(said, b.Request.ID) ||
		!strings.Contains(said, p.user.ID) || !strings.Contains(said, h.client.ID) || strings.Contains(said, "ada") {
		t.Errorf("log: got %q, want one warning with the ids and no names", said)
	}
}

// moveTo serves the face at another address, with the configuration as it is now.
func (h *house) moveTo(t *testing.T) {
	t.Helper()
	engine := gin.New()
	engine.Use(wire.Identify, wire.Trust(nil))
	must(t, phone.Mount(engine, h.config))
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	h.url = "http://localhost:" + port(server.Listener.Addr().String())
}
