package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/creack/pty"
)

// openTerminal returns both ends of a new pseudo-terminal, as pty(7) says: the
// end that a person has, and the one that a program runs in. It has 100 columns and
// 50 rows.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		missing(t, "there are no pseudo-terminals on this machine: %v", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	var unlock, number uint32
	for request, argument := range map[uintptr]*uint32{syscall.TIOCSPTLCK: &unlock, syscall.TIOCGPTN: &number} {
		if err := ioctl(person, request, argument); err != nil {
			t.Fatal(err)
		}
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	if err := pty.Setsize(person, &pty.Winsize{Cols: 100, Rows: 50}); err != nil {
		t.Fatal(err)
	}
	return person, program
}

func ioctl(f *os.File, request uintptr, argument *uint32) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	err = conn.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(argument)))
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}

// session is a program in a terminal, with somebody in front of it.
type session struct {
	cmd    *exec.Cmd
	person *os.File
	inside *os.File // the program's end, kept open to look at its settings

	mu      sync.Mutex
	screen  bytes.Buffer
	changed chan struct{} // closed and replaced with every output
	exited  chan struct{}
}

// startInTerminal runs a program until the test ends.
func startInTerminal(t *testing.T, cmd *exec.Cmd) *session {
	t.Helper()
	s := &session{cmd: cmd, changed: make(chan struct{}), exited: make(chan struct{})}
	s.person, s.inside = openTerminal(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.inside, s.inside, s.inside
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.read() // ends when the person's end is closed
	go func() {
		defer close(s.exited)
		_ = cmd.Wait() // the exit code is in cmd.ProcessState
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-s.exited
	})
	return s
}

func (s *session) read() {
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

func (s *session) shown() (text string, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.screen.String(), s.changed
}

// await returns what stands on the screen up to the end of text.
func (s *session) await(t *testing.T, text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for {
		shown, changed := s.shown()
		if before, _, found := bytes.Cut([]byte(shown), []byte(text)); found {
			return string(before) + text
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the terminal does not show %q within %v, but:\n%s", text, startTimeout, shown)
		}
	}
}

func (s *session) press(t *testing.T, key byte) {
	t.Helper()
	if _, err := s.person.Write([]byte{key}); err != nil {
		t.Fatal(err)
	}
}

// awaitExit returns the program's exit code.
func (s *session) awaitExit(t *testing.T) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stopTimeout)
	defer cancel()
	select {
	case <-s.exited:
		return s.cmd.ProcessState.ExitCode()
	case <-ctx.Done():
		shown, _ := s.shown()
		t.Fatalf("the program did not end within %v:\n%s", stopTimeout, shown)
		return -1
	}
}
