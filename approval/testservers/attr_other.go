//go:build unix && !linux

package testservers

import "syscall"

// sysProcAttr runs a process as somebody else when as is set.
func sysProcAttr(as *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: as}
}
