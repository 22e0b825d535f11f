// Package oauth is nod's standard face: RFC 8628 for devices, OpenID CIBA for
// backends that know the user, and what belongs to both: metadata (RFC 8414),
// tokens (RFC 9068, OpenID Connect Core), refresh, DPoP (RFC 9449), revocation
// (RFC 7009), introspection (RFC 7662), userinfo; and nod as a Keycloak realm's
// authentication channel.
//
// It decides nothing: a device authorization is an approval.Ask, a poll is an
// approval.Collect with a hold, and what that gives is signed here.
//
// # The held poll
//
// A poll for something undecided is held open (account.OAuth.Hold) and answered in
// the moment of the decision, so that clients which nobody changed learn of it at
// once. It is held for an authenticated client only, takes a place of the node's
// Gate, and where there is none, or the node drains, it is answered at once: nobody
// hears an error for it.
//
// Pacing (pace.go) is judged after the request was looked at, and only for what is
// undecided: a verdict always wins. It lives in the bus, outside of the request, so
// it can be lost and is never a verdict.
//
// # Guarantees
//
//   - Every error is JSON {"error", "error_description"} and repeats nothing that
//     was sent. What is not there, not this client's or used before is one answer.
//   - A fault of the store is 503 with Retry-After, and to a poll it says
//     authorization_pending: the code is still good.
//   - Tokens that were made are delivered or revoked, never both. When this server
//     sees a reply fail, the same client may collect once more within 60 seconds. A
//     reply that is lost after the kernel took it is lost, and so are its tokens:
//     the device begins again.
//   - A proof works once and for one thing: client assertions and DPoP proofs are
//     spent in the store, so on every node.
package oauth
