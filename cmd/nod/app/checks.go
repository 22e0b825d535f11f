package app

import "github.com/nod-auth/nod/cmd/nod/config"

// CheckPlaces says what is wrong with a database of places, nil when it can be
// used.
func CheckPlaces(path string) error {
	var p places
	if err := p.open(path); err != nil {
		return err
	}
	return p.close()
}

// WaitLimit is how many waits a server with this configuration would hold on
// this machine. The warning is a sentence, "" when all is well.
func WaitLimit(c config.Config) (limit int, warning string) {
	files, known := openFiles()
	return waitLimit(c.MaxWaits, files, known)
}
