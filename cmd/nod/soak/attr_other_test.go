//go:build unix && !linux

package soak

import "syscall"

// ownGroup keeps a Ctrl-C at the test from its nodes.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
