// Package client is nod's SDK for Go programs. It has three parts, which need
// nothing of one another:
//
//   - [Login] makes a program the new device: it shows a code, waits until its
//     owner has approved on a phone, and returns the tokens. It speaks RFC 8628
//     and works with any server of that standard.
//   - [Native] waits for a code of the native interface that a backend has made.
//   - [Verifier] is for whoever is shown nod's tokens: a middleware that lets in
//     only requests with a good one.
//
// Waiting is what this package is careful about. A broken connection is still
// waiting, never failure: nor is a gateway that gives up, a server that restarts,
// or one that asks for patience. A wait ends with a verdict, with the end of the
// code's life, or with its context.
//
// Guarantees:
//
//   - No global state. Nothing is kept but what a [Verifier] keeps of the keys.
//   - No goroutine of this package outlives the call that started it.
//   - Everything is safe for concurrent use; callbacks run on the goroutine of
//     the call they belong to, one at a time.
//   - Secrets are sent over https only, or in the clear to this same machine, and
//     never along a redirect. Tokens and configurations print as "[secret]".
//   - Answers above 1 MiB are not read.
//
// The package imports nothing else of nod.
package client
