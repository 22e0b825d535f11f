package egress

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// names is a DNS server on loopback that says what a test wants, each name's
// answers one after the other and the last one for ever. Names it was told nothing
// about are loopback's: what an attacker would answer.
type names struct {
	mu      sync.Mutex
	answers map[string][]netip.Addr
}

// resolver starts the server and asks nobody else.
func (n *names) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { n.serve(socket) })
	t.Cleanup(func() {
		socket.Close()
		serving.Wait()
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
}

func (n *names) serve(socket net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		size, from, err := socket.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:size]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.Authoritative, m.Additionals = true, true, nil
		m.Answers = n.answer(m.Questions[0])
		if reply, err := m.Pack(); err == nil {
			socket.WriteTo(reply, from)
		}
	}
}

func (n *names) answer(q dnsmessage.Question) []dnsmessage.Resource {
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class} // TTL 0
	switch q.Type {
	case dnsmessage.TypeA:
		return []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: n.next(q.Name.String()).As4()}}}
	case dnsmessage.TypeAAAA:
		if n.known(q.Name.String()) {
			return nil
		}
		return []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AAAAResource{AAAA: netip.IPv6Loopback().As16()}}}
	}
	return nil
}

func (n *names) next(name string) netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	name = strings.TrimSuffix(name, ".")
	left := n.answers[name]
	if len(left) == 0 {
		return netip.MustParseAddr("127.0.0.1")
	}
	if len(left) > 1 {
		n.answers[name] = left[1:]
	}
	return left[0]
}

func (n *names) known(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.answers[strings.TrimSuffix(name, ".")]) > 0
}
