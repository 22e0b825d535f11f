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
// Somebody signed in vouches with a fresh answer for each way in that they add: a
// passkey in this browser, a link for another device, recovery codes. What was
// vouched for hangs on the passkey that did it until it is used.
//
// # What an approval signs
//
// The challenge of an approval is SHA-256 over a tag, 32 random bytes and the
// canonical record of the question and its answer (approval.Record). Record and
// random bytes stay on the server until the verdict, whose transition rebuilds
// the record and compares. With the verdict a receipt is kept, which
// VerifyReceipt checks without any of nod's data.
//
// So is it with a transaction that is confirmed on the application's own page: the same
// challenge over the same record, whose member "way" is "page". It is the one ceremony
// whose record may be signed on another origin than nod's.
//
// # Checking a receipt without nod
//
// A receipt is handed out as one JSON text, ReceiptDocument; binary members are
// base64url without padding. Any WebAuthn library checks it as an authentication:
//
//   - the expected challenge is SHA-256 over the ASCII text nod/approval-challenge/1,
//     then the 32 bytes of random, then the bytes of record;
//   - the expected RP ID and origin are issued_by's, user verification is required, and
//     the signature counter does not matter;
//   - the credential's public key is passkey.public_key (a COSE_Key);
//   - the answer is client_data, authenticator_data and signature.
//
// Then read record, which is JSON, and nothing else for what was agreed to: its layout
// is nod/approval/1, its verdict approve, its request_id and user_id are the document's.
// Unless its way is page, the origin must be the issuer. Whose key it is no receipt can
// say: compare its Fingerprint with one that comes from elsewhere.
//
// VerifyDocument does all that, and finds any change of what is not signed, too.
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
