// Package egress is how nod calls out: one HTTP client for every address that
// somebody else chose, a push subscription's endpoint, a webhook, a callback.
// Such an address may be made to lead back into the operator's own network
// (server-side request forgery), so the client guarantees, whatever URL it is
// given:
//
//   - It talks to public addresses alone. What is judged is the address that the
//     socket is about to be connected to, after every resolution, so that neither
//     a spelling (decimal, octal, IPv4-mapped) nor a name that changes its answer
//     (DNS rebinding) gets around it. Refused are loopback, private, carrier-grade
//     NAT, link-local, multicast, unspecified, documentation and every other range
//     that IANA keeps for special purposes, and for IPv6 everything outside
//     2000::/3, NAT64 with it, and 6to4 and Teredo inside it.
//   - It dials the ports named in Config alone; any, where Config says that the
//     addresses are the operator's own choice.
//   - It speaks https, with certificates verified. Plain http is refused before
//     anything is dialled unless the operator allowed address ranges, and then
//     connects inside those ranges alone: a sealed envelope may travel anywhere, an
//     open one only at home.
//   - It follows no redirect: one is an error. It asks no proxy, whatever the
//     environment says, and sends no password that a URL carries.
//   - Every exchange ends in time.
//
// The ranges in Config.Allow are the operator's, never an API caller's. Whoever
// allows a NAT64 prefix trusts the gateway behind it to judge what is embedded.
//
// Bodies of replies are as long as the other side makes them: callers bound what
// they read. They are never unpacked, so a bound in bytes is one.
package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// ErrRefused is what an exchange ends with that the guard does not allow. Trying
// again is pointless until somebody changes something.
var ErrRefused = errors.New("refused by nod's egress guard")

const (
	// defaultTimeout is for a whole exchange, from dialling to the body's last byte.
	defaultTimeout = 10 * time.Second
	// dialTimeout and tlsTimeout leave the half of it for the answer.
	dialTimeout = 3 * time.Second
	tlsTimeout  = 3 * time.Second
	// idleTimeout keeps a connection for the next prompt; most providers keep theirs
	// for a minute or longer.
	idleTimeout = 90 * time.Second
	// A connection that a firewall forgot would swallow the next prompt until its
	// time-out: on HTTP/2 it is asked for a sign of life after pingAfter and given
	// up pingWait later.
	pingAfter = 15 * time.Second
	pingWait  = 5 * time.Second
	// maxHeader bounds a reply's headers, bytes; Go's own limit is 10 MB.
	maxHeader = 64 << 10
	// idlePerHost: prompts come in bursts to a few providers.
	idlePerHost = 16
)

// Config is what an operator decides. The zero value reaches public https
// services on port 443.
type Config struct {
	Allow    []netip.Prefix // ranges reached although they are not public, also over http
	Ports    []uint16       // that may be dialled; none: 443
	AnyPort  bool           // for addresses that an operator registered, port and all
	Timeout  time.Duration  // of a whole exchange, the body included; 0: 10 s
	Resolver *net.Resolver  // nil: the system's
}

// New makes a client. It starts nothing; CloseIdleConnections ends what it keeps.
// Its transport guards by itself and may be wrapped by another client.
func New(c Config) *http.Client {
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if len(c.Ports) == 0 {
		c.Ports = []uint16{443}
	}
	g := &guard{secure: c.transport(c.options())}
	if len(c.Allow) > 0 {
		g.plain = c.transport(append(c.options(),
			ssrf.WithDeniedV4Prefixes(netip.PrefixFrom(netip.IPv4Unspecified(), 0)),
			ssrf.WithDeniedV6Prefixes(netip.PrefixFrom(netip.IPv6Unspecified(), 0))))
	}
	return &http.Client{Transport: g, Timeout: c.Timeout}
}

// options sorts the allowed ranges by family: the judge looks at one list each.
func (c Config) options() []ssrf.Option {
	var v4, v6 []netip.Prefix
	for _, p := range c.Allow {
		switch p = unmapped(p); {
		case p.Addr().Is4():
			v4 = append(v4, p)
		case p.IsValid():
			v6 = append(v6, p)
		}
	}
	ports := ssrf.WithPorts(c.Ports...)
	if c.AnyPort {
		ports = ssrf.WithAnyPort()
	}
	return []ssrf.Option{ports, ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...)}
}

// unmapped writes ::ffff:10.0.0.0/104 as 10.0.0.0/8, which is how the socket
// will see it.
func unmapped(p netip.Prefix) netip.Prefix {
	const mapped = 96 // bits before the IPv4 address, RFC 4291 section 2.5.5.2
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p
}

func (c Config) transport(judge []ssrf.Option) *http.Transport {
	guardian := ssrf.New(judge...)
	dialer := &net.Dialer{
		Timeout:  dialTimeout,
		Resolver: c.Resolver,
		Control: func(network, address string, conn syscall.RawConn) error {
			if err := guardian.Safe(network, address, conn); err != nil {
				return fmt.Errorf("%w: %w", ErrRefused, err)
			}
			return nil
		},
	}
	return &http.Transport{
		Proxy:                  nil, // in words: the environment names none
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    tlsTimeout,
		ResponseHeaderTimeout:  c.Timeout,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    idlePerHost,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true, // a dialer of our own would turn it off
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingWait},
	}
}

// guard judges what can be judged before dialling and after the answer; what lies
// between is the dialer's.
type guard struct {
	secure *http.Transport
	plain  *http.Transport // nil: none is spoken
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	by, err := g.choose(r.URL)
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	reply, err := by.RoundTrip(r)
	if err == nil && redirects(reply.StatusCode) {
		reply.Body.Close()
		return nil, fmt.Errorf("%w: it answered %d, a redirect", ErrRefused, reply.StatusCode)
	}
	return reply, err
}

func (g *guard) choose(u *url.URL) (*http.Transport, error) {
	if err := spoken(u, g.plain != nil); err != nil {
		return nil, err
	}
	if u.Scheme == "http" {
		return g.plain, nil
	}
	return g.secure, nil
}

// spoken judges what a URL says by itself; plain: http may be spoken somewhere.
func spoken(u *url.URL, plain bool) error {
	switch {
	case u.Hostname() == "":
		return fmt.Errorf("%w: the address names no host", ErrRefused)
	case u.User != nil:
		return fmt.Errorf("%w: the address carries a user or password", ErrRefused)
	case u.Scheme == "https", u.Scheme == "http" && plain:
		return nil
	default:
		return fmt.Errorf("%w: only https is spoken", ErrRefused)
	}
}

// Refuses says why no exchange with the URL would come about, as far as that can
// be known before dialling, so that whoever registers it learns of it: it asks no
// resolver, and what a name leads to is judged at every exchange anyway.
func (c Config) Refuses(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("%w: it is not a URL", ErrRefused)
	}
	if err := spoken(u, len(c.Allow) > 0); err != nil {
		return err
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return nil //nolint:nilerr // a name
	}
	if err := ssrf.New(c.options()...).SafeAddr(ip.Unmap()); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

// redirects lists what http.Client would follow.
func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// CloseIdleConnections is what http.Client's method of that name calls.
func (g *guard) CloseIdleConnections() {
	g.secure.CloseIdleConnections()
	if g.plain != nil {
		g.plain.CloseIdleConnections()
	}
}

// Reason is why an exchange did not come about, without the URL: the errors of an
// http.Client quote it whole, and who knows a push endpoint may write to it.
func Reason(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Err != nil {
		err = e.Err // without both ends of the connection
	}
	return err
}
