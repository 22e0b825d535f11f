package sqlstore

import (
	"context"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const (
	sessionColumns    = `hash, user_id, passkey_id, created_at, seen_at, name, address`
	invitationColumns = `hash, user_id, passkey_id, recovers, created_at, expires`
	ceremonyColumns   = `id, purpose, namespace_id, user_id, client_id, request_id, way, matched,
		subject, record, random, session, origins, expires`
)

func scanSession(from row) (v account.Session, err error) {
	err = from.Scan(&v.Hash, &v.UserID, &v.PasskeyID, instant{&v.CreatedAt}, instant{&v.SeenAt}, &v.Name, &v.Address)
	return v, err
}

func scanInvitation(from row) (v account.Invitation, err error) {
	err = from.Scan(&v.Hash, &v.UserID, &v.PasskeyID, &v.Recovers, instant{&v.CreatedAt}, instant{&v.Expires})
	return v, err
}

func scanCeremony(from row) (c approval.Ceremony, err error) {
	err = from.Scan(&c.ID, &c.Purpose, &c.NamespaceID, &c.UserID, &c.ClientID, &c.RequestID, &c.Way, &c.Matched,
		&c.Subject, &c.Record, &c.Random, &c.Session, parsed{&c.Origins}, instant{&c.Expires})
	return c, err
}

// AddSession implements account.Sessions. ErrNotFound when the user is gone.
func (s *Store) AddSession(ctx context.Context, v account.Session) error {
	const query = `INSERT INTO sessions (` + sessionColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (hash) DO NOTHING`
	return s.write(ctx, "add session", func(ctx context.Context, t *tx) error {
		return t.must(ctx, approval.ErrExists, query, v.Hash, v.UserID, v.PasskeyID, micros(v.CreatedAt), micros(v.SeenAt), v.Name, v.Address)
	})
}

// Session implements account.Sessions.
func (s *Store) Session(ctx context.Context, hash []byte) (account.Session, error) {
	v, err := one(ctx, s.reads, scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE hash = $1`, hash)
	return v, fault("find session", err)
}

// Sessions implements account.Sessions.
func (s *Store) Sessions(ctx context.Context, userID string) ([]account.Session, error) {
	const query = `SELECT ` + sessionColumns + ` FROM sessions WHERE user_id = $1 ORDER BY seen_at DESC, created_at DESC, hash`
	vs, err := list(ctx, s.reads, scanSession, query, userID)
	return vs, fault("list sessions", err)
}

// TouchSession implements account.Sessions. A time before the stored one changes
// nothing.
func (s *Store) TouchSession(ctx context.Context, hash []byte, seen time.Time) error {
	const query = `UPDATE sessions SET seen_at = CASE WHEN seen_at < $1 THEN $1 ELSE seen_at END WHERE hash = $2`
	return s.write(ctx, "touch session", func(ctx context.Context, t *tx) error {
		return t.must(ctx, approval.ErrNotFound, query, micros(seen), hash)
	})
}

// EndSession implements account.Sessions.
func (s *Store) EndSession(ctx context.Context, hash []byte) error {
	const whose = `SELECT v.user_id, v.passkey_id, v.name, u.namespace_id
		FROM sessions v JOIN users u ON u.id = v.user_id WHERE v.hash = $1`
	op := approval.NewOp()
	return s.write(ctx, "end session", func(ctx context.Context, t *tx) error {
		ev, err := one(ctx, t.statements, func(from row) (e approval.Event, err error) {
			err = from.Scan(&e.UserID, &e.PasskeyID, &e.Detail, &e.NamespaceID)
			return e, err
		}, whose, hash)
		if err != nil {
			return err
		}
		ev.Name = approval.EventSignedOut
		if _, err := t.claim(ctx, approval.Change{Op: op, Event: ev}); err != nil {
			return err
		}
		return t.must(ctx, approval.ErrNotFound, `DELETE FROM sessions WHERE hash = $1`, hash)
	})
}

// Invitation implements account.Invitations.
func (s *Store) Invitation(ctx context.Context, hash []byte) (account.Invitation, error) {
	v, err := one(ctx, s.reads, scanInvitation, `SELECT `+invitationColumns+` FROM invitations WHERE hash = $1`, hash)
	return v, fault("find invitation", err)
}

// AddCeremony implements approval.Ceremonies. ErrExists when the id is taken.
func (s *Store) AddCeremony(ctx context.Context, c approval.Ceremony) error {
	const query = `INSERT INTO ceremonies (` + ceremonyColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (id) DO NOTHING`
	return s.write(ctx, "add ceremony", func(ctx context.Context, t *tx) error {
		return t.must(ctx, approval.ErrExists, query, c.ID, string(c.Purpose), c.NamespaceID, c.UserID, c.ClientID, c.RequestID,
			string(c.Way), c.Matched, blob(c.Subject), blob(c.Record), blob(c.Random), blob(c.Session), document(c.Origins),
			micros(c.Expires))
	})
}

// Ceremony implements approval.Ceremonies.
func (s *Store) Ceremony(ctx context.Context, id string) (approval.Ceremony, error) {
	c, err := one(ctx, s.reads, scanCeremony, `SELECT `+ceremonyColumns+` FROM ceremonies WHERE id = $1`, id)
	return c, fault("find ceremony", err)
}
