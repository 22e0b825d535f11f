package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trap listens where nobody must ever connect: on loopback, in both families and
// on one port.
type trap struct {
	port    string
	touched atomic.Int64
}

func newTrap(t *testing.T) *trap {
	t.Helper()
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(first.Addr().String())
	tr := &trap{port: port}
	listeners := []net.Listener{first}
	if second, err := net.Listen("tcp", "[::1]:"+port); err == nil { // not every machine has IPv6
		listeners = append(listeners, second)
	}
	var accepting sync.WaitGroup
	for _, l := range listeners {
		accepting.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				tr.touched.Add(1)
				conn.Close()
			}
		})
	}
	t.Cleanup(func() {
		for _, l := range listeners {
			l.Close()
		}
		accepting.Wait()
	})
	return tr
}

func (tr *trap) number() uint16 {
	return netip.MustParseAddrPort("127.0.0.1:" + tr.port).Port()
}

// hostile are addresses that must not be reached. PORT is the trap's.
var hostile = []string{
	// loopback as people and libraries spell it
	"https://127.0.0.1:PORT/", "https://127.0.0.1.:PORT/", "https://127.1:PORT/", "https://127.127.127.127:PORT/",
	"https://2130706433:PORT/", "https://0x7f000001:PORT/", "https://0x7f.0x0.0x0.0x1:PORT/", "https://0177.0.0.1:PORT/",
	"https://017700000001:PORT/", "https://127.0.0.1%2e:PORT/", "https://[::1]:PORT/", "https://[0:0:0:0:0:0:0:1]:PORT/",
	"https://localhost:PORT/", "https://localhost.:PORT/", "https://LOCALHOST:PORT/", "https://a.localhost:PORT/",
	"https://127.0.0.1.nip.example:PORT/", "https://xn--nda.example:PORT/",
	// other dots and other digits
	"https://127\u30020\u30020\u30021:PORT/", "https://127\uff0e0\uff0e0\uff0e1:PORT/", "https://127\uff610\uff610\uff611:PORT/",
	"https://\uff11\uff12\uff17.0.0.1:PORT/", "https://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460:PORT/", "https://\u217c\u2134calhost:PORT/",
	// nobody, everybody
	"https://0.0.0.0:PORT/", "https://0:PORT/", "https://[::]:PORT/", "https://255.255.255.255:PORT/",
	"https://224.0.0.1:PORT/", "https://239.255.255.250:PORT/", "https://[ff02::1]:PORT/", "https://240.0.0.1:PORT/",
	// private, shared, link-local
	"https://10.0.0.1:PORT/", "https://172.16.0.1:PORT/", "https://172.31.255.254:PORT/", "https://192.168.1.1:PORT/",
	"https://100.64.0.1:PORT/", "https://169.254.169.254:PORT/latest/meta-data/", "https://[fe80::1]:PORT/",
	"https://[fe80::1%25lo]:PORT/", "https://[::1%25lo]:PORT/", "https://[fc00::1]:PORT/", "https://[fd00:ec2::254]:PORT/", "https://[fec0::1]:PORT/",
	// special purposes
	"https://192.0.0.8:PORT/", "https://192.0.2.1:PORT/", "https://198.18.0.1:PORT/", "https://198.51.100.1:PORT/",
	"https://203.0.113.1:PORT/", "https://192.88.99.1:PORT/", "https://[100::1]:PORT/", "https://[2001:db8::1]:PORT/",
	"https://[2001:20::1]:PORT/", "https://[3fff::1]:PORT/", "https://[5f00::1]:PORT/",
	// IPv4 inside IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo
	"https://[::ffff:127.0.0.1]:PORT/", "https://[::ffff:7f00:1]:PORT/", "https://[::ffff:10.0.0.1]:PORT/", "https://[::127.0.0.1]:PORT/",
	"https://[::ffff:0:127.0.0.1]:PORT/", "https://[64:ff9b::7f00:1]:PORT/", "https://[64:ff9b::192.168.0.1]:PORT/",
	"https://[64:ff9b:1::a00:1]:PORT/", "https://[2002:7f00:1::1]:PORT/", "https://[2002:a9fe:a9fe::]:PORT/", "https://[2001:0:7f00:1::]:PORT/",
	// whose host is it?
	"https://push.example@127.0.0.1:PORT/", "https://user:password@push.example:PORT/", "https://@push.example:PORT/",
	"https://127.0.0.1:PORT#@push.example/", "https://127.0.0.1:PORT?@push.example/", `https://push.example\@127.0.0.1:PORT/`,
	"https://push.example%00.127.0.0.1:PORT/", "https://:PORT/", "https:///push.example", "https:127.0.0.1:PORT", "//127.0.0.1:PORT/", "127.0.0.1:PORT",
	// other ports and schemes
	"https://127.0.0.1:22/", "https://8.8.8.8:22/", "https://8.8.8.8:6379/", "https://8.8.8.8:0/", "https://8.8.8.8:65536/",
	"http://127.0.0.1:PORT/", "http://8.8.8.8/", "http://push.example/", "HTTP://127.0.0.1:PORT/", "file:///etc/passwd", "file://localhost/etc/passwd",
	"ftp://127.0.0.1:PORT/", "gopher://127.0.0.1:PORT/_", "unix:///run/docker.sock", "wss://127.0.0.1:PORT/", "data:text/plain,x", "javascript:1", "",
}

func TestClient_hostile_addresses_are_not_reached(t *testing.T) {
	tr := newTrap(t)
	client := New(Config{Ports: []uint16{443, tr.number()}, Resolver: (&names{}).resolver(t)})
	refused := 0
	for _, pattern := range hostile {
		address := strings.ReplaceAll(pattern, "PORT", tr.port)
		err := get(client, address)
		if err == nil {
			t.Errorf("get %s: got an answer, want none", address)
		}
		if errors.Is(err, ErrRefused) {
			refused++
		} else {
			t.Logf("get %s: no road at all: %v", address, err)
		}
	}
	if got := tr.touched.Load(); got != 0 {
		t.Errorf("connections that were made: got %d, want 0", got)
	}
	// The rest has no address to judge: it does not parse, or Go asks nobody for it.
	if least := 80; refused < least || len(hostile) < 40 {
		t.Errorf("refused by the guard: got %d of %d, want %d", refused, len(hostile), least)
	}
}

func TestClient_name_that_changes_its_answer_is_judged_when_dialled(t *testing.T) {
	tr := newTrap(t)
	public := netip.MustParseAddr("8.8.8.8")
	for _, inside := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1"} {
		dns := &names{answers: map[string][]netip.Addr{"rebind.example": {public, netip.MustParseAddr(inside)}}}
		resolver := dns.resolver(t)
		checked, err := resolver.LookupNetIP(t.Context(), "ip4", "rebind.example.")
		if err != nil || checked[0].Unmap() != public {
			t.Fatalf("first answer: got %v, %v; want %s", checked, err, public)
		}
		client := New(Config{Ports: []uint16{tr.number()}, Resolver: resolver})
		if err := get(client, "https://rebind.example.:"+tr.port+"/"); !errors.Is(err, ErrRefused) {
			t.Errorf("second answer %s: got %v, want %v", inside, err, ErrRefused)
		}
	}
	if got := tr.touched.Load(); got != 0 {
		t.Errorf("connections that were made: got %d, want 0", got)
	}
}

func TestClient_allowed_range_is_reached_and_nothing_else(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") }))
	defer inside.Close()
	at := netip.MustParseAddrPort(inside.Listener.Addr().String())
	for _, allow := range []string{"127.0.0.0/8", "127.0.0.1/32", "::ffff:127.0.0.0/104"} {
		client := New(Config{
			Allow: []netip.Prefix{netip.MustParsePrefix(allow)}, Ports: []uint16{at.Port()}, Resolver: (&names{}).resolver(t),
		})
		defer client.CloseIdleConnections()
		for _, address := range []string{inside.URL, fmt.Sprintf("http://ntfy.example.:%d/", at.Port())} {
			if err := get(client, address); err != nil {
				t.Errorf("allowed %s, get %s: got %v, want an answer", allow, address, err)
			}
		}
		for _, address := range []string{
			"http://8.8.8.8:%d/", "http://10.0.0.1:%d/", "https://10.0.0.1:%d/", "http://[::1]:%d/", "http://[2606:4700::1]:%d/", "http://[64:ff9b::7f00:1]:%d/",
		} {
			if err := get(client, fmt.Sprintf(address, at.Port())); !errors.Is(err, ErrRefused) {
				t.Errorf("allowed %s, get %s: got %v, want %v", allow, address, err, ErrRefused)
			}
		}
		if err := get(client, "http://127.0.0.1:1/"); !errors.Is(err, ErrRefused) {
			t.Errorf("allowed %s, another port: got %v, want %v", allow, err, ErrRefused)
		}
	}
}

func TestClient_any_port_is_no_other_address(t *testing.T) {
	inside := httptest.NewServer(http.NotFoundHandler())
	defer inside.Close()
	open := New(Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AnyPort: true})
	defer open.CloseIdleConnections()
	if err := get(open, inside.URL); err != nil {
		t.Errorf("allowed range, any port: got %v, want an answer", err)
	}
	tr := newTrap(t)
	client := New(Config{AnyPort: true, Resolver: (&names{}).resolver(t)})
	for _, pattern := range hostile {
		if strings.Contains(pattern, "8.8.8.8") {
			continue // public: only its port is wrong
		}
		address := strings.ReplaceAll(pattern, "PORT", tr.port)
		if err := get(client, address); err == nil {
			t.Errorf("get %s: got an answer, want none", address)
		}
	}
	if got := tr.touched.Load(); got != 0 {
		t.Errorf("connections that were made: got %d, want 0", got)
	}
}

func TestConfig_refuses_what_can_be_known_before_dialling(t *testing.T) {
	loopback := Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for _, c := range []struct {
		config  Config
		address string
		refused bool
	}{
		{Config{}, "https://app.example/", false}, {Config{}, "https://8.8.8.8/", false}, {Config{}, "http://app.example/", true},
		{Config{}, "https://127.0.0.1/", true}, {Config{}, "https://[::ffff:127.0.0.1]/", true}, {Config{}, "https://[fe80::1%25lo]/", true},
		{Config{}, "https://user@app.example/", true}, {Config{}, "https:///path", true}, {Config{}, "%", true}, {Config{}, "", true},
		{loopback, "http://127.0.0.1/", false}, {loopback, "http://localhost/", false}, {loopback, "https://10.0.0.1/", true},
	} {
		if err := c.config.Refuses(c.address); errors.Is(err, ErrRefused) != c.refused {
			t.Errorf("%q, %v allowed: got %v, want refused %t", c.address, c.config.Allow, err, c.refused)
		}
	}
}

func TestClient_certificate_of_nobody_is_refused_inside_an_allowed_range(t *testing.T) {
	inside := httptest.NewUnstartedServer(http.NotFoundHandler())
	inside.Config.ErrorLog = quiet()
	inside.StartTLS()
	defer inside.Close()
	at := netip.MustParseAddrPort(inside.Listener.Addr().String())
	client := New(Config{Allow: []netip.Prefix{netip.PrefixFrom(at.Addr(), 32)}, Ports: []uint16{at.Port()}})
	if err := get(client, inside.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("get: got %v, want a complaint about its certificate", err)
	}
}

func TestClient_redirect_is_an_error(t *testing.T) {
	var asked atomic.Int64
	var inside *httptest.Server
	inside = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		status := http.StatusFound
		fmt.Sscan(r.URL.Query().Get("status"), &status)
		to := r.URL.Query().Get("to")
		if to == "" {
			to = inside.URL + "/again"
		}
		http.Redirect(w, r, to, status)
	}))
	defer inside.Close()
	at := netip.MustParseAddrPort(inside.Listener.Addr().String())
	client := New(Config{Allow: []netip.Prefix{netip.PrefixFrom(at.Addr(), 32)}, Ports: []uint16{at.Port()}})
	defer client.CloseIdleConnections()
	want := int64(0)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{"", "http://169.254.169.254/", "file:///etc/passwd", "https://public.example/"} {
			err := get(client, fmt.Sprintf("%s/?status=%d&to=%s", inside.URL, status, url.QueryEscape(to)))
			if want++; !errors.Is(err, ErrRefused) {
				t.Errorf("%d to %q: got %v, want %v", status, to, err, ErrRefused)
			}
		}
	}
	if got := asked.Load(); got != want {
		t.Errorf("requests: got %d, want %d: none was followed", got, want)
	}
}

func TestClient_environment_names_no_proxy(t *testing.T) {
	tr := newTrap(t)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:"+tr.port)
	}
	client := New(Config{Resolver: (&names{}).resolver(t)})
	if err := get(client, "https://push.example./"); !errors.Is(err, ErrRefused) {
		t.Errorf("get: got %v, want %v", err, ErrRefused)
	}
	if got := tr.touched.Load(); got != 0 {
		t.Errorf("connections to the proxy: got %d, want 0", got)
	}
}

func TestClient_silence_ends_in_time(t *testing.T) {
	left := make(chan struct{})
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" { // answers, and never comes to an end
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
		}
		select {
		case <-r.Context().Done():
		case <-left:
		}
	}))
	defer inside.Close()
	defer close(left)
	at := netip.MustParseAddrPort(inside.Listener.Addr().String())
	client := New(Config{
		Allow: []netip.Prefix{netip.PrefixFrom(at.Addr(), 32)}, Ports: []uint16{at.Port()}, Timeout: 50 * time.Millisecond,
	})
	for _, path := range []string{"/silent", "/slow"} {
		if err := Reason(get(client, inside.URL+path)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("get %s: got %v, want %v", path, err, context.DeadlineExceeded)
		}
	}
}

func TestReason_says_nothing_of_the_address(t *testing.T) {
	const secret = "subscription-4711"
	tr := newTrap(t)
	inside := New(Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Ports: []uint16{1, tr.number()}})
	for _, address := range []string{
		"http://127.0.0.1:1/" + secret, "http://127.0.0.1:" + tr.port + "/" + secret, "https://10.0.0.1/" + secret, "file:///" + secret,
	} {
		err := get(inside, address)
		if err == nil || !strings.Contains(err.Error(), secret) {
			t.Fatalf("get: got %v, want an error of http.Client's", err)
		}
		if got := Reason(err); got == nil || strings.Contains(got.Error(), secret) {
			t.Errorf("reason: got %v, want one without %s", got, secret)
		}
	}
}

func get(client *http.Client, address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	reply, err := client.Do(r)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(reply.Body, 1<<10))
	return err
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
