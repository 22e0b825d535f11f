package sqlstore

import (
	"context"
	"fmt"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// Take implements approval.Store.
func (s *Store) Take(ctx context.Context, budgets []approval.Budget) error {
	return s.write(ctx, "take a try", func(ctx context.Context, t *tx) error {
		for _, b := range budgets {
			if err := t.try(ctx, b); err != nil {
				return fmt.Errorf("budget %s: %w", b.Key, err)
			}
		}
		return nil
	})
}

// Recovery implements account.Recoveries.
func (s *Store) Recovery(ctx context.Context, userID string) (account.Recovery, error) {
	const query = `SELECT COUNT(*), COALESCE(SUM(CASE WHEN used_at = 0 THEN 1 ELSE 0 END), 0), COALESCE(MAX(made_at), 0)
		FROM recovery_codes WHERE user_id = $1`
	r, err := one(ctx, s.reads, scanRecovery, query, userID)
	return r, fault("count recovery codes", err)
}

func scanRecovery(from row) (r account.Recovery, err error) {
	err = from.Scan(&r.Made, &r.Left, instant{&r.MadeAt})
	return r, err
}

// RecoveryOwner implements account.Recoveries.
func (s *Store) RecoveryOwner(ctx context.Context, hash []byte) (string, error) {
	const query = `SELECT user_id FROM recovery_codes WHERE hash = $1 AND used_at = 0`
	id, err := one(ctx, s.reads, scanText, query, hash)
	return id, fault("find recovery code", err)
}

// recoveryEffect is the part of effect that is about ways back in.
func (t *tx) recoveryEffect(ctx context.Context, e approval.Effect) error {
	switch e := e.(type) {
	case approval.SetRecovery:
		return t.setRecovery(ctx, e)
	case approval.SpendRecovery:
		const query = `UPDATE recovery_codes SET used_at = $1 WHERE hash = $2 AND used_at = 0`
		return t.must(ctx, approval.ErrReplayed, query, micros(t.now), e.Hash)
	case approval.EndRecovery:
		_, err := t.exec(ctx, `DELETE FROM recovery_codes WHERE user_id = $1 AND passkey_id = $2`, e.UserID, e.PasskeyID)
		return err
	case approval.EndInvitations:
		_, err := t.exec(ctx, `DELETE FROM invitations WHERE user_id = $1`, e.UserID)
		return err
	default:
		return fmt.Errorf("effect this store does not know: %w", approval.ErrInvalid)
	}
}

func (t *tx) setRecovery(ctx context.Context, e approval.SetRecovery) error {
	const query = `INSERT INTO recovery_codes (hash, user_id, made_at, passkey_id) VALUES ($1, $2, $3, $4) ON CONFLICT (hash) DO NOTHING`
	if _, err := t.exec(ctx, `DELETE FROM recovery_codes WHERE user_id = $1`, e.UserID); err != nil {
		return err
	}
	for _, h := range e.Hashes {
		if err := t.must(ctx, approval.ErrExists, query, h, e.UserID, micros(e.MadeAt), e.PasskeyID); err != nil {
			return err
		}
	}
	return nil
}
