// Package token signs and verifies nod's JSON Web Tokens (RFC 7519).
//
// It speaks four kinds of token, all compact JWS (RFC 7515 section 7.1) signed
// with ES256 (RFC 7518 section 3.4):
//
//   - Tokens that nod signs: result tokens, access tokens, ID tokens. A [Ring]
//     holds nod's signing keys: it makes the first ones, opens the private
//     halves, which are encrypted at rest, and publishes the public halves.
//     Beside the ES256 key it holds one for RS256 (section 3.3), which is for ID
//     tokens of clients that know no other.
//   - Service tokens, which backends sign and send as their credential.
//     [ParseService] and [VerifyService] read those.
//   - Assertions, which clients of the standard faces sign: [VerifyAssertion].
//   - DPoP proofs (RFC 9449): [VerifyDPoP].
//
// Guarantees:
//
//   - Signing is deterministic (RFC 6979, RFC 8017 section 8.2): the same claims under the same kid
//     are the same token, byte for byte, on every node. A reply that was lost
//     can be repeated without a second token coming into being.
//   - One token has one spelling: whitespace, padding and loose trailing bits
//     in base64url are refused, duplicate member names too (RFC 8725).
//   - Keys change without a verifier ever missing one: the next key is published
//     before it signs, on every node at the same moment by the store's clock, and
//     the last one is published until its tokens have expired.
//   - The algorithm is ES256 and nothing else, whatever a header says; only who
//     asks for it gets RS256 verified, with an RS256 key. No header chooses the
//     key: jku, x5c, x5u, x5t and crit are refused, and so is jwk but in a DPoP
//     proof, where it must be public and of P-256.
//   - Private keys print as "[secret]", under every verb and in every log.
//
// The package imports nothing else of nod, keeps no replay memory (a nonce is
// spent by the caller, together with the effect it guards) and starts no
// goroutine. Everything exported is safe for concurrent use.
package token

import "errors"

// A caller maps these to its own vocabulary with errors.Is. Errors of a
// KeyStore and of a key lookup pass through wrapped, and match none of these.
var (
	// ErrMalformed: not a token of the shape asked for, or one that no
	// verifier of ours may accept (another algorithm, a key in the header).
	ErrMalformed = errors.New("malformed token")

	// ErrSignature: well formed, but signed by none of the keys that count.
	ErrSignature = errors.New("bad signature")

	// ErrStale: genuine, but expired, too old, or from the future.
	ErrStale = errors.New("token outside its time")

	// ErrPurpose: genuine, but of another issuer, audience or type.
	ErrPurpose = errors.New("token meant for something else")

	// ErrUnknownKey: the ring holds no such key, or no longer its private half.
	ErrUnknownKey = errors.New("unknown signing key")

	// ErrRotating: the last rotation has not taken effect yet.
	ErrRotating = errors.New("a rotation of signing keys is under way")

	// ErrMasterKey: none of the stored keys opens with this seal key.
	ErrMasterKey = errors.New("the master key is not the one this database was made with; " +
		"start with the original key file, signing keys cannot be recovered without it")

	// ErrDamagedKey: a stored key is not what its row says, while others are.
	ErrDamagedKey = errors.New("stored signing key is damaged or belongs to another row")

	// ErrBadKey: what was given is not a P-256 key in a form that is read here.
	ErrBadKey = errors.New("not a P-256 key")
)
