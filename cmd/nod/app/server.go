package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/audit"
	"github.com/nod-auth/nod/approval/redisbus"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/cmd/nod/config"
)

const (
	// headerWithin bounds a slow sender of headers (threats D4). Reading a body
	// and writing a reply get ten seconds each; a held wait lifts both for itself.
	headerWithin = 5 * time.Second
	readWithin   = 10 * time.Second
	writeWithin  = 10 * time.Second
	// idleFor keeps a quiet connection: longer than the idle time of common
	// proxies (60 s), so that they close first and never write into a closed one.
	idleFor = 75 * time.Second
	// maxHeader is room for the largest token and cookies we hand out.
	maxHeader = 16 << 10
	// drainWithin is how long replies may take after the signal, so that the
	// process has ended within 5 s (threats D3). A browser's spare connection,
	// which never sent a request, uses all of it.
	drainWithin = 4 * time.Second
)

// Server is a whole nod in this process.
type Server struct {
	*Core
	log      *slog.Logger
	public   net.Listener
	metrics  net.Listener // nil without --metrics-listen
	server   *http.Server
	meter    *http.Server
	pacer    approval.Pacer
	bus      *redisbus.Bus // nil without Redis
	seat     *sqlstore.Seat
	sealer   *audit.Sealer
	stopping atomic.Bool
}

// New listens and opens everything, but serves nobody yet. The caller calls Run,
// which closes what New opened, or Close.
func New(ctx context.Context, c config.Config, log *slog.Logger) (_ *Server, err error) {
	s := &Server{log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.public, err = listen(ctx, "listen", c.Listen); err != nil {
		return nil, err
	}
	if c.MetricsListen != "" {
		if s.metrics, err = listen(ctx, "metrics-listen", c.MetricsListen); err != nil {
			return nil, err
		}
	}
	if s.Core, err = openPatiently(ctx, c.At(s.public.Addr().String()), log); err != nil {
		return nil, err
	}
	if err = s.join(ctx); err != nil {
		return nil, err
	}
	if err = s.keepRPID(ctx); err != nil {
		return nil, err
	}
	if err = s.Store.PutSetting(ctx, settingPublicURL, s.URL()); err != nil {
		return nil, err
	}
	if err = s.assemble(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// listen opens a port, and says what to do about one that cannot be opened.
func listen(ctx context.Context, setting, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op.Err // without the address, which stands in ours
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s %s: another program listens there already; stop it, or choose another port with --%s", setting, address, setting)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s %s: this user may not use that port; choose one above 1023 with --%s", setting, address, setting)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w; choose an address of this machine with --%s", setting, address, err, setting)
	}
	return l, nil
}

// URL is the public URL, without a slash at its end.
func (s *Server) URL() string { return s.Config.PublicURL }

// Address is the host:port that is really listened on.
func (s *Server) Address() string { return s.public.Addr().String() }

// MetricsAddress is where /metrics is, "" when nowhere.
func (s *Server) MetricsAddress() string {
	if s.metrics == nil {
		return ""
	}
	return s.metrics.Addr().String()
}

// Close gives back what New opened, when Run is not going to.
func (s *Server) Close() error {
	var faults []error
	for _, l := range []net.Listener{s.public, s.metrics} {
		if l != nil {
			faults = append(faults, l.Close())
		}
	}
	faults = append(faults, s.leave())
	if s.Core != nil {
		faults = append(faults, s.Core.Close())
	}
	return errors.Join(faults...)
}

// Run serves until ctx ends; then it answers whoever waits, gives the replies
// drainWithin to leave, and closes everything. It returns nil after that, and
// an error when a part ended by itself.
func (s *Server) Run(ctx context.Context) error {
	// The parts outlive ctx: they are needed while the last replies leave.
	parts, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, parts := errgroup.WithContext(parts)
	group.Go(func() error { return s.Service.Run(parts) })
	group.Go(func() error { return s.seat.Run(parts) })
	group.Go(func() error { return s.TendKeys(parts, s.log) })
	group.Go(func() error { return s.sealer.Run(parts) })
	group.Go(func() error { return s.Store.WatchForeign(parts, s.Service.Hub.Resync) })
	group.Go(func() error { return s.Push.Run(parts, s.Directory) })
	group.Go(func() error { return serve(s.server, s.public) })
	if s.meter != nil {
		group.Go(func() error { return serve(s.meter, s.metrics) })
	}
	group.Go(func() error {
		defer stop()
		select {
		case <-ctx.Done():
		case <-parts.Done(): // a part ended by itself
		}
		return s.drain()
	})
	return errors.Join(group.Wait(), s.leave(), s.Core.Close())
}

func serve(server *http.Server, l net.Listener) error {
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

// drain says not ready, closes the port, answers every held wait (Hub.Drain is
// registered with the server, so that these replies end their connections) and
// then cuts off whoever is too slow.
func (s *Server) drain() error {
	s.stopping.Store(true)
	began, waits := time.Now(), s.Service.Hub.Sleeping()
	ctx, cancel := context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("some clients were too slow and are cut off", "after", drainWithin.String())
		err = s.server.Close()
	}
	if s.meter != nil {
		err = errors.Join(err, s.meter.Close())
	}
	s.log.Info("nod has stopped", "waits_answered", waits, "took", time.Since(began).Round(time.Millisecond).String())
	return err
}

// ready says whether new requests are welcome.
func (s *Server) ready(ctx context.Context) error {
	if s.stopping.Load() {
		return errStopping
	}
	return s.Store.Ping(ctx)
}

var errStopping = errors.New("stopping")
