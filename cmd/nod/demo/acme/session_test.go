package acme

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/token"
)

// nodSays is an app whose nod answers as it is told, and counts the questions.
func nodSays(t *testing.T, status int, body string) (*App, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	nod := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(nod.Close)
	pem, _, err := token.NewServiceKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := token.ParsePrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	app, err := New(Config{NodURL: nod.URL, Management: "backend", Key: key, WebClient: "page"})
	if err != nil {
		t.Fatal(err)
	}
	app.sessions["secret"] = &session{user: "ada", device: "sid"}
	return app, &asked
}

func ask(app *App, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.AddCookie(&http.Cookie{Name: "acme", Value: "secret"})
	w := httptest.NewRecorder()
	app.Handler().ServeHTTP(w, r)
	return w
}

func TestSession_ends_when_nod_says_so_and_not_when_it_says_nothing(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		want   int
	}{
		"active":             {http.StatusOK, `{"devices":[{"active":true}]}`, http.StatusOK},
		"revoked":            {http.StatusOK, `{"devices":[{"active":false}]}`, http.StatusUnauthorized},
		"forgotten":          {http.StatusOK, `{"devices":[]}`, http.StatusUnauthorized},
		"nod cannot answer":  {http.StatusServiceUnavailable, `{}`, http.StatusOK},
		"a gateway's answer": {http.StatusOK, `<html>`, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			app, _ := nodSays(t, tc.status, tc.body)
			if got := ask(app, "/session").Code; got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestSession_asks_nod_once_a_second_at_most(t *testing.T) {
	app, asked := nodSays(t, http.StatusOK, `{"devices":[{"active":true}]}`)
	began := time.Now()
	for range 20 {
		ask(app, "/session")
	}
	if most := 1 + int64(time.Since(began)/askEvery); asked.Load() > most {
		t.Errorf("asked %d times in %s, want at most %d", asked.Load(), time.Since(began), most)
	}
}

func TestScreen_says_once_that_it_was_signed_out(t *testing.T) {
	app, _ := nodSays(t, http.StatusOK, `{"devices":[]}`)
	const said = "signed out from your phone"
	if got := ask(app, "/").Body.String(); !strings.Contains(got, said) {
		t.Errorf("the screen does not say so: %s", got)
	}
	if got := ask(app, "/").Body.String(); strings.Contains(got, said) {
		t.Error("the screen says so again")
	}
}
