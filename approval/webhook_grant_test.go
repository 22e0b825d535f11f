package approval_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/approval"
)

// What a backend takes back right after it was collected ends like any other device,
// and whoever keeps it signed in hears of it.
func TestAnnounce_grantThatIsTakenBack_isADeviceThatEnded(t *testing.T) {
	h := onDisk(t)
	h.withHooks()
	w := h.hook(h.ada.NamespaceID, "device.revoked")
	c := h.oauth()
	got := h.signedIn(c)
	target := h.target()
	target.Kind = approval.PollCode
	_, err := h.core.InvalidateAll(t.Context(), target)
	must(t, err)

	h.wantEnded("the device", got.Device.ID, approval.ByBackend)
	_, err = h.refresh(c, got.Refresh)
	wantError(t, "refresh", err, approval.ErrRevoked)
	h.wantTold("the webhook", w, "device.revoked")
	want := approval.Subject{
		RequestID: got.Request.ID, Version: got.Request.Version + 1, ClientID: c.ID, UserID: h.ada.ID, Username: "ada",
		DeviceID: got.Device.ID, DeviceName: got.Device.Name, By: approval.ByBackend,
	}
	if d := cmp.Diff(want, h.told(w)[0].Data); d != "" {
		t.Errorf("what it is about (-want +got):\n%s", d)
	}
}

func TestAnnounce_grantThatSignedNothingIn_isNoDevice(t *testing.T) {
	h := onDisk(t)
	h.withHooks()
	w := h.hook(h.ada.NamespaceID, "device.revoked")
	a := h.ask(approval.Long)
	a.Purpose = approval.AddCredential
	b, err := h.core.Begin(t.Context(), a)
	must(t, err)
	_, err = h.approve(scanned(b), "")
	must(t, err)
	_, err = h.core.Redeem(t.Context(), h.holder(b), b.Request.ID)
	must(t, err)
	target := h.target()
	target.Purpose = approval.AddCredential
	_, err = h.core.InvalidateAll(t.Context(), target)
	must(t, err)
	if n := h.events(h.ada)[approval.EventGrantRevoked]; n != 1 {
		t.Errorf("%d grants were taken back, want 1", n)
	}
	h.wantTold("the webhook", w)
}
