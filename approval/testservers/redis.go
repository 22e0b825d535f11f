package testservers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Redis is one running Redis server.
type Redis struct {
	*Process
	Port int
	cli  string
}

// Address is host:port.
func (r *Redis) Address() string { return fmt.Sprintf("127.0.0.1:%d", r.Port) }

// URL is how a client names it.
func (r *Redis) URL() string { return "redis://" + r.Address() }

// Do runs one command through redis-cli and returns what it prints.
func (r *Redis) Do(args ...string) string {
	r.t.Helper()
	out, err := r.try(args...)
	if err != nil {
		r.t.Fatalf("redis %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

func (r *Redis) try(args ...string) (string, error) {
	cmd := exec.Command(r.cli, append([]string{"-h", "127.0.0.1", "-p", fmt.Sprint(r.Port), "--no-raw"}, args...)...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// StartRedis starts a server that keeps nothing on disk. It ends with the test.
func StartRedis(t T, options ...string) *Redis {
	t.Helper()
	return startRedis(t, freePort(t), options...)
}

func startRedis(t T, port int, options ...string) *Redis {
	t.Helper()
	server := program(t, "redis-server", "redis-server")
	args := []string{server, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--appendonly", "no"}
	return runRedis(t, port, append(args, options...))
}

func runRedis(t T, port int, args []string) *Redis {
	t.Helper()
	r := &Redis{Port: port, cli: program(t, "redis-cli", "redis-tools")}
	r.Process = &Process{
		t: t, name: "redis " + fmt.Sprint(port), args: args, quit: syscall.SIGTERM,
		ready: func() error { return pings(r) },
	}
	t.Cleanup(r.Kill)
	r.Start()
	return r
}

func pings(r *Redis) error {
	c, err := net.DialTimeout("tcp", r.Address(), time.Second)
	if err != nil {
		return err
	}
	c.Close()
	if out, err := r.try("PING"); err != nil || !strings.Contains(out, "PONG") {
		return fmt.Errorf("ping: %s", out)
	}
	return nil
}

// Sentinels is a primary, two replicas and three Sentinels that watch them.
type Sentinels struct {
	t         T
	Servers   []*Redis // the first began as the primary
	Sentinels []*Redis
}

// primaryName is what the Sentinels call the primary.
const primaryName = "nod"

// StartSentinels starts the set and waits until every Sentinel knows the others.
func StartSentinels(t T) *Sentinels {
	t.Helper()
	s := &Sentinels{t: t}
	primary := StartRedis(t, "--repl-diskless-sync-delay", "0")
	s.Servers = append(s.Servers, primary)
	for range 2 {
		s.Servers = append(s.Servers, StartRedis(t, "--replicaof", "127.0.0.1 "+fmt.Sprint(primary.Port)))
	}
	for range 3 {
		s.Sentinels = append(s.Sentinels, startSentinel(t, primary.Port))
	}
	eventually(t, "the sentinels know each other", func() error {
		for _, x := range s.Sentinels {
			if out, _ := x.try("SENTINEL", "CKQUORUM", primaryName); !strings.Contains(out, "OK 3") {
				return errors.New(out)
			}
			if out, _ := x.try("SENTINEL", "REPLICAS", primaryName); strings.Count(out, `"name"`) != 2 {
				return errors.New("not all replicas are known")
			}
		}
		return nil
	})
	return s
}

func startSentinel(t T, primary int) *Redis {
	t.Helper()
	port := freePort(t)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor %s 127.0.0.1 %d 2\n"+
		"sentinel down-after-milliseconds %[3]s 1000\nsentinel failover-timeout %[3]s 5000\n",
		port, filepath.Dir(conf), primaryName, primary)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return runRedis(t, port, []string{program(t, "redis-server", "redis-server"), conf, "--sentinel"})
}

// URL is how a client names the set.
func (s *Sentinels) URL() string {
	hosts := make([]string, len(s.Sentinels))
	for i, x := range s.Sentinels {
		hosts[i] = x.Address()
	}
	return "redis-sentinel://" + strings.Join(hosts, ",") + "/" + primaryName
}

// Primary is the server that the Sentinels name now.
func (s *Sentinels) Primary() *Redis {
	s.t.Helper()
	out := s.Sentinels[0].Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", primaryName)
	for _, r := range s.Servers {
		if strings.Contains(out, fmt.Sprintf(`"%d"`, r.Port)) {
			return r
		}
	}
	s.t.Fatalf("the sentinels name an unknown primary: %s", out)
	return nil
}

// Failover kills the primary and waits until another one is named.
func (s *Sentinels) Failover() {
	s.t.Helper()
	was := s.Primary()
	was.Kill()
	eventually(s.t, "another primary", func() error {
		if s.Primary() == was {
			return errors.New("still the old one")
		}
		return nil
	})
}

// Cluster is three primaries with all slots between them.
type Cluster struct {
	t       T
	Servers []*Redis
}

// StartCluster starts three servers and makes a Cluster of them.
func StartCluster(t T) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	var hosts []string
	for range 3 {
		r := StartRedis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no")
		c.Servers, hosts = append(c.Servers, r), append(hosts, r.Address())
	}
	args := append([]string{"--cluster", "create"}, hosts...)
	if out, err := exec.Command(c.Servers[0].cli, append(args, "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("create cluster: %v\n%s", err, out)
	}
	eventually(t, "the cluster is whole", func() error {
		for _, r := range c.Servers {
			if out, _ := r.try("CLUSTER", "INFO"); !strings.Contains(out, "cluster_state:ok") {
				return errors.New(out)
			}
		}
		return nil
	})
	return c
}

// URL is how a client names the Cluster.
func (c *Cluster) URL() string {
	hosts := make([]string, len(c.Servers))
	for i, r := range c.Servers {
		hosts[i] = r.Address()
	}
	return "redis-cluster://" + strings.Join(hosts, ",")
}

// MoveSlot gives the slot of a key to the next server. The keys in it, which have
// lifetimes and may be lost, are dropped.
func (c *Cluster) MoveSlot(key string) {
	c.t.Helper()
	var slot string
	out := c.Servers[0].Do("CLUSTER", "KEYSLOT", key)
	if _, err := fmt.Sscanf(out, "(integer) %s", &slot); err != nil {
		c.t.Fatalf("slot of %s: %q", key, out)
	}
	var from, to *Redis
	for i, r := range c.Servers {
		if c.owns(r, slot) {
			from, to = r, c.Servers[(i+1)%len(c.Servers)]
		}
	}
	if from == nil {
		c.t.Fatalf("nobody owns slot %s", slot)
	}
	for _, key := range strings.Split(from.Do("CLUSTER", "GETKEYSINSLOT", slot, "1000"), "\n") {
		if _, quoted, ok := strings.Cut(key, `"`); ok {
			_, _ = from.try("DEL", strings.TrimSuffix(quoted, `"`))
		}
	}
	id := c.id(to)
	for _, r := range []*Redis{to, from, c.other(from, to)} {
		r.Do("CLUSTER", "SETSLOT", slot, "NODE", id)
	}
}

// owns asks whether a server answers for a slot itself.
func (c *Cluster) owns(r *Redis, slot string) bool {
	out := r.Do("CLUSTER", "NODES")
	for line := range strings.Lines(out) {
		words := strings.Fields(strings.Trim(line, "\"\n"))
		if !strings.Contains(line, "myself") {
			continue
		}
		for _, w := range words[min(8, len(words)):] {
			var first, last, n int
			if k, _ := fmt.Sscanf(w, "%d-%d", &first, &last); k == 1 {
				last = first
			}
			_, _ = fmt.Sscan(slot, &n) // a number, see MoveSlot
			if first <= n && n <= last {
				return true
			}
		}
	}
	return false
}

func (c *Cluster) id(r *Redis) string { return strings.Trim(r.Do("CLUSTER", "MYID"), `"`) }

func (c *Cluster) other(a, b *Redis) *Redis {
	for _, r := range c.Servers {
		if r != a && r != b {
			return r
		}
	}
	return nil
}

// eventually tries until it works or startWithin is over.
func eventually(t T, what string, try func() error) {
	t.Helper()
	end := time.Now().Add(startWithin)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not after %s: %v", what, startWithin, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
