// Package audit makes it show when audit rows are changed, removed or put into
// another order.
//
// # Rows and their chain
//
// An audit row is written plainly, in the transaction of what it tells of, and
// never touched again. A Sealer then gives each row a place in a chain:
//
//	hash(n) = SHA-256("nod/audit/row/v1" | hash(n-1) | row)
//
// where hash(0) is 32 zero bytes and row is every column in the order of Row's
// fields, each with its length in bytes before it (4 bytes, big endian), texts in
// UTF-8 and numbers and times (microseconds since 1970) in 8 bytes, big endian. The
// chain is a table of its own, so that decisions neither wait for each other nor
// for it: the price is a tail of rows, a few seconds long, that are not sealed yet.
//
// Rows are taken in the order of their sequence number, then of their operation id.
// On a server a row becomes visible when its transaction commits, perhaps after
// rows with higher numbers. So the store says up to where rows are settled, and what
// turns up below that later all the same (a clock was set back, a row was written by
// hand) takes the next place when it is found: the order of the chain is the order
// of sealing.
//
// # One chain
//
// Every node has a Sealer. Where the chain ends is one row, the Head, and it is
// moved on only from where the sealer had found it, in the transaction that adds
// the links: of two that seal at the same moment one does. A lease in that row only
// keeps the others from trying in vain.
//
// The head carries an HMAC-SHA256 under a key that is derived from the master key.
// Hashes anybody can compute; the head nobody without that key.
//
// # After a break
//
// Nothing is sealed on a head that is gone or forged, and what was changed once does not
// fit any more for good. Restart lets such a chain go on: an audit row tells who did it,
// why and what was broken, with an HMAC under the head's key over that and over a hash of
// everything before it. Verify then names as known what was broken there and then, and
// as broken whatever has changed since. Witnesses hold over a restart as before.
//
// # What this shows, and what it cannot
//
// Who can write to the database, but does not have the master key, can change,
// remove, insert or reorder sealed rows only so that Verify names it: the hash of a
// row no longer fits, or, with all hashes computed anew, the end no longer fits the
// head. What such a person can do unseen:
//
//   - change rows that are not sealed yet, and add rows that never happened: those
//     are sealed like any other. Verify counts the rows that were sealed long after
//     later ones.
//   - put back an older state of events, chain and head together, as restoring a
//     backup does. A running Sealer remembers the head and notices; after a restart
//     only a witness kept elsewhere tells, see below.
//   - stop the sealing; the rows then stay unsealed, which readiness, the metric and
//     Verify say.
//
// Who has the database and the master key can rewrite everything. Against that, and
// against an older state, helps a witness outside of the house: the head that Verify
// prints, or an export, kept where that person cannot write. A head that was printed
// once must be in the chain for ever: Verify takes it as a witness.
//
// The package does no I/O of its own: a Trail does.
package audit
