package sqlstore

import (
	"context"
	"fmt"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func scanDevice(from row) (d account.Device, err error) {
	err = from.Scan(parsed{&d})
	return d, err
}

// Device implements approval.Store and account.Devices.
func (s *Store) Device(ctx context.Context, id string) (account.Device, error) {
	d, err := one(ctx, s.reads, scanDevice, `SELECT data FROM devices WHERE id = $1`, id)
	return d, fault("find device", err)
}

// Devices implements account.Devices.
func (s *Store) Devices(ctx context.Context, userID string) ([]account.Device, error) {
	const query = `SELECT data FROM devices WHERE user_id = $1 ORDER BY created_at DESC, id DESC`
	ds, err := list(ctx, s.reads, scanDevice, query, userID)
	return ds, fault("list devices", err)
}

// deviceEffect is the part of effect that is about what is signed in.
func (t *tx) deviceEffect(ctx context.Context, e approval.Effect) error {
	const (
		insert = `INSERT INTO devices (id, version, expires, data, user_id, client_id, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`
		update = `UPDATE devices SET version = $2, expires = $3, data = $4 WHERE id = $1 AND version = $5`
	)
	switch e := e.(type) {
	case approval.AddDevice:
		d := e.Device
		return t.must(ctx, approval.ErrExists, insert,
			d.ID, d.Version, micros(d.Expires), document(d), d.UserID, d.ClientID, micros(d.CreatedAt))
	case approval.SetDevice:
		d := e.Is
		if d.Version != e.From+1 {
			return fmt.Errorf("version %d after %d: %w", d.Version, e.From, approval.ErrInvalid)
		}
		return t.must(ctx, approval.ErrConflict, update, d.ID, d.Version, micros(d.Expires), document(d), e.From)
	default:
		return t.accountEffect(ctx, e)
	}
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
