package app

import (
	"fmt"
	"math"
)

const (
	// spareFiles is left for everything that is not a held wait: the database,
	// listeners, and the short requests of phones and backends.
	spareFiles = 256
	// comfortable is how many waits a real host should be able to hold. Below it
	// the open-file limit is most likely a default that nobody chose.
	comfortable = 4096
)

// waitLimit is how many waits this node holds, each a socket: what the operator
// says, or what the open-file limit leaves after a tenth and no less than
// spareFiles. The warning is a sentence, "" when all is well.
func waitLimit(asked int, openFiles uint64, known bool) (limit int, warning string) {
	if !known {
		openFiles = math.MaxInt32
	}
	openFiles = min(openFiles, math.MaxInt32) // "unlimited" is a very large number
	room := max(int(openFiles)-max(spareFiles, int(openFiles/10)), 1)
	const remedy = "raise it, with LimitNOFILE= in a systemd unit or ulimit -n in a shell"
	switch {
	case asked > room:
		return asked, fmt.Sprintf("max-waits is %d, but the limit of %d open files is enough for %d: %s", asked, openFiles, room, remedy)
	case asked > 0:
		return asked, ""
	case room < comfortable:
		return room, fmt.Sprintf("the limit of %d open files is enough for %d waits at a time: %s", openFiles, room, remedy)
	default:
		return room, ""
	}
}
