package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// terminalSession is a login in a terminal, whose standard output goes elsewhere.
type terminalSession struct {
	cmd    *exec.Cmd
	person *os.File
	stdout bytes.Buffer
	exited chan struct{}

	mu      sync.Mutex
	screen  strings.Builder
	changed chan struct{} // closed and replaced with every output
}

func inTerminal(t *testing.T, cmd *exec.Cmd, columns, rows uint16) *terminalSession {
	t.Helper()
	person, inside, err := pty.Open()
	if err != nil {
		t.Skipf("there are no pseudo-terminals on this machine: %v", err)
	}
	s := &terminalSession{cmd: cmd, person: person, changed: make(chan struct{}), exited: make(chan struct{})}
	if err := pty.Setsize(person, &pty.Winsize{Cols: columns, Rows: rows}); err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inside, &s.stdout, inside
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = inside.Close()
	var reading sync.WaitGroup
	reading.Go(s.read)
	go func() {
		defer close(s.exited)
		_ = cmd.Wait() // the exit status is in cmd.ProcessState
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-s.exited
		reading.Wait()
		_ = person.Close()
	})
	return s
}

// read ends when the program has left the terminal.
func (s *terminalSession) read() {
	part := make([]byte, 4096)
	for {
		n, err := s.person.Read(part)
		s.mu.Lock()
		s.screen.Write(part[:n])
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *terminalSession) shown() (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.screen.String(), s.changed
}

func (s *terminalSession) await(t *testing.T, text string) string {
	t.Helper()
	late, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		shown, changed := s.shown()
		if strings.Contains(shown, text) {
			return shown
		}
		select {
		case <-changed:
		case <-late.Done():
			t.Fatalf("the terminal does not show %q, but:\n%q", text, shown)
		}
	}
}

func (s *terminalSession) wantExit(t *testing.T, want int) {
	t.Helper()
	select {
	case <-s.exited:
	case <-time.After(patience):
		t.Fatal("nod login does not end")
	}
	if got := s.cmd.ProcessState.ExitCode(); got != want {
		shown, _ := s.shown()
		t.Errorf("exit status: got %d, want %d\n%s", got, want, shown)
	}
}

func TestLogin_in_a_terminal(t *testing.T) {
	t.Parallel()
	server := newLoginServer(t)
	s := inTerminal(t, server.loginCommand("--scope", "openid,profile", "--scope", "tv"), 100, 50)
	screen := s.await(t, "Waiting for your phone… 10:00 left")
	for _, want := range []string{
		"1. On your phone, open  " + server.URL + "/device\r\n", "2. Type the code        BCDF-GHJK\r\n",
		"\x1b[38;5;16;48;5;231m", strings.ReplaceAll(margin(largeLetters("BCDF-GHJK"), "     "), "\n", "\r\n"),
		"Only if you started this yourself, just now.",
	} {
		if !strings.Contains(screen, want) {
			t.Errorf("the terminal does not show %q:\n%s", want, screen)
		}
	}
	if got, want := <-server.form, "client_id=tv&device_name=build+machine+7&scope=openid+profile+tv"; got != want {
		t.Errorf("request: got %s, want %s", got, want)
	}
	s.await(t, "\r\x1b[KWaiting for your phone… 9:59 left")
	server.answers <- opened
	s.await(t, "\r\x1b[KOpened on a phone. Finish there. ")
	server.answers <- broken
	s.await(t, "\r\x1b[KConnection hiccup, still waiting. Your code is still good. ")
	server.answers <- granted
	s.wantExit(t, exitOK)
	if screen := s.await(t, "Signed in as ada."); !strings.HasSuffix(screen, "\r\x1b[KSigned in as ada.\r\n") {
		t.Errorf("the end of the terminal: got %q", screen[max(0, len(screen)-80):])
	}
	if got, want := s.stdout.String(), "at-1\n"; got != want {
		t.Errorf("standard output: got %q, want %q", got, want)
	}
}

func TestLogin_where_there_is_little_room(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]struct {
		columns, rows    uint16
		qr, large, words bool
	}{
		"a wide one":       {80, 30, true, true, true},
		"a low one":        {80, 20, false, true, true},
		"a narrow one":     {50, 50, true, false, true},
		"a very small one": {20, 10, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newLoginServer(t)
			s := inTerminal(t, server.loginCommand(), size.columns, size.rows)
			screen := s.await(t, "10:00 left")
			if got := strings.Contains(screen, "48;5;231m"); got != size.qr {
				t.Errorf("QR code: got %t, want %t", got, size.qr)
			}
			line, _, _ := strings.Cut(largeLetters("BCDF-GHJK"), "\n")
			if got := strings.Contains(screen, line); got != size.large {
				t.Errorf("large letters: got %t, want %t", got, size.large)
			}
			if got := strings.Contains(screen, "Waiting for your phone…"); got != size.words {
				t.Errorf("words of the countdown: got %t, want %t", got, size.words)
			}
			if !strings.Contains(screen, "BCDF-GHJK\r\n") {
				t.Errorf("the code is not there:\n%s", screen)
			}
			server.answers <- granted
			s.wantExit(t, exitOK)
		})
	}
}

func TestLogin_canceled(t *testing.T) {
	t.Parallel()
	for name, cancel := range map[string]func(*terminalSession) error{
		"by Ctrl-C":  func(s *terminalSession) error { _, err := s.person.Write([]byte{3}); return err },
		"by SIGTERM": func(s *terminalSession) error { return s.cmd.Process.Signal(syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newLoginServer(t)
			s := inTerminal(t, server.loginCommand(), 100, 50)
			s.await(t, "Waiting for your phone…")
			if err := cancel(s); err != nil {
				t.Fatal(err)
			}
			s.wantExit(t, exitCanceled)
			s.await(t, "\r\x1b[KCanceled. The code is no longer good.\r\n")
			select {
			case got := <-server.revoked:
				if got != "device-code" {
					t.Errorf("revoked: got %q, want device-code", got)
				}
			default:
				t.Error("the device code was not revoked")
			}
			if s.stdout.Len() > 0 {
				t.Errorf("standard output: got %q, want nothing", &s.stdout)
			}
		})
	}
}

func TestLargeLetters(t *testing.T) {
	for _, r := range "BCDFGHJKLMNPQRSTVWXZAEIOUY0123456789-" {
		rows := strings.Fields(letters[r])
		if len(rows) != 5 {
			t.Fatalf("%c: got %d rows, want 5", r, len(rows))
		}
		for _, row := range rows {
			if len(row) != 5 || strings.Trim(row, "#.") != "" {
				t.Errorf("%c: row %q is not five dots", r, row)
			}
		}
	}
	if got := largeLetters("É"); got != "" {
		t.Errorf("a letter that nobody drew: got %q, want nothing", got)
	}
	const want = "█           ▀▀▀█▀ \n" +
		"█      ▀▀▀   ▄▀   \n" +
		"▀▀▀▀▀        ▀    \n"
	if got := largeLetters("L-7"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if large := largeLetters("bcdf-ghjk"); strings.Count(large, "\n") != 3 || widest(large) != 54 {
		t.Errorf("got %d lines of %d columns, want 3 of 54:\n%s", strings.Count(large, "\n"), widest(large), large)
	}
}
