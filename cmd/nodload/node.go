package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// childVariable tells this program, started by itself, to be a node: its value is
// the order. So the server that is measured is nod itself, in a process of its own,
// and nothing has to be built or found.
const childVariable = "NODLOAD_NODE"

// order says what a child is to be.
type order struct {
	Data      string // folder
	Database  string // URL, "": a file in Data
	Redis     string // URL, "": none
	MasterKey string // file, "": in Data
	Profile   string // file for its processor profile, "": none
	Furnish   bool   // make the client and the users
}

// hello is what the child says once it can be used.
type hello struct {
	URL      string `json:"url"`
	Metrics  string `json:"metrics"`
	ClientID string `json:"client_id,omitempty"`
	Key      string `json:"key,omitempty"`
}

// Who the load is for. The waits that are only held belong to somebody else, so
// that ending the ones of user ends no others.
const (
	user  = "load"
	other = "held"
)

// endWithin is how long a child may take to end after SIGTERM; nod promises 5 s.
const endWithin = 10 * time.Second

// node is one nod.
type node struct {
	url, metrics string
	pid          int // 0: unknown

	child *exec.Cmd     // nil: not ours
	ended chan struct{} // closed when the child has ended
}

// startNode starts a child and waits until it can be used. It ends with its
// standard input at the latest, so never outlives this process.
func startNode(ctx context.Context, o order) (*node, hello, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, hello{}, err
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, hello{}, err
	}
	n := &node{child: exec.CommandContext(ctx, self), ended: make(chan struct{})}
	n.child.Env = append(os.Environ(), childVariable+"="+string(raw))
	n.child.Stderr = os.Stderr
	n.child.Cancel = func() error { return n.child.Process.Signal(syscall.SIGTERM) }
	n.child.WaitDelay = endWithin
	if _, err := n.child.StdinPipe(); err != nil {
		return nil, hello{}, err
	}
	out, err := n.child.StdoutPipe()
	if err != nil {
		return nil, hello{}, err
	}
	if err := n.child.Start(); err != nil {
		return nil, hello{}, fmt.Errorf("start node: %w", err)
	}
	n.pid = n.child.Process.Pid
	var h hello
	err = json.NewDecoder(bufio.NewReader(out)).Decode(&h)
	go func() { // ends with the child
		_ = n.child.Wait() // how it ended, it has said itself
		close(n.ended)
	}()
	if err != nil {
		n.end()
		return nil, hello{}, fmt.Errorf("start node: it said nothing: %w", err)
	}
	n.url, n.metrics = h.URL, h.Metrics
	return n, h, nil
}

// terminate is SIGTERM, and does not wait.
func (n *node) terminate() error {
	if n.child == nil {
		return errors.New("the node is not ours to end; leave out --url")
	}
	return n.child.Process.Signal(syscall.SIGTERM)
}

// end ends the child and waits for that. A node that is not ours goes on.
func (n *node) end() {
	if n.child == nil {
		return
	}
	_ = n.terminate() // it may have ended by itself
	late := time.AfterFunc(endWithin, func() { _ = n.child.Process.Kill() })
	defer late.Stop()
	<-n.ended
}

// beNode is the child: nod serve with limits that allow the load. It ends with a
// signal or with its input.
func beNode(text string, in io.Reader, out io.Writer) (err error) {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, in)
		stop()
	}()
	if o.Profile != "" {
		endProfile, err := startProfile(o.Profile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, endProfile()) }()
	}
	s, err := app.New(ctx, o.config(), slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	if err != nil {
		return err
	}
	h := hello{URL: "http://" + s.Address(), Metrics: "http://" + s.MetricsAddress() + "/metrics"}
	if o.Furnish {
		if err := furnish(ctx, s, &h); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	if err := json.NewEncoder(out).Encode(h); err != nil {
		return errors.Join(err, s.Close())
	}
	return s.Run(ctx)
}

func (o order) config() config.Config {
	c := config.Default()
	c.Data, c.Listen, c.MetricsListen = o.Data, "127.0.0.1:0", "127.0.0.1:0"
	c.PublicURL = "http://localhost" // the same on every node; nobody follows it
	c.DatabaseURL, c.RedisURL = account.Secret(o.Database), account.Secret(o.Redis)
	c.MasterKeyFile = o.MasterKey
	c.MaxWaitsPerAddress = maxHeld + 1000
	return c
}

// startProfile writes where the processor's time goes, from now until end.
func startProfile(path string) (end func() error, err error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// furnish makes one client and the users.
func furnish(ctx context.Context, s *app.Server, h *hello) error {
	ns, err := s.Directory.Namespace(ctx, approval.DefaultNamespace)
	if err != nil {
		return err
	}
	private, public, err := token.NewServiceKey()
	if err != nil {
		return err
	}
	client, err := s.Directory.CreateClient(ctx, approval.NewClient{Public: public, Client: account.Client{
		NamespaceID: ns.ID, Name: "nodload", Type: account.ClientManagement,
		Scopes: []account.Scope{account.CodesGenerate, account.CodesAuthorize, account.CodesInvalidate},
	}})
	if err != nil {
		return err
	}
	for _, name := range []string{user, other} {
		if _, err := s.Directory.CreateUser(ctx, ns.ID, "", name); err != nil {
			return err
		}
	}
	h.ClientID, h.Key = client.ID, string(private)
	return nil
}
