//go:build unix

package app

import (
	"io/fs"
	"os"
	"syscall"
)

// exposed says whether others may use the file of a secret. That its group may read
// it is fine where it belongs to somebody else: that is how this user may. systemd
// (LoadCredential, by an access list that shows as the group's mode) and Kubernetes
// (fsGroup) hand secrets out so.
func exposed(file fs.FileInfo) bool {
	mode := file.Mode().Perm()
	if of, ok := file.Sys().(*syscall.Stat_t); ok && int(of.Uid) != os.Getuid() {
		mode &^= 0o040
	}
	return mode&0o077 != 0
}

// openFiles is how many files and sockets this process may have open. Go raises
// the soft limit to the hard one when a program starts.
func openFiles() (limit uint64, known bool) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, false
	}
	return uint64(r.Cur), true //nolint:unconvert // it is an int64 on some systems
}
