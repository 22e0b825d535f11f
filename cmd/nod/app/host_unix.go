//go:build unix

package app

import "syscall"

// ownerOnly: file modes say who may read a file here.
const ownerOnly = true

// openFiles is how many files and sockets this process may have open. Go raises
// the soft limit to the hard one when a program starts.
func openFiles() (limit uint64, known bool) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, false
	}
	return uint64(r.Cur), true //nolint:unconvert // it is an int64 on some systems
}
