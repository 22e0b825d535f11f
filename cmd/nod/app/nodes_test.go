package app

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/testservers"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// onLine calls each for every line that is logged.
type onLine func(string)

func (f onLine) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		f(string(line))
	}
	return len(b), nil
}

func onServer(t *testing.T, url string) config.Config {
	t.Helper()
	c := testConfig(t)
	c.DatabaseURL = account.Secret(url)
	c.MasterKeyFile = filepath.Join(t.TempDir(), "master.key")
	if err := makeMasterKey(c.MasterKeyFile); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStart_waits_for_a_database_that_is_only_starting(t *testing.T) {
	pg := testservers.StartPostgres(t)
	c := onServer(t, pg.Fresh())
	pg.StopImmediately()
	var once sync.Once
	log := slog.New(slog.NewTextHandler(onLine(func(line string) {
		if strings.Contains(line, "does not answer yet") {
			once.Do(pg.Start)
		}
	}), nil))
	s, err := New(t.Context(), c, log)
	if err != nil {
		t.Fatalf("start while PostgreSQL starts: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestStart_does_not_wait_for_what_waiting_cannot_mend(t *testing.T) {
	pg := testservers.StartPostgres(t)
	url := pg.Fresh()
	c := onServer(t, url[:strings.LastIndex(url, "/")]+"/nosuchdatabase")
	log := slog.New(slog.NewTextHandler(onLine(func(line string) { t.Errorf("logged %s", line) }), nil))
	if _, err := New(t.Context(), c, log); err == nil || !strings.Contains(err.Error(), "nosuchdatabase") {
		t.Errorf("start on a database that does not exist: got %v, want an error that names it", err)
	}
}
