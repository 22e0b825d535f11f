package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// hints are the ways to say whom to ask (CIBA Core section 7.1); exactly one is.
var hints = []string{"login_hint", "login_hint_token", "id_token_hint"}

var (
	errUnknownUser = oops(http.StatusBadRequest, codeUnknownUser, "There is no user by that hint whom this client may ask.")
	errHints       = badRequest("Exactly one of login_hint, login_hint_token and id_token_hint must say whom to ask.")
	errHintToken   = badRequest("The login_hint_token is not a JWT that this client signed with ES256 for this server, with iss, aud, exp and sub.")
	errHintExpired = oops(http.StatusBadRequest, codeExpiredHint, "The login_hint_token has expired.")
	errIDToken     = badRequest("The id_token_hint is not an ID token that this server gave this client.")
)

// hint is whom a client means, not looked up yet.
type hint struct {
	id   string // a user's, "" for none
	name string // or a username, "" for none
}

// readHint reads the one hint of a request. Whom it is about is not said by its
// errors: invalid_request and expired_login_hint_token.
func (f *face) readHint(ctx context.Context, client account.Client, in form) (hint, error) {
	given := slices.DeleteFunc(slices.Clone(hints), func(name string) bool { return in.get(name) == "" })
	if len(given) != 1 {
		return hint{}, errHints
	}
	switch text := in.get(given[0]); given[0] {
	case "login_hint":
		return hint{text, text}, nil
	case "login_hint_token":
		return f.readHintToken(ctx, client, text)
	default:
		return f.readIDToken(ctx, client, text)
	}
}

// readHintToken reads a JWT that the client signed: sub is a user's id or name.
func (f *face) readHintToken(ctx context.Context, client account.Client, compact string) (hint, error) {
	keys, err := f.keys(ctx, client.ID)
	if err != nil {
		return hint{}, err
	}
	now, err := f.now(ctx)
	if err != nil {
		return hint{}, err
	}
	a, err := token.VerifyAssertion(compact, keys...)
	switch {
	case err != nil:
		return hint{}, because(errHintToken, err)
	case a.Type != "" || a.Issuer != client.ID || !f.forUs(a) || a.Expires.IsZero() || a.Subject == "":
		return hint{}, errHintToken
	case inFuture(a, now):
		return hint{}, badRequest("The nbf or iat of the login_hint_token lies in the future.")
	case !now.Before(a.Expires):
		return hint{}, errHintExpired
	}
	return hint{a.Subject, a.Subject}, nil
}

// readIDToken reads an ID token of ours. An old one says whom it is about as well as
// a fresh one does.
func (f *face) readIDToken(ctx context.Context, client account.Client, compact string) (hint, error) {
	claims, err := f.Ring.Verify(ctx, compact, token.Expect{
		Issuer: f.Issuer, Audience: client.ID, Typ: typID, Algs: []string{token.AlgES256, token.AlgRS256}, AnyTime: true,
	})
	switch {
	case errors.Is(err, token.ErrMalformed), errors.Is(err, token.ErrSignature), errors.Is(err, token.ErrPurpose):
		return hint{}, because(errIDToken, err)
	case err != nil:
		return hint{}, err
	}
	var about struct {
		Subject string `json:"sub"`
	}
	if err := claims.Decode(&about); err != nil || about.Subject == "" {
		return hint{}, errIDToken
	}
	return hint{id: about.Subject}, nil
}

// person is the user of the namespace whom a hint is about; unknown_user_id when
// there is none who can be asked. An id wins over a name: it is nobody else's. Both
// are looked for in any case, so that a hint costs the same whoever it is about.
func (f *face) person(ctx context.Context, namespaceID string, h hint) (account.User, error) {
	id := h.id
	if !isID(id) {
		id = "-" // looked for all the same
	}
	byID, idErr := f.Accounts.User(ctx, id)
	name, err := approval.CleanText("login_hint", h.name, approval.MaxUsername)
	named := err == nil && name != ""
	if !named {
		name = "-" // looked for as well; whoever is called that is not meant
	}
	byName, nameErr := f.Accounts.UserByName(ctx, namespaceID, name)
	var found account.User
	switch {
	case idErr != nil && !errors.Is(idErr, approval.ErrNotFound):
		return found, idErr
	case nameErr != nil && !errors.Is(nameErr, approval.ErrNotFound):
		return found, nameErr
	case idErr == nil && byID.NamespaceID == namespaceID:
		found = byID
	case nameErr == nil && named:
		found = byName
	}
	if !found.Active() { // nobody is not
		return account.User{}, errUnknownUser
	}
	return found, nil
}

// forUs says whether a JWT of a client's is meant for this server alone.
func (f *face) forUs(a token.Assertion) bool {
	return len(a.Audience) == 1 && a.Audience[0] == f.Issuer
}

// inFuture says whether a JWT is not valid yet, whatever the clock of who signed it.
func inFuture(a token.Assertion, now time.Time) bool {
	latest := now.Add(clockSkew)
	return a.NotBefore.After(latest) || a.IssuedAt.After(latest)
}

// because is the reply with what lies behind it, for the log.
func because(reply *wire.Error, cause error) error {
	said := *reply
	said.Cause = cause
	return &said
}

// paceAsks bounds how often a client may ask, altogether and the same person. How
// many prompts a person gets is the core's to bound, this is about rows.
func (f *face) paceAsks(ctx context.Context, key string, perMinute int) error {
	if wait := f.Pacer.Take(ctx, "ask/"+key, perMinute, time.Minute); wait > 0 {
		return fmt.Errorf("ask: %w", &approval.LimitError{RetryAfter: wait})
	}
	return nil
}
