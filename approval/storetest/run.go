// Package storetest is the conformance suite of approval.Store and its
// neighbours: what their docs promise, checked from outside, with concurrency,
// retried operations and crashes in between. Every backend passes it; its own
// test is a call of Run.
//
// The suite builds Changes by hand, as the core's transitions would. So it also
// tries what the core never asks for.
package storetest

import (
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// Truth is everything a backend offers.
type Truth interface {
	approval.Store
	approval.Upkeep
	approval.Journal
	approval.Receipts
	approval.Ceremonies
	approval.Outbox
	approval.Hooks
	approval.HookQueue
	account.Namespaces
	account.Users
	account.Passkeys
	account.Phones
	account.Clients
	account.Sessions
	account.Invitations
	account.Devices
	account.Recoveries
}

// Backend is one fresh, empty store.
type Backend struct {
	Truth
	// Advance moves the store's clock, which stands still otherwise. When it is
	// nil, what needs it is skipped.
	Advance func(d time.Duration)
	// Crash opens a second store on what would be left if the process died now.
	// When it is nil, what needs it is skipped.
	Crash func(t *testing.T) Truth
}

// Run checks a backend; open gives each case its own.
func Run(t *testing.T, open func(t *testing.T) Backend) {
	for _, group := range [][]test{
		requestTests, opTests, atomicTests, needsTests, effectTests, accountTests, raceTests, guessTests, recoveryTests,
		receiptTests, outboxTests, phoneTests, promptingTests, deviceTests, revokeTests, usedTests, hookTests, upkeepTests, crashTests,
	} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) { c.run(newWorld(t, open(t))) })
		}
	}
}

// test is one case, named subject_circumstance.
type test struct {
	name string
	run  func(w *world)
}
