package native_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/approval/account"
)

func TestUsers_areCreatedFoundSwitchedOffAndDeleted(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{Type: account.ClientWeb})
	made := app.Post("/api/native/manage/users", account.UsersCreate, M{"username": "ada"}).Want(http.StatusOK)
	want := M{
		"id": made.S("id"), "client_id": app.Client.ID, "username": "ada", "status": "active", "type": "directweb",
		"namespace_id": app.Client.NamespaceID, "created_at": made.S("created_at"), "updated_at": made.S("updated_at"), "contacts": []any{},
	}
	if diff := cmp.Diff(want, made.JSON); diff != "" {
		t.Errorf("want (-) got (+):\n%s", diff)
	}
	id := made.S("id")
	found := app.Post("/manage/users/retrieve", account.UsersRetrieve, M{"username": "ada"}).Want(http.StatusOK)
	if diff := cmp.Diff(made.JSON, found.JSON); diff != "" {
		t.Errorf("created (-) and retrieved (+) differ:\n%s", diff)
	}
	put := func(verb string, scope account.Scope) Call {
		return Call{Method: http.MethodPut, Path: "/manage/users/" + id + "/" + verb, Token: app.Token(scope)}
	}
	h.Do(put("activate", account.UsersActivate)).Want(http.StatusConflict, "user_not_activated")
	if got := h.Do(put("deactivate", account.UsersDeactivate)).Want(http.StatusOK).S("status"); got != "inactive" {
		t.Errorf("got %s, want inactive", got)
	}
	h.Do(put("deactivate", account.UsersDeactivate)).Want(http.StatusConflict, "user_not_deactivated")
	if got := h.Do(put("activate", account.UsersActivate)).Want(http.StatusOK).S("status"); got != "active" {
		t.Errorf("got %s, want active", got)
	}

	if r := app.Post("/manage/users/delete", account.UsersDelete, M{"username": "ada"}).Want(http.StatusNoContent); r.Text != "" {
		t.Errorf("got body %q, want none", r.Text)
	}
	app.Post("/manage/users/delete", account.UsersDelete, M{"username": "ada"}).Want(http.StatusNotFound, "user_not_found")
	again := app.Post("/manage/users", account.UsersCreate, M{"username": "ada"}).Want(http.StatusOK).S("id")
	remove := Call{Method: http.MethodDelete, Path: "/manage/users/" + strings.ToUpper(again), Token: app.Token(account.UsersDelete)}
	h.Do(remove).Want(http.StatusNoContent)
	remove.Token = app.Token(account.UsersDelete)
	h.Do(remove).Want(http.StatusNotFound, "user_not_found")
	app.Post("/manage/users/retrieve", account.UsersRetrieve, M{"username": "ada"}).Want(http.StatusNotFound, "user_not_found")
}

func TestUsers_areTheNamespacesOwn(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	foreign := h.NewApp(account.Client{NamespaceID: h.Namespace("elsewhere").ID})
	u := h.NewUser("ada")
	foreign.Post("/manage/users/retrieve", account.UsersRetrieve, M{"username": "ada"}).Want(http.StatusNotFound, "user_not_found")
	foreign.Post("/manage/users/retrieve", account.UsersRetrieve, M{"user_id": u.ID}).Want(http.StatusNotFound, "user_not_found")
	foreign.Post("/codes/long/generate", account.CodesGenerate, M{"user_id": u.ID, "purpose": "add_credential"}).Want(http.StatusNotFound, "user_not_found")
	for _, c := range []Call{
		{Method: http.MethodDelete, Path: "/manage/users/" + u.ID, Token: foreign.Token(account.UsersDelete)},
		{Method: http.MethodPut, Path: "/manage/users/" + u.ID + "/deactivate", Token: foreign.Token(account.UsersDeactivate)},
	} {
		h.Do(c).Want(http.StatusNotFound, "user_not_found")
	}
	foreign.Post("/manage/users", account.UsersCreate, M{"username": "ada"}).Want(http.StatusOK)
	app.Post("/manage/users", account.UsersCreate, M{"username": "ada"}).Want(http.StatusConflict, "username_taken")
}

func TestUsernames_areRefusedWhenNobodyCouldReadThem(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	for name, c := range map[string]struct {
		body M
		code string
	}{
		"missing":     {M{}, "missing_parameter"},
		"null":        {M{"username": nil}, "missing_parameter"},
		"empty":       {M{"username": ""}, "username_empty"},
		"blank":       {M{"username": " \t"}, "username_empty"},
		"too long":    {M{"username": strings.Repeat("a", 129)}, "username_invalid"},
		"bidi":        {M{"username": "ada\u202egpj"}, "username_invalid"},
		"control":     {M{"username": "ada\u0000"}, "username_invalid"},
		"a number":    {M{"username": 7}, "request_validation_error"},
		"right, long": {M{"username": strings.Repeat("é", 128)}, ""},
	} {
		r := app.Post("/manage/users", account.UsersCreate, c.body)
		if got, _ := r.JSON["code"].(string); got != c.code {
			t.Errorf("%s: got %d %s, want code %q", name, r.Status, r.Text, c.code)
		}
	}
	// One name, however it is composed.
	app.Post("/manage/users", account.UsersCreate, M{"username": "zoe\u0308"}).Want(http.StatusOK)
	app.Post("/manage/users", account.UsersCreate, M{"username": "zoë"}).Want(http.StatusConflict, "username_taken")
	app.Post("/manage/users/retrieve", account.UsersRetrieve, M{"username": "zoe\u0308"}).Want(http.StatusOK)
}

func TestInvite_leadsToAPasskey(t *testing.T) {
	h := open(t)
	app, u := h.NewApp(account.Client{}), h.NewUser("ada")
	r := app.Post("/manage/users/invite", account.CredentialsForceAdd, M{"user_id": u.ID}).Want(http.StatusOK)
	if r.S("username") != "ada" || r.S("user_id") != u.ID {
		t.Errorf("got %s, want ada", r.Text)
	}
	expires, err := time.Parse(time.RFC3339, r.S("expires_at"))
	must(app, err)
	if left := time.Until(expires); left < 23*time.Hour || left > 24*time.Hour {
		t.Errorf("got %s left, want 24 h", left)
	}
	secret, ok := strings.CutPrefix(r.S("url"), h.URL+"/enrol#")
	if !ok {
		t.Errorf("got %q, want a link of this server's with the secret behind the #", r.S("url"))
	}
	if got := h.Do(Call{Path: "/phone/enrol/look", Body: M{"invitation": secret}}).Want(http.StatusOK); got.S("username") != "ada" {
		t.Errorf("invited: got %s, want ada", got.Text)
	}
	app.Post("/manage/users/invite", account.CredentialsForceAdd, M{"username": "nobody"}).Want(http.StatusNotFound, "user_not_found")
}

func TestGenerate_freezesWhatTheCallerSaysAndAnswersHowToGoOn(t *testing.T) {
	h := open(t)
	app, u := h.NewApp(account.Client{}), h.NewUser("ada")
	for kind, life := range map[string]time.Duration{"short": 3 * time.Minute, "long": 10 * time.Minute, "phrase": 10 * time.Minute} {
		r := app.Post("/codes/"+kind+"/generate", account.CodesGenerate, M{
			"user_id": u.ID, "username": "ada", "purpose": "temporary_authentication", "notify": true,
			"device_name": "Living-room TV", "binding_message": "Row 7", "requester_ip": "::ffff:203.0.113.7", "requester_user_agent": "TV/1",
		}).Want(http.StatusOK)
		expires, err := time.Parse(time.RFC3339, r.S("expires_at"))
		must(app, err)
		if left := time.Until(expires); left > life || left < life-10*time.Second {
			t.Errorf("%s: got %s left, want %s", kind, left, life)
		}
		if r.JSON["is_authorized"] != false || r.S("push") != "none" {
			t.Errorf("%s: got %s, want neither authorized nor pushed", kind, r.Text)
		}
		if kind == "short" && r.S("match_number") != r.S("code") {
			t.Error("a short code is not its own match number")
		}
		if kind == "phrase" && len(strings.Split(r.S("code"), " ")) != 4 {
			t.Errorf("got phrase %q, want 4 words", r.S("code"))
		}
		found, err := h.Service.Waiting(t.Context(), viewer(u))
		must(app, err)
		c := found[0].Context
		if c.DeviceName != "Living-room TV" || c.BindingMessage != "Row 7" || c.Address != "203.0.113.7" || c.UserAgent != "TV/1" || c.App != "Acme TV" {
			t.Errorf("got context %+v", c)
		}
	}
}

func TestGenerate_refusesWhatCannotBeShown(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	foreign := h.NewApp(account.Client{NamespaceID: h.Namespace("elsewhere").ID})
	for name, c := range map[string]struct {
		more   M
		status int
		code   string
		field  string
	}{
		"purpose missing":  {M{"purpose": nil}, 400, "missing_parameter", "purpose"},
		"another purpose":  {M{"purpose": "direct"}, 400, "request_validation_error", "purpose"},
		"nobody named":     {M{"username": nil}, 400, "missing_parameter", "username"},
		"nobody there":     {M{"username": "nobody"}, 404, "user_not_found", ""},
		"two people":       {M{"user_id": "00000000-0000-4000-8000-000000000000"}, 404, "user_not_found", ""},
		"a long id":        {M{"user_id": strings.Repeat("a", 200)}, 400, "request_validation_error", "user_id"},
		"a long device":    {M{"device_name": strings.Repeat("a", 65)}, 400, "request_validation_error", "device_name"},
		"bidi device":      {M{"device_name": "TV\u202e"}, 400, "request_validation_error", "device_name"},
		"long message":     {M{"binding_message": strings.Repeat("a", 129)}, 400, "request_validation_error", "binding_message"},
		"no address":       {M{"requester_ip": "localhost"}, 400, "request_validation_error", "requester_ip"},
		"foreign audience": {M{"audience": foreign.Client.ID}, 404, "client_not_found", ""},
		"no audience":      {M{"audience": "bm9ib2R5"}, 404, "client_not_found", ""},
		"authorize a word": {M{"authorize": "yes"}, 400, "request_validation_error", "authorize"},
	} {
		body := M{"username": "ada", "purpose": "temporary_authentication"}
		for k, v := range c.more {
			body[k] = v
		}
		r := app.Post("/codes/long/generate", account.CodesGenerate, body)
		if r.Status != c.status || r.JSON["code"] != c.code || !strings.Contains(r.S("message"), c.field) {
			t.Errorf("%s: got %d %s, want %d %s about %q", name, r.Status, r.Text, c.status, c.code, c.field)
		}
	}
	app.Post("/codes/medium/generate", account.CodesGenerate, M{}).Want(http.StatusNotFound, "not_found")
}

func TestGenerate_authorizedNeedsBothScopes(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{Scopes: []account.Scope{account.CodesGenerate}})
	full := h.NewApp(account.Client{})
	h.NewUser("ada")
	body := M{"username": "ada", "purpose": "temporary_authentication", "authorize": true}
	app.Post("/codes/long/generate", account.CodesGenerate, body).Want(http.StatusForbidden, "forbidden")
	body["client_id"] = full.Client.ID // the named client's scopes do not help
	app.Post("/codes/long/generate", account.CodesGenerate, body).Want(http.StatusForbidden, "forbidden")
	r := full.Post("/codes/long/generate", account.CodesGenerate, body).Want(http.StatusOK)
	if r.JSON["is_authorized"] != true {
		t.Errorf("got %s, want authorized", r.Text)
	}
}

func TestAuthorize_isForLiveCodesOfTheNamedUser(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	foreign := h.NewApp(account.Client{NamespaceID: h.Namespace("elsewhere").ID})
	h.NewUser("ada")
	h.NewUser("bob")
	code := app.Generate("ada", "long", nil)
	foreign.Authorize(code).Want(http.StatusNotFound, "verification_code_not_found")
	for name, more := range map[string]M{
		"another user": {"username": "bob"}, "unknown user": {"username": "nobody"},
		"another purpose": {"purpose": "add_credential"}, "another code": {"code": strings.Repeat("A", 32)},
	} {
		body := M{"username": "ada", "purpose": "temporary_authentication", "code": code.Code}
		for k, v := range more {
			body[k] = v
		}
		t.Run(name, func(*testing.T) {
			app.Post("/codes/long/authorize", account.CodesAuthorize, body).Want(http.StatusNotFound, "verification_code_not_found")
		})
	}
	app.Authorize(code).Want(http.StatusOK)
	app.Authorize(code).Want(http.StatusOK)
	app.Wait(code, nil).Want(http.StatusOK)
	app.Authorize(code).Want(http.StatusNotFound, "verification_code_not_found")

	taken := app.Generate("ada", "long", nil)
	app.Post("/codes/long/invalidate-all", account.CodesInvalidate, M{"username": "ada", "purpose": "temporary_authentication"}).Want(http.StatusOK)
	app.Authorize(taken).Want(http.StatusNotFound, "verification_code_not_found")
	app.Wait(taken, nil).Want(http.StatusForbidden, "failed_to_authenticate")
	app.Wait(code, nil).Want(http.StatusForbidden, "failed_to_authenticate") // not even again

	late := app.Generate("ada", "long", nil)
	h.advance(11 * time.Minute)
	app.Authorize(late).Want(http.StatusBadRequest, "verification_code_expired")
}

func TestInvalidateAll_isForOneKindAndPurpose(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	long, phrase := app.Generate("ada", "long", nil), app.Generate("ada", "phrase", nil)
	app.Post("/codes/long/invalidate-all", account.CodesInvalidate, M{"username": "ada", "purpose": "add_credential"}).Want(http.StatusOK)
	app.Wait(long, M{"no_wait": true}).Want(http.StatusBadRequest, "remote_session_in_progress")
	app.Post("/codes/long/invalidate-all", account.CodesInvalidate, M{"username": "ada", "purpose": "temporary_authentication"}).Want(http.StatusOK)
	app.Wait(long, M{"no_wait": true}).Want(http.StatusForbidden, "failed_to_authenticate")
	app.Wait(phrase, M{"no_wait": true}).Want(http.StatusBadRequest, "remote_session_in_progress")
	app.Post("/codes/long/invalidate-all", account.CodesInvalidate, M{"username": "nobody", "purpose": "add_credential"}).Want(http.StatusNotFound, "user_not_found")
}

func TestPhrase_isReadHoweverItIsTyped(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	code := app.Generate("ada", "phrase", M{"authorize": true})
	code.Code = strings.ToUpper(strings.ReplaceAll(code.Code, " ", "  "))
	app.Wait(code, nil).Want(http.StatusOK)
}

func TestCerts_arePEM(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	jwt := app.Wait(app.Generate("ada", "long", M{"authorize": true}), nil).Want(http.StatusOK).S("jwt")
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[0])
	must(app, err)
	var head struct{ KID, Alg, Typ string }
	mustDecode(app, header, &head)
	if head.Alg != "ES256" || head.Typ != "JWT" {
		t.Errorf("got header %s", header)
	}
	for _, prefix := range []string{"", "/api/native"} {
		current := h.Do(Call{Path: prefix + "/certs"}).Want(http.StatusOK)
		named := h.Do(Call{Path: prefix + "/certs?kid=" + head.KID}).Want(http.StatusOK)
		if current.Text != named.Text || strings.Contains(named.Text, "\r") {
			t.Errorf("got %q and %q", current.Text, named.Text)
		}
		if got := named.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/plain") {
			t.Errorf("got %s, want text/plain", got)
		}
		h.Do(Call{Path: prefix + "/certs?kid=undefined"}).Want(http.StatusNotFound, "not_found")
		h.Do(Call{Path: prefix + "/certs?kid=" + strings.Repeat("k", 1000)}).Want(http.StatusNotFound, "not_found")
	}
}
