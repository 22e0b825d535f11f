package native_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn/virtual"
)

func TestRegister_isOpenOnlyWhereTheClientSaysSo(t *testing.T) {
	h := open(t)
	closed, wide := h.NewApp(account.Client{}), h.NewApp(account.Client{OpenRegistration: true})
	closed.Post("/register/fido2/init", "", M{"username": "ada"}).Want(http.StatusUnauthorized, "unauthorized")
	closed.Post("/register/fido2/init", account.AuthRegister, M{"username": "ada"}).Want(http.StatusOK)
	wide.Post("/register/fido2/init", "", M{"username": "ada"}).Want(http.StatusOK)
}

func TestRegister_storesUserAndPasskeyAndSignsIn(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{OpenRegistration: true, Type: account.ClientWeb})
	p := &person{keys: virtual.New()}
	// The vendor's page sends back whatever it kept, for whomever that was.
	begun := app.Post("/register/fido2/init", "", M{"username": "ada", "options": M{
		"register_session": "undefined", "display_name": "Ada L.", "override_name": "ada@example", "roaming_authenticator": false,
	}}).Want(http.StatusOK)
	if begun.S("attestation_payload.user.displayName") != "Ada L." || begun.S("attestation_payload.user.name") != "ada@example" {
		t.Errorf("got %s, want the names asked for", begun.Text)
	}
	if begun.S("register_session") == "" || strings.Contains(begun.Text, "null") {
		t.Errorf("got %s, want a session and no null", begun.Text)
	}
	app.Post("/manage/users/retrieve", account.UsersRetrieve, M{"username": "ada"}).Want(http.StatusNotFound) // not yet
	done := p.completeNew(app, "/register/fido2/complete", "ada", begun, h.URL, M{"options": M{"credential_name": "Laptop"}}).Want(http.StatusOK)
	if done.S("credential.type") != "fido2" || done.S("credential.name") != "Laptop" || done.S("credential.uuid") != begun.S("attestation_payload.credential_uuid") {
		t.Errorf("got %s", done.Text)
	}
	if got := claims(done); got["udata"] != "ada" || got["sub"] != done.S("user.id") || got["acr"] != "phr" {
		t.Errorf("got claims %v", got)
	}
	if done.S("credential.id") != done.S("credential.uuid") {
		t.Error("credential.id does not repeat the uuid")
	}
}

func TestRegister_refusesNamesThatExist(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{OpenRegistration: true})
	newPerson(app, "ada")
	bare := h.NewUser("bob")
	for _, name := range []string{"ada", "bob"} {
		app.Post("/register/fido2/init", "", M{"username": name}).Want(http.StatusConflict, "user_already_registered")
		app.Post("/register/fido2/init", account.AuthRegister, M{"username": name}).Want(http.StatusConflict, "user_already_registered")
	}
	naming := func(name string, change func(*token.Service)) apitest.Reply {
		return h.Do(Call{Path: "/register/fido2/init", Token: app.Token(account.AuthRegister, change), Body: M{"username": name}})
	}
	naming("ada", func(s *token.Service) { s.Username = "ada" }).Want(http.StatusConflict, "user_already_registered")
	naming("bob", func(s *token.Service) { s.Username = "ada" }).Want(http.StatusForbidden, "forbidden")
	for _, change := range []func(*token.Service){
		func(s *token.Service) { s.Username = "bob" }, func(s *token.Service) { s.Udata = "bob" }, func(s *token.Service) { s.UserID = bare.ID },
	} {
		naming("bob", change).Want(http.StatusOK)
	}
}

func TestAuthenticate_signsInWithAPasskey(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{Origins: []string{"https://shop.example"}})
	p := newPerson(app, "ada")
	begun := app.Post("/authenticate/fido2/init", "", M{"username": "ada"}).Want(http.StatusOK)
	body := M{"username": "ada", "assertion_payload": p.assertion(app, begun, "https://shop.example")}
	done := app.Post("/authenticate/fido2/complete", "", body).Want(http.StatusOK)
	if got := claims(done); got["sub"] != p.ID || got["amr"] == nil {
		t.Errorf("got claims %v", got)
	}
	app.Post("/authenticate/fido2/complete", "", body).Want(http.StatusUnauthorized, "invalid_credential") // once
}

func TestAuthenticate_refusesWhatIsNotItsOwn(t *testing.T) {
	h := open(t)
	app, other := h.NewApp(account.Client{}), h.NewApp(account.Client{Origins: []string{"https://shop.example"}})
	ada := newPerson(app, "ada")
	newPerson(app, "bob")
	begin := func() apitest.Reply {
		return app.Post("/authenticate/fido2/init", "", M{"username": "ada"}).Want(http.StatusOK)
	}
	complete := func(a *apitest.App, name string, payload M) apitest.Reply {
		return a.Post("/authenticate/fido2/complete", "", M{"username": name, "assertion_payload": payload})
	}
	for name, try := range map[string]func() apitest.Reply{
		"another origin":          func() apitest.Reply { return complete(app, "ada", ada.assertion(app, begin(), "https://evil.example")) },
		"another client's origin": func() apitest.Reply { return complete(app, "ada", ada.assertion(app, begin(), "https://shop.example")) },
		"another client":          func() apitest.Reply { return complete(other, "ada", ada.assertion(app, begin(), h.URL)) },
		"another name":            func() apitest.Reply { return complete(app, "bob", ada.assertion(app, begin(), h.URL)) },
		"unknown name":            func() apitest.Reply { return complete(app, "nobody", ada.assertion(app, begin(), h.URL)) },
		"another challenge": func() apitest.Reply {
			payload := ada.assertion(app, begin(), h.URL)
			payload["challenge"] = base64.RawURLEncoding.EncodeToString(make([]byte, 32))
			return complete(app, "ada", payload)
		},
		"another signature": func() apitest.Reply {
			payload := ada.assertion(app, begin(), h.URL)
			payload["signature"] = ada.assertion(app, begin(), h.URL)["signature"]
			return complete(app, "ada", payload)
		},
		"without user verification": func() apitest.Reply {
			ada.keys.Unverified = true
			defer func() { ada.keys.Unverified = false }()
			return complete(app, "ada", ada.assertion(app, begin(), h.URL))
		},
		"a ceremony of another purpose": func() apitest.Reply {
			begun := app.Post("/codes/short/generate/fido2/init", "", M{"username": "ada", "purpose": "add_credential"}).Want(http.StatusOK)
			return complete(app, "ada", ada.assertion(app, begun, h.URL))
		},
		"too late": func() apitest.Reply {
			payload := ada.assertion(app, begin(), h.URL)
			h.advance(3 * time.Minute)
			return complete(app, "ada", payload)
		},
	} {
		t.Run(name, func(*testing.T) { try().Want(http.StatusUnauthorized, "invalid_credential") })
	}
}

func TestAuthenticate_beginsAlikeForSomebodyUnknown(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	newPerson(app, "ada")
	init := func(name string) apitest.Reply {
		return app.Post("/authenticate/fido2/init", "", M{"username": name}).Want(http.StatusOK)
	}
	payload := func(r apitest.Reply) M { return r.JSON["assertion_payload"].(M) }
	nobody := "nobody"
	for payload(init(nobody))["allowCredentials"] == nil { // one list in 128 is left out, as a real one would be
		nobody += "!"
	}
	first, second, known := init(nobody), init(nobody), init("ada")
	if diff := cmp.Diff(payload(first)["allowCredentials"], payload(second)["allowCredentials"]); diff != "" {
		t.Errorf("the invented credentials changed:\n%s", diff)
	}
	if payload(first)["challenge"] == payload(second)["challenge"] {
		t.Error("the challenge came twice")
	}
	for member := range payload(known) {
		if payload(first)[member] == nil {
			t.Errorf("nobody's options have no %s", member)
		}
	}
}

func TestCompletions_nameTheFieldThatIsMissing(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	full := M{"challenge": "AA", "credential_id": "AA", "client_data": "AA", "authenticator_data": "AA", "signature": "AA", "attestation_data": "AA"}
	for path, c := range map[string]struct {
		payload string
		fields  []string
	}{
		"/authenticate/fido2/complete":           {"assertion_payload", []string{"challenge", "credential_id", "client_data", "authenticator_data", "signature"}},
		"/codes/long/generate/fido2/complete":    {"assertion_payload", []string{"challenge", "credential_id", "client_data", "authenticator_data", "signature"}},
		"/register/fido2/complete":               {"attestation_payload", []string{"challenge", "credential_id", "client_data", "attestation_data"}},
		"/api/native/credentials/fido2/complete": {"attestation_payload", []string{"challenge", "credential_id", "client_data", "attestation_data"}},
	} {
		for _, field := range c.fields {
			payload := M{}
			for k, v := range full {
				payload[k] = v
			}
			delete(payload, field)
			r := app.Post(path, "", M{"username": "ada", c.payload: payload}).Want(http.StatusBadRequest, "missing_parameter")
			if !strings.Contains(r.S("message"), c.payload+"."+field) {
				t.Errorf("%s: got %q, want it to name %s", path, r.S("message"), field)
			}
			payload[field] = "not base64url!"
			r = app.Post(path, "", M{"username": "ada", c.payload: payload}).Want(http.StatusBadRequest, "request_validation_error")
			if !strings.Contains(r.S("message"), field) || strings.Contains(r.Text, "not base64url!") {
				t.Errorf("%s: got %q, want it to name %s and repeat nothing", path, r.S("message"), field)
			}
		}
		app.Post(path, "", M{"username": "ada", c.payload: full}).Want(http.StatusUnauthorized, "invalid_credential")
		app.Post(path, "", M{c.payload: full}).Want(http.StatusBadRequest, "missing_parameter")
	}
}

func TestSelfGenerate_makesACodeApprovedFromBirth(t *testing.T) {
	h := open(t)
	app, web := h.NewApp(account.Client{}), h.NewApp(account.Client{Type: account.ClientWeb})
	p := newPerson(app, "ada")
	for _, noJWT := range []bool{false, true} {
		begun := web.Post("/codes/short/generate/fido2/init", "", M{"username": "ada", "purpose": "temporary_authentication"}).Want(http.StatusOK)
		done := web.Post("/codes/short/generate/fido2/complete", "", M{
			"username": "ada", "assertion_payload": p.assertion(web, begun, h.URL), "no_jwt": noJWT,
		}).Want(http.StatusOK)
		if done.S("user.username") != "ada" || done.S("credential.type") != "fido2" || done.S("user.id") != p.ID {
			t.Errorf("no_jwt %t: got %s", noJWT, done.Text)
		}
		if _, there := done.JSON["jwt"]; there == noJWT {
			t.Errorf("no_jwt %t: got %s", noJWT, done.Text)
		}
		code := apitest.Code{Username: "ada", Kind: "short", Code: done.S("code_data.code")}
		r := app.Wait(code, nil).Want(http.StatusOK)
		if r.S("credential.type") != "fido2" || r.S("credential.uuid") != done.S("credential.uuid") {
			t.Errorf("got %s, want the passkey", r.Text)
		}
	}
}

func TestAddByCode_needsAnApprovedCodeAndSpendsIt(t *testing.T) {
	h := open(t)
	app, web := h.NewApp(account.Client{}), h.NewApp(account.Client{Type: account.ClientWeb})
	p := newPerson(app, "ada")
	code := app.Generate("ada", "short", M{"purpose": "add_credential"})
	init := func(c apitest.Code, body M) apitest.Reply {
		body["username"] = c.Username
		return web.Post("/credentials/fido2/init/code", "", body)
	}
	presented := M{"authentication_code": M{"code": code.Code}} // short by default
	init(code, presented).Want(http.StatusBadRequest, "remote_session_in_progress")
	wrong := code
	wrong.Username = "nobody"
	init(wrong, presented).Want(http.StatusNotFound, "verification_code_not_found")
	app.Post("/codes/short/authorize", account.CodesAuthorize, M{"username": "ada", "purpose": "add_credential", "code": code.Code}).Want(http.StatusOK)

	signIn := app.Generate("ada", "short", M{"authorize": true})
	init(signIn, M{"authentication_code": M{"code": signIn.Code}}).Want(http.StatusNotFound, "verification_code_not_found")

	second := &person{keys: virtual.New()}
	begun := init(code, presented).Want(http.StatusOK)
	if begun.JSON["register_session"] != nil {
		t.Errorf("got %s, want no session", begun.Text)
	}
	late := init(code, presented).Want(http.StatusOK) // checked, not spent
	done := second.completeNew(web, "/credentials/fido2/complete", "ada", begun, h.URL, nil).Want(http.StatusOK)
	if done.S("user.id") != p.ID || claims(done)["aud"] != web.Client.ID {
		t.Errorf("got %s", done.Text)
	}
	third := &person{keys: virtual.New()}
	third.completeNew(web, "/credentials/fido2/complete", "ada", late, h.URL, nil).Want(http.StatusUnauthorized, "invalid_credential")
	init(code, presented).Want(http.StatusNotFound, "verification_code_not_found")

	begun = app.Post("/authenticate/fido2/init", "", M{"username": "ada"}).Want(http.StatusOK)
	app.Post("/authenticate/fido2/complete", "", M{"username": "ada", "assertion_payload": p.assertion(app, begun, h.URL)}).Want(http.StatusOK)
}

func TestAddByCode_invalidatedInBetweenAddsNothing(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	newPerson(app, "ada")
	code := app.Generate("ada", "long", M{"purpose": "add_credential", "authorize": true})
	begun := app.Post("/credentials/fido2/init/code", "", M{"username": "ada", "authentication_code": M{"code": code.Code, "type": "long"}}).Want(http.StatusOK)
	app.Post("/codes/long/invalidate-all", account.CodesInvalidate, M{"username": "ada", "purpose": "add_credential"}).Want(http.StatusOK)
	second := &person{keys: virtual.New()}
	second.completeNew(app, "/credentials/fido2/complete", "ada", begun, h.URL, nil).Want(http.StatusForbidden, "failed_to_authenticate")
}

func TestAddByForce_isABackendsWord(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	begun := app.Post("/credentials/fido2/init/force", account.CredentialsForceAdd, M{"user_id": p.ID}).Want(http.StatusOK)
	second := &person{keys: virtual.New()}
	done := second.completeNew(app, "/credentials/fido2/complete", "ada", begun, h.URL, M{"no_jwt": true}).Want(http.StatusOK)
	if done.JSON["jwt"] != nil || done.S("credential.uuid") != begun.S("attestation_payload.credential_uuid") {
		t.Errorf("got %s", done.Text)
	}
	app.Post("/credentials/fido2/init/force", account.CredentialsForceAdd, M{"username": "nobody"}).Want(http.StatusNotFound, "user_not_found")
}

func TestCeremonies_ofOnePurposeAreRefusedForAnother(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	begun := app.Post("/credentials/fido2/init/force", account.CredentialsForceAdd, M{"user_id": p.ID}).Want(http.StatusOK)
	second := &person{keys: virtual.New()}
	second.completeNew(app, "/register/fido2/complete", "ada", begun, h.URL, nil).Want(http.StatusUnauthorized, "invalid_credential")
	begun = app.Post("/register/fido2/init", account.AuthRegister, M{"username": "eve"}).Want(http.StatusOK)
	second.completeNew(app, "/credentials/fido2/complete", "eve", begun, h.URL, nil).Want(http.StatusUnauthorized, "invalid_credential")
}

func TestCredentials_areListedRenamedAndRevoked(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	type list struct {
		UserID      string `json:"user_id"`
		Credentials []struct{ UUID, Status, Name, Type string }
	}
	get := func(query string) (l list) {
		t.Helper()
		h.Do(Call{Path: "/credentials?" + query, Token: app.Token(account.CredentialsList)}).Want(http.StatusOK).Into(&l)
		return l
	}
	before := get("user_id=" + p.ID)
	if before.UserID != p.ID || len(before.Credentials) != 1 || before.Credentials[0].Status != "active" {
		t.Fatalf("got %+v, want one active passkey", before)
	}
	var posted list
	app.Post("/credentials/list", account.CredentialsList, M{"username": "ada"}).Want(http.StatusOK).Into(&posted)
	if diff := cmp.Diff(before, posted); diff != "" {
		t.Errorf("GET (-) and POST (+) differ:\n%s", diff)
	}
	id := before.Credentials[0].UUID
	change := func(verb string, scope account.Scope, credential M) apitest.Reply {
		return app.Post("/credentials/"+verb, scope, M{"user_id": p.ID, "credential": credential})
	}
	if got := change("rename", account.CredentialsRename, M{"uuid": strings.ToUpper(id), "name": "Phone"}).Want(http.StatusOK).S("credential.name"); got != "Phone" {
		t.Errorf("got %s, want Phone", got)
	}
	change("rename", account.CredentialsRename, M{"uuid": id}).Want(http.StatusBadRequest, "missing_parameter")
	change("rename", account.CredentialsRename, M{"uuid": id, "name": "a\u202e"}).Want(http.StatusBadRequest, "request_validation_error")
	change("rename", account.CredentialsRename, M{"name": "x"}).Want(http.StatusBadRequest, "missing_parameter")
	change("revoke", account.CredentialsRevoke, M{"uuid": "00000000-0000-4000-8000-000000000000"}).Want(http.StatusNotFound, "credential_not_found")
	other := newPerson(app, "bob")
	app.Post("/credentials/revoke", account.CredentialsRevoke, M{"user_id": other.ID, "credential": M{"uuid": id}}).Want(http.StatusNotFound, "credential_not_found")

	if got := change("revoke", account.CredentialsRevoke, M{"uuid": id}).Want(http.StatusOK).S("credential.status"); got != "revoked" {
		t.Errorf("got %s, want revoked", got)
	}
	change("revoke", account.CredentialsRevoke, M{"uuid": id}).Want(http.StatusNotFound, "credential_not_found")
	if got := get("user_id=" + p.ID + "&status=active").Credentials; got == nil || len(got) != 0 {
		t.Errorf("got %v, want an empty list", got)
	}
	if got := get("username=ada&status=revoked").Credentials; len(got) != 1 {
		t.Errorf("got %v, want the revoked one", got)
	}
	h.Do(Call{Path: "/credentials?user_id=" + p.ID + "&status=lost", Token: app.Token(account.CredentialsList)}).Want(http.StatusBadRequest, "request_validation_error")
	h.Do(Call{Path: "/credentials", Token: app.Token(account.CredentialsList)}).Want(http.StatusBadRequest, "missing_parameter")

	begun := app.Post("/authenticate/fido2/init", "", M{"username": "bob"}).Want(http.StatusOK)
	payload := other.assertion(app, begun, h.URL)
	var l list
	app.Post("/credentials/list", account.CredentialsList, M{"username": "bob"}).Into(&l)
	app.Post("/credentials/revoke", account.CredentialsRevoke, M{"user_id": other.ID, "credential": M{"uuid": l.Credentials[0].UUID}}).Want(http.StatusOK)
	app.Post("/authenticate/fido2/complete", "", M{"username": "bob", "assertion_payload": payload}).Want(http.StatusUnauthorized, "invalid_credential")
}

func TestApprovalByPasskey_isNamedInTheReply(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	p := newPerson(app, "ada")
	code := app.Generate("ada", "long", nil)
	held := h.Held(waitCall(app, code))
	ref := approval.Ref{Way: approval.Scanned, Secret: account.Secret(code.ApprovalURL[strings.LastIndex(code.ApprovalURL, "/")+1:])}
	u, err := h.Store.User(t.Context(), p.ID)
	must(app, err)
	options, err := h.Config.Ceremonies.BeginApproval(t.Context(), ref, viewer(u), "")
	must(app, err)
	answer, err := p.keys.Get(h.URL, options)
	must(app, err)
	_, err = h.Config.Ceremonies.Approve(t.Context(), ref, viewer(u), answer)
	must(app, err)
	r := h.Answer(held).Want(http.StatusOK)
	if r.S("credential.type") != "fido2" || r.S("credential.uuid") == code.RequestID || r.S("credential.name") == "" {
		t.Errorf("got %s, want the passkey", r.Text)
	}
	if got := claims(r)["acr"]; got != "urn:nod:acr:cross-device" {
		t.Errorf("got acr %v", got)
	}
}

func TestInits_arePacedForStrangersOnly(t *testing.T) {
	h := open(t, func(s *apitest.Setup) { s.API.Pacer = stingy{} })
	app := h.NewApp(account.Client{OpenRegistration: true})
	newPerson(app, "ada")
	code := app.Generate("ada", "long", M{"purpose": "add_credential", "authorize": true})
	for path, body := range map[string]M{
		"/authenticate/fido2/init":         {"username": "ada"},
		"/codes/short/generate/fido2/init": {"username": "ada", "purpose": "add_credential"},
		"/register/fido2/init":             {"username": "new"},
		"/credentials/fido2/init/code":     {"username": "ada", "authentication_code": M{"code": code.Code, "type": "long"}},
	} {
		r := app.Post(path, "", body).Want(http.StatusTooManyRequests, "too_many_requests")
		if got := r.Header.Get("Retry-After"); got != "2" {
			t.Errorf("%s: got Retry-After %q, want 2", path, got)
		}
	}
	app.Post("/authenticate/fido2/init", account.AuthLogin, M{"username": "ada"}).Want(http.StatusOK)
}
