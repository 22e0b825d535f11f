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
	id, user, client, state string
	version                 int64
	expires                 time.Time
	decided                 time.Time
	grant                   *grant
	revoked                 bool
	events                  []trace // by version
	device                  *signedIn
	signedOut               int // audit rows that say so
}

// signedIn is the device that came of a request.
type signedIn struct {
	id      string
	revoked bool
}

type grant struct {
	JTI      string    `json:"jti"`
	SID      string    `json:"sid"`
	Address  string    `json:"address"`
	Audience string    `json:"aud"`
	Issued   time.Time `json:"iat"`
	Expires  time.Time `json:"exp"`
}

// trace is an audit row.
type trace struct {
	version int64
	name    string
	detail  string
}

// records reads what the database holds in the end: every request with its audit
// rows and its device, also of requests that nobody was told of.
func (s snapshot) records() map[string]*record {
	s.t.Helper()
	out := make(map[string]*record)
	const requests = `SELECT id, user_id, client_id, state, version, expires, decision, grant_data, grant_revoked_at > 0 FROM requests`
	s.query(requests, func(rows *sql.Rows) error {
		r := &record{}
		var expires int64
		var decision, given string
		if err := rows.Scan(&r.id, &r.user, &r.client, &r.state, &r.version, &expires, &decision, &given, &r.revoked); err != nil {
			return err
		}
		r.expires = time.UnixMicro(expires)
		out[r.id] = r
		return r.fill(decision, given)
	})
	const events = `SELECT request_id, version, name, detail FROM events WHERE request_id <> '' ORDER BY request_id, version`
	s.query(events, func(rows *sql.Rows) error {
		var id string
		var e trace
		if err := rows.Scan(&id, &e.version, &e.name, &e.detail); err != nil {
			return err
		}
		r, ok := out[id]
		switch {
		case !ok:
			return fmt.Errorf("audit rows of request %s, which is not there", id)
		case e.name == "device.revoked": // no version of the request
			r.signedOut++
		default:
			r.events = append(r.events, e)
		}
		return nil
	})
	s.devices(out)
	return out
}

// devices reads what was signed in.
func (s snapshot) devices(of map[string]*record) {
	s.t.Helper()
	s.query(`SELECT id, data, revoked_at > 0 FROM devices`, func(rows *sql.Rows) error {
		d := &signedIn{}
		var text string
		if err := rows.Scan(&d.id, &text, &d.revoked); err != nil {
			return err
		}
		var data struct{ RequestID string }
		if err := json.Unmarshal([]byte(text), &data); err != nil {
			return err
		}
		r, ok := of[data.RequestID]
		if !ok || r.device != nil {
			return fmt.Errorf("device %s: its request is %q, which is not there or has another", d.id, data.RequestID)
		}
		r.device = d
		return nil
	})
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

// counted is I18 of what is no request: a user's rows lead to what the user is, and each
// version of a webhook has one.
func (s snapshot) counted() []string {
	s.t.Helper()
	const (
		users = `SELECT u.id, u.status = 'active', COUNT(*) FILTER (WHERE e.name = 'user.created'),
				COUNT(*) FILTER (WHERE e.name = 'user.activated'), COUNT(*) FILTER (WHERE e.name = 'user.deactivated')
			FROM users u LEFT JOIN events e ON e.user_id = u.id GROUP BY u.id, u.status`
		hooks = `SELECT (SELECT SUM(version) FROM webhooks),
			(SELECT COUNT(*) FROM events WHERE name IN ('webhook.added', 'webhook.rotated', 'webhook.disabled', 'webhook.enabled'))`
	)
	j := &judgement{}
	s.query(users, func(rows *sql.Rows) error {
		var id string
		var active bool
		var made, on, off int64
		err := rows.Scan(&id, &active, &made, &on, &off)
		if made != 1 || active && off != on || !active && off != on+1 {
			j.fault("I18: user %s: active is %t after %d rows of creation, %d of activation, %d of deactivation", id, active, made, on, off)
		}
		return err
	})
	s.query(hooks, func(rows *sql.Rows) error {
		var versions, events int64
		err := rows.Scan(&versions, &events)
		if versions != events {
			j.fault("I18: the webhook has version %d and %d audit rows", versions, events)
		}
		return err
	})
	return j.faults
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
	if c.db == nil {
		db, err := sql.Open("pgx", c.store)
		if err != nil {
			t.Fatal(err)
		}
		c.t.Cleanup(func() { _ = db.Close() })
		c.db = db
	}
	return c.db
}

// snapshot is the database as it is at one moment: some requests still run out.
type snapshot struct {
	t *testing.T
	*sql.Tx
}

func (c *cluster) snapshot(t *testing.T, read func(s snapshot)) {
	t.Helper()
	tx, err := c.database(t).BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }() // it changed nothing
	read(snapshot{t, tx})
}

func (s snapshot) query(text string, scan func(*sql.Rows) error) {
	t := s.t
	t.Helper()
	rows, err := s.QueryContext(context.Background(), text)
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
