package app

import (
	"path/filepath"
	"testing"

	"github.com/nod-auth/nod/cmd/nod/config"
)

// BenchmarkServer_start is a start without push configuration, on the data of an
// earlier one. What a process needs before main is not in it.
func BenchmarkServer_start(b *testing.B) {
	c := config.Default()
	c.Listen, c.Data = "127.0.0.1:0", filepath.Join(b.TempDir(), "data")
	for b.Loop() {
		s, err := New(b.Context(), c, quiet)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
