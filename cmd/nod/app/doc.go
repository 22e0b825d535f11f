// Package app puts nod together from its parts.
//
// Open is what every command works on: the database, the keys derived from the
// master key, the core. New is a whole server on top of it, in this process;
// nod serve, the demo and the tests all start it the same way. Nothing runs
// before Server.Run, and everything has ended when it returns.
package app
