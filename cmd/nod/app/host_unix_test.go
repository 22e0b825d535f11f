//go:build unix

package app

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestExposed_group_may_read_what_somebody_else_hands_out(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	judge := func(owner string, modes map[fs.FileMode]bool) {
		t.Helper()
		for mode, want := range modes {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := exposed(info); got != want {
				t.Errorf("%s file of mode %04o: exposed %v, want %v", owner, mode, got, want)
			}
		}
	}
	judge("our own", map[fs.FileMode]bool{0o400: false, 0o600: false, 0o440: true, 0o640: true, 0o604: true})
	const nobody = 65534
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Skip("only root can give a file to somebody else")
	}
	judge("another's", map[fs.FileMode]bool{0o400: false, 0o440: false, 0o640: false, 0o660: true, 0o444: true, 0o604: true})
}
