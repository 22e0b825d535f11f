// Package demo tells the whole story of nod in one process: a server on an
// embedded store in a temporary folder, a sample application with the page of a
// television (package acme), a new device that waits, a push service, and a phone
// in software that it wakes and that decides with a real passkey.
//
// Everything goes over HTTP on loopback, as it would between machines. Nothing
// is left behind.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
	"github.com/nod-auth/nod/cmd/nod/demo/acme"
	"github.com/nod-auth/nod/web"
)

// Options are where the demo listens and to whom it talks.
type Options struct {
	Listen    string // of nod; when it is taken, a free port
	AppListen string // of the sample application; likewise
	// Keys delivers what is pressed. Nil: nobody is there, the phone approves by
	// itself and Run returns.
	Keys <-chan byte
	// Story is where the steps are told, Claims where the verified claims go: one
	// JSON object on one line, or indented when somebody is there.
	Story, Claims io.Writer
}

const (
	person     = "ada"
	television = "Living-room TV"
)

// Run plays the demo until its end, until q is pressed or ctx ends.
func Run(ctx context.Context, o Options) (err error) {
	folder, err := os.MkdirTemp("", "nod-demo-")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	h, err := build(ctx, folder, o)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if err := h.perform(ctx, o); err != nil && !errors.Is(err, errQuit) {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}

// perform runs everything until the story has been told or ctx ends.
func (h *household) perform(ctx context.Context, o Options) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	servers, ctx := errgroup.WithContext(ctx)
	servers.Go(func() error { return h.nod.Run(ctx) })
	servers.Go(func() error { return serveUntil(ctx, h.listener, h.acme.Handler()) })
	servers.Go(func() error { return serveUntil(ctx, h.service.listener, h.service) })
	servers.Go(func() error {
		defer stop()
		return h.play(ctx, o)
	})
	return servers.Wait()
}

// household is everything that takes part.
type household struct {
	nod      *app.Server
	acme     *acme.App
	listener net.Listener
	appURL   string
	service  *pushService
	page     account.Client
	user     account.User
	phone    *phone
	asked    chan acme.Code
	signedIn chan acme.Claims
}

func build(ctx context.Context, folder string, o Options) (*household, error) {
	l, err := listenNear(ctx, o.AppListen)
	if err != nil {
		return nil, err
	}
	h := &household{
		listener: l, appURL: localURL(l.Addr()),
		asked: make(chan acme.Code, 1), signedIn: make(chan acme.Claims, 1),
	}
	if h.service, err = newPushService(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if h.nod, err = startNod(ctx, folder, o.Listen, h.service.origin); err == nil {
		err = h.furnish(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(), h.service.listener.Close())
	}
	return h, nil
}

// startNod opens a server as nod serve would, on a free port when the one asked
// for is taken. It logs only what is wrong. Beside the push services of browsers
// phones may name the demo's own, which no server out there would allow: it is on
// this machine and speaks no TLS.
func startNod(ctx context.Context, folder, listen, service string) (*app.Server, error) {
	c := config.Default()
	c.Data, c.Listen = folder, listen
	c.PushContact = "mailto:demo@example.com"
	c.PushServices = []string{"default", service}
	c.PushAllowNetworks = []netip.Prefix{loopback}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	s, err := app.New(ctx, c, log)
	if err != nil {
		c.Listen = anyPort
		s, err = app.New(ctx, c, log)
	}
	return s, err
}

const anyPort = "127.0.0.1:0"

var loopback = netip.MustParsePrefix("127.0.0.0/8")

func listenNear(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	if l, err := lc.Listen(ctx, "tcp", address); err == nil {
		return l, nil
	}
	return lc.Listen(ctx, "tcp", anyPort)
}

func localURL(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return "http://localhost:" + port
}

// furnish does what an operator does: two clients of one namespace, and a user.
func (h *household) furnish(ctx context.Context) error {
	people := h.nod.Directory
	ns, err := people.Namespace(ctx, approval.DefaultNamespace)
	if err != nil {
		return err
	}
	private, public, err := token.NewServiceKey()
	if err != nil {
		return err
	}
	key, err := token.ParsePrivateKey(private)
	if err != nil {
		return err
	}
	backend, err := people.CreateClient(ctx, approval.NewClient{Public: public, Client: account.Client{
		NamespaceID: ns.ID, Name: "Acme TV", Type: account.ClientManagement, Scopes: []account.Scope{account.CodesGenerate, account.DevicesList},
	}})
	if err != nil {
		return err
	}
	h.page, err = people.CreateClient(ctx, approval.NewClient{Client: account.Client{
		NamespaceID: ns.ID, Name: "Acme TV", Type: account.ClientWeb, Origins: []string{h.appURL},
	}})
	if err != nil {
		return err
	}
	if h.user, err = people.CreateUser(ctx, ns.ID, "", person); err != nil {
		return err
	}
	if h.phone, err = newPhone(h.nod.URL()); err != nil {
		return err
	}
	h.acme, err = acme.New(acme.Config{
		NodURL: h.nod.URL(), Management: backend.ID, Key: key, WebClient: h.page.ID, Username: person, Device: television,
		Started: func(c acme.Code) { h.asked <- c }, SignedIn: func(c acme.Claims) { h.signedIn <- c },
	})
	return err
}

// invitation is a link with which a phone enrols as the person.
func (h *household) invitation(ctx context.Context) (string, error) {
	secret, _, err := h.nod.Directory.Invite(ctx, h.user)
	return web.InvitationLink(h.nod.URL(), secret.Reveal()), err
}

func serveUntil(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// tellClaims writes the verified claims.
func tellClaims(w io.Writer, c acme.Claims, indent bool) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if indent {
		const margin = "     " // SetIndent puts it before every line but the first
		e.SetIndent(margin, "  ")
		if _, err := io.WriteString(w, margin); err != nil {
			return err
		}
	}
	return e.Encode(c)
}
