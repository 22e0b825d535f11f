package phone_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn/virtual"
)

// keysOf lists a user's passkeys.
func (h *house) keysOf(u account.User) []account.Passkey {
	h.t.Helper()
	keys, err := h.store.Passkeys(context.Background(), u.ID)
	must(h.t, err)
	return keys
}

// second gives the handset's owner one more passkey, on another authenticator
// of another phone.
func (p *handset) second() *handset {
	p.t.Helper()
	other := p.house.handset()
	other.keys, other.user = virtual.New(), p.user
	other.enrol(p.house.invite(p.user)).want(http.StatusOK)
	return other
}

func TestPasskey_renamed(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	key := h.keysOf(p.user)[0]
	path := "/phone/passkeys/" + key.ID + "/rename"
	p.form(path, "name", "My phone").wantLocation("/passkeys")
	p.get("/passkeys").want(http.StatusOK).wantText("My phone")
	for name, want := range map[string]string{
		"":                      "must not be empty",
		"a\u202eb":              "must not contain",
		strings.Repeat("x", 65): "must not be longer",
	} {
		p.form(path, "name", name).want(http.StatusUnprocessableEntity).wantText(want, "My phone")
	}
}

func TestPasskey_deleted_butNotTheLast(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	other := p.second()
	keys := h.keysOf(p.user)
	if len(keys) != 2 {
		t.Fatalf("passkeys: got %d, want 2", len(keys))
	}
	p.form("/phone/passkeys/" + keys[1].ID + "/delete").wantLocation("/passkeys?deleted=" + keys[1].ID)
	// The phone that had it is signed out with it.
	other.get("/").want(http.StatusOK).wantText("Sign in with a passkey")
	p.get("/passkeys").want(http.StatusOK).wantText("This is the only passkey")
	p.form("/phone/passkeys/" + keys[0].ID + "/delete").want(http.StatusConflict).wantText("That is your last passkey")
	if got := h.keysOf(p.user)[0].Status; got != account.PasskeyActive {
		t.Errorf("last passkey: got %s, want active", got)
	}
	// Deleted is gone: it can be neither deleted again nor renamed.
	p.form("/phone/passkeys/" + keys[1].ID + "/delete").want(http.StatusNotFound)
	p.form("/phone/passkeys/"+keys[1].ID+"/rename", "name", "x").want(http.StatusNotFound)
}

func TestPasskey_deleted_offersToSignOutWhatItLetIn(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	first := h.keysOf(p.user)[0]
	_, tv := p.letIn("Living-room TV", "")
	_, radio := p.letIn("Kitchen radio", "")
	_, gone := p.letIn("Old tablet", "")
	p.form("/phone/devices/revoke", "device", gone).wantLocation("/devices")
	p = p.second() // the first one's session ends with it
	_, kept := p.letIn("Laptop", "")

	p.get("/passkeys").want(http.StatusOK).wantNoText("still signed in")
	p.form("/phone/passkeys/" + first.ID + "/delete").wantLocation("/passkeys?deleted=" + first.ID)
	p.get("/passkeys?deleted="+first.ID).want(http.StatusOK).
		wantText("2 devices that the deleted passkey let in are still signed in", `value="`+tv+`"`, `value="`+radio+`"`).
		wantNoText("Old tablet", "Laptop", kept)
	h.owner("eve").get("/passkeys?deleted="+first.ID).want(http.StatusOK).wantNoText("still signed in", tv)

	p.form("/phone/devices/revoke", "device", tv, "next", "/passkeys").wantLocation("/passkeys")
	p.get("/passkeys?deleted="+first.ID).want(http.StatusOK).wantText("A device that the deleted passkey let in is still signed in", "Sign it out").wantNoText(tv)
	p.form("/phone/devices/revoke", "device", radio).wantLocation("/devices")
	p.get("/passkeys?deleted=" + first.ID).want(http.StatusOK).wantNoText("still signed in")
	h.wantRevoked(kept, "")
}

func TestPasskey_ofSomebodyElse_isNotFound(t *testing.T) {
	h := newHouse(t)
	p, other := h.owner("ada"), h.owner("eve")
	p.second()
	key := h.keysOf(p.user)[0]
	other.form("/phone/passkeys/" + key.ID + "/delete").want(http.StatusNotFound)
	other.form("/phone/passkeys/"+key.ID+"/rename", "name", "Mine").want(http.StatusNotFound)
	other.get("/passkeys").want(http.StatusOK).wantNoText(key.ID)
	if got := h.keysOf(p.user)[0]; got.Status != account.PasskeyActive || got.Name == "Mine" {
		t.Errorf("passkey: got %s, %q; want it as it was", got.Status, got.Name)
	}
}

func TestActivity_tellsInWordsWhatHappened(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	approved := h.ask(h.client, p.user, approval.Long)
	p.call("/phone/requests/opened", map[string]any{"ref": scanned(approved)}).want(http.StatusNoContent)
	p.approve(scanned(approved), "").want(http.StatusOK)
	collected, err := h.collect(approved)
	must(t, err)
	p.call("/phone/requests/decline", map[string]any{"ref": scanned(h.ask(h.client, p.user, approval.Long))}).want(http.StatusOK)
	guessed := h.ask(h.client, p.user, approval.Long)
	for range 3 {
		p.beginApproval(listed(guessed), otherNumber(guessed.MatchNumber))
	}
	key := h.keysOf(p.user)[0]
	p.form("/phone/passkeys/"+key.ID+"/rename", "name", "My phone").wantLocation("/passkeys")

	p.get("/activity").want(http.StatusOK).wantText(
		"Your account was made", "A passkey was made", "A passkey was renamed",
		"A device asked for a sign-in on Living-room TV (Acme TV)",
		"You looked at a sign-in on Living-room TV (Acme TV)",
		"You approved a sign-in on Living-room TV (Acme TV)",
		"The device was let in: a sign-in on Living-room TV (Acme TV)",
		"You declined a sign-in on Living-room TV (Acme TV)",
		"A wrong number was entered for a sign-in on Living-room TV (Acme TV)",
		"Declined because of wrong numbers: a sign-in on Living-room TV (Acme TV)",
	).wantNoText(collected.Grant.JTI, "request.", "%!")
	h.owner("eve").get("/activity").want(http.StatusOK).wantNoText("Living-room TV")
}
