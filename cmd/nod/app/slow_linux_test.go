package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const (
	// slowSockets is how many there are where the limit of open files allows it, and
	// fewestSlow how few still say something. Both ends of each are this process's.
	slowSockets = 2000
	fewestSlow  = 300
	// slowWithin stands for the time-outs of a server: longer than it takes to open
	// all the sockets, so that they are there together, and short for a test.
	slowWithin = 2 * time.Second
	// trickle is how often a slow sender sends a byte.
	trickle = 100 * time.Millisecond
	// stray is how many goroutines and descriptors may be more than before: pools of
	// connections breathe. Of the slow sockets there are a hundred times as many.
	stray = 16
	// asked is how often a slow reader asks for the document without reading it.
	asked = 4
)

// socket is a caller that is slow in one of three ways.
type socket struct {
	net.Conn
	begins string
	then   string // sent over and over, a byte of header or of body; "" by one who does not read
}

// slowCalls are the three ways, one after the other. The body is that of a wait,
// which lifts its own time-outs once it has been read.
var slowCalls = []socket{
	{begins: "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", then: "a"},
	{begins: "POST /authenticate/code/wait HTTP/1.1\r\nHost: localhost\r\n" +
		"Content-Type: application/json\r\nContent-Length: 4000\r\n\r\n{", then: " "},
	{begins: strings.Repeat("GET /docs/openapi.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n", asked)},
}

func TestServer_among_thousands_of_slow_sockets_answers_everybody_else(t *testing.T) {
	files, _ := openFiles()
	n := min(slowSockets, (int(files)-2*spareFiles)/2) / len(slowCalls) * len(slowCalls)
	if n < fewestSlow {
		t.Skipf("the limit of %d open files is enough for %d slow sockets; %d are wanted: raise it with ulimit -n", files, max(n, 0), slowSockets)
	}
	s, err := New(t.Context(), testConfig(t), quiet)
	if err != nil {
		t.Fatal(err)
	}
	s.server.ReadHeaderTimeout, s.server.ReadTimeout, s.server.WriteTimeout = slowWithin, slowWithin, slowWithin
	var open, most atomic.Int64
	s.server.ConnState = func(_ net.Conn, now http.ConnState) {
		switch now {
		case http.StateNew:
			most.Store(max(most.Load(), open.Add(1)))
		case http.StateClosed:
			open.Add(-1)
		}
	}
	run(t, s)
	app := newCaller(t, s)
	app.round(t) // whatever is made once is made
	before := usageOf(t)

	slow := openSlow(t, s.Address(), n)
	for began := time.Now(); open.Load() > 0; {
		app.round(t)
		if time.Since(began) > 10*slowWithin {
			t.Fatalf("after %s the server still keeps %d of %d slow sockets", 10*slowWithin, open.Load(), n)
		}
	}
	if most.Load() < int64(n)/2 {
		t.Errorf("the server had %d sockets at a time, want at least half of %d", most.Load(), n)
	}
	// Nineteen of twenty: the machine may be busy with something else.
	slices.Sort(app.took)
	if got := app.took[len(app.took)*19/20]; got > time.Second {
		t.Errorf("of %d answers to others one in twenty took longer than %s, want a second at most", len(app.took), got)
	}
	t.Logf("%d answers beside %d slow sockets: median %s, slowest %s", len(app.took), most.Load(), app.took[len(app.took)/2], app.took[len(app.took)-1])
	var reading errgroup.Group
	for _, c := range slow {
		reading.Go(c.gotNothing)
	}
	if err := reading.Wait(); err != nil {
		t.Error(err)
	}
	before.wantAgain(t)
}

// openSlow opens n sockets, a third of each kind, and lets them be slow until the
// test ends.
func openSlow(t *testing.T, address string, n int) []socket {
	t.Helper()
	// Small windows, so that what a slow reader asked for does not fit into the
	// kernel's buffers.
	narrow := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		return errors.Join(raw.Control(func(fd uintptr) {
			err = errors.Join(
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096),
				syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536))
		}), err)
	}}
	slow := make([]socket, n)
	var opening errgroup.Group
	opening.SetLimit(16)
	for i := range slow {
		opening.Go(func() (err error) {
			slow[i] = slowCalls[i%len(slowCalls)]
			if slow[i].Conn, err = narrow.DialContext(t.Context(), "tcp", address); err == nil {
				_, err = io.WriteString(slow[i], slow[i].begins)
			}
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var trickling sync.WaitGroup
	trickling.Go(func() {
		for tick := time.NewTicker(trickle); ; {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			for _, c := range slow {
				_, _ = io.WriteString(c, c.then) // in vain once the server has closed it
			}
		}
	})
	t.Cleanup(func() {
		close(done)
		trickling.Wait()
	})
	return slow
}

// gotNothing reads what the server sent before it closed the socket, and closes it.
// Of one who did not read nothing has to be read: if all had fit into the buffers, the
// server would have kept it for the next request.
func (c socket) gotNothing() error {
	defer c.Close()
	if c.then == "" {
		return nil
	}
	if err := c.SetReadDeadline(time.Now().Add(slowWithin)); err != nil {
		return err
	}
	got, err := io.ReadAll(c)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("a socket that began %.40q is not closed: %w", c.begins, err)
	case bytes.HasPrefix(got, []byte("HTTP/1.1 2")):
		return fmt.Errorf("got %.80q for half of %.40q", got, c.begins)
	}
	return nil
}

// caller is a backend and a device of its user, who are not slow.
type caller struct {
	url    string
	client string
	key    token.PrivateKey
	took   []time.Duration // each answer
}

func newCaller(t *testing.T, s *Server) *caller {
	t.Helper()
	ns, err := s.Directory.Namespace(t.Context(), approval.DefaultNamespace)
	if err != nil {
		t.Fatal(err)
	}
	private, public, err := token.NewServiceKey()
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{url: "http://" + s.Address()}
	if c.key, err = token.ParsePrivateKey(private); err != nil {
		t.Fatal(err)
	}
	made, err := s.Directory.CreateClient(t.Context(), approval.NewClient{Public: public, Client: account.Client{
		NamespaceID: ns.ID, Name: "Acme", Type: account.ClientManagement,
		Scopes: []account.Scope{account.CodesGenerate, account.CodesAuthorize},
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.client = made.ID
	if _, err := s.Directory.CreateUser(t.Context(), ns.ID, "", "zoe"); err != nil {
		t.Fatal(err)
	}
	return c
}

// round lets a device in: a code, a wait, a verdict, a token; and looks whether the
// server lives.
func (c *caller) round(t *testing.T) {
	t.Helper()
	const purpose = "temporary_authentication"
	code, _ := c.post(t, "/codes/long/generate", account.CodesGenerate, map[string]any{"purpose": purpose})["code"].(string)
	waited := make(chan map[string]any, 1)
	go func() {
		defer close(waited)
		answer, err := c.call("/authenticate/code/wait", "", map[string]any{
			"authentication_code": map[string]any{"code": code, "type": "long"},
		})
		if err != nil {
			t.Error(err)
		}
		waited <- answer
	}()
	c.post(t, "/codes/long/authorize", account.CodesAuthorize, map[string]any{"purpose": purpose, "code": code})
	began := time.Now()
	if jwt, _ := (<-waited)["jwt"].(string); jwt == "" {
		t.Fatal("the wait of an authorized code ended without a token")
	}
	c.took = append(c.took, time.Since(began))
	began = time.Now()
	if status, _ := get(t, c.url+"/livez"); status != http.StatusOK {
		t.Fatalf("/livez: got %d, want 200", status)
	}
	c.took = append(c.took, time.Since(began))
}

func (c *caller) post(t *testing.T, path string, scope account.Scope, body map[string]any) map[string]any {
	t.Helper()
	began := time.Now()
	answer, err := c.call(path, scope, body)
	if err != nil {
		t.Fatal(err)
	}
	c.took = append(c.took, time.Since(began))
	return answer
}

// call posts for zoe, with a service token unless scope is empty. Anything but 200 is
// an error.
func (c *caller) call(path string, scope account.Scope, body map[string]any) (answer map[string]any, err error) {
	body["client_id"], body["username"] = c.client, "zoe"
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	ask, err := http.NewRequest(http.MethodPost, c.url+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	ask.Header.Set("Content-Type", "application/json")
	if scope != "" {
		bearer, err := token.SignService(c.key, token.Service{ClientID: c.client, Type: string(scope), Username: "zoe"})
		if err != nil {
			return nil, err
		}
		ask.Header.Set("Authorization", "Bearer "+bearer)
	}
	reply, err := client.Do(ask)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	text, err = io.ReadAll(reply.Body)
	if err == nil && reply.StatusCode != http.StatusOK {
		err = fmt.Errorf("POST %s: got %d %s, want 200", path, reply.StatusCode, text)
	}
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	return answer, err
}

// usage is what this process has open.
type usage struct{ goroutines, descriptors int }

func usageOf(t *testing.T) usage {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return usage{runtime.NumGoroutine(), len(open)}
}

// wantAgain waits until no more is open than at u (I17).
func (u usage) wantAgain(t *testing.T) {
	t.Helper()
	late := time.After(10 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		now := usageOf(t)
		if now.goroutines <= u.goroutines+stray && now.descriptors <= u.descriptors+stray {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("got %+v once everybody had left, want %+v as before", now, u)
		}
	}
}
