package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"
)

// TestLogin_withAPhone runs `nod login` in terminals on one side and the phone's
// pages in a browser on the other: login.test.mjs, which reads and types in the
// terminals through startLogins.
func TestLogin_withAPhone(t *testing.T) {
	t.Parallel()
	node := tool(t, "node")
	chromium := browser(t, false)
	installPackages(t)
	s := startServer(t)
	runScript(t, node, "login.test.mjs", s, []string{
		"E2E_CHROMIUM=" + chromium, "E2E_CONTROL=" + startControl(t, s),
		"E2E_LOGIN=" + startLogins(t, s, "approved", "scanned", "declined", "canceled", "restarted"),
	})
}

// startLogins runs `nod login` in a terminal for each name, and answers for them:
// GET /{name} is {"screen": …, "exit": null or the exit status}, POST /{name}/ctrl-c
// presses that.
func startLogins(t *testing.T, s *server, names ...string) string {
	t.Helper()
	var app struct {
		ClientID string `json:"client_id"`
	}
	s.cli(t, &app, "client", "create", "--name", "Acme CLI", "--type", "oauth", "--grant", "device_code", "--auth", "none")
	logins := map[string]*session{}
	for _, name := range names {
		cmd := exec.Command(s.nod, "login", "--issuer", s.url, "--client-id", app.ClientID, "--scope", "openid,profile", "--device-name", "build machine 7")
		cmd.Env = environment("TERM=xterm-256color")
		logins[name] = startInTerminal(t, cmd)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{name}", func(w http.ResponseWriter, r *http.Request) {
		var state struct {
			Screen string `json:"screen"`
			Exit   *int   `json:"exit"`
		}
		login := logins[r.PathValue("name")]
		select {
		case <-login.exited:
			code := login.cmd.ProcessState.ExitCode()
			state.Exit = &code
		default:
		}
		state.Screen, _ = login.shown()
		_ = json.NewEncoder(w).Encode(state)
	})
	mux.HandleFunc("POST /{name}/ctrl-c", func(w http.ResponseWriter, r *http.Request) {
		if _, err := logins[r.PathValue("name")].person.Write([]byte{ctrlC}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	control := httptest.NewServer(mux)
	t.Cleanup(control.Close)
	return control.URL
}
