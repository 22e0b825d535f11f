package sqlstore_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/sqlstore"
)

// What the version before phones and the standard faces wrote is read as it was
// meant, and what it goes on writing during a rolling deploy is taken.
func TestOpen_onAFileOfTheVersionBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nod.db")
	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer db.Close()
	old, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"), goose.WithDisableGlobalRegistry(true))
	must(t, err)
	_, err = old.UpTo(t.Context(), 1)
	must(t, err)
	write := func(key string) {
		for _, query := range []string{
			`INSERT OR IGNORE INTO namespaces (id, name, created_at) VALUES ('ns', 'default', 1)`,
			`INSERT INTO clients (id, namespace_id, name, type, scopes, origins, open_registration, require_wait_token,
				match_mode, issuer, created_at) VALUES ($1, 'ns', 'Acme', 'management', '[]', '[]', FALSE, FALSE, 'type', '', 1)`,
			`INSERT INTO users (id, namespace_id, client_id, username, status, created_at, updated_at)
				VALUES ($1, 'ns', '', $1, 'active', 1, 1)`,
			`INSERT INTO passkeys (id, user_id, credential_id, public_key, sign_count, transports, backup_eligible, backup_state,
				attestation, status, name, created_at, updated_at, used_at)
				VALUES ($1, $1, $1, 'key', 0, '[]', FALSE, FALSE, 'none', 'active', '', 1, 1, 0)`,
			`INSERT INTO requests (id, face, namespace_id, client_id, purpose, context, audience, token_needed, user_id, match_mode,
				code_kind, created_at, expires, state, version, tries, opened_at, opened_via, decision, grant_data, ended_by,
				decided_passkey, grant_expires, grant_revoked_at)
				VALUES ($1, 'native', 'ns', 'c', '', '{}', '', FALSE, '', 'type', '', 1, 1, 'denied', 2, 0, 1, '', '', '', '', '', 0, 0)`,
			`INSERT INTO outbox (id, seq, topic, key, body, created_at, ends_at) VALUES ($1, 1, 'prompt', $1, NULL, 1, 0)`,
		} {
			_, err := db.ExecContext(t.Context(), query, key)
			must(t, err)
		}
	}
	write("before")
	s, err := sqlstore.Open(t.Context(), path)
	must(t, err)
	defer s.Close()
	write("after")
	claimed, err := s.Claim(t.Context(), approval.TopicPrompt, 10, time.Hour)
	must(t, err)
	if len(claimed) != 2 {
		t.Errorf("claimed %d messages, want both", len(claimed))
	}
	for _, key := range []string{"before", "after"} {
		c, err := s.Client(t.Context(), key)
		must(t, err)
		r, err := s.Find(t.Context(), approval.Key{ID: key})
		must(t, err)
		u, err := s.User(t.Context(), key)
		must(t, err)
		p, err := s.Passkey(t.Context(), key)
		must(t, err)
		got := []any{c.Notify, c.RotateQR, r.Rotates, r.OpenedBy, r.AgainAt.IsZero(),
			c.OAuth == nil, r.TypedHash == nil, r.AnswerTo == nil, r.JKT, u.CIBACode == nil,
			p.RequestID, p.VouchedBy}
		if d := cmp.Diff([]any{false, false, false, "", true, true, true, true, "", true, "", ""}, got); d != "" {
			t.Errorf("written %s (-want +got):\n%s", key, d)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
