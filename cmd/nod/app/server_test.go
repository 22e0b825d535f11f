package app

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/cmd/nod/config"
)

// start runs a server until the test ends or stop is called, whichever is first;
// stop returns what Run returned.
func start(t *testing.T, c config.Config) (s *Server, stop func() error) {
	t.Helper()
	s, err := New(t.Context(), c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return s, run(t, s)
}

// run is start for a server that was made before.
func run(t *testing.T, s *Server) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return func() error {
		cancel()
		err := <-ended
		ended <- nil // for the clean-up
		return err
	}
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func TestServer_starts_serves_and_stops(t *testing.T) {
	c := testConfig(t)
	c.MetricsListen = "127.0.0.1:0"
	s, stop := start(t, c)

	_, port, _ := net.SplitHostPort(s.Address())
	if want := "http://localhost:" + port; s.URL() != want {
		t.Errorf("URL: got %s, want %s: it follows the port", s.URL(), want)
	}
	for _, path := range []string{"/livez", "/readyz", "/.well-known/jwks.json"} {
		if status, body := get(t, "http://"+s.Address()+path); status != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", path, status, body)
		}
	}
	if status, body := get(t, "http://"+s.MetricsAddress()+"/metrics"); status != http.StatusOK ||
		!strings.Contains(body, "nod_hub_sleepers 0") || !strings.Contains(body, "go_goroutines") {
		t.Errorf("/metrics: got %d %.200s, want 200 and nod's own figures", status, body)
	}
	if status, _ := get(t, "http://"+s.Address()+"/metrics"); status != http.StatusNotFound {
		t.Errorf("/metrics on the public listener: got %d, want 404", status)
	}

	if err := stop(); err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
	if err := s.ready(t.Context()); err == nil {
		t.Error("it says it is ready after it stopped")
	}
	for _, address := range []string{s.Address(), s.MetricsAddress()} {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			t.Errorf("%s still answers", address)
		}
	}
}

func TestServer_leaves_its_url_for_the_command_line(t *testing.T) {
	c := testConfig(t)
	s, _ := start(t, c)
	got, err := openCore(t, c).PublicURL(t.Context())
	if err != nil || got != s.URL() {
		t.Errorf("the command line's public URL: got %s, %v; want %s", got, err, s.URL())
	}
}

func TestNew_gives_everything_back_when_it_fails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	c := testConfig(t)
	c.MetricsListen = taken.Addr().String()
	_, err = New(t.Context(), c, quiet)
	wantError(t, "a port in use", err, "another program listens there already; stop it, or choose another port with --metrics-listen")
	if Exists(c) {
		t.Error("a data folder was made for a server that cannot start")
	}

	c = testConfig(t)
	_, stop := start(t, c)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	c.Listen, c.PublicURL, c.RPID = free.Addr().String(), "https://nod.example.com", ""
	_, err = New(t.Context(), c, quiet)
	wantError(t, "another RP ID", err, "start with --rp-id localhost")
	again, err := net.Listen("tcp", c.Listen)
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	again.Close()
}

func TestServer_has_the_time_outs_of_threat_D4(t *testing.T) {
	s, _ := start(t, testConfig(t))
	got, want := []time.Duration{s.server.ReadHeaderTimeout, s.server.ReadTimeout, s.server.WriteTimeout}, []time.Duration{5e9, 10e9, 10e9}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("time-outs: got %v, want %v (threats D4)", got, want)
			break
		}
	}
	if got, want := s.server.MaxHeaderBytes, 16<<10; got != want {
		t.Errorf("headers: got at most %d bytes, want %d", got, want)
	}
}
