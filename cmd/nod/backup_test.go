package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/nod-auth/nod/approval/testservers"
)

// verified says whether a token verifies with what a server publishes.
func verified(url, compact string) error {
	set, err := publishedKeys(url)
	if err != nil {
		return err
	}
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return err
	}
	keys := set.Key(jws.Signatures[0].Header.KeyID)
	if len(keys) != 1 {
		return fmt.Errorf("%d keys of that name", len(keys))
	}
	_, err = jws.Verify(keys[0].Key)
	return err
}

// tokenFor lets a device in.
func (b *backend) tokenFor(t *testing.T, username, code string) string {
	t.Helper()
	b.authorize(t, username, code)
	status, answer, err := b.wait(username, code)
	jwt, _ := answer["jwt"].(string)
	if err != nil || jwt == "" {
		t.Fatalf("wait: got %d %v, %v; want a token", status, answer, err)
	}
	return jwt
}

// A backup is taken while a server writes as fast as it can, after a rotation. On
// another machine, which has it and the master key, everything goes on.
func TestRestore_goes_on_where_the_backup_was_taken(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	server := serveIn(t, dir)
	app := newBackend(t, dir, server.url)
	var user, rotation struct{ ID, Next string }
	cli(t, dir, &user, "user", "create", "--username", "zoe")
	cli(t, dir, &rotation, "keys", "rotate")
	token := app.tokenFor(t, "zoe", app.generate(t, "zoe"))
	code := app.generate(t, "zoe")

	stop := make(chan struct{})
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				body := map[string]any{"username": "zoe", "purpose": "temporary_authentication"}
				if status, answer, err := app.call("/codes/long/generate", "codes.generate", body); err != nil || status != 200 {
					t.Errorf("while the backup is made: got %d %v, %v", status, answer, err)
					return
				}
			}
		})
	}
	var made copied
	cli(t, dir, &made, "backup", filepath.Join(elsewhere, "nod.backup"))
	close(stop)
	writing.Wait()
	if made.Requests < 2 || made.SigningKeys != 4 || made.Users != 1 || made.Clients != 1 {
		t.Errorf("the backup holds %+v, want two requests at least, two keys of each algorithm, a user and a client", made)
	}

	key, err := os.ReadFile(filepath.Join(dir, made.MasterKeyFile))
	if err == nil {
		err = os.WriteFile(filepath.Join(elsewhere, "master.key"), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	cli(t, elsewhere, &made, "restore", "nod.backup", "--master-key-file", "master.key")
	other := serveIn(t, elsewhere, "--master-key-file", "master.key")
	goesOn(t, app, other, token, code)
}

// goesOn checks a server that was brought back: a token of before verifies, and a
// code of before still lets its device in.
func goesOn(t *testing.T, app *backend, server *process, token, code string) {
	t.Helper()
	app.url = server.url
	if err := verified(server.url, token); err != nil {
		t.Errorf("a token of before: %v", err)
	}
	again := app.tokenFor(t, "zoe", code)
	if err := verified(server.url, again); err != nil {
		t.Errorf("the token of a code of before: %v", err)
	}
	if again == token {
		t.Error("two codes gave the same token")
	}
}

// The command lines that nod prints for PostgreSQL are run as they are printed.
func TestBackup_of_a_server_as_it_is_documented(t *testing.T) {
	for _, program := range []string{"pg_dump", "pg_restore"} {
		if _, err := exec.LookPath(program); err != nil {
			missing(t, program, "postgresql-client")
		}
	}
	postgres := testservers.StartPostgres(t)
	from, to, dir := postgres.Fresh(), postgres.Fresh(), t.TempDir()
	key := filepath.Join(dir, "master.key")
	runShell(t, dir, "", "umask 077; openssl rand -base64 32 > master.key")
	flags := func(url string) []string { return []string{"--database-url", url, "--master-key-file", key} }
	t.Setenv("NOD_DATABASE_URL", from) // for the commands that newBackend runs
	t.Setenv("NOD_MASTER_KEY_FILE", key)

	server := serveIn(t, dir, flags(from)...)
	app := newBackend(t, dir, server.url)
	var user struct{ ID string }
	cli(t, dir, &user, "user", "create", "--username", "zoe")
	token := app.tokenFor(t, "zoe", app.generate(t, "zoe"))
	code := app.generate(t, "zoe")
	runShell(t, dir, from, pgDump)

	for _, about := range []string{"an empty database", "one that is there"} {
		runShell(t, dir, to, pgRestore)
		other, err := startServer(dir, flags(to)...)
		if err != nil {
			t.Fatal(err)
		}
		if goesOn(t, app, other, token, code); t.Failed() {
			t.Errorf("restored to %s", about)
		}
		if err := other.stop(); err != nil {
			t.Error(err)
		}
	}
}

// runShell runs a line of shell as an operator would.
func runShell(t *testing.T, dir, databaseURL, line string) {
	t.Helper()
	c := exec.Command("sh", "-c", line)
	c.Dir, c.Env = dir, append(os.Environ(), "NOD_DATABASE_URL="+databaseURL)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, strings.TrimSpace(said.String()))
	}
}

// missing skips a test that needs a program, or fails it where nothing may be
// skipped.
func missing(t *testing.T, program, pkg string) {
	t.Helper()
	if os.Getenv("TEST_REQUIRE_ALL") == "1" {
		t.Fatalf("TEST_REQUIRE_ALL is set, and there is no %s: install Debian's package %s", program, pkg)
	}
	t.Skipf("there is no %s: install Debian's package %s", program, pkg)
}
