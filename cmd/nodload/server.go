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
	"syscall"
	"time"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// childVariable tells this program, started by itself, to be the server: its
// value is the data folder. So the server that is measured is nod itself, in a
// process of its own, and nothing has to be built or found.
const childVariable = "NODLOAD_SERVER_DATA"

// hello is what the child says once it can be used.
type hello struct {
	URL      string `json:"url"`
	Metrics  string `json:"metrics"`
	ClientID string `json:"client_id"`
	Key      string `json:"key"`
	Username string `json:"username"`
}

// startServer runs a server of our own until the target is closed.
func startServer(ctx context.Context) (_ *target, err error) {
	folder, err := os.MkdirTemp("", "nodload-")
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	child := exec.CommandContext(ctx, self)
	child.Env = append(os.Environ(), childVariable+"="+folder)
	child.Stderr = os.Stderr
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	child.WaitDelay = 10 * time.Second
	stop := func() {
		if child.Process != nil {
			_ = child.Cancel() // it may have ended by itself
			_ = child.Wait()
		}
		os.RemoveAll(folder)
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	out, err := child.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := child.Start(); err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	var h hello
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&h); err != nil {
		return nil, fmt.Errorf("start server: it said nothing: %w", err)
	}
	key, err := token.ParsePrivateKey([]byte(h.Key))
	if err != nil {
		return nil, err
	}
	return &target{
		url: h.URL, metrics: h.Metrics, clientID: h.ClientID, username: h.Username, key: key,
		pid: child.Process.Pid, http: newClient(), stop: stop,
	}, nil
}

// beServer is the child: nod serve with limits that allow the load, and one
// client and user in it.
func beServer(folder string, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	c := config.Default()
	c.Data, c.Listen, c.MetricsListen = folder, "127.0.0.1:0", "127.0.0.1:0"
	c.MaxWaitsPerAddress = maxHeld + 1000
	s, err := app.New(ctx, c, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	if err != nil {
		return err
	}
	h, err := furnish(ctx, s)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	if err := json.NewEncoder(out).Encode(h); err != nil {
		return errors.Join(err, s.Close())
	}
	return s.Run(ctx)
}

func furnish(ctx context.Context, s *app.Server) (hello, error) {
	const username = "load"
	ns, err := s.Directory.Namespace(ctx, approval.DefaultNamespace)
	if err != nil {
		return hello{}, err
	}
	private, public, err := token.NewServiceKey()
	if err != nil {
		return hello{}, err
	}
	client, err := s.Directory.CreateClient(ctx, approval.NewClient{Public: public, Client: account.Client{
		NamespaceID: ns.ID, Name: "nodload", Type: account.ClientManagement,
		Scopes: []account.Scope{account.CodesGenerate, account.CodesAuthorize, account.CodesInvalidate},
	}})
	if err != nil {
		return hello{}, err
	}
	if _, err := s.Directory.CreateUser(ctx, ns.ID, "", username); err != nil {
		return hello{}, err
	}
	return hello{
		URL: "http://" + s.Address(), Metrics: "http://" + s.MetricsAddress() + "/metrics",
		ClientID: client.ID, Key: string(private), Username: username,
	}, nil
}
