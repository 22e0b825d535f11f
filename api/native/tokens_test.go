package native_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/api/native"
	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval/account"
)

const waitPath = "/authenticate/code/wait"

// TestScopes_areTheDocuments holds the table of routes to the document's
// security requirements.
func TestScopes_areTheDocuments(t *testing.T) {
	h := open(t)
	for _, rule := range native.Rules() {
		op := h.Document.Spec.Paths.Value(rule.Path).GetOperation(rule.Method)
		var scopes []string
		free := len(*op.Security) == 0
		for _, s := range *op.Security {
			free = free || len(s) == 0
			scopes = append(scopes, s["serviceToken"]...)
		}
		want := []string(nil)
		if rule.Scope != "" {
			want = []string{string(rule.Scope)}
		}
		if diff := cmp.Diff(want, scopes); diff != "" || (rule.Scope != "" && free == rule.Required) {
			t.Errorf("%s %s: the route asks for %q (required: %t), the document for %q (free: %t)",
				rule.Method, rule.Path, rule.Scope, rule.Required, scopes, free)
		}
	}
}

// path fills a route's placeholders.
func path(rule native.Rule, u account.User) string {
	return strings.NewReplacer("{type}", "short", "{user_id}", u.ID, "{request_id}", u.ID).Replace(rule.Path)
}

// call is a call of a route that fails at the earliest after its token was judged.
func call(rule native.Rule, app *apitest.App, u account.User) Call {
	c := Call{Method: rule.Method, Path: path(rule, u), Header: map[string]string{"X-Client-ID": app.Client.ID}}
	if rule.Method == http.MethodPost {
		c.Body = M{"client_id": app.Client.ID}
	}
	return c
}

// judged says whether the token was the reason of the refusal.
func judged(r apitest.Reply) bool {
	return r.Status == http.StatusUnauthorized && r.JSON["code"] == "unauthorized" || r.JSON["code"] == "forbidden"
}

func TestScopes_everyOtherOneIsRefusedWhereOneIsRequired(t *testing.T) {
	h := open(t)
	app, u := h.NewApp(account.Client{}), h.NewUser("ada")
	for _, rule := range native.Rules() {
		if !rule.Required {
			continue
		}
		for _, prefix := range native.Prefixes {
			c := call(rule, app, u)
			c.Path = prefix + c.Path
			h.Do(c).Want(http.StatusUnauthorized, "unauthorized")
			for _, scope := range account.Scopes {
				c.Token = app.Token(scope, naming(u)) // as some routes ask
				switch r := h.Do(c); {
				case scope != rule.Scope:
					r.Want(http.StatusForbidden, "forbidden")
				case judged(r):
					t.Errorf("%s %s: got %d %s with its own scope", rule.Method, c.Path, r.Status, r.Text)
				}
			}
		}
	}
}

// naming makes a token that says whom it is about.
func naming(u account.User) func(*token.Service) {
	return func(s *token.Service) { s.UserID = u.ID }
}

func TestScopes_theClientMustHaveThemToo(t *testing.T) {
	h := open(t)
	u := h.NewUser("ada")
	for _, rule := range native.Rules() {
		if !rule.Required {
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(account.Scopes), func(s account.Scope) bool { return s == rule.Scope })
		app := h.NewApp(account.Client{Scopes: rest})
		c := call(rule, app, u)
		c.Token = app.Token(rule.Scope)
		h.Do(c).Want(http.StatusForbidden, "forbidden")
	}
}

func TestTokens_areNeverReadWhereNoneIsNeeded(t *testing.T) {
	h := open(t)
	app, u := h.NewApp(account.Client{}), h.NewUser("ada")
	for _, rule := range native.Rules() {
		if rule.Scope != "" {
			continue
		}
		for _, header := range []string{"Bearer garbage", "Bearer a.b.c", "Bearer", "Basic YTpi", "Bearer " + app.Token(account.UsersCreate)} {
			c := call(rule, app, u)
			c.Header["Authorization"] = header
			if r := h.Do(c); judged(r) && rule.Path != "/requests/{request_id}/state" {
				t.Errorf("%s with %q: got %d %s", rule.Path, header, r.Status, r.Text)
			}
		}
	}
}

// unfit are genuine tokens that do not fit a call of the scope. The path is that
// of a call which reads tokens of the scope.
func unfit(app *apitest.App, scope account.Scope, path string) map[string]string {
	app.Helper()
	used := app.Token(scope)
	app.Do(Call{Path: path, Token: used, Body: M{"username": "nobody"}}) // spends it, whatever becomes of the call
	other := account.UsersCreate
	age := func(d time.Duration) func(*token.Service) {
		return func(s *token.Service) { s.IssuedAt = time.Now().Add(-d) }
	}
	return map[string]string{
		"of another scope":           app.Token(other),
		"of another scope, long ago": app.Token(other, age(24*time.Hour)),
		"of a scope nobody has":      app.Token("everything"),
		"with a used nonce":          used,
		"long past":                  app.Token(scope, age(24*time.Hour)),
		"just past":                  app.Token(scope, age(302*time.Second)),
		"from the future":            app.Token(scope, age(-303*time.Second)),
	}
}

func must(app *apitest.App, err error) {
	app.Helper()
	if err != nil {
		app.Fatal(err)
	}
}

func TestUnfitTokens_areRefusedWhereOneIsRequired(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	for name, compact := range unfit(app, account.UsersRetrieve, "/manage/users/retrieve") {
		r := h.Do(Call{Path: "/manage/users/retrieve", Token: compact, Body: M{"username": "ada"}})
		if r.Status != http.StatusUnauthorized && r.Status != http.StatusForbidden {
			t.Errorf("%s: got %d %s, want 401 or 403", name, r.Status, r.Text)
		}
	}
}

func TestUnfitTokens_countAsAbsentWhereOneIsOptional(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{OpenRegistration: true})
	h.NewUser("ada")
	for name, compact := range unfit(app, account.AuthTemporary, waitPath) {
		code := app.Generate("ada", "long", M{"authorize": true})
		r := h.Do(Call{Path: waitPath, Token: compact, Body: withClient(app, code.WaitBody())})
		if r.Status != http.StatusOK {
			t.Errorf("wait with a token %s: got %d %s, want 200", name, r.Status, r.Text)
		}
	}
	for _, c := range []struct {
		path  string
		scope account.Scope
		body  M
	}{
		{"/authenticate/fido2/init", account.AuthLogin, M{"username": "ada"}},
		{"/codes/short/generate/fido2/init", account.CodesGenerate, M{"username": "ada", "purpose": "add_credential"}},
		{"/register/fido2/init", account.AuthRegister, M{"username": "new"}},
	} {
		for name, compact := range unfit(app, c.scope, c.path) {
			if r := h.Do(Call{Path: c.path, Token: compact, Body: withClient(app, c.body)}); r.Status != http.StatusOK {
				t.Errorf("%s with a token %s: got %d %s, want 200", c.path, name, r.Status, r.Text)
			}
		}
	}
}

func withClient(app *apitest.App, body M) M {
	body["client_id"] = app.Client.ID
	return body
}

func TestUnfitTokens_areRefusedWhereTheClientDemandsOne(t *testing.T) {
	h := open(t)
	maker, strict := h.NewApp(account.Client{}), h.NewApp(account.Client{RequireWaitToken: true})
	h.NewUser("ada")
	for name, compact := range unfit(strict, account.AuthTemporary, waitPath) {
		code := maker.Generate("ada", "long", M{"authorize": true})
		r := h.Do(Call{Path: waitPath, Token: compact, Body: withClient(strict, code.WaitBody())})
		if r.Status != http.StatusUnauthorized && r.Status != http.StatusForbidden {
			t.Errorf("%s: got %d %s, want 401 or 403", name, r.Status, r.Text)
		}
	}
	code := maker.Generate("ada", "long", M{"authorize": true})
	strict.Post(waitPath, "", code.WaitBody()).Want(http.StatusUnauthorized, "unauthorized")
	strict.Post(waitPath, account.AuthTemporary, code.WaitBody()).Want(http.StatusOK)
}

func TestWaitToken_isNeededForTheCodesOfAClientThatDemandsOne(t *testing.T) {
	h := open(t)
	strict, lax := h.NewApp(account.Client{RequireWaitToken: true}), h.NewApp(account.Client{})
	h.NewUser("ada")
	code := strict.Generate("ada", "long", M{"authorize": true})
	lax.Wait(code, nil).Want(http.StatusUnauthorized, "unauthorized")
	lax.Post(waitPath, account.AuthTemporary, code.WaitBody()).Want(http.StatusOK)
}

// forged are tokens that no key of the app signed.
func forged(t *testing.T, app, other *apitest.App, sign func(M) string, scope account.Scope) map[string]string {
	t.Helper()
	now := time.Now().Unix()
	body := M{"client_id": app.Client.ID, "type": scope, "nonce": token.NewNonce(), "iat": now}
	encode := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	none := encode(M{"alg": "none", "typ": "JWT"}) + "." + encode(body) + "."
	input := encode(M{"alg": "HS256", "typ": "JWT"}) + "." + encode(body)
	stored, err := app.Store.ClientKeys(t.Context(), app.Client.ID)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, stored[0].Public)
	mac.Write([]byte(input))
	good := app.Token(scope)
	parts := strings.Split(good, ".")
	wide := encode(M{"client_id": app.Client.ID, "type": "users.create", "nonce": token.NewNonce(), "iat": now})
	as := func(s *token.Service) { s.ClientID = app.Client.ID }
	return map[string]string{
		"alg none":                 none,
		"alg none, with signature": none + parts[2],
		"HS256 with the public key": input + "." +
			base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		"another client's key":       other.Token(scope, as),
		"payload changed":            parts[0] + "." + wide + "." + parts[2],
		"signature of zeros":         parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86),
		"no signature":               parts[0] + "." + parts[1] + ".",
		"jwk in the header":          encode(M{"alg": "ES256", "typ": "JWT", "jwk": M{"kty": "EC"}}) + "." + parts[1] + "." + parts[2],
		"a client that is not there": app.Token(scope, func(s *token.Service) { s.ClientID = "bm90aGluZw==" }),
		"garbage":                    "garbage",
		"three dots":                 "a.b.c",
		"a result token":             app.Wait(app.Generate("ada", "long", M{"authorize": true}), nil).S("jwt"),
		"no nonce":                   sign(M{"client_id": app.Client.ID, "type": scope, "iat": now}),
		"a short nonce":              app.Token(scope, func(s *token.Service) { s.Nonce = "short" }),
		"no iat":                     sign(M{"client_id": app.Client.ID, "type": scope, "nonce": token.NewNonce()}),
		"two scopes":                 app.Token(scope + " users.create"),
		"type and scope differ":      sign(M{"client_id": app.Client.ID, "type": scope, "scope": "users.create", "nonce": token.NewNonce(), "iat": now}),
	}
}

func TestForgedTokens_areRefusedEverywhereTheyAreRead(t *testing.T) {
	h := open(t)
	app, other := h.NewApp(account.Client{}), h.NewApp(account.Client{})
	h.NewUser("ada")
	sign := signer(app)
	good := M{"client_id": app.Client.ID, "scope": "users.retrieve", "nonce": token.NewNonce(), "iat": time.Now().Unix()}
	h.Do(Call{Path: "/manage/users/retrieve", Token: sign(good), Body: M{"username": "ada"}}).Want(http.StatusOK)
	for name, compact := range forged(t, app, other, sign, account.UsersRetrieve) {
		t.Run(name, func(*testing.T) {
			h.Do(Call{Path: "/manage/users/retrieve", Token: compact, Body: withClient(app, M{"username": "ada"})}).Want(http.StatusUnauthorized, "unauthorized")
		})
	}
	for name, compact := range forged(t, app, other, sign, account.AuthTemporary) {
		t.Run("optional/"+name, func(*testing.T) {
			code := app.Generate("ada", "long", M{"authorize": true})
			h.Do(Call{Path: waitPath, Token: compact, Body: withClient(app, code.WaitBody())}).Want(http.StatusUnauthorized, "unauthorized")
		})
	}
}

func TestTokens_workOnceWhateverBecameOfTheCall(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	for name, c := range map[string]struct {
		scope account.Scope
		path  string
		body  M
	}{
		"a read":           {account.UsersRetrieve, "/manage/users/retrieve", M{"username": "ada"}},
		"a write":          {account.CodesGenerate, "/codes/short/generate", M{"username": "ada", "purpose": "add_credential"}},
		"not found":        {account.UsersRetrieve, "/manage/users/retrieve", M{"username": "nobody"}},
		"a wrong code":     {account.CodesAuthorize, "/codes/long/authorize", M{"username": "ada", "purpose": "add_credential", "code": "x"}},
		"missing field":    {account.CodesGenerate, "/codes/short/generate", M{"username": "ada"}},
		"taken":            {account.UsersCreate, "/manage/users", M{"username": "ada"}},
		"invalidate":       {account.CodesInvalidate, "/codes/short/invalidate-all", M{"username": "ada", "purpose": "add_credential"}},
		"list credentials": {account.CredentialsList, "/credentials/list", M{"username": "ada"}},
		"force":            {account.CredentialsForceAdd, "/credentials/fido2/init/force", M{"username": "ada"}},
		"invite":           {account.CredentialsForceAdd, "/manage/users/invite", M{"username": "ada"}},
	} {
		t.Run(name, func(t *testing.T) {
			sent := Call{Path: c.path, Token: app.Token(c.scope), Body: c.body}
			if r := h.Do(sent); judged(r) {
				t.Fatalf("first: got %d %s", r.Status, r.Text)
			}
			h.Do(sent).Want(http.StatusUnauthorized, "unauthorized")
		})
	}
}

func TestTokens_raceForTheirNonceAndOneWins(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	c := Call{Path: "/codes/long/generate", Token: app.Token(account.CodesGenerate), Body: M{"username": "ada", "purpose": "add_credential"}}
	const racers = 16
	got := make(chan int, racers)
	for range racers {
		go func() {
			r, err := h.Try(c)
			if err != nil {
				t.Error(err)
			}
			got <- r.Status
		}()
	}
	won := 0
	for range racers {
		switch status := <-got; status {
		case http.StatusOK:
			won++
		case http.StatusUnauthorized:
		default:
			t.Errorf("got %d", status)
		}
	}
	if won != 1 {
		t.Errorf("got %d winners, want 1", won)
	}
}
