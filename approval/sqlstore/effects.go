package sqlstore

import (
	"context"
	"fmt"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// effect makes the effect with index i of the operation op true.
func (t *tx) effect(ctx context.Context, e approval.Effect, op string, i int) error {
	switch e := e.(type) {
	case approval.Spend:
		return t.spend(ctx, e)
	case approval.Deliver:
		return t.deliver(ctx, fmt.Sprintf("%s/%d", op, i), e)
	case approval.KeepReceipt:
		return t.keepReceipt(ctx, e.Receipt)
	case approval.NoteCollector:
		return t.noteCollector(ctx, e)
	case approval.CountPasskey:
		return t.countPasskey(ctx, e)
	case approval.AddPasskey:
		return t.addPasskey(ctx, e.Passkey)
	case approval.RenamePasskey:
		return t.renamePasskey(ctx, e)
	case approval.SetPasskeyStatus:
		return t.setPasskeyStatus(ctx, e)
	case approval.KeepPasskey:
		return t.keepPasskey(ctx, e)
	case approval.AddInvitation:
		return t.addInvitation(ctx, e.Invitation)
	case approval.SpendInvitation:
		return t.spendInvitation(ctx, e)
	case approval.EndSessions:
		return t.endSessions(ctx, e)
	default:
		return t.phoneEffect(ctx, e)
	}
}

// accountEffect is the part of effect that is about users and clients.
func (t *tx) accountEffect(ctx context.Context, e approval.Effect) error {
	switch e := e.(type) {
	case approval.AddNamespace:
		return t.addNamespace(ctx, e.Namespace)
	case approval.AddUser:
		return t.addUser(ctx, e.User)
	case approval.SetUserStatus:
		return t.setUserStatus(ctx, e)
	case approval.SetUserCode:
		const query = `UPDATE users SET ciba_code = $1, updated_at = $2 WHERE id = $3`
		return t.must(ctx, approval.ErrNotFound, query, blob(e.Hash), micros(t.now), e.ID)
	case approval.DeleteUser:
		return t.must(ctx, approval.ErrNotFound, `DELETE FROM users WHERE id = $1`, e.ID)
	case approval.AddClient:
		return t.addClient(ctx, e.Client)
	case approval.DeleteClient:
		return t.must(ctx, approval.ErrNotFound, `DELETE FROM clients WHERE id = $1`, e.ID)
	case approval.AddClientKey:
		return t.addClientKey(ctx, e.Key)
	case approval.SetClientSecret:
		return t.setClientSecret(ctx, e)
	case approval.RemoveClientKey:
		return t.must(ctx, approval.ErrNotFound, `DELETE FROM client_keys WHERE id = $1 AND client_id = $2`, e.ID, e.ClientID)
	default:
		return t.hookEffect(ctx, e)
	}
}

func (t *tx) spend(ctx context.Context, e approval.Spend) error {
	const query = `INSERT INTO spent (box, key, ends_at) VALUES ($1, $2, $3) ON CONFLICT (box, key) DO NOTHING`
	return t.must(ctx, approval.ErrReplayed, query, string(e.Box), e.Key, micros(e.Until))
}

func (t *tx) countPasskey(ctx context.Context, e approval.CountPasskey) error {
	const query = `UPDATE passkeys SET sign_count = $1, backup_state = $2, used_at = $3
		WHERE id = $4 AND sign_count = $5 AND status = $6`
	return t.must(ctx, approval.ErrRevoked, query,
		e.Is, e.BackupState, micros(t.now), e.ID, e.Was, string(account.PasskeyActive))
}

func (t *tx) addPasskey(ctx context.Context, p account.Passkey) error {
	const query = `INSERT INTO passkeys (` + passkeyColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT DO NOTHING`
	return t.must(ctx, approval.ErrExists, query, p.ID, p.UserID, p.CredentialID, p.PublicKey, p.SignCount, blob(p.AAGUID),
		document(p.Transports), p.BackupEligible, p.BackupState, p.Attestation, string(p.Status), p.Name,
		micros(p.CreatedAt), micros(p.UpdatedAt), micros(p.UsedAt), p.RequestID, p.VouchedBy)
}

func (t *tx) renamePasskey(ctx context.Context, e approval.RenamePasskey) error {
	const query = `UPDATE passkeys SET name = $1, updated_at = $2 WHERE id = $3`
	return t.must(ctx, approval.ErrNotFound, query, e.Name, micros(t.now), e.ID)
}

func (t *tx) setPasskeyStatus(ctx context.Context, e approval.SetPasskeyStatus) error {
	const query = `UPDATE passkeys SET status = $1, updated_at = $2 WHERE id = $3 AND status = $4`
	const status = `SELECT status FROM passkeys WHERE id = $1`
	n, err := t.exec(ctx, query, string(e.To), micros(t.now), e.ID, string(e.From))
	return t.moved(ctx, n, err, status, e.ID)
}

func (t *tx) setUserStatus(ctx context.Context, e approval.SetUserStatus) error {
	const query = `UPDATE users SET status = $1, updated_at = $2 WHERE id = $3 AND status = $4`
	const status = `SELECT status FROM users WHERE id = $1`
	n, err := t.exec(ctx, query, string(e.To), micros(t.now), e.ID, string(e.From))
	return t.moved(ctx, n, err, status, e.ID)
}

// moved tells why a conditional update changed no row: it is gone, or its status
// is another one.
func (t *tx) moved(ctx context.Context, n int64, err error, status, id string) error {
	if err != nil || n == 1 {
		return err
	}
	is, err := one(ctx, t.statements, scanText, status, id)
	if err != nil {
		return err
	}
	return fmt.Errorf("status is %s: %w", is, approval.ErrConflict)
}

func (t *tx) keepPasskey(ctx context.Context, e approval.KeepPasskey) error {
	const query = `SELECT COUNT(*) FROM passkeys WHERE user_id = $1 AND status = $2`
	return t.exists(ctx, approval.ErrForbidden, query, e.UserID, string(account.PasskeyActive))
}

func (t *tx) addNamespace(ctx context.Context, n account.Namespace) error {
	const query = `INSERT INTO namespaces (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING`
	_, err := t.exec(ctx, query, n.ID, n.Name, micros(n.CreatedAt))
	return err
}

func (t *tx) addUser(ctx context.Context, u account.User) error {
	const query = `INSERT INTO users (` + userColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
	return t.must(ctx, approval.ErrExists, query, u.ID, u.NamespaceID, u.ClientID, u.Username, string(u.Status),
		micros(u.CreatedAt), micros(u.UpdatedAt), blob(u.CIBACode))
}

func (t *tx) addInvitation(ctx context.Context, i account.Invitation) error {
	const query = `INSERT INTO invitations (` + invitationColumns + `) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (hash) DO NOTHING`
	return t.must(ctx, approval.ErrExists, query, i.Hash, i.UserID, i.PasskeyID, i.Recovers, micros(i.CreatedAt), micros(i.Expires))
}

func (t *tx) spendInvitation(ctx context.Context, e approval.SpendInvitation) error {
	return t.must(ctx, approval.ErrReplayed, `DELETE FROM invitations WHERE hash = $1 AND expires > $2`, e.Hash, micros(t.now))
}

func (t *tx) endSessions(ctx context.Context, e approval.EndSessions) error {
	_, err := t.exec(ctx, `DELETE FROM sessions WHERE user_id = $1`, e.UserID)
	return err
}

func (t *tx) addClient(ctx context.Context, c account.Client) error {
	const query = `INSERT INTO clients (` + clientColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING`
	return t.must(ctx, approval.ErrExists, query, c.ID, c.NamespaceID, c.Name, string(c.Type), document(c.Scopes),
		document(c.Origins), c.OpenRegistration, c.RequireWaitToken, string(c.Match), c.Issuer, micros(c.CreatedAt),
		c.Notify, c.RotateQR, optional(c.OAuth))
}

func (t *tx) addClientKey(ctx context.Context, k account.ClientKey) error {
	const query = `INSERT INTO client_keys (` + clientKeyColumns + `) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
	const count = `SELECT COUNT(*) FROM client_keys WHERE client_id = $1`
	n, err := one(ctx, t.statements, scanNumber, count, k.ClientID)
	if err != nil {
		return err
	}
	if n >= account.MaxClientKeys {
		return approval.ErrTooMany
	}
	return t.must(ctx, approval.ErrExists, query, k.ID, k.ClientID, k.Public, micros(k.CreatedAt))
}
