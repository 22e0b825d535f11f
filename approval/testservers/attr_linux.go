package testservers

import "syscall"

// sysProcAttr runs a process as somebody else when as is set. The kernel kills it
// when the test dies.
func sysProcAttr(as *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: as}
}
