package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/cmd/nod/demo/acme"
)

const (
	sampleUser   = "ada"
	sampleDevice = "Living-room TV"
)

// startSample runs the sample application of `nod demo` beside the server until
// the test ends, with two clients and a user of its own. It returns its URL.
func startSample(t *testing.T, s *server, rotate bool) string {
	t.Helper()
	var handler http.Handler
	stage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(stage.Close)
	// The page's origin has the host that passkeys belong to.
	origin := strings.Replace(stage.URL, "127.0.0.1", "localhost", 1)

	type created struct {
		ClientID   string `json:"client_id"`
		PrivateKey string `json:"private_key"`
	}
	var backend, page created
	s.cli(t, &backend, "client", "create", "--name", "Acme TV", "--type", "management", "--scope", "codes.generate,devices.list")
	s.cli(t, &page, "client", "create", "--name", "Acme TV", "--type", "directweb", "--origin", origin,
		fmt.Sprintf("--rotate-qr=%t", rotate))
	key, err := token.ParsePrivateKey([]byte(backend.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	app, err := acme.New(acme.Config{
		NodURL: s.url, Management: backend.ClientID, Key: key, WebClient: page.ClientID,
		Username: s.newUser(t, sampleUser), Device: sampleDevice,
	})
	if err != nil {
		t.Fatal(err)
	}
	handler = app.Handler()
	return origin
}

// startControl lets a script kill the server and start it again on the same
// data and port: POST /kill and POST /start, answered when it is done.
func startControl(t *testing.T, s *server) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /kill", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.crash(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("POST /start", func(w http.ResponseWriter, r *http.Request) {
		if err := s.launch(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	control := httptest.NewServer(mux)
	t.Cleanup(control.Close)
	return control.URL
}
