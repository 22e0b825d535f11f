package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/cmd/nod/config"
)

// healthcheckWithin is less than what container engines wait by default (30 s),
// and more than a live server ever needs.
const healthcheckWithin = 3 * time.Second

func newHealthcheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the server on this machine whether it lives",
		Long: `Ask /livez of the address that the server on this machine listens on, and exit
with 0 when it answers, 1 when not. Container images use it as their HEALTHCHECK,
with the same configuration as the server.`,
		Example: "  nod healthcheck\n  NOD_LISTEN=:9090 nod healthcheck",
		Args:    noArguments,
	}
	config.Flags(c.Flags(), "listen")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := load(c)
		if err != nil {
			return err
		}
		return live(c.Context(), reachable(cfg.Listen))
	}
	return c
}

// reachable turns an address to listen on into one to connect to: who listens on
// all addresses is asked on the loopback one.
func reachable(listen string) string {
	host, port, _ := net.SplitHostPort(listen)
	if a, err := netip.ParseAddr(host); host == "" || (err == nil && a.IsUnspecified()) {
		host = "127.0.0.1"
		if a.Is6() {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port)
}

// live is nil when the server at host:port answers /livez with 200.
func live(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckWithin)
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/livez", nil)
	if err != nil {
		return fmt.Errorf("healthcheck %s: %w", address, err)
	}
	// Not the default client: it would go through a proxy of the environment.
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(ask)
	if err != nil {
		return fmt.Errorf("healthcheck %s: no server answers: %w", address, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck %s: the server answers %s", address, answer.Status)
	}
	return nil
}
