package soak

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

// record is a request as the database holds it in the end.
type record struct {
	id, user, state string
	version         int64
	expires         time.Time
	decided         time.Time
	grant           *grant
	revoked         bool
	events          []trace // by version
}

type grant struct {
	JTI     string    `json:"jti"`
	Address string    `json:"address"`
	Issued  time.Time `json:"iat"`
}

// trace is an audit row.
type trace struct {
	version int64
	name    string
	detail  string
}

// records reads what the database holds in the end: every request with its audit
// rows, also of requests that nobody was told of.
func (c *cluster) records(t *testing.T) map[string]*record {
	t.Helper()
	db := c.database(t)
	out := make(map[string]*record)
	const requests = `SELECT id, user_id, state, version, expires, decision, grant_data, grant_revoked_at > 0 FROM requests`
	query(t, db, requests, func(rows *sql.Rows) error {
		r := &record{}
		var expires int64
		var decision, given string
		if err := rows.Scan(&r.id, &r.user, &r.state, &r.version, &expires, &decision, &given, &r.revoked); err != nil {
			return err
		}
		r.expires = time.UnixMicro(expires)
		out[r.id] = r
		return r.fill(decision, given)
	})
	const events = `SELECT request_id, version, name, detail FROM events WHERE request_id <> '' ORDER BY request_id, version`
	query(t, db, events, func(rows *sql.Rows) error {
		var id string
		var e trace
		if err := rows.Scan(&id, &e.version, &e.name, &e.detail); err != nil {
			return err
		}
		r, ok := out[id]
		if !ok {
			return fmt.Errorf("audit rows of request %s, which is not there", id)
		}
		r.events = append(r.events, e)
		return nil
	})
	return out
}

func (r *record) fill(decision, given string) error {
	if decision != "" {
		var d struct{ At time.Time }
		if err := json.Unmarshal([]byte(decision), &d); err != nil {
			return err
		}
		r.decided = d.At
	}
	if given == "" {
		return nil
	}
	r.grant = &grant{}
	return json.Unmarshal([]byte(given), r.grant)
}

// sealed judges the audit chain (I18): every audit row that was ever committed gets
// its place, whatever was killed meanwhile, and the chain is whole. A row that a
// transaction in flight kept back for long is found a minute later.
func (c *cluster) sealed(t *testing.T) {
	t.Helper()
	var rows int64
	if err := c.database(t).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM events`).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, 2*time.Minute, "all audit rows are sealed", func() error {
		var v struct {
			Sealed, Unsealed, Late int64
			Whole                  bool
		}
		if c.cli(&v, "audit", "verify"); !v.Whole || v.Unsealed > 0 || v.Sealed < rows {
			return fmt.Errorf("audit verify says %+v of %d rows", v, rows)
		}
		return nil
	})
	t.Logf("%d audit rows sealed, the last %s after the load", rows, took.Round(time.Second))
}

func (c *cluster) database(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", c.store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func query(t *testing.T, db *sql.DB, text string, scan func(*sql.Rows) error) {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), text)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
