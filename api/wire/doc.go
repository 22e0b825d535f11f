// Package wire is the plumbing that every HTTP face shares: handlers that return
// errors, one table per face that turns the core's words into replies, strict
// reading of JSON bodies, the caller's address, deadlines, a gate for held calls,
// and the middleware around all of it.
//
// # Guarantees
//
//   - A handler is a [Handler]: it reads, calls once, writes. [Table.Adapt] renders
//     the error it returns, once, and the access log has its text. The client sees
//     the public sentence, never the text.
//   - A body is read whole before the handler goes on, within a size limit, so that
//     a client that leaves a held request is noticed.
//   - [Address] is the peer's address unless the peer is a proxy the operator named.
//   - The log holds neither paths nor query strings: both may carry secrets. It holds
//     the route's pattern.
//
// The package knows no route and no protocol; it imports the core only for its
// error words.
package wire
