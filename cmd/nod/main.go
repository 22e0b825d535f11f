// Command nod lets a new device in with the phone its owner already trusts.
//
// It is one program: the server, and the commands with which an operator manages
// clients and users in the server's database; and nod login, which is a new device.
// Its exit status is 0 when it did what was asked, 1 when it could not, and 2 when it
// was asked wrongly; nod login has more.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/nod-auth/nod/cmd/nod/config"
)

func main() { os.Exit(run(os.Args[1:])) }

// The exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func run(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	own, ok := errors.AsType[exitError](err)
	if !ok || own.error != nil {
		fmt.Fprintln(os.Stderr, "nod:", err)
	}
	if ok {
		return own.status
	}
	var faults config.Faults
	var usage usageError
	if errors.As(err, &faults) || errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// exitError ends the program with a status that its command's help explains. Without
// an error everything has been said.
type exitError struct {
	status int
	error
}
