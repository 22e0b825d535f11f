package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/nod-auth/nod/approval/testservers"
)

// host is what testservers has a test for: it ends the servers of a measurement.
type host struct{ ends []func() }

var _ testservers.T = (*host)(nil)

// unable is what a server could not be started for.
type unable struct{ error }

// try runs what starts servers; a Fatal in there is its error.
func (h *host) try(start func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case unable:
			err = p.error
		default:
			panic(p)
		}
	}()
	start()
	return nil
}

// end ends and removes everything, last things first.
func (h *host) end() {
	for len(h.ends) > 0 {
		last := len(h.ends) - 1
		h.ends[last]()
		h.ends = h.ends[:last]
	}
}

// Helper implements testservers.T.
func (h *host) Helper() {}

// Cleanup implements testservers.T.
func (h *host) Cleanup(end func()) { h.ends = append(h.ends, end) }

// TempDir implements testservers.T.
func (h *host) TempDir() string {
	folder, err := os.MkdirTemp("", temporary)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}

// Fatal implements testservers.T.
func (h *host) Fatal(args ...any) { panic(unable{errors.New(fmt.Sprint(args...))}) }

// Fatalf implements testservers.T.
func (h *host) Fatalf(format string, args ...any) { panic(unable{fmt.Errorf(format, args...)}) }

// Skipf implements testservers.T: there is nothing to go on with.
func (h *host) Skipf(format string, args ...any) { h.Fatalf(format, args...) }
