package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience ends a test of the real program that has got stuck: far longer than
// anything in it takes on a busy machine.
const patience = 30 * time.Second

// process is a server of its own, as an operator starts it.
type process struct {
	cmd     *exec.Cmd
	url     string
	metrics string // URL

	ended sync.WaitGroup // reading its log
	mu    sync.Mutex
	log   strings.Builder
}

// startServer runs nod serve in dir on a free port and returns when it is ready.
func startServer(dir string, flags ...string) (*process, error) {
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--log-format", "json"}, flags...)
	p := &process{cmd: exec.Command("nod", args...)}
	p.cmd.Dir, p.cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH")}
	out, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan string, 2)
	p.ended.Go(func() { p.read(out, ready) })
	late, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, url := range []*string{&p.url, &p.metrics} {
		select {
		case *url = <-ready:
		case <-late.Done():
		}
	}
	if p.metrics == "" {
		_ = p.cmd.Process.Kill()
		return nil, fmt.Errorf("nod serve did not get ready: %w\n%s", p.wait(), p.output())
	}
	return p, nil
}

// read keeps the log, and sends the server's URL and the metrics' once they are
// in it, or nothing when the log ends without them.
func (p *process) read(log io.Reader, ready chan<- string) {
	defer close(ready)
	for lines := bufio.NewScanner(log); lines.Scan(); {
		p.mu.Lock()
		fmt.Fprintln(&p.log, lines.Text())
		p.mu.Unlock()
		var line struct{ Msg, URL string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && strings.HasSuffix(line.Msg, " ready") {
			ready <- line.URL
		}
	}
}

// output is the log so far.
func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// wait is nil when the process ended with status 0.
func (p *process) wait() error {
	p.ended.Wait() // before Wait, which closes the pipe
	return p.cmd.Wait()
}

// stop asks it to stop and waits until it has; twice is once.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err := p.wait(); err != nil {
		return fmt.Errorf("nod serve ended badly: %w\n%s", err, p.output())
	}
	return nil
}
