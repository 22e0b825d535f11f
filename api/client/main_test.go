package client_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/nod-auth/nod/api/client"
	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
)

func TestMain(m *testing.M) {
	e := &exampleTB{}
	code := 1
	if err := e.run(func() { code = m.Run() }); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// nod is the server of the examples: a real one, with a person who has a phone.
var nod struct {
	url     string
	native  string // a client that waits for codes
	oauth   string // one of the device grant
	backend *apitest.App
	ada     *apitest.Person
}

// adaApproves is what happens on the phone once the code that the device shows has
// been typed there.
func adaApproves(p client.Prompt) { nod.ada.Approve(apitest.Typed(p.UserCode), "") }

// adasCode is what the application's backend asks nod for: a code for ada. Her phone
// answers when she has seen the question.
func adasCode() (code string) {
	c := nod.backend.Generate("ada", client.CodeShort, nil)
	nod.backend.Authorize(c)
	return c.Code
}

// exampleTB lets a house stand as long as all tests, which no single test could.
type exampleTB struct {
	testing.TB // nil: whatever else is called is a mistake
	ends       []func()
}

func (*exampleTB) Helper()                      {}
func (*exampleTB) Context() context.Context     { return context.Background() }
func (*exampleTB) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (*exampleTB) Fatalf(s string, args ...any) { panic(fmt.Sprintf(s, args...)) }
func (*exampleTB) Error(args ...any)            { panic(fmt.Sprint(args...)) }
func (*exampleTB) Errorf(s string, args ...any) { panic(fmt.Sprintf(s, args...)) }
func (e *exampleTB) Cleanup(f func())           { e.ends = append(e.ends, f) }

// run opens the house, runs the tests, closes the house and looks for what was left
// behind.
func (e *exampleTB) run(tests func()) error {
	folder, err := os.MkdirTemp("", "nod-client-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	store, err := sqlstore.Open(context.Background(), filepath.Join(folder, "nod.db"))
	if err != nil {
		return err
	}
	e.Cleanup(func() { _ = store.Close() })
	h := apitest.Open(e, store)
	nod.url = h.URL
	nod.ada = h.NewPerson("ada")
	nod.backend = h.NewApp(account.Client{})
	nod.native = h.NewApp(account.Client{Type: account.ClientNative}).Client.ID
	nod.oauth = h.NewRelying(account.OAuth{Auth: account.AuthNone}).Client.ID
	tests()
	for i := len(e.ends) - 1; i >= 0; i-- {
		e.ends[i]()
	}
	return goleak.Find()
}
