package native_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/api/native"
	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func TestTable_hasEveryWord(t *testing.T) {
	for _, word := range approval.Words {
		e := native.Table().Translate(word)
		if e.Status == http.StatusInternalServerError || e.Code == "" || e.Message == "" {
			t.Errorf("%v: got %d %s %q, want a reply of its own", word, e.Status, e.Code, e.Message)
		}
		if e.Status == http.StatusRequestTimeout || e.Status < 400 {
			t.Errorf("%v: got %d, which clients misread", word, e.Status)
		}
	}
}

// posts are the routes that take a body.
func posts(u account.User) []string {
	var out []string
	for _, rule := range native.Rules() {
		if rule.Method == http.MethodPost {
			for _, prefix := range native.Prefixes {
				out = append(out, prefix+path(rule, u))
			}
		}
	}
	return out
}

// insides are words by which an answer would tell about the program, not about
// the request.
var insides = regexp.MustCompile(`json:|unmarshal|invalid character|\.go:|goroutine|panic|sql|EOF|runtime`)

const hunter = "hunter2-do-not-echo"

func TestBodies_thatAreNotJSONObjectsAreRefusedDiscreetly(t *testing.T) {
	h := open(t)
	for _, path := range posts(account.User{ID: "x"}) {
		for body, codes := range map[string]string{
			"":                                    "missing_body",
			"{":                                   "request_validation_error",
			`"` + hunter + `"`:                    "request_validation_error",
			`["` + hunter + `"]`:                  "request_validation_error",
			`{"a":"` + hunter + `"} {}`:           "request_validation_error",
			`{"username":{"a":"` + hunter + `"}}`: "request_validation_error",
			`{"client_id":` + hunter + `}`:        "request_validation_error",
			"\x00":                                "request_validation_error",
			"{\"a\":\"\xff\"}":                    "request_validation_error",
			strings.Repeat("[", 9000):             "request_validation_error",
		} {
			r := h.Do(Call{Method: http.MethodPost, Path: path, Body: body}).Want(http.StatusBadRequest, codes)
			discreet(t, path, r)
		}
	}
}

func discreet(t *testing.T, path string, r apitest.Reply) {
	t.Helper()
	if strings.Contains(r.Text, hunter) || insides.MatchString(r.Text) {
		t.Errorf("%s: got %s", path, r.Text)
	}
}

func TestBodies_haveALimit(t *testing.T) {
	h := open(t)
	for _, path := range posts(account.User{ID: "x"}) {
		limit := 16 << 10
		if strings.HasSuffix(path, "/complete") {
			limit = 64 << 10
		}
		body := func(size int) string { return `{"a":"` + strings.Repeat("x", size-len(`{"a":""}`)) + `"}` }
		if r := h.Do(Call{Path: path, Body: body(limit)}); r.Status == http.StatusRequestEntityTooLarge {
			t.Errorf("%s: got 413 for %d bytes", path, limit)
		}
		h.Do(Call{Path: path, Body: body(limit + 1)}).Want(http.StatusRequestEntityTooLarge, "request_validation_error")
	}
}

func TestBodies_mustBeDeclaredAsJSON(t *testing.T) {
	h := open(t)
	for _, path := range posts(account.User{ID: "x"}) {
		for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", "json"} {
			h.Do(Call{Path: path, Body: "{}", Header: map[string]string{"Content-Type": kind}}).Want(http.StatusUnsupportedMediaType, "request_validation_error")
		}
		if r := h.Do(Call{Path: path, Body: "{}", Header: map[string]string{"Content-Type": "Application/JSON; charset=utf-8"}}); r.Status == http.StatusUnsupportedMediaType {
			t.Errorf("%s: got 415 for JSON", path)
		}
	}
}

func TestSecrets_areNeitherEchoedNorLogged(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	for _, c := range []Call{
		waitCall(app, apitest.Code{Username: "ada", Kind: "long", Code: hunter}),
		waitCall(app, apitest.Code{Username: "ada", Kind: hunter, Code: hunter}),
		waitCall(app, apitest.Code{Username: hunter + "\u202e", Kind: "long", Code: strings.Repeat(hunter, 20)}),
		{Path: waitPath, Body: M{"client_id": hunter}},
		{Path: waitPath, Body: M{"client_id": strings.Repeat(hunter, 20)}},
		{Path: waitPath, Token: hunter, Body: M{"client_id": app.Client.ID}},
		{Path: "/requests/" + hunter + "/state", Header: map[string]string{"Authorization": "Code " + hunter}},
		{Path: "/" + hunter}, {Path: "/certs?kid=" + hunter}, {Path: "/a/" + hunter}, {Path: "/enrol/" + hunter},
	} {
		r := h.Do(c)
		if r.Status < 400 && !strings.HasPrefix(c.Path, "/a/") {
			t.Errorf("%s: got %d", c.Path, r.Status)
		}
		if c.Path != "/a/"+hunter { // the sign-in page leads back there
			discreet(t, c.Path, r)
		}
	}
	code := app.Generate("ada", "long", nil)
	app.Authorize(code).Want(http.StatusOK)
	jwt := app.Wait(code, nil).Want(http.StatusOK).S("jwt")
	log := h.Log.String()
	for what, secret := range map[string]string{
		"input": hunter, "code": code.Code, "handle": code.ApprovalURL[strings.LastIndex(code.ApprovalURL, "/")+1:], "token": jwt,
	} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds the %s", what)
		}
	}
}

func FuzzBodies(f *testing.F) {
	paths := []string{
		waitPath, "/authenticate/fido2/complete", "/register/fido2/complete", "/codes/long/generate/fido2/complete",
		"/authenticate/fido2/init", "/credentials/fido2/init/code", "/phones/register", "/phones/remove", "/codes/phrase/generate",
	}
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"client_id":"CLIENT","username":"ada","authentication_code":{"code":"123456","type":"short"},"no_wait":true}`,
		`{"client_id":"CLIENT","username":"ada","assertion_payload":{"challenge":"AA","credential_id":"AA","client_data":"e30","authenticator_data":"AA","signature":"AA"}}`,
		`{"client_id":"CLIENT","username":"ada","attestation_payload":{"challenge":"AA","credential_id":"AA","client_data":"e30","attestation_data":"oA"}}`,
		`{"client_id":"CLIENT","user_id":"00000000-0000-4000-8000-000000000000","credential":{"uuid":"x","name":"y"}}`,
		`{"client_id":"CLIENT","username":"\ud800","purpose":"add_credential","options":{"register_session":7}}`,
		`{"client_id":"CLIENT","username":"ada","kind":"webpush","subscription":{"endpoint":"https://push.example/1","keys":{"p256dh":"BA","auth":"AA"}}}`,
		`{"client_id":"CLIENT","username":"ada","kind":"fcm","token":"x","name":"Pixel","phone":{"id":"x"},"notify":null}`,
		`{"client_id":"CLIENT","username":"ada","kind":"email","address":"ada@example.com","purpose":"temporary_authentication","notify":true}`,
	} {
		for path := range paths {
			f.Add(seed, path)
		}
	}
	scopes := map[string]account.Scope{
		"/phones/register": account.PhonesRegister, "/phones/remove": account.PhonesRegister, "/codes/phrase/generate": account.CodesGenerate,
	}
	h := openAs(f)
	app := h.NewApp(account.Client{OpenRegistration: true})
	h.NewUser("ada")
	f.Fuzz(func(t *testing.T, body string, path int) {
		if strings.Contains(body, "authentication_code") && !strings.Contains(body, `"no_wait":true`) {
			return // a wait would be held
		}
		req := httptest.NewRequest(http.MethodPost, paths[uint(path)%uint(len(paths))], strings.NewReader(strings.ReplaceAll(body, "CLIENT", app.Client.ID)))
		req.Header.Set("Content-Type", "application/json")
		if scope := scopes[req.URL.Path]; scope != "" {
			compact, err := token.SignService(app.Key, token.Service{
				ClientID: app.Client.ID, Type: string(scope), Nonce: token.NewNonce(), IssuedAt: time.Now(), Username: "ada",
			})
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+compact)
		}
		res := httptest.NewRecorder()
		h.Server.Config.Handler.ServeHTTP(res, req)
		if res.Code >= http.StatusInternalServerError {
			t.Errorf("%s: got %d %s", req.URL.Path, res.Code, res.Body)
		}
		if err := h.Document.Check(req, res.Result(), res.Body.Bytes()); err != nil {
			t.Error(err)
		}
	})
}
