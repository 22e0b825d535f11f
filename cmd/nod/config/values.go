package config

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

type duration = time.Duration

const (
	second = time.Second
	hour   = time.Hour
)

const localhost = "localhost"

func trustedProxies(c *Config) *[]netip.Prefix { return &c.TrustedProxies }

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

func level(c *Config) *slog.Level { return &c.LogLevel }

func anything(text string) (string, error) { return text, nil }

func required(text string) (string, error) {
	if text == "" {
		return "", errors.New("must not be empty")
	}
	return text, nil
}

// optional lets an empty text through.
func optional(read func(string) (string, error)) func(string) (string, error) {
	return func(text string) (string, error) {
		if text == "" {
			return "", nil
		}
		return read(text)
	}
}

// address reads host:port, where the host may be missing.
func address(text string) (string, error) {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", fmt.Errorf("%q is not host:port; write it like 127.0.0.1:8080, or :8080 for all addresses", text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return "", fmt.Errorf("%q has no port between 0 and 65535", text)
	}
	return text, nil
}

// publicURL reads the URL under which the world sees nod, and writes it the way
// a browser writes an origin.
func publicURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("%q is not a web address; write it like https://nod.example.com", text)
	}
	if u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q has more than a host and a port; nod needs a host of its own, as https://%s", text, u.Host)
	}
	host, err := domain(u.Hostname())
	if err != nil {
		return "", err
	}
	if u.Scheme == "http" && host != localhost {
		return "", fmt.Errorf("%q is not encrypted and browsers offer no passkeys there; use https, or http only with localhost", text)
	}
	if port := u.Port(); port != "" && port != map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		host += ":" + port
	}
	return u.Scheme + "://" + host, nil
}

// domain reads a host name that passkeys can belong to.
func domain(text string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(text, "."))
	if _, err := netip.ParseAddr(name); err == nil {
		return "", fmt.Errorf("%q is an IP address, and passkeys need a name; use a domain, or localhost to try nod out", text)
	}
	for _, r := range name {
		if r > 127 {
			return "", fmt.Errorf("%q is not written in ASCII; use its xn-- form", text)
		}
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-.", r) {
			return "", fmt.Errorf("%q is not a domain; write it like nod.example.com", text)
		}
	}
	if name != localhost && !strings.Contains(strings.Trim(name, "."), ".") {
		return "", fmt.Errorf("%q has a single part, and passkeys need a full domain; write it like nod.example.com", text)
	}
	return name, nil
}

// checkRPID says whether passkeys of the domain rpID may be used on host:
// browsers want the host itself or a parent that somebody can register (WebAuthn
// L3 section 5.1.3, "is a registrable domain suffix of or is equal to").
func checkRPID(rpID, host string) error {
	if rpID == host {
		return nil
	}
	if !strings.HasSuffix(host, "."+rpID) {
		return fmt.Errorf("%q is neither the public URL's host (%s) nor a parent of it; leave it out, or use that", rpID, host)
	}
	if _, err := publicsuffix.EffectiveTLDPlusOne(rpID); err != nil {
		return fmt.Errorf("%q is a domain under which anybody can register; use %s or leave it out", rpID, host)
	}
	return nil
}

// list reads what commas separate.
func list(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// networks reads addresses and networks; tooWide ends the sentence about one
// that is every address.
func networks(tooWide string) func(string) ([]netip.Prefix, error) {
	return func(text string) ([]netip.Prefix, error) {
		var out []netip.Prefix
		for _, part := range list(text) {
			p, err := netip.ParsePrefix(part)
			if a, e := netip.ParseAddr(part); e == nil {
				p, err = netip.PrefixFrom(a, a.BitLen()), nil
			}
			if err != nil {
				return nil, fmt.Errorf("%q is neither an address nor a network; write it like 10.0.0.7 or 10.0.0.0/8", part)
			}
			if p.Bits() == 0 {
				return nil, fmt.Errorf("%q %s", part, tooWide)
			}
			out = append(out, p.Masked())
		}
		return out, nil
	}
}

// span reads a duration between two bounds.
func span(least, most time.Duration) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration; write it like 90s or 2m", text)
		}
		if d < least || d > most {
			return 0, fmt.Errorf("%s is out of bounds; use something from %s to %s", text, readable(least), readable(most))
		}
		return d, nil
	}
}

// readable writes 2m as 2m and not as 2m0s.
func readable(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// number reads a count of at least least.
func number(least int) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("%q is not a whole number", text)
		}
		if n < least {
			return 0, fmt.Errorf("%d is too small; use %d or more", n, least)
		}
		return n, nil
	}
}

// oneOf reads one of a few words.
func oneOf[T any](words map[string]T) func(string) (T, error) {
	return func(text string) (T, error) {
		v, known := words[strings.ToLower(text)]
		if known {
			return v, nil
		}
		all := slices.Sorted(maps.Keys(words))
		if near := Nearest(text, all); near != "" {
			return v, fmt.Errorf("%q is not known; did you mean %q?", text, near)
		}
		return v, fmt.Errorf("%q is not known; use one of %s", text, strings.Join(all, ", "))
	}
}
