package native_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
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

func (d *diary) Ceremony(ctx context.Context, id string) (approval.Ceremony, error) {
	d.note("ceremony")
	return d.Store.Ceremony(ctx, id)
}

func (d *diary) Take(ctx context.Context, b []approval.Budget) error {
	d.note("take")
	return d.Store.Take(ctx, b)
}

func (d *diary) RecoveryOwner(ctx context.Context, hash []byte) (string, error) {
	d.note("recovery owner")
	return d.Store.RecoveryOwner(ctx, hash)
}

// TestUnknownUsers_costTheStoreWhatKnownOnesDo is the part of "the same timing"
// (threats B4) that a test can hold on to: the same questions in the same order, and
// not one read more that has no line in the diary.
func TestUnknownUsers_costTheStoreWhatKnownOnesDo(t *testing.T) {
	s, err := sqlstore.Open(t.Context(), freshdb.File(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	d := &diary{Store: s}
	h := apitest.Open(t, d, unlimited)
	app := h.NewApp(account.Client{})
	newPerson(app, "ada")
	app.Generate("ada", "short", nil)
	h.NewUser("bob") // has no passkey
	eve := newPerson(app, "eve")
	h.Do(Call{Method: http.MethodPut, Path: "/manage/users/" + eve.ID + "/deactivate", Token: app.Token(account.UsersDeactivate)}).Want(http.StatusOK)

	type cost struct {
		Lines []string
		Reads int64
	}
	for _, q := range questions(app) {
		ask := func(name string) (*httptest.ResponseRecorder, cost) {
			r, w := q.ready(name), httptest.NewRecorder()
			d.since()
			before := s.Reads()
			h.Server.Config.Handler.ServeHTTP(w, r)
			return w, cost{d.since(), s.Reads() - before}
		}
		known, knownCost := ask("ada")
		for _, name := range []string{"nobody", "bob", "eve"} {
			other, otherCost := ask(name)
			if diff := cmp.Diff(knownCost, otherCost); diff != "" {
				t.Errorf("%s: ada (-) and %s (+) cost the store:\n%s", q.about, name, diff)
			}
			if known.Code != other.Code {
				t.Errorf("%s: ada got %d, %s got %d", q.about, known.Code, name, other.Code)
			}
			if diff := cmp.Diff(timeless(known, "ada"), timeless(other, name)); diff != "" && known.Code != http.StatusOK {
				t.Errorf("%s: ada (-) and %s (+) got\n%s", q.about, name, diff)
			}
		}
	}
}

// timeless is an answer without the name that it is about and the time of its page.
func timeless(w *httptest.ResponseRecorder, name string) string {
	text := strings.ReplaceAll(w.Body.String(), `"`+name+`"`, `"…"`)
	return regexp.MustCompile(` data-now="[^"]*"`).ReplaceAllString(text, "")
}
