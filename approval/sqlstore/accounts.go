package sqlstore

import (
	"context"
	"slices"

	"github.com/nod-auth/nod/approval/account"
)

const (
	userColumns    = `id, namespace_id, client_id, username, status, created_at, updated_at, ciba_code`
	passkeyColumns = `id, user_id, credential_id, public_key, sign_count, aaguid, transports, backup_eligible, backup_state,
		attestation, status, name, created_at, updated_at, used_at, request_id, vouched_by`
	clientColumns = `id, namespace_id, name, type, scopes, origins, open_registration, require_wait_token, match_mode,
		issuer, created_at, notify, rotate_qr, oauth`
	clientKeyColumns = `id, client_id, public, created_at`
)

func scanNamespace(from row) (n account.Namespace, err error) {
	err = from.Scan(&n.ID, &n.Name, instant{&n.CreatedAt})
	return n, err
}

func scanUser(from row) (u account.User, err error) {
	err = from.Scan(&u.ID, &u.NamespaceID, &u.ClientID, &u.Username, &u.Status, instant{&u.CreatedAt}, instant{&u.UpdatedAt}, &u.CIBACode)
	return u, err
}

func scanPasskey(from row) (p account.Passkey, err error) {
	err = from.Scan(&p.ID, &p.UserID, &p.CredentialID, &p.PublicKey, &p.SignCount, &p.AAGUID, parsed{&p.Transports},
		&p.BackupEligible, &p.BackupState, &p.Attestation, &p.Status, &p.Name,
		instant{&p.CreatedAt}, instant{&p.UpdatedAt}, instant{&p.UsedAt}, &p.RequestID, &p.VouchedBy)
	return p, err
}

func scanClient(from row) (c account.Client, err error) {
	err = from.Scan(&c.ID, &c.NamespaceID, &c.Name, &c.Type, parsed{&c.Scopes}, parsed{&c.Origins}, &c.OpenRegistration,
		&c.RequireWaitToken, &c.Match, &c.Issuer, instant{&c.CreatedAt},
		&c.Notify, &c.RotateQR, parsed{&c.OAuth})
	return c, err
}

func scanClientKey(from row) (k account.ClientKey, err error) {
	err = from.Scan(&k.ID, &k.ClientID, &k.Public, instant{&k.CreatedAt})
	return k, err
}

// Namespace implements account.Namespaces. When one's name is another's id, the
// id wins.
func (s *Store) Namespace(ctx context.Context, idOrName string) (account.Namespace, error) {
	const query = `SELECT id, name, created_at FROM namespaces WHERE id = $1 OR name = $1
		ORDER BY CASE WHEN id = $1 THEN 0 ELSE 1 END LIMIT 1`
	n, err := one(ctx, s.reads, scanNamespace, query, idOrName)
	return n, fault("find namespace", err)
}

// User implements account.Users.
func (s *Store) User(ctx context.Context, id string) (account.User, error) {
	u, err := one(ctx, s.reads, scanUser, `SELECT `+userColumns+` FROM users WHERE id = $1`, id)
	return u, fault("find user", err)
}

// UserByName implements account.Users.
func (s *Store) UserByName(ctx context.Context, namespaceID, username string) (account.User, error) {
	const query = `SELECT ` + userColumns + ` FROM users WHERE namespace_id = $1 AND username = $2`
	u, err := one(ctx, s.reads, scanUser, query, namespaceID, username)
	return u, fault("find user by name", err)
}

// Users implements account.Users.
func (s *Store) Users(ctx context.Context, namespaceID, afterName string, limit int) ([]account.User, error) {
	const query = `SELECT ` + userColumns + ` FROM users WHERE namespace_id = $1 AND username > $2
		ORDER BY username LIMIT $3`
	us, err := list(ctx, s.reads, scanUser, query, namespaceID, afterName, limit)
	return us, fault("list users", err)
}

// Passkey implements account.Passkeys.
func (s *Store) Passkey(ctx context.Context, id string) (account.Passkey, error) {
	p, err := one(ctx, s.reads, scanPasskey, `SELECT `+passkeyColumns+` FROM passkeys WHERE id = $1`, id)
	return p, fault("find passkey", err)
}

// PasskeyByCredential implements account.Passkeys.
func (s *Store) PasskeyByCredential(ctx context.Context, credentialID []byte) (account.Passkey, error) {
	const query = `SELECT ` + passkeyColumns + ` FROM passkeys WHERE credential_id = $1`
	p, err := one(ctx, s.reads, scanPasskey, query, credentialID)
	return p, fault("find passkey by credential", err)
}

// Passkeys implements account.Passkeys.
func (s *Store) Passkeys(ctx context.Context, userID string) ([]account.Passkey, error) {
	const query = `SELECT ` + passkeyColumns + ` FROM passkeys WHERE user_id = $1 ORDER BY created_at, id`
	ps, err := list(ctx, s.reads, scanPasskey, query, userID)
	return ps, fault("list passkeys", err)
}

// Client implements account.Clients.
func (s *Store) Client(ctx context.Context, id string) (account.Client, error) {
	c, err := one(ctx, s.reads, scanClient, `SELECT `+clientColumns+` FROM clients WHERE id = $1`, id)
	return c, fault("find client", err)
}

// Clients implements account.Clients; with "" it lists those of every namespace.
func (s *Store) Clients(ctx context.Context, namespaceID string) ([]account.Client, error) {
	const query = `SELECT ` + clientColumns + ` FROM clients WHERE $1 = '' OR namespace_id = $1 ORDER BY created_at, id`
	cs, err := list(ctx, s.reads, scanClient, query, namespaceID)
	return cs, fault("list clients", err)
}

// ClientKeys implements account.Clients.
func (s *Store) ClientKeys(ctx context.Context, clientID string) ([]account.ClientKey, error) {
	const query = `SELECT ` + clientKeyColumns + ` FROM client_keys WHERE client_id = $1 ORDER BY created_at DESC, id DESC`
	ks, err := list(ctx, s.reads, scanClientKey, query, clientID)
	return ks, fault("list client keys", err)
}

// Origins lists the distinct origins of all clients, in order.
func (s *Store) Origins(ctx context.Context) ([]string, error) {
	cs, err := s.Clients(ctx, "")
	var all []string
	for _, c := range cs {
		all = append(all, c.Origins...)
	}
	slices.Sort(all)
	return slices.Compact(all), err
}
