// Package virtual is a phone and the providers behind it, in software: a Web Push
// service with a browser that subscribes to it, and Firebase Cloud Messaging with
// an application that is installed on a phone. Tests and the demo use it to see
// real messages arrive without an account at anybody's.
//
// The providers are strict where the real ones are, and where those look away: they
// verify signatures, audiences, lifetimes and headers, and a browser decrypts each
// message the moment it arrives (RFC 8030, RFC 8188, RFC 8291, RFC 8292, and for
// Firebase the HTTP v1 API with RFC 7523 assertions). What is wrong is answered
// with a status and a sentence. They can be told to fail as real ones do.
//
// A phone is always awake: what a provider takes is received at once and in order,
// nothing expires and no topic replaces anything, so that tests see every message.
//
// Handlers and phones are safe for concurrent use and start no goroutine. The
// package shares no code with what it tests. It must not face the Internet: its
// providers accept anybody and remember everything.
package virtual
