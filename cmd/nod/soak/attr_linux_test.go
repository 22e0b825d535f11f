package soak

import "syscall"

// ownGroup keeps a Ctrl-C at the test from its nodes; the kernel kills them when the
// test dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
