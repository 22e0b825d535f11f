package native_test

import (
	"context"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
)

// diary is a store that notes what is asked of it.
type diary struct {
	apitest.Store
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

// since is what was noted since the last time.
func (d *diary) since() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.lines
	d.lines = nil
	return out
}

func (d *diary) Client(ctx context.Context, id string) (account.Client, error) {
	d.note("client")
	return d.Store.Client(ctx, id)
}

func (d *diary) User(ctx context.Context, id string) (account.User, error) {
	d.note("user")
	return d.Store.User(ctx, id)
}

func (d *diary) UserByName(ctx context.Context, ns, name string) (account.User, error) {
	d.note("user by name")
	return d.Store.UserByName(ctx, ns, name)
}

func (d *diary) Passkeys(ctx context.Context, id string) ([]account.Passkey, error) {
	d.note("passkeys")
	return d.Store.Passkeys(ctx, id)
}

func (d *diary) Find(ctx context.Context, k approval.Key) (approval.Request, error) {
	d.note("find")
	return d.Store.Find(ctx, k)
}

func (d *diary) Guess(ctx context.Context, k approval.Key, b []approval.Budget) (approval.Request, error) {
	d.note("guess")
	return d.Store.Guess(ctx, k, b)
}

func (d *diary) Apply(ctx context.Context, c ...approval.Change) error {
	d.note("apply")
	return d.Store.Apply(ctx, c...)
}

func (d *diary) AddCeremony(ctx context.Context, c approval.Ceremony) error {
	d.note("add ceremony")
	return d.Store.AddCeremony(ctx, c)
}

// TestUnknownUsers_costTheStoreWhatKnownOnesDo is the part of "the same timing"
// (threats B4) that a test can hold on to: the same questions in the same order.
func TestUnknownUsers_costTheStoreWhatKnownOnesDo(t *testing.T) {
	s, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "nod.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	d := &diary{Store: s}
	h := apitest.Open(t, d)
	app := h.NewApp(account.Client{})
	newPerson(app, "ada")
	app.Generate("ada", "short", nil)

	for path, body := range map[string]M{
		waitPath:                             {"authentication_code": M{"code": "not it", "type": "short"}},
		"/credentials/fido2/init/code":       {"authentication_code": M{"code": "not it", "type": "long"}},
		"/authenticate/fido2/init":           {},
		"/codes/phrase/generate/fido2/init":  {"purpose": "add_credential"},
		"/api/native/authenticate/code/wait": {"authentication_code": M{"code": "not it", "type": "phrase"}},
	} {
		ask := func(name string) (apitest.Reply, []string) {
			body["username"] = name
			d.since()
			r := app.Post(path, "", body)
			return r, d.since()
		}
		known, knownCost := ask("ada")
		unknown, unknownCost := ask("nobody")
		if diff := cmp.Diff(knownCost, unknownCost); diff != "" {
			t.Errorf("%s: known (-) and unknown (+) cost the store:\n%s", path, diff)
		}
		if known.Status != unknown.Status || known.Status != http.StatusOK && known.Text != unknown.Text {
			t.Errorf("%s: known got %d %s, unknown %d %s", path, known.Status, known.Text, unknown.Status, unknown.Text)
		}
	}
}
