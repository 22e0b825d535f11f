package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const deviceColumns = `data, version, revoked_at, revoked_by`

// scanDevice lets the columns have the last word: a device is revoked there alone.
func scanDevice(from row) (d account.Device, err error) {
	var at time.Time
	var by string
	if err = from.Scan(parsed{&d}, &d.Version, instant{&at}, &by); !at.IsZero() {
		d.RevokedAt, d.RevokedBy = at, by
	}
	return d, err
}

// Device implements approval.Store and account.Devices.
func (s *Store) Device(ctx context.Context, id string) (account.Device, error) {
	d, err := one(ctx, s.reads, scanDevice, `SELECT `+deviceColumns+` FROM devices WHERE id = $1`, id)
	return d, fault("find device", err)
}

// Devices implements account.Devices.
func (s *Store) Devices(ctx context.Context, userID string) ([]account.Device, error) {
	const query = `SELECT ` + deviceColumns + ` FROM devices WHERE user_id = $1 ORDER BY created_at DESC, id DESC`
	ds, err := list(ctx, s.reads, scanDevice, query, userID)
	return ds, fault("list devices", err)
}

// deviceEffect is the part of effect that is about what is signed in.
func (t *tx) deviceEffect(ctx context.Context, e approval.Effect) error {
	switch e := e.(type) {
	case approval.AddDevice:
		return t.addDevice(ctx, e.Device)
	case approval.SetDevice:
		return t.setDevice(ctx, e)
	case approval.RevokeDevice:
		return t.revokeDevice(ctx, e)
	case approval.NoteUse:
		return t.noteUse(ctx, e)
	case approval.EndSession:
		const query = `DELETE FROM sessions WHERE user_id = $1 AND hash = $2`
		return t.must(ctx, approval.ErrNotFound, query, e.UserID, e.Hash)
	case approval.EndOtherSessions:
		_, err := t.exec(ctx, `DELETE FROM sessions WHERE user_id = $1 AND hash <> $2`, e.UserID, append([]byte{}, e.Except...))
		return err
	default:
		return t.accountEffect(ctx, e)
	}
}

func (t *tx) addDevice(ctx context.Context, d account.Device) error {
	const query = `INSERT INTO devices (id, version, expires, data, user_id, client_id, created_at, revoked_at, revoked_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`
	return t.must(ctx, approval.ErrExists, query, d.ID, d.Version, micros(d.KeepUntil()), document(d), d.UserID, d.ClientID,
		micros(d.CreatedAt), micros(d.RevokedAt), d.RevokedBy)
}

func (t *tx) setDevice(ctx context.Context, e approval.SetDevice) error {
	const query = `UPDATE devices SET version = $2, expires = $3, data = $4, revoked_at = $5, revoked_by = $6
		WHERE id = $1 AND version = $7`
	d := e.Is
	if d.Version != e.From+1 {
		return fmt.Errorf("version %d after %d: %w", d.Version, e.From, approval.ErrInvalid)
	}
	return t.must(ctx, approval.ErrConflict, query, d.ID, d.Version, micros(d.KeepUntil()), document(d),
		micros(d.RevokedAt), d.RevokedBy, e.From)
}

func (t *tx) revokeDevice(ctx context.Context, e approval.RevokeDevice) error {
	const query = `UPDATE devices SET revoked_at = $2, revoked_by = $3, version = version + 1
		WHERE id = $1 AND (revoked_at = 0 OR revoked_by = $4)`
	n, err := t.exec(ctx, query, e.Device.ID, micros(t.now), string(e.By), string(approval.ByLost))
	if err == nil && n == 0 && e.Must {
		return approval.ErrConflict
	}
	return err
}

// noteUse changes one member of the document. The version is a condition and not a
// part of the change: nobody who has read it loses by it.
func (t *tx) noteUse(ctx context.Context, e approval.NoteUse) error {
	const (
		query  = `SELECT ` + deviceColumns + ` FROM devices WHERE id = $1`
		update = `UPDATE devices SET expires = $2, data = $3 WHERE id = $1 AND version = $4 AND revoked_at = 0`
	)
	d, err := one(ctx, t.statements, scanDevice, query, e.DeviceID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case !d.RevokedAt.IsZero(), !e.At.After(d.LastSeen()):
		return nil
	}
	d.UsedAt = e.At
	_, err = t.exec(ctx, update, d.ID, micros(d.KeepUntil()), document(d), d.Version)
	return err
}

// setClientSecret changes one member of the document that says how a client of the
// standard faces is registered.
func (t *tx) setClientSecret(ctx context.Context, e approval.SetClientSecret) error {
	const (
		query  = `SELECT ` + clientColumns + ` FROM clients WHERE id = $1`
		update = `UPDATE clients SET oauth = $2 WHERE id = $1`
	)
	c, err := one(ctx, t.statements, scanClient, query, e.ClientID)
	switch {
	case err != nil:
		return err
	case c.OAuth == nil:
		return approval.ErrNotFound
	}
	c.OAuth.SecretHash = e.Hash
	return t.must(ctx, approval.ErrNotFound, update, c.ID, optional(c.OAuth))
}
