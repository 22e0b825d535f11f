package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 15 * time.Second // a start makes keys and migrates
	stopTimeout  = 10 * time.Second
	cliTimeout   = 30 * time.Second
)

// workspace holds what all tests share: the binary.
var workspace string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "nod-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make workspace:", err)
		os.Exit(1)
	}
	workspace = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// missing skips the test and says what it lacks. Where TEST_REQUIRE_ALL is
// 1, which is how `make test` runs, it fails instead.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("TEST_REQUIRE_ALL") == "1" {
		t.Fatalf("TEST_REQUIRE_ALL is set, and "+format, args...)
	}
	t.Skipf(format, args...)
}

// tool returns the path of the first program that is installed.
func tool(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "there is no %s on this machine", strings.Join(names, " or "))
	return ""
}

// browser finds a Chromium. The one without windows (Debian's chromium-headless-shell)
// takes half the time, measured, and knows no notifications.
func browser(t *testing.T, notified bool) string {
	t.Helper()
	whole := []string{"chromium", "chromium-browser", "google-chrome"}
	if notified {
		return tool(t, whole...)
	}
	return tool(t, append([]string{"chromium-headless-shell"}, whole...)...)
}

var buildBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(workspace, "nod")
	root := filepath.Join("..", "..")
	if err := declareInputs(root); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", path, "./cmd/nod")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build nod: %w\n%s", err, output)
	}
	return path, nil
})

// declareInputs opens every folder of the module. What the test process itself
// has opened is all that the go command compares before it takes a result from
// its cache, and here it is other processes that read the sources and scripts.
func declareInputs(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != root && (entry.Name()[0] == '.' || entry.Name() == "node_modules") {
			return fs.SkipDir
		}
		return err
	})
}

// binary builds nod once for all tests.
func binary(t *testing.T) string {
	t.Helper()
	path, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// environment is the caller's without nod's own settings, which would change
// what is tested.
func environment(extra ...string) []string {
	env := extra
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "NOD_") {
			env = append(env, entry)
		}
	}
	return env
}

// server is one `nod serve` process, which can be killed and started again on
// the same data.
type server struct {
	nod    string // path of the binary
	data   string
	port   string
	url    string // public URL, and where the tests reach it
	flags  []string
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
	log    bytes.Buffer  // written by cmd; read only after it has ended
}

// startServer runs nod on a free port and new data until the test ends.
func startServer(t *testing.T, flags ...string) *server {
	t.Helper()
	s := newServer(t, flags...)
	s.start(t)
	return s
}

// newServer prepares nod on a free port and new data. It ends with the test, and
// its log is shown when that has failed.
func newServer(t *testing.T, flags ...string) *server {
	t.Helper()
	s := &server{nod: binary(t), data: filepath.Join(t.TempDir(), "data"), port: freePort(t), flags: flags}
	s.url = "http://localhost:" + s.port
	t.Cleanup(func() {
		s.stop(t)
		if t.Failed() {
			t.Logf("log of nod serve:\n%s", s.log.String())
		}
	})
	return s
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// start runs the process and returns when it is ready.
func (s *server) start(t *testing.T) {
	t.Helper()
	if err := s.launch(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (s *server) launch(ctx context.Context) error {
	args := append([]string{
		"serve", "--listen", "127.0.0.1:" + s.port, "--public-url", s.url, "--data", s.data,
	}, s.flags...)
	cmd := exec.Command(s.nod, args...)
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start nod serve: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // the exit code is in cmd.ProcessState
	}()
	s.cmd, s.exited = cmd, exited
	return s.awaitReady(ctx)
}

// awaitReady asks /readyz until it answers 200.
func (s *server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if s.get(ctx, "/readyz") == http.StatusOK {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("nod serve ended (%v):\n%s", s.cmd.ProcessState, s.log.String())
		case <-ctx.Done():
			return fmt.Errorf("nod serve was not ready within %v", startTimeout)
		case <-again.C:
		}
	}
}

// get returns the status of a GET, 0 when there was no answer.
func (s *server) get(ctx context.Context, path string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return 0
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// caughtUp returns when the server has answered a few exchanges, and so has
// read what was sent to it before. A held wait gives no sign of being held.
func (s *server) caughtUp(t *testing.T) {
	t.Helper()
	for range 8 {
		if got := s.get(t.Context(), "/livez"); got != http.StatusOK {
			t.Fatalf("GET /livez: got %d, want 200", got)
		}
	}
}

// kill ends the process as a crash does.
func (s *server) kill(t *testing.T) {
	t.Helper()
	if err := s.crash(); err != nil {
		t.Fatal(err)
	}
}

func (s *server) crash() error {
	if err := s.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill nod serve: %w", err)
	}
	<-s.exited
	return nil
}

// terminate asks the process to end, as an operator does.
func (s *server) terminate(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("terminate nod serve: %v", err)
	}
}

// stop ends the process if it still runs.
func (s *server) stop(t *testing.T) {
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		<-s.exited
		return
	}
	select {
	case <-s.exited:
	case <-time.After(stopTimeout):
		t.Errorf("nod serve did not end within %v of SIGTERM", stopTimeout)
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

// cli runs `nod args… --data … --output json` on the server's data and decodes
// what it prints.
func (s *server) cli(t *testing.T, into any, args ...string) {
	t.Helper()
	stdout, stderr, code := s.run(t, append(args, "--output", "json")...)
	if code != 0 {
		t.Fatalf("nod %s: exit status %d\n%s", strings.Join(args, " "), code, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), into); err != nil {
		t.Fatalf("nod %s printed %q: %v", strings.Join(args, " "), stdout, err)
	}
}

// run runs `nod args… --data …` on the server's data.
func (s *server) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), cliTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.nod, append(args, "--data", s.data)...)
	cmd.Env = environment("NOD_PUBLIC_URL=" + s.url)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("nod %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), problems.String(), cmd.ProcessState.ExitCode()
}
