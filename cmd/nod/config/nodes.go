package config

import (
	"errors"
	"strings"

	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/redisbus"
	"github.com/nod-auth/nod/approval/sqlstore"
)

// databaseURL reads where the truth is. Faults never repeat it: it may hold a
// password.
func databaseURL(text string) (account.Secret, error) {
	path, isFile := strings.CutPrefix(text, "sqlite:")
	if text != "" && !sqlstore.IsServer(text) && (!isFile || path == "") {
		return "", errors.New("that is no database nod knows; write postgres://user:password@host:5432/database or sqlite:path")
	}
	return account.Secret(text), nil
}

// redisURL reads what carries wakes.
func redisURL(text string) (account.Secret, error) {
	if text == "" {
		return "", nil
	}
	return account.Secret(text), redisbus.Check(text)
}
