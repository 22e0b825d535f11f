package testservers

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startWithin is how long a server may take to answer: a cold machine with two
// busy cores needs seconds.
const startWithin = 30 * time.Second

// program finds an executable by name, in PATH or in the folders given.
func program(t T, name, pkg string, folders ...string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, pattern := range folders {
		if found, _ := filepath.Glob(filepath.Join(pattern, name)); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	if os.Getenv("TEST_REQUIRE_ALL") == "1" {
		t.Fatalf("TEST_REQUIRE_ALL is set, and there is no %s: install Debian's package %s", name, pkg)
	}
	t.Skipf("there is no %s: install Debian's package %s, or run make test", name, pkg)
	return ""
}

// freePort is a port that nobody listens on, and neither on the one 10,000 above
// it, which is a Cluster's second one.
func freePort(t T) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.IntN(20_000) // below the ports that systems hand out by themselves, from 32,768 at the earliest mostly
		if free(port) && free(port+10_000) {
			return port
		}
	}
	t.Fatal("no free port in a hundred tries")
	return 0
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// Process is one server process.
type Process struct {
	t     T
	name  string
	args  []string
	as    *syscall.Credential
	ready func() error
	quit  syscall.Signal // asks it to end well

	mu   sync.Mutex
	cmd  *exec.Cmd
	said *lines
}

// Start starts the process, again after Stop or Kill, and waits until it answers.
func (p *Process) Start() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		p.t.Fatalf("%s: started twice", p.name)
	}
	p.said = &lines{}
	cmd := exec.Command(p.args[0], p.args[1:]...)
	cmd.Stdout, cmd.Stderr = p.said, p.said
	// Its own group: a Ctrl-C at the test is for the test. It dies with the test.
	cmd.SysProcAttr = sysProcAttr(p.as)
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	p.cmd = cmd
	end := time.Now().Add(startWithin)
	for {
		err := p.ready()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			p.signal(syscall.SIGKILL)
			p.t.Fatalf("%s does not answer after %s: %v\n%s", p.name, startWithin, err, p.said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Stop ends the process well, Kill at once. Both do nothing when it is not running.
func (p *Process) Stop() { p.end(p.quit) }

// Kill is SIGKILL.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

func (p *Process) end(with syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	p.signal(syscall.SIGCONT) // a frozen process ends too
	p.signal(with)
	kill := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait() // how it ended is what the test provoked
	p.cmd = nil
}

// Freeze stops the process where it stands (SIGSTOP) until Thaw. Where the system
// tells, it returns when that is so.
func (p *Process) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signal(syscall.SIGSTOP)
	if p.cmd == nil {
		return
	}
	for range 1000 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		if err != nil || bytes.Contains(stat, []byte(") T ")) { // proc(5): the state follows the name
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// Thaw lets a frozen process go on.
func (p *Process) Thaw() { p.locked(syscall.SIGCONT) }

func (p *Process) locked(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signal(s)
}

func (p *Process) signal(s syscall.Signal) {
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s) // it may have ended by itself
	}
}

// lines keeps the end of what a process says.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Len() > 1<<20 {
		l.buf.Reset()
	}
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := strings.Split(strings.TrimSpace(l.buf.String()), "\n")
	return strings.Join(all[max(0, len(all)-30):], "\n")
}
