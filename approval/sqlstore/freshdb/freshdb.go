// Package freshdb hands tests databases that are migrated and empty. To make one takes
// ten migrations, each synced to the disk: half a second with the race detector. To
// copy one takes a millisecond, and most tests need one of their own. Only tests
// import it.
package freshdb

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nod-auth/nod/approval/sqlstore"
)

// File is the path of a new one, nod.db in a temporary folder that ends with the test.
// Call it outside of a synctest bubble: the first call of a process makes what all
// others copy.
func File(t testing.TB) string {
	t.Helper()
	blank, err := migrated()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "nod.db")
	if err := os.WriteFile(path, blank, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// migrated is the content of a file that was opened once.
var migrated = sync.OnceValues(func() (content []byte, err error) {
	folder, err := os.MkdirTemp("", "nod-freshdb-")
	if err != nil {
		return nil, fmt.Errorf("make an empty database: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	path := filepath.Join(folder, "nod.db")
	s, err := sqlstore.Open(context.Background(), path)
	if err == nil {
		err = s.Close() // which moves everything from the log into the file
	}
	if err == nil {
		content, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("make an empty database: %w", err)
	}
	return content, nil
})
