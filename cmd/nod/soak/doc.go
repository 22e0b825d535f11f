// Package soak proves that a cluster of nods loses nothing, whatever breaks: real
// processes of nod serve on a real PostgreSQL and a real Redis, clients that only
// know HTTP, a receiver of webhooks that misbehaves by turns, faults of every kind in
// between, and afterwards a judgement of the whole history that the clients and the
// receiver wrote down and of what the database holds.
//
// There are tests here and nothing else. In their short form, which is the usual
// one, each fault happens at least once; NOD_SOAK=1 makes them long. What depends
// on chance is drawn from a seed that is printed, and NOD_SOAK_SEED repeats it.
package soak
