package native_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval/account"
)

func TestTokens_nameTheUserOfTheCall(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	ada, bob := h.NewUser("ada"), h.NewUser("bob")
	type change = func(*token.Service)
	for name, c := range map[string]struct {
		claim change
		body  M
		ok    bool
	}{
		"username":                      {func(s *token.Service) { s.Username = "ada" }, M{"username": "ada"}, true},
		"udata":                         {func(s *token.Service) { s.Udata = "ada" }, M{"username": "ada"}, true},
		"user_id":                       {func(s *token.Service) { s.UserID = ada.ID }, M{"user_id": ada.ID}, true},
		"user_id for a username":        {func(s *token.Service) { s.UserID = ada.ID }, M{"username": "ada"}, true},
		"username for a user_id":        {func(s *token.Service) { s.Username = "ada" }, M{"user_id": ada.ID}, true},
		"user_id in capitals":           {func(s *token.Service) { s.UserID = strings.ToUpper(ada.ID) }, M{"username": "ada"}, true},
		"another username":              {func(s *token.Service) { s.Username = "bob" }, M{"username": "ada"}, false},
		"another udata":                 {func(s *token.Service) { s.Udata = "bob" }, M{"username": "ada"}, false},
		"another user_id":               {func(s *token.Service) { s.UserID = bob.ID }, M{"username": "ada"}, false},
		"nobody's user_id":              {func(s *token.Service) { s.UserID = "00000000-0000-4000-8000-000000000000" }, M{"username": "ada"}, false},
		"right name, another's user_id": {func(s *token.Service) { s.Username, s.UserID = "ada", bob.ID }, M{"username": "ada"}, false},
	} {
		t.Run(name, func(*testing.T) {
			r := h.Do(Call{Path: "/manage/users/retrieve", Token: app.Token(account.UsersRetrieve, c.claim), Body: c.body})
			if c.ok {
				r.Want(http.StatusOK)
			} else {
				r.Want(http.StatusForbidden, "forbidden")
			}
		})
	}
	spoiled := app.Token(account.UsersCreate, func(s *token.Service) { s.Username = "eve" })
	h.Do(Call{Path: "/manage/users", Token: spoiled, Body: M{"username": "mallory"}}).Want(http.StatusForbidden, "forbidden")
}

func TestClient_isTheBodysElseTheTokensElseTheHeaders(t *testing.T) {
	h := open(t)
	app, web := h.NewApp(account.Client{}), h.NewApp(account.Client{Type: account.ClientWeb})
	foreign := h.NewApp(account.Client{NamespaceID: h.Namespace("elsewhere").ID})
	u := h.NewUser("ada")
	anonymous := func(s *token.Service) { s.ClientID = "" }
	get := Call{Path: "/credentials?user_id=" + u.ID}

	with := func(compact, header string) Call {
		c := get
		c.Token, c.Header = compact, map[string]string{"X-Client-ID": header}
		return c
	}
	h.Do(with(app.Token(account.CredentialsList), foreign.Client.ID)).Want(http.StatusOK)
	h.Do(with(app.Token(account.CredentialsList, anonymous), app.Client.ID)).Want(http.StatusOK)
	h.Do(with(app.Token(account.CredentialsList, anonymous), web.Client.ID)).Want(http.StatusUnauthorized, "unauthorized")
	h.Do(with(app.Token(account.CredentialsList, anonymous), "")).Want(http.StatusUnauthorized, "unauthorized")

	h.Do(Call{
		Path: "/manage/users/retrieve", Token: app.Token(account.UsersRetrieve, anonymous), Body: M{"client_id": app.Client.ID, "username": "ada"},
		Header: map[string]string{"X-Client-ID": foreign.Client.ID},
	}).Want(http.StatusOK)

	// A management client may act for the web client of its namespace, and for no
	// other's.
	body := M{"client_id": web.Client.ID, "username": "ada", "purpose": "temporary_authentication"}
	h.Do(Call{Path: "/codes/long/generate", Token: app.Token(account.CodesGenerate), Body: body}).Want(http.StatusOK)
	body["client_id"] = foreign.Client.ID
	h.Do(Call{Path: "/codes/long/generate", Token: app.Token(account.CodesGenerate), Body: body}).Want(http.StatusNotFound, "client_not_found")
	body["client_id"] = "bm9ib2R5"
	h.Do(Call{Path: "/codes/long/generate", Token: app.Token(account.CodesGenerate), Body: body}).Want(http.StatusNotFound, "client_not_found")

	// Without a token there must be a client all the same.
	h.Do(Call{Path: "/authenticate/fido2/init", Body: M{"username": "ada"}}).Want(http.StatusBadRequest, "missing_parameter")
	h.Do(Call{Path: "/authenticate/fido2/init", Body: M{"username": "ada"}, Header: map[string]string{"X-Client-ID": web.Client.ID}}).Want(http.StatusOK)
}

func TestScope_ofTheSigningClientCountsAndNotOfTheNamedOne(t *testing.T) {
	h := open(t)
	web := h.NewApp(account.Client{Type: account.ClientWeb, Scopes: []account.Scope{account.AuthLogin}})
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	body := M{"client_id": app.Client.ID, "username": "ada", "purpose": "add_credential"}
	h.Do(Call{Path: "/codes/long/generate", Token: web.Token(account.CodesGenerate), Body: body}).Want(http.StatusForbidden, "forbidden")
}

func TestKeys_twoLiveOnesBothSign(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	pem, public, err := token.NewServiceKey()
	must(app, err)
	_, err = h.Directory.AddClientKey(t.Context(), app.Client, public)
	must(app, err)
	second := *app
	second.Key, err = token.ParsePrivateKey(pem)
	must(app, err)
	for _, a := range []*apitest.App{app, &second} {
		a.Post("/manage/users/retrieve", account.UsersRetrieve, M{"username": "ada"}).Want(http.StatusOK)
	}
}
