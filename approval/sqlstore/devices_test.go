package sqlstore_test

import (
	"database/sql"
	"os"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
)

// The version before wrote into data alone that a device was revoked, and goes on doing
// so during a rolling deploy.
func TestDevice_revokedByTheVersionBefore(t *testing.T) {
	path := freshdb.File(t)
	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer db.Close()
	old, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"), goose.WithDisableGlobalRegistry(true))
	must(t, err)
	_, err = old.UpTo(t.Context(), 3)
	must(t, err)
	exec := func(query string, args ...any) {
		t.Helper()
		_, err := db.ExecContext(t.Context(), query, args...)
		must(t, err)
	}
	add := func(id, data string) {
		t.Helper()
		exec(`INSERT INTO devices (id, version, user_id, client_id, created_at, expires, data) VALUES ($1, 1, 'u', 'c', 1, 99, $2)`, id, data)
	}
	exec(`INSERT INTO namespaces (id, name, created_at) VALUES ('ns', 'default', 1)`)
	exec(`INSERT INTO clients (id, namespace_id, name, type, scopes, origins, open_registration, require_wait_token,
		match_mode, issuer, created_at) VALUES ('c', 'ns', 'Acme', 'oauth', '[]', '[]', FALSE, FALSE, 'type', '', 1)`)
	exec(`INSERT INTO users (id, namespace_id, client_id, username, status, created_at, updated_at) VALUES ('u', 'ns', '', 'ada', 'active', 1, 1)`)
	const stands, revoked = `{"ID":"x","Version":1,"UserID":"u"}`, `{"ID":"x","Version":2,"UserID":"u","RevokedAt":"2026-01-02T03:04:05Z","RevokedBy":"reuse"}`
	add("revoked before", revoked)
	add("revoked after", stands)

	s, err := sqlstore.Open(t.Context(), path)
	must(t, err)
	defer s.Close()
	add("added after", stands)
	exec(`UPDATE devices SET version = 2, expires = 99, data = $1 WHERE id = 'revoked after' AND version = 1`, revoked)
	for id, by := range map[string]string{"revoked before": "reuse", "revoked after": "reuse", "added after": ""} {
		d, err := s.Device(t.Context(), id)
		must(t, err)
		if d.RevokedBy != by || d.RevokedAt.IsZero() != (by == "") {
			t.Errorf("%s: revoked by %q at %s, want by %q", id, d.RevokedBy, d.RevokedAt, by)
		}
	}
	// What this version revokes, that one cannot refresh: it swaps by version.
	must(t, s.Apply(t.Context(), approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{
		approval.RevokeDevice{Device: account.Device{ID: "added after"}, By: approval.ByOwner, Must: true},
	}}))
	res, err := db.ExecContext(t.Context(), `UPDATE devices SET version = 2, data = $1 WHERE id = 'added after' AND version = 1`, stands)
	must(t, err)
	if n, err := res.RowsAffected(); n != 0 || err != nil {
		t.Errorf("the version before refreshed %d rows, %v; want none", n, err)
	}
}
