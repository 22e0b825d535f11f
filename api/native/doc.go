// Package native is the LoginID-compatible face: the endpoints that LoginID's
// SDKs call, under / and under /api/native, and a few of nod's own beside them.
// api/openapi.yaml describes each of them.
//
// # Guarantees
//
//   - Success is 200 with JSON, a deletion 204; everything else is
//     {"code", "message"} in the vendor's words.
//   - A service token that was accepted is spent, whatever became of the call: its
//     nonce is used up in the transaction of the call's effect, or, when the call
//     had none, by itself. A second use is refused before its answer is known.
//   - Endpoints that need no token never read one. Where a token is optional, one
//     of the wrong scope, with a used nonce or of another time counts as absent,
//     because the vendor's SDKs repeat old headers; one that is forged is refused.
//   - Users, codes and passkeys of another namespace are answered for like ones
//     that do not exist. An unknown user and a wrong code are one answer and cost
//     the same.
//   - Nobody registers a phone for somebody else: a token must itself name the user
//     whose phones a call is about.
//   - A token for a transaction is good for the payload that it names, and the token
//     that comes of a transaction signs nobody in.
//   - A receipt is given to the client that asked and the one that collected; to all
//     others it does not exist.
//   - A page gets answers only from its own client's endpoints: the Origin header is
//     judged before any effect.
//   - A held call ends on the decision, on expiry, after the hold, when a newer one
//     replaces it, when the server drains, and when its client leaves.
//
// # Refusals
//
// The package owns no rule about requests, codes or passkeys. It reads, calls
// the core or package webauthn once, and writes.
package native
