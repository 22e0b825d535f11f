package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// floors measures what a wake is compared with, in the same run: what the machine
// takes for less.
func (t *target) floors(ctx context.Context, r *report, samples int) error {
	echo, err := loopbackTrip(ctx, samples)
	if err != nil {
		return err
	}
	r.quantiles("TCP round trip over loopback, 64 bytes", echo)
	page, err := t.roundTrip(ctx, samples)
	if err != nil {
		return err
	}
	r.quantiles("HTTP round trip (/livez)", page)
	if t.redis != nil {
		script, err := t.redis.evalsha(samples)
		if err != nil {
			return err
		}
		r.quantiles("EVALSHA round trip to Redis", script)
	}
	synced, err := syncs(min(samples, maxSyncs))
	if err != nil {
		return err
	}
	r.quantiles("write and fsync of 4 KiB, temporary folder", synced)
	return nil
}

// maxSyncs bounds what a slow disk is asked for.
const maxSyncs = 200

// loopbackTrip times a connection of this process to itself.
func loopbackTrip(ctx context.Context, samples int) (out []time.Duration, err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	echoed := make(chan error, 1)
	go func() { // ends with the connection or the listener
		conn, err := l.Accept()
		if err == nil {
			_, err = io.Copy(struct{ io.Writer }{conn}, struct{ io.Reader }{conn}) // without splice(2)
			err = errors.Join(err, conn.Close())
		}
		echoed <- err
	}()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, conn.Close(), <-echoed)
	}()
	message := make([]byte, 64)
	for range samples {
		began := time.Now()
		if _, err := conn.Write(message); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(conn, message); err != nil {
			return nil, err
		}
		out = append(out, time.Since(began))
	}
	return out, nil
}

// roundTrip times the cheapest answer a node has.
func (t *target) roundTrip(ctx context.Context, samples int) ([]time.Duration, error) {
	out := make([]time.Duration, 0, samples)
	for range samples {
		began := time.Now()
		if _, err := t.get(ctx, t.nodes[0].url+"/livez"); err != nil {
			return nil, err
		}
		out = append(out, time.Since(began))
	}
	return out, nil
}

// syncs times what every durable commit does at least once.
func syncs(samples int) (out []time.Duration, err error) {
	f, err := os.CreateTemp("", temporary)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	page := make([]byte, 4<<10)
	for range samples {
		began := time.Now()
		if _, err := f.Write(page); err != nil {
			return nil, fmt.Errorf("write: %w", err)
		}
		if err := f.Sync(); err != nil {
			return nil, fmt.Errorf("fsync: %w", err)
		}
		out = append(out, time.Since(began))
	}
	return out, nil
}
