package push

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// DefaultServices are the push services of the browsers in common use, as their
// makers document them. jmt17.google.com is where Chromium subscribes when it was
// built without Google's API keys, as Linux distributions build it.
var DefaultServices = []string{
	"fcm.googleapis.com",          // Chrome, Brave, Opera, Samsung Internet, Edge on Android
	"jmt17.google.com",            // Chromium
	"*.push.services.mozilla.com", // Firefox
	"*.push.apple.com",            // Safari, and every browser on iOS
	"*.notify.windows.com",        // Edge on Windows
}

// defaultEntry stands for all of DefaultServices in a list.
const defaultEntry = "default"

// Services says which Web Push services phones may name as theirs. Without it,
// whoever registers a phone could have this server send requests to any address.
// The zero Services allows nothing.
type Services struct{ rules []serviceRule }

// serviceRule allows one origin, or with wildcard the origins below one host.
type serviceRule struct {
	origin
	wildcard bool
}

// ParseServices reads an allow-list. An entry is one of
//
//	push.example.org          https on port 443
//	push.example.org:8443     https on that port
//	*.example.org             any name below example.org, not example.org itself
//	http://192.168.1.5:2586   exactly that origin: the one way to allow http or an address
//	default                   everything in DefaultServices
//
// An empty list is DefaultServices. The error names every entry at fault.
func ParseServices(entries []string) (Services, error) {
	if len(entries) == 0 {
		entries = DefaultServices
	}
	var s Services
	var faults []error
	for _, entry := range expandDefault(entries) {
		rule, err := parseServiceRule(strings.ToLower(strings.TrimSpace(entry)))
		if err != nil {
			faults = append(faults, fmt.Errorf("parse push service %q: %w", entry, err))
			continue
		}
		s.rules = append(s.rules, rule)
	}
	if err := errors.Join(faults...); err != nil {
		return Services{}, err
	}
	return s, nil
}

func expandDefault(entries []string) []string {
	var out []string
	for _, entry := range entries {
		if strings.TrimSpace(entry) == defaultEntry {
			out = append(out, DefaultServices...)
			continue
		}
		out = append(out, entry)
	}
	return out
}

func parseServiceRule(entry string) (serviceRule, error) {
	if scheme, authority, ok := strings.Cut(entry, "://"); ok {
		o, err := parseOrigin(scheme, strings.TrimSuffix(authority, "/"))
		return serviceRule{origin: o}, err
	}
	authority, wildcard := strings.CutPrefix(entry, "*.")
	o, err := parseOrigin("https", authority)
	switch {
	case err != nil:
		return serviceRule{}, err
	case o.isAddress():
		return serviceRule{}, errors.New("an IP address must be written as an origin, such as https://192.0.2.1")
	case wildcard && !strings.Contains(o.host, "."):
		return serviceRule{}, errors.New("a wildcard must stand before two labels at least: below one is half of the Internet")
	}
	return serviceRule{origin: o, wildcard: wildcard}, nil
}

// Allow returns nil when a phone may be reached at endpoint, or else an
// *approval.InvalidError on the field "endpoint" that says what is wrong with it.
// It judges the parsed host; what the name resolves to is the dialer's business.
func (s Services) Allow(endpoint string) error {
	e, err := parseEndpoint(endpoint)
	if err != nil {
		return err
	}
	for _, rule := range s.rules {
		if rule.allows(e.origin) {
			return nil
		}
	}
	if e.scheme != "https" {
		return badEndpoint("must be an https address")
	}
	return badEndpoint("must belong to a push service that this server sends to, and " + e.authority() + " is none")
}

func (r serviceRule) allows(o origin) bool {
	if r.scheme != o.scheme || r.port != o.port {
		return false
	}
	if r.wildcard {
		return strings.HasSuffix(o.host, "."+r.host)
	}
	return r.host == o.host
}

// Ports are the ports that allowed services listen on, 443 always among them,
// ascending: what a guarded dialer has to let through.
func (s Services) Ports() []uint16 {
	ports := []uint16{443}
	for _, rule := range s.rules {
		ports = append(ports, rule.port)
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// origin is a scheme, a host in lower case (a name, or an address without
// brackets) and a port (RFC 6454).
type origin struct {
	scheme, host string
	port         uint16
}

var defaultPorts = map[string]uint16{"http": 80, "https": 443}

// parseOrigin accepts only what every parser of URLs reads in the same way.
func parseOrigin(scheme, authority string) (origin, error) {
	port, known := defaultPorts[scheme]
	if !known {
		return origin{}, errors.New("the scheme must be https")
	}
	host, rest, err := cutHost(authority)
	if err != nil {
		return origin{}, err
	}
	if rest != "" {
		if port, err = parsePort(strings.TrimPrefix(rest, ":")); err != nil {
			return origin{}, err
		}
	}
	return origin{scheme: scheme, host: host, port: port}, nil
}

// cutHost splits an authority into its host, checked, and what follows it: a
// colon and a port, or nothing.
func cutHost(authority string) (host, rest string, err error) {
	if inside, ok := strings.CutPrefix(authority, "["); ok {
		host, rest, _ = strings.Cut(inside, "]")
		addr, err := netip.ParseAddr(host)
		if err != nil || !addr.Is6() || addr.Zone() != "" || (rest != "" && rest[0] != ':') {
			return "", "", errors.New("the brackets must hold an IPv6 address")
		}
		return addr.String(), rest, nil
	}
	if i := strings.IndexByte(authority, ':'); i >= 0 {
		authority, rest = authority[:i], authority[i:]
	}
	host = strings.ToLower(authority)
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String(), rest, nil
	}
	return host, rest, checkHostname(host)
}

func parsePort(text string) (uint16, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 || text[0] == '0' || text[0] == '+' {
		return 0, errors.New("the port must be a number from 1 to 65535")
	}
	return uint16(port), nil
}

// checkHostname wants letters, digits and hyphens in labels of at most 63 bytes,
// at most 253 in all (RFC 1123 section 2.1), and a last label that no parser
// takes for part of an IPv4 address (WHATWG URL, "ends in a number").
func checkHostname(host string) error {
	if host == "" {
		return errors.New("the host must not be empty")
	}
	if len(host) > 253 {
		return errors.New("the host must not be longer than 253 bytes")
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if !validLabel(label) {
			return errors.New("the host must be a plain name of letters, digits, hyphens and single dots")
		}
	}
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		return errors.New("the host must not end in a number")
	}
	return nil
}

func validLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for _, c := range []byte(label) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

func (o origin) isAddress() bool {
	_, err := netip.ParseAddr(o.host)
	return err == nil
}

// authority is host and port as they stand in a URL, without a default port.
func (o origin) authority() string {
	host := o.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if o.port == defaultPorts[o.scheme] {
		return host
	}
	return host + ":" + strconv.Itoa(int(o.port))
}

func (o origin) String() string { return o.scheme + "://" + o.authority() }
