package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"
)

func serveIn(t *testing.T, dir string, flags ...string) *process {
	t.Helper()
	p, err := startServer(dir, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// outcome is what a wait ended with.
type outcome struct {
	status int
	answer map[string]any
	err    error
}

func (o outcome) String() string { return fmt.Sprintf("%d %v, %v", o.status, o.answer, o.err) }

func TestServe_answers_every_held_wait_when_told_to_stop(t *testing.T) {
	const waits = 2000
	dir := t.TempDir()
	server := serveIn(t, dir, "--max-waits-per-address", "10000")
	app := newBackend(t, dir, server.url)
	var user struct{ ID string }
	cli(t, dir, &user, "user", "create", "--username", "zoe")

	ended := make(chan outcome, waits)
	for range waits {
		code := app.generate(t, "zoe")
		go func() {
			var o outcome
			o.status, o.answer, o.err = app.wait("zoe", code)
			ended <- o
		}()
	}
	held(t, server, waits, ended)

	began := time.Now()
	if err := server.stop(); err != nil {
		t.Fatal(err)
	}
	// Threats D3 wants the exit within 5 s; an answer that was cut off is an error below.
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the exit took %s, want 5 s at most", took)
	}
	for range waits {
		o := <-ended
		if o.err != nil || o.status != http.StatusBadRequest || o.answer["code"] != "remote_session_timeout" {
			t.Fatalf("a wait ended with %v, want 400 remote_session_timeout", o)
		}
	}
}

// held returns when the server holds n waits.
func held(t *testing.T, server *process, n int, ended <-chan outcome) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for now := 0.0; ; {
		select {
		case o := <-ended:
			t.Fatalf("a wait ended early with %v", o)
		case <-late:
			t.Fatalf("the server holds %.0f waits, want %d\n%s", now, n, server.output())
		case <-tick.C:
		}
		var err error
		if now, err = metric(server.metrics, "nod_waits_held"); err != nil {
			t.Fatal(err)
		}
		if int(now) == n {
			return
		}
	}
}

func TestServe_keeps_an_acknowledged_verdict_through_a_crash(t *testing.T) {
	dir := t.TempDir()
	server := serveIn(t, dir)
	app := newBackend(t, dir, server.url)
	var user struct{ ID string }
	cli(t, dir, &user, "user", "create", "--username", "zoe")
	code := app.generate(t, "zoe")
	app.authorize(t, "zoe", code)
	if err := server.cmd.Process.Kill(); err != nil { // SIGKILL
		t.Fatal(err)
	}
	if err := server.wait(); err == nil {
		t.Fatal("the server survived SIGKILL")
	}

	app.url = serveIn(t, dir).url
	status, answer, err := app.wait("zoe", code)
	if jwt, _ := answer["jwt"].(string); err != nil || status != http.StatusOK || jwt == "" {
		t.Errorf("after the restart the wait got %d %v, %v; want 200 and a token", status, answer, err)
	}
}

func TestServe_wakes_waits_for_what_the_command_line_does(t *testing.T) {
	dir := t.TempDir()
	server := serveIn(t, dir)
	app := newBackend(t, dir, server.url)
	var user struct{ ID, Status string }
	cli(t, dir, &user, "user", "create", "--username", "zoe")
	code := app.generate(t, "zoe")
	ended := make(chan outcome, 1)
	go func() {
		var o outcome
		o.status, o.answer, o.err = app.wait("zoe", code)
		ended <- o
	}()
	held(t, server, 1, ended)
	cli(t, dir, &user, "user", "deactivate", "--username", "zoe")
	select {
	case o := <-ended:
		if o.err != nil || o.status != http.StatusForbidden {
			t.Errorf("the wait of a suspended user ended with %v, want 403", o)
		}
	case <-time.After(patience):
		t.Error("the wait of a suspended user is still held")
	}
}

func TestServe_on_a_taken_port_says_so_in_one_sentence(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := exec.Command("nod", "serve", "--listen", taken.Addr().String())
	c.Dir = t.TempDir()
	_, err = c.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("got %v, want an exit status", err)
	}
	want := fmt.Sprintf("nod: listen %s: another program listens there already; stop it, or choose another port with --listen\n", taken.Addr())
	if exit.ExitCode() != exitFailed || string(exit.Stderr) != want {
		t.Errorf("got status %d and %q, want %d and %q", exit.ExitCode(), exit.Stderr, exitFailed, want)
	}
}

func TestHealthcheck_tells_a_live_server_from_none(t *testing.T) {
	server := serveIn(t, t.TempDir())
	port := server.url[len("http://localhost:"):]
	for listen, want := range map[string]bool{
		"127.0.0.1:" + port: true, ":" + port: true, "0.0.0.0:" + port: true, "localhost:" + port: true, "127.0.0.1:1": false,
	} {
		c := exec.Command("nod", "healthcheck")
		c.Env = append(c.Environ(), "NOD_LISTEN="+listen, "HTTP_PROXY=http://127.0.0.1:1")
		if err := c.Run(); (err == nil) != want {
			t.Errorf("NOD_LISTEN=%s: got %v, want live %v", listen, err, want)
		}
	}
}
