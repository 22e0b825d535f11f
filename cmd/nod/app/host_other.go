//go:build !unix

package app

// ownerOnly: access lists, not file modes, say who may read a file here.
const ownerOnly = false

// openFiles is not limited in a way that can be asked for here.
func openFiles() (limit uint64, known bool) { return 0, false }
