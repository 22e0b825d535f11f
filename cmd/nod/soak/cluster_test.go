package soak

import (
	crand "crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nod-auth/nod/approval/testservers"
)

// soaking says whether the long forms were asked for: NOD_SOAK=1, or a duration for
// those that go on for as long as one wants.
var soaking = os.Getenv("NOD_SOAK") != ""

func soakFor(otherwise time.Duration) time.Duration {
	if d, err := time.ParseDuration(os.Getenv("NOD_SOAK")); err == nil {
		return d
	}
	return otherwise
}

// workspace holds what all tests share: the binary.
var workspace string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "nod-soak-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make workspace:", err)
		os.Exit(1)
	}
	workspace = dir
	goleak.VerifyTestMain(m,
		// toxiproxy's own: a toxic that was taken out of a link while it sent is never read again.
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
		goleak.Cleanup(func(code int) {
			_ = os.RemoveAll(dir)
			os.Exit(code)
		}))
}

// clockOverlay is laid over package main, so that a node's wall clock can be set
// while it runs (testdata/clock).
var clockOverlay = map[string]string{"zz_clock.go": "clock.go.txt", "zz_clock.s": "clock.s.txt"}

// clocksMove says whether that works on this machine.
const clocksMove = runtime.GOOS == "linux" && runtime.GOARCH == "amd64"

var buildBinary = sync.OnceValues(func() (string, error) {
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		return "", err
	}
	if err := declareInputs(root); err != nil {
		return "", err
	}
	replace := make(map[string]string)
	for over, from := range clockOverlay {
		replace[filepath.Join(root, "cmd", "nod", over)] = filepath.Join(root, "cmd", "nod", "soak", "testdata", "clock", from)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list, path := filepath.Join(workspace, "overlay.json"), filepath.Join(workspace, "nod")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-overlay", list, "-o", path, "./cmd/nod")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build nod: %w\n%s", err, output)
	}
	return path, nil
})

// declareInputs opens every folder of the module. What the test process itself has
// opened is all that the go command compares before it takes a result from its
// cache, and here another process reads the sources.
func declareInputs(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != root && (entry.Name()[0] == '.' || entry.Name() == "node_modules") {
			return fs.SkipDir
		}
		return err
	})
}

// plan is what a cluster is made of.
type plan struct {
	nodes   int
	lonely  bool     // without Redis
	file    string   // SQLite's, in place of servers; "": none
	proxied bool     // with toxiproxy between nodes and PostgreSQL, and clients and nodes
	flags   []string // of every node
}

// cluster is nodes on one PostgreSQL and one Redis.
type cluster struct {
	t      *testing.T
	plan   plan
	binary string
	pg     *testservers.Postgres // nil for a file
	redis  *testservers.Redis    // nil when lonely
	store  string                // where the truth is
	key    string                // file of the master key
	lines  *lines                // of toxiproxy; nil unless proxied
	nodes  []*node
	api    *api
	db     *sql.DB // see database
}

// patience is how long anything may take that is not what a test measures.
const patience = 30 * time.Second

// startCluster starts everything and waits until every node is ready. It ends with
// the test, whose failure shows the nodes' logs.
func startCluster(t *testing.T, p plan) *cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes; -short")
	}
	c := &cluster{t: t, plan: p, store: "sqlite:" + p.file}
	if p.file == "" {
		c.pg = testservers.StartPostgres(t)
		c.store = c.pg.Fresh()
	}
	if p.file == "" && !p.lonely {
		c.redis = testservers.StartRedis(t)
	}
	var err error
	if c.binary, err = buildBinary(); err != nil {
		t.Fatal(err)
	}
	c.key = filepath.Join(t.TempDir(), "master.key")
	secret := make([]byte, 32)
	_, _ = crand.Read(secret) // never fails
	if err := os.WriteFile(c.key, []byte(base64.StdEncoding.EncodeToString(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	if p.proxied {
		c.lines = newLines(t)
	}
	for i := range p.nodes {
		c.nodes = append(c.nodes, c.newNode(i))
	}
	var starting sync.WaitGroup
	for _, n := range c.nodes { // at once: migrations must be safe with that
		starting.Go(n.start)
	}
	starting.Wait()
	for _, n := range c.nodes {
		n.awaitReady(t)
	}
	c.api = newAPI(t, c)
	return c
}

// newNode prepares a node; nothing runs yet.
func (c *cluster) newNode(i int) *node {
	c.t.Helper()
	n := &node{
		c: c, name: "node " + string(rune('A'+i)), listen: freeAddress(c.t), metrics: freeAddress(c.t),
		clock: filepath.Join(c.t.TempDir(), "clock"), store: c.store,
	}
	n.reached = n.listen
	if c.lines != nil {
		n.toStore = c.lines.between(n.name+" and PostgreSQL", fmt.Sprintf("127.0.0.1:%d", c.pg.Port))
		n.toClients = c.lines.between("clients and "+n.name, n.listen)
		n.store = strings.Replace(c.store, fmt.Sprintf("127.0.0.1:%d", c.pg.Port), n.toStore.Listen, 1)
		n.reached = n.toClients.Listen
	}
	c.t.Cleanup(func() {
		n.kill()
		if c.t.Failed() {
			c.t.Logf("log of %s:\n%s", n.name, n.said.end())
		}
	})
	return n
}

// env is what a node and the command line are told.
func (c *cluster) env(store string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "NOD_DATABASE_URL=" + store, "NOD_MASTER_KEY_FILE=" + c.key,
		"NOD_PUBLIC_URL=https://nod.example.com",
	}
	if c.redis != nil {
		env = append(env, "NOD_REDIS_URL="+c.redis.URL())
	}
	return env
}

// cli runs a command beside the nodes and reads what it prints.
func (c *cluster) cli(into any, args ...string) {
	c.t.Helper()
	cmd := exec.Command(c.binary, append(args, "--output", "json")...)
	cmd.Env, cmd.Dir = c.env(c.store), c.t.TempDir()
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		c.t.Fatalf("nod %v: %v\n%s", args, err, e.Stderr)
	}
	if err != nil {
		c.t.Fatalf("nod %v: %v in %q", args, err, out)
	}
}

// freeAddress is one of loopback's that nobody listens on, with a port below those
// that systems hand out by themselves: a node that is away keeps it.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(10_000)))
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no free port in a hundred tries")
	return ""
}

// seed is where a test's chance comes from.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := rand.Uint64()
	if given := os.Getenv("NOD_SOAK_SEED"); given != "" {
		var err error
		if s, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("NOD_SOAK_SEED: %v", err)
		}
	}
	t.Logf("to repeat what was drawn: NOD_SOAK_SEED=%d", s)
	return s
}

// eventually tries until it works; for what nobody signals.
func eventually(t testing.TB, within time.Duration, what string, try func() error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := try()
		took := time.Since(began)
		if err == nil {
			return took
		}
		if took > within {
			t.Fatalf("%s: not within %s: %v", what, within, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
