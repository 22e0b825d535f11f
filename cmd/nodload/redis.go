package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// redisServer is one Redis, spoken to without a client library (RESP 2), so that
// what a round trip takes is Redis's and the kernel's.
type redisServer struct {
	conn net.Conn
	in   *bufio.Reader
}

// dialRedis takes redis://[user:password@]host:port[/db] on a loopback address.
func dialRedis(ctx context.Context, raw string) (*redisServer, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "redis" || u.Host == "" {
		return nil, errors.New("--redis-url: write redis://[user:password@]host:port")
	}
	if err := loopback("--redis-url", u.Hostname()); err != nil {
		return nil, err
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "6379")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("dial redis: %w", err)
	}
	r := &redisServer{conn, bufio.NewReader(conn)}
	if password, ok := u.User.Password(); ok {
		words := []string{"AUTH", password}
		if name := u.User.Username(); name != "" {
			words = []string{"AUTH", name, password}
		}
		if _, err := r.do(words...); err != nil {
			return nil, errors.Join(fmt.Errorf("redis: %w", err), conn.Close())
		}
	}
	return r, nil
}

func (r *redisServer) close() { _ = r.conn.Close() }

// do sends one command and reads its answer, which must be one line or one text.
func (r *redisServer) do(words ...string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := io.WriteString(r.conn, b.String()); err != nil {
		return "", err
	}
	line, err := r.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return "", errors.New("an empty answer")
	}
	switch rest := line[1:]; line[0] {
	case '+', ':':
		return rest, nil
	case '-':
		return "", errors.New(rest)
	case '$':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return "", err
		}
		text := make([]byte, n+2)
		_, err = io.ReadFull(r.in, text)
		return string(text[:n]), err
	default:
		return "", fmt.Errorf("an answer of another kind: %q", line)
	}
}

// evalsha times a script that reads one key that is not there.
func (r *redisServer) evalsha(samples int) ([]time.Duration, error) {
	sha, err := r.do("SCRIPT", "LOAD", "return redis.call('EXISTS', KEYS[1])")
	if err != nil {
		return nil, fmt.Errorf("load script: %w", err)
	}
	out := make([]time.Duration, 0, samples)
	for range samples {
		began := time.Now()
		if _, err := r.do("EVALSHA", sha, "1", "nodload:none"); err != nil {
			return nil, fmt.Errorf("run script: %w", err)
		}
		out = append(out, time.Since(began))
	}
	return out, nil
}

// cpu is the processor time Redis has used, as it tells itself.
func (r *redisServer) cpu() (time.Duration, error) {
	info, err := r.do("INFO", "cpu")
	if err != nil {
		return 0, fmt.Errorf("read redis's processor time: %w", err)
	}
	var seconds float64
	for line := range strings.Lines(info) {
		for _, name := range []string{"used_cpu_sys:", "used_cpu_user:"} {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), name); ok {
				one, err := strconv.ParseFloat(value, 64)
				if err != nil {
					return 0, err
				}
				seconds += one
			}
		}
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
