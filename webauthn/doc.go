// Package webauthn runs passkey ceremonies (WebAuthn Level 3) from their options
// to their effect, and is the only importer of the WebAuthn library.
//
// # What it guarantees
//
// User verification is required, in the options and in every answer. Passkeys
// are discoverable; attestation is not asked for. A challenge is 32 unpredictable
// bytes, lives for Life by the store's clock, and is good for one purpose, one
// client, one user or invitation, and once: it is spent in the transaction of
// the effect it allows, so of many equal answers one succeeds. Pages in frames
// of other origins are refused. Origins are compared byte for byte: nod's own
// alone on the phone's pages, on the native face exactly the client's and nod's
// own, as they were when the ceremony began.
//
// # What an approval signs
//
// The challenge of an approval is SHA-256 over a tag, 32 random bytes and the
// canonical record of the question and its answer (approval.Record). Record and
// random bytes stay on the server until the verdict, whose transition rebuilds
// the record and compares. With the verdict a receipt is kept, which
// VerifyReceipt checks without any of nod's data.
//
// # Failures
//
// Whoever presents a challenge spends it, whatever comes of the answer: a
// ceremony with a failed answer is dead, in the same words as one that was used.
// Only whoever was given the challenge can do that. An answer that could not be
// judged, because the store was away, spends nothing and may be sent again.
//
// Errors are the core's words. ErrMismatch: the answer is not a valid one to
// this question; ErrReplayed: its ceremony was used or is over; ErrRevoked: the
// passkey was revoked or suspended, this answer's signature counter going
// backwards included; ErrInactive: its owner was deactivated. The last two are
// only said after the signature was found good. A counter that goes backwards
// suspends the passkey and cancels what it approved and nobody collected.
//
// # People who do not exist
//
// On the native face a user who does not exist, or has no passkey, is asked for
// a passkey all the same: an invented one, the same each time, that is checked
// like a real one against a key nobody holds.
package webauthn
