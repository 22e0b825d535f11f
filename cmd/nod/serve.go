package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

func newServe() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server. Without any setting it answers on http://localhost:8080 and keeps
everything in the folder nod-data, which it makes.

Each setting can be a flag, a variable (in brackets) or a line of a YAML file that
has the flag's name; a flag wins over a variable, and a variable over the file.

nod speaks plain HTTP. For anything but trying it out, put a proxy with a
certificate in front of it, say which address people see with --public-url, and
name the proxy with --trusted-proxies. Give the proxy a read time-out above
--wait-hold, because a waiting device holds its request open that long.

The folder --data holds the database and master.key. Keep a copy of master.key
apart from backups of the database: neither is worth anything without the other.

SIGTERM and SIGINT stop the server: whoever waits is answered at once and asks
again, of another node or after the restart. A second signal stops it hard.`,
		Example: `  nod serve
  nod serve --listen 127.0.0.1:9090 --data /var/lib/nod
  nod serve --public-url https://nod.example.com --trusted-proxies 10.0.0.7
  NOD_PUBLIC_URL=https://nod.example.com nod serve --config /etc/nod.yaml`,
		Args: noArguments,
	}
	config.Flags(c.Flags())
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, warnings, err := config.Load(c.Flags(), os.Environ())
		if err != nil {
			return err
		}
		log := newLog(c.ErrOrStderr(), cfg)
		slog.SetDefault(log)
		for _, w := range warnings {
			log.Warn(w)
		}
		return explain(serve(c.Context(), cfg, log))
	}
	return c
}

func newLog(w io.Writer, cfg config.Config) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// serve runs a server until the first signal. From then on signals have their
// usual effect, so that a second one ends the process.
func serve(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	server, err := app.New(ctx, cfg, log)
	switch {
	case err != nil && ctx.Err() != nil:
		log.Info("nod was told to stop before it was ready")
		return nil
	case err != nil:
		return err
	}
	welcome(ctx, server, log)
	return server.Run(ctx)
}

// welcome says where the server is and what to do next.
func welcome(ctx context.Context, s *app.Server, log *slog.Logger) {
	data := s.Config.DatabaseName()
	if full, err := filepath.Abs(data); err == nil && !sqlstore.IsServer(s.Config.Database()) {
		data = full
	}
	log.Info("nod is ready", "url", s.URL(), "listen", s.Address(), "database", data, "version", thisBuild().Version)
	if at := s.MetricsAddress(); at != "" {
		log.Info("metrics are ready", "url", "http://"+at+"/metrics")
	}
	if strings.HasPrefix(s.URL(), "http://localhost") && !loopback(s.Address()) {
		log.Info("phones cannot open " + s.URL() + "; say how they reach this server with --public-url https://…")
	}
	clients, err := s.Store.Clients(ctx, "")
	if err != nil || len(clients) > 0 {
		return
	}
	folder := ""
	if s.Config.Data != config.Default().Data {
		folder = " --data " + s.Config.Data
	}
	log.Info("next, register your application: nod client create --name \"My app\" --type management " +
		"--scope codes.generate,codes.authorize,users.create" + folder)
	log.Info("then invite somebody: nod user create --username zoe" + folder + " && nod user invite --username zoe" + folder)
}

func loopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
