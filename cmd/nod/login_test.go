package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/client"
)

// loginServer is a server of RFC 8628 that answers held polls as a test says.
type loginServer struct {
	*httptest.Server
	life    int                            // of codes, in seconds
	answers chan func(http.ResponseWriter) // of polls; one that finds none is held
	form    chan string                    // of device authorization requests
	revoked chan string                    // device codes
	secret  string                         // "": it asks for none
}

func newLoginServer(t *testing.T) *loginServer {
	t.Helper()
	s := &loginServer{life: 600, answers: make(chan func(http.ResponseWriter), 8), form: make(chan string, 8), revoked: make(chan string, 8)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{
			"issuer": s.URL, "device_authorization_endpoint": s.URL + "/begin", "token_endpoint": s.URL + "/token", "revocation_endpoint": s.URL + "/revoke",
		})
	})
	mux.HandleFunc("POST /begin", s.begin)
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // to its end: only then is a client noticed that leaves
		select {
		case answer := <-s.answers:
			answer(w)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /revoke", func(_ http.ResponseWriter, r *http.Request) { s.revoked <- r.PostFormValue("token") })
	s.Server = httptest.NewUnstartedServer(mux)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *loginServer) begin(w http.ResponseWriter, r *http.Request) {
	if _, secret, _ := r.BasicAuth(); secret != s.secret {
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client", "error_description": "who are \x1b[31myou\u202e?"})
		return
	}
	_ = r.ParseForm()
	s.form <- r.PostForm.Encode()
	writeJSON(w, http.StatusOK, map[string]any{
		"device_code": "device-code", "user_code": "BCDF-GHJK", "verification_uri": s.URL + "/device",
		"verification_uri_complete": s.URL + "/device?user_code=BCDF-GHJK", "expires_in": s.life, "interval": 1,
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func says(status int, v map[string]any) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { writeJSON(w, status, v) }
}

var (
	granted  = says(200, map[string]any{"access_token": "at-1", "token_type": "Bearer", "expires_in": 600, "nod_approved_by": "ada"})
	declined = says(400, map[string]any{"error": "access_denied"})
	gone     = says(400, map[string]any{"error": "expired_token"})
	opened   = says(400, map[string]any{"error": "authorization_pending", "nod_version": 2, "nod_opened": true})
	broken   = func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
)

// loginCommand is nod login at the server.
func (s *loginServer) loginCommand(flags ...string) *exec.Cmd {
	cmd := exec.Command("nod", append([]string{"login", "--issuer", s.URL, "--client-id", "tv", "--device-name", "build machine 7"}, flags...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TERM=xterm-256color"}
	return cmd
}

// Without a terminal everything is said once, and nothing is drawn.
func TestLogin_without_a_terminal(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers []func(http.ResponseWriter)
		flags   []string
		status  int
		stdout  string
		said    string // on standard error, after the instructions
	}{
		"approved": {[]func(http.ResponseWriter){granted}, nil, exitOK, "at-1\n",
			"Waiting for your phone… 10:00 left\nSigned in as ada.\n"},
		"the whole answer": {[]func(http.ResponseWriter){granted}, []string{"--output", "json"}, exitOK,
			"{\n  \"access_token\": \"at-1\",\n  \"expires_in\": 600,\n  \"nod_approved_by\": \"ada\",\n  \"token_type\": \"Bearer\"\n}\n",
			"Waiting for your phone… 10:00 left\nSigned in as ada.\n"},
		"opened first, and a hiccup": {[]func(http.ResponseWriter){opened, broken, opened, granted}, nil, exitOK, "at-1\n",
			"Waiting for your phone… 10:00 left\nOpened on a phone. Finish there.\nConnection hiccup, still waiting. Your code is still good.\nConnected again, still waiting.\nSigned in as ada.\n"},
		"declined": {[]func(http.ResponseWriter){declined}, nil, exitDenied, "",
			"Waiting for your phone… 10:00 left\nSign-in was declined. Nothing was shared.\n"},
		"run out": {[]func(http.ResponseWriter){gone}, nil, exitExpired, "",
			"Waiting for your phone… 10:00 left\nThis code has run out. Run the command again for a new one.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newLoginServer(t)
			for _, a := range test.answers {
				server.answers <- a
			}
			stdout, stderr, status := runLogin(t, server.loginCommand(test.flags...))
			if status != test.status || stdout != test.stdout {
				t.Errorf("got status %d and %q, want %d and %q", status, stdout, test.status, test.stdout)
			}
			if !strings.HasSuffix(stderr, "just now.\n\n"+test.said) {
				t.Errorf("standard error: got\n%s\nwant at its end\n%s", stderr, test.said)
			}
			if regexp.MustCompile("[\x1b\r▀▄█]").MatchString(stderr) {
				t.Errorf("something was drawn where there is no terminal:\n%q", stderr)
			}
		})
	}
}

// runLogin runs to the end.
func runLogin(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, status int) {
	t.Helper()
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	stuck := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	_ = cmd.Run() // the exit status is in cmd.ProcessState
	return out.String(), problems.String(), cmd.ProcessState.ExitCode()
}

func TestLogin_secret_is_no_argument(t *testing.T) {
	t.Parallel()
	server := newLoginServer(t)
	server.secret = "hush"
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		flags  []string
		env    string
		status int
	}{
		"in a file":                 {[]string{"--client-secret-file", file}, "", exitOK},
		"in the environment":        {nil, "hush", exitOK},
		"the file's wins":           {[]string{"--client-secret-file", file}, "another", exitOK},
		"a wrong one":               {nil, "another", exitFailed},
		"none":                      {nil, "", exitFailed},
		"in a file that is missing": {[]string{"--client-secret-file", file + "2"}, "", exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			server.answers <- granted
			cmd := server.loginCommand(test.flags...)
			cmd.Env = append(cmd.Env, secretVariable+"="+test.env)
			_, stderr, status := runLogin(t, cmd)
			if status != test.status {
				t.Errorf("exit status: got %d, want %d\n%s", status, test.status, stderr)
			}
			if strings.ContainsAny(stderr, "\x1b\u202e") || strings.Contains(stderr, "hush") {
				t.Errorf("standard error: got %q", stderr)
			}
			if status != exitOK {
				<-server.answers
			}
		})
	}
}

func TestLogin_asked_wrongly_or_in_vain(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(nil)
	closed.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer broken.Close()
	empty := httptest.NewServer(http.NotFoundHandler())
	defer empty.Close()
	for name, test := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"nothing":            {nil, exitUsage, "--issuer is missing"},
		"no client":          {[]string{"--issuer", "https://nod.example.com"}, exitUsage, "--client-id is missing"},
		"an unknown output":  {[]string{"--output", "xml"}, exitUsage, "use token or json"},
		"an argument":        {[]string{"now"}, exitUsage, "takes no argument"},
		"an issuer in clear": {[]string{"--issuer", "http://nod.example.com", "--client-id", "tv"}, exitFailed, "must be https"},
		"nobody listens":     {[]string{"--issuer", closed.URL, "--client-id", "tv"}, exitUnreachable, "cannot be reached"},
		"a gateway alone":    {[]string{"--issuer", broken.URL, "--client-id", "tv"}, exitUnreachable, "502"},
		"no server of this":  {[]string{"--issuer", empty.URL, "--client-id", "tv"}, exitFailed, "no metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("nod", append([]string{"login"}, test.args...)...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
			stdout, stderr, status := runLogin(t, cmd)
			if status != test.status || !strings.Contains(stderr, test.says) || stdout != "" {
				t.Errorf("got status %d, %q, and %q on standard output; want %d and %q", status, stderr, stdout, test.status, test.says)
			}
		})
	}
}

func TestLoginOutput_that_cannot_be_written(t *testing.T) {
	r, w := io.Pipe()
	_ = r.Close()
	if err := asToken.print(w, &client.Token{AccessToken: "at-1"}); err == nil || strings.Contains(err.Error(), "at-1") {
		t.Errorf("got %v, want an error without the token", err)
	}
}
