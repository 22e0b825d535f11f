//go:build !unix

package app

import "io/fs"

// exposed cannot be told here: access lists, not file modes, say who may read.
func exposed(fs.FileInfo) bool { return false }

// openFiles is not limited in a way that can be asked for here.
func openFiles() (limit uint64, known bool) { return 0, false }
