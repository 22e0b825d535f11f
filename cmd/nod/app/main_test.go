package app

import (
	"log/slog"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/nod-auth/nod/cmd/nod/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testConfig is a server of its own on a free port.
func testConfig(t *testing.T) config.Config {
	t.Helper()
	c := config.Default()
	c.Listen = "127.0.0.1:0"
	c.Data = filepath.Join(t.TempDir(), "data")
	return c
}

func openCore(t *testing.T, c config.Config) *Core {
	t.Helper()
	core, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := core.Close(); err != nil {
			t.Error(err)
		}
	})
	return core
}

var quiet = slog.New(slog.DiscardHandler)
