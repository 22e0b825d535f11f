package sqlstore

import (
	"context"
	"fmt"
	"math/bits"
	"strings"

	"github.com/nod-auth/nod/approval"
)

const receiptColumns = `request_id, user_id, passkey_id, public_key, random, record, authenticator_data, client_data, signature,
	username, passkey_name, credential_id, at, collected_by`

func scanReceipt(from row) (r approval.Receipt, err error) {
	err = from.Scan(&r.RequestID, &r.UserID, &r.PasskeyID, &r.PublicKey, &r.Random, &r.Record, &r.AuthenticatorData,
		&r.ClientData, &r.Signature, &r.Username, &r.PasskeyName, &r.CredentialID, instant{&r.At}, &r.CollectedBy)
	return r, err
}

// Receipt implements approval.Receipts.
func (s *Store) Receipt(ctx context.Context, requestID string) (approval.Receipt, error) {
	r, err := one(ctx, s.reads, scanReceipt, `SELECT `+receiptColumns+` FROM receipts WHERE request_id = $1`, requestID)
	return r, fault("find receipt", err)
}

// Receipted implements approval.Receipts.
func (s *Store) Receipted(ctx context.Context, userID string, requestIDs []string) ([]string, error) {
	if len(requestIDs) == 0 {
		return nil, nil
	}
	// Padded to a power of two, as versions does.
	args := make([]any, 1+1<<bits.Len(uint(len(requestIDs)-1)))
	marks := make([]string, len(args))
	args[0] = userID
	for i := 1; i < len(args); i++ {
		args[i], marks[i] = requestIDs[min(i, len(requestIDs))-1], fmt.Sprintf("$%d", i+1)
	}
	query := `SELECT request_id FROM receipts WHERE user_id = $1 AND request_id IN (` + strings.Join(marks[1:], ", ") + `)`
	ids, err := list(ctx, s.reads, scanText, query, args...)
	return ids, fault("list receipts", err)
}

func (t *tx) keepReceipt(ctx context.Context, r approval.Receipt) error {
	const query = `INSERT INTO receipts (` + receiptColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (request_id) DO NOTHING`
	return t.must(ctx, approval.ErrExists, query, r.RequestID, r.UserID, r.PasskeyID, blob(r.PublicKey), blob(r.Random),
		blob(r.Record), blob(r.AuthenticatorData), blob(r.ClientData), blob(r.Signature),
		r.Username, r.PasskeyName, blob(r.CredentialID), micros(r.At), r.CollectedBy)
}

// noteCollector writes who collected. Nothing signed is in reach of it.
func (t *tx) noteCollector(ctx context.Context, e approval.NoteCollector) error {
	_, err := t.exec(ctx, `UPDATE receipts SET collected_by = $1 WHERE request_id = $2`, e.ClientID, e.RequestID)
	return err
}
