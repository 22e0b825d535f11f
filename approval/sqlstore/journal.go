package sqlstore

import (
	"context"

	"github.com/nod-auth/nod/approval"
)

// Events implements approval.Journal.
func (s *Store) Events(ctx context.Context, userID string, limit int) ([]approval.Event, error) {
	const query = `SELECT name, namespace_id, request_id, version, user_id, client_id, passkey_id, address, detail, at
		FROM events WHERE user_id = $1 ORDER BY seq DESC LIMIT $2`
	es, err := list(ctx, s.reads, scanEvent, query, userID, limit)
	return es, fault("list events", err)
}

func scanEvent(from row) (e approval.Event, err error) {
	err = from.Scan(&e.Name, &e.NamespaceID, &e.RequestID, &e.Version, &e.UserID, &e.ClientID, &e.PasskeyID,
		&e.Address, &e.Detail, instant{&e.At})
	return e, err
}
