package testservers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Postgres is one running PostgreSQL server.
type Postgres struct {
	*Process
	Port      int
	folder    string
	databases atomic.Int64
}

const debianFolder = "/usr/lib/postgresql/*/bin"

// StartPostgres makes a fresh cluster of databases and serves it on loopback, with
// fsync as PostgreSQL comes: on. It ends with the test.
func StartPostgres(t T, settings ...string) *Postgres {
	t.Helper()
	initdb := program(t, "initdb", "postgresql", debianFolder)
	server := program(t, "postgres", "postgresql", debianFolder)
	// Not t.TempDir: its parents are closed to whoever the server runs as.
	folder, err := os.MkdirTemp("", "nod-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	as := unprivileged(t, folder)
	data := filepath.Join(folder, "data")
	cmd := exec.Command(initdb, "-D", data, "-U", "nod", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	cmd.SysProcAttr, cmd.Dir = sysProcAttr(as), folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	p := &Postgres{Port: freePort(t), folder: folder}
	args := []string{server, "-D", data, "-p", fmt.Sprint(p.Port), "-h", "127.0.0.1", "-k", folder, "-c", "max_connections=200"}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	p.Process = &Process{t: t, name: "postgres", args: args, as: as, quit: syscall.SIGINT, ready: p.answers}
	t.Cleanup(p.Kill)
	p.Start()
	return p
}

// unprivileged is who the server runs as: PostgreSQL refuses to be root.
func unprivileged(t T, folder string) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		if err := os.Chown(folder, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	t.Fatal("postgres refuses to run as root, and there is neither a user postgres nor nobody")
	return nil
}

func (p *Postgres) answers() error {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.Port))
	if err != nil {
		return err
	}
	c.Close()
	if out, err := p.psql("postgres", "SELECT 1"); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// psql runs one statement.
func (p *Postgres) psql(database, statement string) (string, error) {
	name, err := exec.LookPath("psql")
	if err != nil {
		found, _ := filepath.Glob(filepath.Join(debianFolder, "psql"))
		if len(found) == 0 {
			return "", err
		}
		name = found[len(found)-1]
	}
	out, err := exec.Command(name, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement, p.url(database)).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Do runs one statement on the server's own database and returns what it prints.
func (p *Postgres) Do(statement string) string {
	p.t.Helper()
	out, err := p.psql("postgres", statement)
	if err != nil {
		p.t.Fatalf("psql %s: %v\n%s", statement, err, out)
	}
	return out
}

// Fresh makes an empty database and returns its URL.
func (p *Postgres) Fresh() string { return p.Copy("template1") }

// Copy makes a database like another, which nobody may be connected to, and
// returns its URL.
func (p *Postgres) Copy(of string) string {
	p.t.Helper()
	name := fmt.Sprintf("nod%d", p.databases.Add(1))
	p.Do("CREATE DATABASE " + name + " TEMPLATE " + of)
	return p.url(name)
}

func (p *Postgres) url(database string) string {
	return fmt.Sprintf("postgres://nod@127.0.0.1:%d/%s?sslmode=disable", p.Port, database)
}

// StopImmediately ends the server without a checkpoint, as a crash would.
func (p *Postgres) StopImmediately() { p.end(syscall.SIGQUIT) }
