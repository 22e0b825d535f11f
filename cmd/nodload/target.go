package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval/testservers"
)

// targetFlags name what is measured; all empty means: one node of our own on a
// file.
type targetFlags struct {
	// A running server.
	url, clientID, keyFile, username, metrics string
	pid                                       int
	// Nodes of our own.
	nodes           int
	start           bool
	database, redis string
	profile         string // folder

	countStatements bool // set by the measurement that needs it
}

// target is the nodes under load and what is needed to use them.
type target struct {
	nodes       []*node
	clientID    string
	key         token.PrivateKey
	user, other string // the same on a server that is not ours

	postgres *postgresServer // nil on a file
	redis    *redisServer    // nil without
	http     *http.Client
	ends     host
}

// temporary begins the names of our folders.
const temporary = "nodload-"

func (f targetFlags) check() error {
	switch {
	case f.url != "" && (f.nodes > 1 || f.start || f.database != "" || f.redis != "" || f.profile != ""):
		return errors.New("--url measures a server as it runs; --nodes, --start, --database-url, --redis-url and --profile are for nodes that nodload starts")
	case f.start && (f.database != "" || f.redis != ""):
		return errors.New("--start starts PostgreSQL and Redis; leave out --database-url and --redis-url, or leave out --start")
	case f.redis != "" && f.database == "":
		return errors.New("--redis-url: a file serves one node only; give --database-url, too")
	case f.nodes < 1 || f.nodes > maxNodes:
		return fmt.Errorf("%d nodes: choose 1 to %d", f.nodes, maxNodes)
	case f.nodes > 1 && !f.start && f.redis == "":
		return errors.New("several nodes share PostgreSQL and Redis; give --start, or --database-url and --redis-url")
	}
	return nil
}

// maxNodes keeps a run within one machine.
const maxNodes = 9

// open starts what is to be started. The caller closes the target.
func (f targetFlags) open(ctx context.Context) (_ *target, err error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	t := &target{http: newClient(), user: user, other: other}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	if f.url != "" {
		return t, t.use(f)
	}
	if f.start {
		if f.database, f.redis, err = t.startServers(f.countStatements); err != nil {
			return nil, err
		}
	}
	if f.database != "" {
		if t.postgres, err = dialPostgres(ctx, f.database); err != nil {
			return nil, err
		}
		t.ends.Cleanup(t.postgres.close)
	}
	if f.redis != "" {
		if t.redis, err = dialRedis(ctx, f.redis); err != nil {
			return nil, err
		}
		t.ends.Cleanup(t.redis.close)
	}
	return t, t.startNodes(ctx, f)
}

// use is a server that runs already.
func (t *target) use(f targetFlags) error {
	u, err := url.Parse(f.url)
	if err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	if err := loopback("--url", u.Hostname()); err != nil {
		return err
	}
	pem, err := os.ReadFile(f.keyFile)
	if err != nil {
		return fmt.Errorf("read --key: %w", err)
	}
	if t.key, err = token.ParsePrivateKey(pem); err != nil {
		return fmt.Errorf("read --key: %w", err)
	}
	t.clientID, t.user, t.other = f.clientID, f.username, f.username
	t.nodes = []*node{{url: f.url, metrics: f.metrics, pid: f.pid}}
	return nil
}

// startServers starts real ones in temporary folders, PostgreSQL with fsync on.
func (t *target) startServers(countStatements bool) (database, redis string, err error) {
	var settings []string
	if countStatements {
		settings = append(settings, "shared_preload_libraries=pg_stat_statements")
	}
	err = t.ends.try(func() {
		p := testservers.StartPostgres(&t.ends, settings...)
		t.ends.Cleanup(p.Stop)
		r := testservers.StartRedis(&t.ends)
		t.ends.Cleanup(r.Stop)
		database, redis = p.Fresh(), r.URL()
	})
	return database, redis, err
}

// startNodes starts them one after the other: the first makes the schema and whom
// the load is for.
func (t *target) startNodes(ctx context.Context, f targetFlags) (err error) {
	var folder string
	if err := t.ends.try(func() { folder = t.ends.TempDir() }); err != nil {
		return err
	}
	o := order{Furnish: true}
	if t.postgres != nil {
		o.Database, o.Redis, o.MasterKey = t.postgres.url, f.redis, filepath.Join(folder, "master.key")
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		if err := os.WriteFile(o.MasterKey, []byte(base64.StdEncoding.EncodeToString(secret)), 0o600); err != nil {
			return err
		}
	}
	for i := range f.nodes {
		o.Data = filepath.Join(folder, fmt.Sprint(i))
		if f.profile != "" {
			o.Profile = filepath.Join(f.profile, fmt.Sprintf("node%d.prof", i))
		}
		n, h, err := startNode(ctx, o)
		if err != nil {
			return err
		}
		t.ends.Cleanup(n.end)
		t.nodes = append(t.nodes, n)
		if o.Furnish {
			o.Furnish, t.clientID = false, h.ClientID
			if t.key, err = token.ParsePrivateKey([]byte(h.Key)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *target) close() {
	t.http.CloseIdleConnections()
	t.ends.end()
}

// node is the i-th, counted round and round.
func (t *target) node(i int) *node { return t.nodes[i%len(t.nodes)] }

// loopback refuses to load anything but this machine.
func loopback(flag, host string) error {
	if host == "localhost" {
		return nil
	}
	if a, err := netip.ParseAddr(host); err == nil && a.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s %s: load goes to loopback addresses only (localhost, 127.0.0.1, [::1])", flag, host)
}

func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 256, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
	}}
}
