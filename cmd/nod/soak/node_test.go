package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
)

// node is one nod serve, which can be ended and started again at the same address.
type node struct {
	c               *cluster
	name            string
	listen, metrics string // host:port
	reached         string // where clients find it
	store           string // PostgreSQL's URL as it knows it
	clock           string // file with its clock's error in seconds
	toStore         *toxiproxy.Proxy
	toClients       *toxiproxy.Proxy
	said            tail

	mu  sync.Mutex
	cmd *exec.Cmd
}

func (n *node) command(ctx context.Context) *exec.Cmd {
	args := append([]string{
		"serve", "--listen", n.listen, "--metrics-listen", n.metrics, "--log-level", "warn",
		"--trusted-proxies", "127.0.0.1", "--max-waits-per-address", "100000",
	}, n.c.plan.flags...)
	cmd := exec.CommandContext(ctx, n.c.binary, args...)
	cmd.Env = append(n.c.env(n.store), "CLOCK_SHIFT_FILE="+n.clock)
	cmd.SysProcAttr = ownGroup()
	cmd.Stdout, cmd.Stderr = &n.said, &n.said
	return cmd
}

// start starts the process and does not wait until it is ready. It may run already: of
// two faults at once both may have killed it.
func (n *node) start() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		return
	}
	cmd := n.command(context.Background())
	if err := cmd.Start(); err != nil {
		n.c.t.Errorf("start %s: %v", n.name, err)
		return
	}
	n.cmd = cmd
}

// kill is kill -9.
func (n *node) kill() { n.end(syscall.SIGKILL) }

// stop asks the process to end, waits until it has and says how long that took.
func (n *node) stop() time.Duration { return n.end(syscall.SIGTERM) }

func (n *node) end(with syscall.Signal) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return 0
	}
	began := time.Now()
	_ = n.cmd.Process.Signal(syscall.SIGCONT)
	_ = n.cmd.Process.Signal(with)
	stuck := time.AfterFunc(patience, func() { _ = n.cmd.Process.Kill() })
	defer stuck.Stop()
	if err := n.cmd.Wait(); err != nil && with == syscall.SIGTERM {
		n.c.t.Errorf("%s ended badly after SIGTERM: %v\n%s", n.name, err, n.said.end())
	}
	n.cmd = nil
	return time.Since(began)
}

// freeze stops the process where it stands until thaw.
func (n *node) freeze() { n.signal(syscall.SIGSTOP) }
func (n *node) thaw()   { n.signal(syscall.SIGCONT) }

func (n *node) signal(s syscall.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		_ = n.cmd.Process.Signal(s)
	}
}

// setClock makes the node's wall clock wrong.
func (n *node) setClock(by time.Duration) {
	whole := strconv.FormatInt(int64(by/time.Second), 10)
	if err := os.WriteFile(n.clock+".new", []byte(whole), 0o600); err != nil {
		n.c.t.Error(err)
		return
	}
	if err := os.Rename(n.clock+".new", n.clock); err != nil { // whole or not at all
		n.c.t.Error(err)
	}
}

// quick asks nodes how they are; a frozen one does not hold it up for long.
var quick = &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// readiness is what /readyz?verbose answers.
type readiness struct {
	status int
	Checks map[string]string
}

func (n *node) readiness() (r readiness, err error) {
	res, err := quick.Get("http://" + n.listen + "/readyz?verbose")
	if err != nil {
		return r, err
	}
	defer res.Body.Close()
	r.status = res.StatusCode
	return r, json.NewDecoder(res.Body).Decode(&r)
}

// whole is nil when the node is ready and every part of it is well.
func (n *node) whole() error {
	r, err := n.readiness()
	if err != nil {
		return err
	}
	for part, how := range r.Checks {
		if how != "ok" {
			return fmt.Errorf("%s: %s", part, how)
		}
	}
	if r.status != http.StatusOK {
		return fmt.Errorf("status %d", r.status)
	}
	return nil
}

func (n *node) awaitReady(t testing.TB) {
	t.Helper()
	eventually(t, patience, n.name+" is ready", n.whole)
}

// metric reads one figure.
func (n *node) metric(name string) (float64, error) {
	res, err := quick.Get("http://" + n.metrics + "/metrics")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}

// tail keeps the end of what a process says.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 64 << 10

func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, b...)
	if over := len(l.buf) - tailBytes; over > tailBytes { // now and then, and not each time
		l.buf = append(l.buf[:0], l.buf[over:]...)
	}
	return len(b), nil
}

// end is the last lines.
func (l *tail) end() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := strings.Split(strings.TrimSpace(string(l.buf)), "\n")
	return strings.Join(all[max(0, len(all)-40):], "\n")
}
