// Package approval is the core of nod: one question to one person, held open
// until it is answered, and answered once.
//
// # One request through the house
//
// A face (package api) calls Service.Begin, which freezes everything that will
// be shown and signed, and hands out a code for the new device and a handle
// for the phone. The new device calls Service.Collect and sleeps in the Hub.
// The phone calls Inspect, Opened and Decide; Decide applies a Change to the
// Store and only then wakes the Hub. The sleeper reads the store again, applies
// the redemption and leaves with a Grant, from which its face signs a token.
//
// # How it is kept right
//
// A transition (transition.go) is a pure function of a Request and a time; it
// returns a Change or one of the error words (errors.go). Store.Apply makes
// Changes true in one serialisable transaction: the compare-and-swap on the
// version, the audit row, outbox rows, and whatever else must happen with it
// or not at all (effects). Rules are never written a second time in SQL.
//
// Waiting is "watch, then read, then sleep": a wake carries nothing and may be
// lost, the Hub's sweep finds what a lost one hid. Expiry is data, judged by
// the store's clock inside Apply; local timers are hints.
//
// # Where this differs from the first design
//
// Guess budgets are taken, judged and given back in one transaction whose
// answer leaves only after it ended, instead of in a transaction before the
// judging. The bound is the same (a guess that was not counted is never
// answered) and a right guess writes nothing. Low-entropy codes and match
// numbers are derived from the request's id with a secret key, so that none is
// ever stored, not even to be shown in a choice of three. A passkey sign-in
// that answers with a token is a Request born redeemed, so that one record and
// one revocation serve every token nod hands out. Ending a user, a passkey or a
// client cancels what hangs on it in the same transaction as far as it was there
// to see; what another caller began in the moment before is canceled right after
// and could not be redeemed meanwhile (cancelAll), so that an endless stream of
// new requests cannot hold the ending up.
//
// The package does no I/O of its own. Service and Hub are safe for concurrent
// use; Run owns every goroutine.
package approval
