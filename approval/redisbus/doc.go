// Package redisbus carries between nodes what may be lost: wakes, and the counts
// of polls and addresses. It decides nothing. Everything that must hold is in SQL,
// so that Redis can be stopped, frozen, flushed or failed over at any moment: then
// waits go on (the hub sweeps every five seconds), and pacing falls back to this
// node's own counts.
//
// # Wakes
//
// One subscription a node, on one channel, never one per waiter. Wake puts ids
// into a set and returns; a goroutine of Run publishes whatever is in it. What
// could not be published is not kept: the next message that gets through says
// "look at everything", and so does every (re)subscription, because what was
// published meanwhile is gone. On a Redis Cluster the channel is a sharded one
// (Redis 7.0); when its slot moves, the server ends the subscription, and Run
// subscribes again where it went.
//
// # Pacing
//
// The generic cell rate algorithm in one script of Redis, by Redis's clock, so
// that nodes whose clocks differ agree. Every key has a lifetime, set in the same
// script. A Redis that does not answer within answerWithin is not asked again for
// a while.
//
// # Notes
//
// What paces by more than a count (the rhythm of one device's polls) keeps a few
// bytes under a key with Note: read, then written, with a lifetime and in no
// transaction, since losing one costs a poll a few seconds and nothing else. While
// Redis is left alone, the node keeps its own; what was noted before is forgotten.
//
// A Bus is safe for concurrent use; New starts nothing, Run owns every goroutine.
package redisbus
