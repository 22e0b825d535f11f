package account

import (
	"context"
	"time"
)

// Every method below returns an error matching approval.ErrNotFound when there
// is no such row and approval.ErrUnavailable when the store cannot answer. All
// are safe for concurrent use. They read what was committed when the call began.

// Namespaces reads namespaces.
type Namespaces interface {
	// Namespace finds one by its id or its name.
	Namespace(ctx context.Context, idOrName string) (Namespace, error)
}

// Users reads users.
type Users interface {
	User(ctx context.Context, id string) (User, error)
	// UserByName finds a user of one namespace by the exact name (in NFC).
	UserByName(ctx context.Context, namespaceID, username string) (User, error)
	// Users lists a namespace's users by name, after the given one.
	Users(ctx context.Context, namespaceID, afterName string, limit int) ([]User, error)
}

// Passkeys reads passkeys.
type Passkeys interface {
	Passkey(ctx context.Context, id string) (Passkey, error)
	// PasskeyByCredential finds a passkey by the authenticator's id for it.
	PasskeyByCredential(ctx context.Context, credentialID []byte) (Passkey, error)
	// Passkeys lists a user's, oldest first, revoked ones included.
	Passkeys(ctx context.Context, userID string) ([]Passkey, error)
}

// Clients reads clients and their keys.
type Clients interface {
	Client(ctx context.Context, id string) (Client, error)
	// Clients lists all clients, or one namespace's, by creation.
	Clients(ctx context.Context, namespaceID string) ([]Client, error)
	// ClientKeys lists a client's live keys, newest first.
	ClientKeys(ctx context.Context, clientID string) ([]ClientKey, error)
}

// Sessions keeps the phones' browser sessions. They are convenience, not
// truth: each approval needs a fresh assertion all the same.
type Sessions interface {
	AddSession(ctx context.Context, s Session) error
	Session(ctx context.Context, hash []byte) (Session, error)
	// Sessions lists a user's, last seen first; the caller judges whether they live.
	Sessions(ctx context.Context, userID string) ([]Session, error)
	// TouchSession moves SeenAt forward.
	TouchSession(ctx context.Context, hash []byte, seen time.Time) error
	EndSession(ctx context.Context, hash []byte) error
}

// Invitations reads invitations; they are made and spent by Apply.
type Invitations interface {
	// Invitation finds an unspent one; the caller compares Expires.
	Invitation(ctx context.Context, hash []byte) (Invitation, error)
}
