package app

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nod-auth/nod/api"
	"github.com/nod-auth/nod/approval/audit"
	"github.com/nod-auth/nod/web"
	"github.com/nod-auth/nod/webauthn"
)

// authenticatorName is what authenticators show beside the domain.
const authenticatorName = "nod"

// assemble connects the parts; nothing runs yet.
func (s *Server) assemble(ctx context.Context) error {
	s.sealer = audit.NewSealer(s.Store, s.auditKey(), s.log)
	metrics := s.registry()
	if s.Config.GeoIP != "" {
		if err := s.places.open(s.Config.GeoIP); err != nil {
			return err
		}
	}
	if err := s.OpenPush(ctx, s.log, metrics); err != nil {
		return err
	}
	handler, err := s.handler(metrics)
	if err != nil {
		return err
	}
	s.server = s.httpServer(handler)
	s.server.RegisterOnShutdown(s.Service.Hub.Drain)
	if s.metrics != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
		s.meter = s.httpServer(mux)
	}
	return nil
}

func (s *Server) handler(metrics prometheus.Registerer) (http.Handler, error) {
	pages, err := web.New()
	if err != nil {
		return nil, err
	}
	ceremonies, err := webauthn.New(webauthn.Config{
		RPID: s.Config.RPID, RPName: authenticatorName, Origin: s.Config.PublicURL,
		Service: s.Service, Directory: s.Directory, Ceremonies: s.Store, Accounts: s.Store,
		InventKey: s.master.derive(forInvented),
	})
	if err != nil {
		return nil, err
	}
	waits, warning := WaitLimit(s.Config)
	if warning != "" {
		s.log.Warn(warning)
	}
	return api.New(api.Config{
		PublicURL: s.Config.PublicURL, RPID: s.Config.RPID, TrustedProxies: s.Config.TrustedProxies,
		WaitHold: s.Config.WaitHold, MaxWaitsPerAddress: s.Config.MaxWaitsPerAddress,
		MaxWaitsPerClient: s.Config.MaxWaitsPerClient, MaxWaits: waits, TokenWindow: s.Config.TokenWindow,
		Service: s.Service, Directory: s.Directory, Accounts: s.Store,
		Ceremonies: ceremonies, Ring: s.Ring, Pages: pages, Push: s.Push,
		Answers: s.Push.Answers(), NonceKey: s.master.derive(forDPoPNonces),
		Pacer: s.pacer, Ready: s.ready, Parts: s.parts, Metrics: metrics, Log: s.log,
	})
}

// httpServer speaks plain HTTP/1.1: encryption, and HTTP/2 with it, is the
// business of the proxy in front.
func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerWithin,
		ReadTimeout:       readWithin,
		WriteTimeout:      writeWithin,
		IdleTimeout:       idleFor,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

// registry holds the process's own metrics; the faces add theirs.
func (s *Server) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "nod_hub_sleepers", Help: "Requests of all faces that sleep in this node's hub.",
		}, func() float64 { return float64(s.Service.Hub.Sleeping()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "nod_store_reads_total", Help: "Reads that this node asked of its database; those within a write do not count.",
		}, func() float64 { return float64(s.Store.Reads()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "nod_audit_unsealed", Help: "Audit rows, of all nodes, that have no place in the chain yet; the same on every node.",
		}, func() float64 { return float64(s.sealer.Unsealed()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "nod_audit_sealed_total", Help: "Audit rows that this node gave a place in the chain.",
		}, func() float64 { return float64(s.sealer.Sealed()) }),
	)
	return r
}
