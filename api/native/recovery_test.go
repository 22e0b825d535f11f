package native_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn/virtual"
)

const recoveryPath = "/credentials/recovery-code"

// typedAt is what nod's page says to somebody who types a code there.
func typedAt(h *house, username, code string) apitest.Reply {
	h.Helper()
	return h.Do(apitest.Call{Path: "/recover", Body: url.Values{"username": {username}, "code": {code}}})
}

func TestRecoveryCode_opensThePageOnceAndIsTheOnlyOne(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	ada := h.NewPerson("ada")
	printed, err := h.Directory.NewRecovery(t.Context(), ada.User, approval.RecoveryCodes, approval.Asker{})
	if err != nil {
		t.Fatal(err)
	}
	first := app.Post(recoveryPath, account.CredentialsAddRecovery, M{"username": "ada"}).Want(http.StatusOK)
	second := app.Post(recoveryPath, account.CredentialsAddRecovery, M{"user_id": ada.ID}).Want(http.StatusOK)
	made, err := time.Parse(time.RFC3339, second.S("created_at"))
	if err != nil || time.Since(made) > time.Minute {
		t.Errorf("created_at: got %q, want now", second.S("created_at"))
	}
	for name, code := range map[string]string{"printed": printed.Codes[0].Reveal(), "first": first.S("code")} {
		if got := typedAt(h, "ada", code).Status; got != http.StatusUnprocessableEntity {
			t.Errorf("the %s code: got %d, want 422", name, got)
		}
	}
	to := typedAt(h, "ada", second.S("code")).Want(http.StatusSeeOther).Header.Get("Location")
	if !strings.HasPrefix(to, "/enrol#") {
		t.Errorf("location: got %q, want where a passkey is made", to)
	}
	typedAt(h, "ada", second.S("code")).Want(http.StatusUnprocessableEntity)
	es, err := h.Config.Accounts.Events(context.Background(), ada.ID, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(es) != 2 || es[0].Name != approval.EventRecovered || es[1].Name != approval.EventRecoveryMade || es[1].ClientID != app.Client.ID {
		t.Errorf("got audit rows %+v, want it made by the client, then used", es)
	}
}

func TestRecoveryCode_isForWhoMayAndWhoIsThere(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewPerson("ada")
	elsewhere := h.NewApp(account.Client{NamespaceID: h.Namespace("elsewhere").ID})
	narrow := h.NewApp(account.Client{Scopes: []account.Scope{account.CredentialsRevoke}})
	app.Post(recoveryPath, "", M{"username": "ada"}).Want(http.StatusUnauthorized, "unauthorized")
	app.Post(recoveryPath, account.CredentialsForceAdd, M{"username": "ada"}).Want(http.StatusForbidden, "forbidden")
	narrow.Post(recoveryPath, account.CredentialsAddRecovery, M{"username": "ada"}).Want(http.StatusForbidden, "forbidden")
	app.Post(recoveryPath, account.CredentialsAddRecovery, M{"username": "eve"}).Want(http.StatusNotFound, "user_not_found")
	elsewhere.Post(recoveryPath, account.CredentialsAddRecovery, M{"username": "ada"}).Want(http.StatusNotFound, "user_not_found")
	app.Post(recoveryPath, account.CredentialsAddRecovery, M{}).Want(http.StatusBadRequest)
	again := apitest.Call{Path: recoveryPath, Body: M{"username": "ada"}, Token: app.Token(account.CredentialsAddRecovery)}
	h.Do(again).Want(http.StatusOK)
	h.Do(again).Want(http.StatusUnauthorized)
	bob := h.NewUser("bob")
	if _, err := h.Directory.Deactivate(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	app.Post(recoveryPath, account.CredentialsAddRecovery, M{"username": "bob"}).Want(http.StatusForbidden, "account_deactivated")
}

// Whoever adds a key, by code or by force, the user's phones hear of it.
func TestAddedPasskey_isToldToThePhones(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	newPerson(app, "ada")
	registered(app, "ada", "token-1")
	told := func() []string {
		t.Helper()
		ms, err := h.Store.Claim(t.Context(), approval.TopicNotice, 100, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, m := range ms {
			out = append(out, string(m.Body))
		}
		slices.Sort(out)
		return out
	}
	if got := told(); len(got) != 0 {
		t.Errorf("to begin with: got %q, want nothing", got)
	}
	forced := &person{keys: virtual.New()}
	r := app.Post("/credentials/fido2/init/force", account.CredentialsForceAdd, M{"username": "ada"}).Want(http.StatusOK)
	forced.completeNew(app, "/credentials/fido2/complete", "ada", r, app.URL, nil).Want(http.StatusOK)
	if got := told(); !slices.Equal(got, []string{`"passkey_added"`}) {
		t.Errorf("by force: got %q, want of one passkey", got)
	}
	code := app.Generate("ada", "long", M{"purpose": "add_credential", "authorize": true})
	byCode := &person{keys: virtual.New()}
	r = app.Post("/credentials/fido2/init/code", "", M{"username": "ada", "authentication_code": M{"code": code.Code, "type": "long"}}).Want(http.StatusOK)
	byCode.completeNew(app, "/credentials/fido2/complete", "ada", r, app.URL, nil).Want(http.StatusOK)
	if got := told(); !slices.Equal(got, []string{`"code_authorized"`, `"passkey_added"`}) {
		t.Errorf("by code: got %q, want of the code and of the passkey", got)
	}
}
