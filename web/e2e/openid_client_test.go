package e2e

import (
	"encoding/json"
	"net/http"
	"testing"
)

// TestOpenIDClient_unmodified runs npm's openid-client as it is: openid-client.test.mjs, which
// decides on a phone through controlStandard.
func TestOpenIDClient_unmodified(t *testing.T) {
	t.Parallel()
	node := tool(t, "node")
	installPackages(t)
	s := startStandard(t)
	runScript(t, node, "openid-client.test.mjs", s.server, []string{"E2E_STANDARD=" + controlStandard(t, s)})
}

// controlStandard lets a script decide on the phone: POST /approve and /decline take
// a question and are answered when nod has taken the answer. POST /held is answered
// when the server holds as many polls as the body says, and POST /expire when
// everything that waited has run out. GET /username says whose phone it is.
func controlStandard(t *testing.T, s *standard) string {
	t.Helper()
	mux := controlHandset(s.phone)
	mux.HandleFunc("GET /username", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(s.phone.username)) })
	mux.HandleFunc("POST /held", controlled(func(r *http.Request) error {
		var want int
		if err := json.NewDecoder(r.Body).Decode(&want); err != nil {
			return err
		}
		return s.held(r.Context(), want)
	}))
	mux.HandleFunc("POST /expire", controlled(func(r *http.Request) error { return s.expire(r.Context()) }))
	return serve(t, mux).URL
}

// controlled is a call of a script: what goes wrong is said in the answer.
func controlled(act func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := act(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}
}
