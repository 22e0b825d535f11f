package phone_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// tamper writes to the database as only an intruder, or a fault, would.
func (h *house) tamper(query string, args ...any) {
	h.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "nod.db")+"?_pragma=busy_timeout(5000)")
	must(h.t, err)
	defer db.Close()
	done, err := db.ExecContext(h.t.Context(), query, args...)
	must(h.t, err)
	if n, err := done.RowsAffected(); n != 1 || err != nil {
		h.t.Fatalf("%s: got %d rows, %v; want one", query, n, err)
	}
}

// contextChanges are changes to everything that a person is shown about a request,
// by the name under which it is stored.
func contextChanges(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	of := reflect.TypeFor[approval.Context]()
	for i := range of.NumField() {
		field := of.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		out[name] = fmt.Sprintf(`context = json_set(context, '$.%s', %s)`, name, another(t, field.Type))
	}
	return out
}

// another is a value of a type, in SQL, that no request of these tests has.
func another(t *testing.T, of reflect.Type) string {
	t.Helper()
	switch of {
	case reflect.TypeFor[string]():
		return `'another'`
	case reflect.TypeFor[[]account.ScopeText]():
		return `json('[{"scope":"profile","says":"another"}]')`
	case reflect.TypeFor[json.RawMessage]():
		return `json('[{"type":"another"}]')`
	}
	t.Fatalf("a request is shown with a %s: say what another one is", of)
	return ""
}

// TestRequest_changedBehindAnApproval_isNotDecided is threat A5: what is signed is
// what was shown, all of it.
func TestRequest_changedBehindAnApproval_isNotDecided(t *testing.T) {
	changes := map[string]string{
		"client_id": `client_id = 'another'`,
		"audience":  `audience = 'another'`,
		"face":      `face = 'another'`,
		"purpose":   `purpose = 'add_credential'`,
		"expires":   `expires = expires + 1`,
	}
	for member, change := range contextChanges(t) {
		changes["context."+member] = change
	}
	for name, change := range map[string]string{
		"a scope more":      `context = json_insert(context, '$.scopes[#]', json('{"scope":"files","says":"read your files"}'))`,
		"a scope's words":   `context = json_set(context, '$.scopes[0].says', 'do nothing')`,
		"no scopes":         `context = json_remove(context, '$.scopes')`,
		"a detail's amount": `context = json_set(context, '$.authorization_details[0].amount', '9.00')`,
		"no details":        `context = json_remove(context, '$.authorization_details')`,
	} {
		changes[name] = change
	}
	if len(changes) < 20 {
		t.Fatalf("got %d fields to change, want all of the record", len(changes))
	}
	h := newHouse(t)
	p := h.owner("ada")
	for name, change := range changes {
		for way, reach := range map[string]func(approval.Begun) ref{"scanned": scanned, "listed": listed, "pushed": h.pushed} {
			b := h.begin(h.client, p.user, withDetails)
			begun := p.beginApproval(reach(b), b.MatchNumber.Reveal()).want(http.StatusOK)
			h.tamper(`UPDATE requests SET `+change+` WHERE id = ?`, b.Request.ID)
			got := p.call("/phone/requests/approve", map[string]any{"ref": reach(b), "credential": p.sign(begun)})
			if got.status != http.StatusConflict || got.member("code") != "request_changed" {
				t.Errorf("%s of a %s request: got %d %s, want 409 request_changed", name, way, got.status, got.text)
			}
			h.wantUndecided(b)
		}
	}
}

// TestRequest_movedBehindAnApproval_isNotTheirs: whoever a request is not for any
// more does not even learn that it changed.
func TestRequest_movedBehindAnApproval_isNotTheirs(t *testing.T) {
	h := newHouse(t)
	p, other := h.owner("ada"), h.owner("eve")
	for name, c := range map[string]struct {
		change string
		to     string
		status int
	}{
		"user_id":      {`user_id = ?`, other.user.ID, http.StatusForbidden},
		"namespace_id": {`namespace_id = ?`, "another", http.StatusNotFound},
	} {
		b := h.ask(h.client, p.user, approval.Long)
		begun := p.beginApproval(scanned(b), "").want(http.StatusOK)
		h.tamper(`UPDATE requests SET `+c.change+` WHERE id = ?`, c.to, b.Request.ID)
		got := p.call("/phone/requests/approve", map[string]any{"ref": scanned(b), "credential": p.sign(begun)})
		if got.status != c.status {
			t.Errorf("%s: got %d %s, want %d", name, got.status, got.text, c.status)
		}
		h.wantUndecided(b)
	}
}

// TestRequest_changedInNothing_isDecided shows that the tests above refuse for
// the change's sake.
func TestRequest_changedInNothing_isDecided(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Long)
	begun := p.beginApproval(scanned(b), "").want(http.StatusOK)
	h.tamper(`UPDATE requests SET context = json_set(context, '$.app', ?) WHERE id = ?`, b.Request.Context.App, b.Request.ID)
	p.call("/phone/requests/opened", map[string]any{"ref": scanned(b)}).want(http.StatusNoContent)
	p.call("/phone/requests/approve", map[string]any{"ref": scanned(b), "credential": p.sign(begun)}).want(http.StatusOK)
	h.wantState(b.Request.ID, approval.Approved)
}

// wantUndecided wants a request that nobody decided and nobody can collect.
func (h *house) wantUndecided(b approval.Begun) {
	h.t.Helper()
	r := h.request(b.Request.ID)
	if r.State != approval.Pending || r.Decision != nil || r.Version != b.Request.Version {
		h.t.Errorf("request: got %s, %+v, version %d; want it pending, undecided and untouched", r.State, r.Decision, r.Version)
	}
	if got, err := h.collect(b); err == nil {
		h.t.Errorf("collect: got %+v, want nothing", got)
	}
}
