package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/term"
)

const (
	prompt = "Press a to approve, d to decline, q to quit."
	ended  = "q quits." // what the story says last
	ctrlC  = 3
)

// demoCommand is `nod demo` on free ports, with a folder for temporary files
// that must be empty when it has ended.
func demoCommand(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(binary(t), "demo", "--listen", "127.0.0.1:0", "--app-listen", "127.0.0.1:0")
	temporary := t.TempDir()
	cmd.Env = environment("TMPDIR="+temporary, "TERM=xterm-256color")
	t.Cleanup(func() {
		left, err := os.ReadDir(temporary)
		if err != nil || len(left) > 0 {
			t.Errorf("temporary files afterwards: got %v (%v), want none", left, err)
		}
	})
	return cmd
}

func TestDemo_withoutTerminal(t *testing.T) {
	cmd := demoCommand(t)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr // no stdin is /dev/null
	if err := cmd.Run(); err != nil {
		t.Fatalf("nod demo: %v\n%s", err, stderr.String())
	}
	assertClaims(t, stdout.String())
	if lines := strings.Count(stdout.String(), "\n"); lines != 1 {
		t.Errorf("lines on standard output: got %d, want 1", lines)
	}
	if story := stderr.String(); strings.Contains(story, "\x1b") {
		t.Errorf("a story that no terminal shows has escape sequences in it:\n%q", story)
	}
}

// assertClaims checks that text is one JSON object, of ada's verified claims.
func assertClaims(t *testing.T, text string) {
	t.Helper()
	var claims map[string]any
	if err := json.Unmarshal([]byte(text), &claims); err != nil {
		t.Fatalf("claims: %v\n%s", err, text)
	}
	if got := claims["udata"]; got != sampleUser {
		t.Errorf("udata of the claims: got %v, want %q", got, sampleUser)
	}
	for _, name := range []string{"iss", "sub", "aud", "iat", "exp", "jti", "sid", "amr", "acr", "auth_time", "nid"} {
		if claims[name] == nil {
			t.Errorf("claims: got none called %s: %v", name, claims)
		}
	}
}

// startDemo runs the demo in a terminal until it waits for a key.
func startDemo(t *testing.T) *session {
	t.Helper()
	s := startInTerminal(t, demoCommand(t))
	s.await(t, prompt)
	return s
}

func TestDemo_approvedByKey(t *testing.T) {
	s := startDemo(t)
	s.press(t, 'a')
	screen := s.await(t, ended)
	from, to := strings.LastIndex(screen, "{\r\n"), strings.LastIndex(screen, "}\r\n")
	if from < 0 || to < from {
		t.Fatalf("the terminal shows no claims:\n%s", screen)
	}
	assertClaims(t, screen[from:to+1])
	s.press(t, 'q')
	if got := s.awaitExit(t); got != 0 {
		t.Errorf("exit code after q: got %d, want 0", got)
	}
}

func TestDemo_declinedByKey(t *testing.T) {
	s := startDemo(t)
	s.press(t, 'd')
	screen := s.await(t, ended)
	if want := "declined. Nothing was shared."; !strings.Contains(screen, want) {
		t.Errorf("the terminal after d does not show %q:\n%s", want, screen)
	}
	s.press(t, 'a')
	s.await(t, "Nothing is waiting for the phone.")
	s.press(t, ctrlC)
	if got := s.awaitExit(t); got != 0 {
		t.Errorf("exit code after Ctrl-C: got %d, want 0", got)
	}
}

// Whoever ends the demo finds the terminal as it was, whether or not anything
// was decided.
func TestDemo_terminated(t *testing.T) {
	cmd := demoCommand(t)
	s := startInTerminal(t, cmd)
	before := settings(t, s.inside)
	s.await(t, prompt)
	if reflect.DeepEqual(settings(t, s.inside), before) {
		t.Error("the terminal waits for whole lines, want single keys")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := s.awaitExit(t); got != 0 {
		t.Errorf("exit code after SIGTERM: got %d, want 0", got)
	}
	if !reflect.DeepEqual(settings(t, s.inside), before) {
		t.Error("the terminal's settings afterwards: got others, want those of before")
	}
}

func settings(t *testing.T, terminal *os.File) *term.State {
	t.Helper()
	state, err := term.GetState(int(terminal.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return state
}
