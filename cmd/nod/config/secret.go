package config

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// secret returns a secret's text and the name under which it was found: it is
// given itself, or as the path of a file that holds it and perhaps a last line
// feed. Nothing about the file's mode is demanded: platforms mount secrets
// readable by all, into a container where nobody else is.
func (l *loader) secret(key string) (name, text string) {
	twin := key + fileSuffix
	path := plain(l.merged.Get(twin))
	switch own, other := l.layer(key), l.layer(twin); {
	case own == other && own != nowhere && path != "":
		l.fault("%s and %s: give one of them, not both", l.source(key), l.source(twin))
		return key, ""
	case own >= other || path == "":
		if own == inFlags {
			l.warnings = append(l.warnings, l.source(key)+" can be read by everybody on this machine; use --"+twin+" or "+variable(key))
		}
		return key, plain(l.merged.Get(key))
	}
	content, err := os.ReadFile(path)
	if unreadable := (*fs.PathError)(nil); errors.As(err, &unreadable) {
		err = unreadable.Err
	}
	if text = strings.TrimSpace(string(content)); err == nil && text == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		l.fault("%s: the file %s cannot be used (%v); check its path, and that this user may read it", l.source(twin), path, err)
	}
	return twin, text
}
