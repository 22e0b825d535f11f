package native_test

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
	"github.com/nod-auth/nod/webauthn"
	"github.com/nod-auth/nod/webauthn/virtual"
)

type (
	M    = apitest.M
	Call = apitest.Call
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a server whose store's clock can be put ahead.
type house struct {
	*apitest.House
	ahead atomic.Int64
	path  string // of the store
}

func open(t *testing.T, change ...func(*apitest.Setup)) *house {
	t.Helper()
	return openAs(t, change...)
}

// openAs is open for a fuzz test, too.
func openAs(t testing.TB, change ...func(*apitest.Setup)) *house {
	t.Helper()
	h := &house{path: freshdb.File(t)}
	now := func() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }
	s, err := sqlstore.Open(t.Context(), h.path, sqlstore.WithClock(now))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	h.House = apitest.Open(t, s, change...)
	return h
}

func viewer(u account.User) approval.Viewer { return approval.Viewer{User: u} }

func (h *house) advance(d time.Duration) { h.ahead.Add(int64(d)) }

// person is a user with a passkey on an authenticator.
type person struct {
	account.User
	keys *virtual.Authenticator
}

// newPerson registers a user by the app's word, as a page of nod's own would.
func newPerson(app *apitest.App, name string) *person {
	app.Helper()
	p := &person{keys: virtual.New()}
	r := app.Post("/register/fido2/init", account.AuthRegister, M{"username": name}).Want(http.StatusOK)
	done := p.completeNew(app, "/register/fido2/complete", name, r, app.URL, nil).Want(http.StatusOK)
	p.User = account.User{ID: done.S("user.id"), Username: name, NamespaceID: done.S("user.namespace_id")}
	return p
}

// completeNew answers creation options in the vendor's members.
func (p *person) completeNew(app *apitest.App, path, name string, begun apitest.Reply, origin string, more M) apitest.Reply {
	app.Helper()
	var init struct {
		Payload json.RawMessage `json:"attestation_payload"`
	}
	begun.Into(&init)
	var o webauthn.CreationOptions
	mustDecode(app, init.Payload, &o)
	a, err := p.keys.Create(origin, o)
	if err != nil {
		app.Fatal(err)
	}
	body := M{"username": name, "attestation_payload": M{
		"challenge": o.Challenge, "credential_uuid": begun.S("attestation_payload.credential_uuid"),
		"credential_id": webauthn.Bytes(a.CredentialID), "client_data": webauthn.Bytes(a.ClientData),
		"attestation_data": webauthn.Bytes(a.AttestationObject),
	}}
	for k, v := range more {
		body[k] = v
	}
	return app.Post(path, "", body)
}

// assertion answers request options in the vendor's members.
func (p *person) assertion(app *apitest.App, begun apitest.Reply, origin string) M {
	app.Helper()
	var init struct {
		Payload webauthn.RequestOptions `json:"assertion_payload"`
	}
	begun.Into(&init)
	a, err := p.keys.Get(origin, init.Payload)
	if err != nil {
		app.Fatal(err)
	}
	return M{
		"challenge": init.Payload.Challenge, "credential_id": webauthn.Bytes(a.CredentialID), "client_data": webauthn.Bytes(a.ClientData),
		"authenticator_data": webauthn.Bytes(a.AuthenticatorData), "signature": webauthn.Bytes(a.Signature),
	}
}

func mustDecode(app *apitest.App, text []byte, into any) {
	app.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		app.Fatal(err)
	}
}

// claims verifies the reply's token and reads its payload.
func claims(r apitest.Reply) M {
	r.Helper()
	var out M
	c, err := r.Ring.Verify(r.Context(), r.S("jwt"), expect(r))
	if err != nil {
		r.Fatalf("verify: %v", err)
	}
	if err := c.Decode(&out); err != nil {
		r.Fatal(err)
	}
	return out
}
