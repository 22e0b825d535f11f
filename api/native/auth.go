package native

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"golang.org/x/text/unicode/norm"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const headerClient = "X-Client-ID"

// need says what a route does with the Authorization header.
type need int

const (
	never    need = iota // it is not even read
	optional             // a token that does not fit counts as absent
	required
)

// rule is what a route asks of a service token.
type rule struct {
	need  need
	scope account.Scope
}

func must(s account.Scope) rule { return rule{required, s} }
func may(s account.Scope) rule  { return rule{optional, s} }

// caller is who sent a call.
type caller struct {
	client  account.Client    // for whom: the body's, else the token's, else X-Client-ID
	by      *account.Client   // who signed the token; nil without one that counts
	claims  token.Service     // of that token
	refused error             // why a token that was sent does not count
	nonce   []approval.Effect // uses the token up; empty when that was done
	address string
}

// admit finds out who calls, and refuses whoever may not. Only a spent nonce
// changes anything, and only where the token is optional: there one must know
// before going on.
func (f *face) admit(c *gin.Context, named string, r rule) (*caller, error) {
	ctx := c.Request.Context()
	who := &caller{address: wire.Address(c)}
	header := c.GetHeader(headerClient)
	if r.need != never {
		if err := f.authenticate(ctx, who, c.GetHeader("Authorization"), cmp.Or(named, header), r); err != nil {
			return nil, err
		}
	}
	if err := f.identify(ctx, who, cmp.Or(named, who.claims.ClientID, header), r); err != nil {
		return nil, err
	}
	note(c, who)
	if err := f.origins.admit(c, who.client); err != nil {
		return nil, err
	}
	if r.need == optional && who.by != nil {
		return who, f.spendOptional(ctx, who)
	}
	return who, nil
}

// authenticate verifies the token, if one was sent, and judges whether it fits
// the route.
func (f *face) authenticate(ctx context.Context, who *caller, header, hint string, r rule) error {
	compact, ok := bearer(header)
	if !ok {
		if r.need == required {
			return tokenError("This call needs a service token: Authorization: Bearer <token>.", nil)
		}
		return nil
	}
	claims, by, err := f.verify(ctx, compact, hint)
	if err != nil {
		return err
	}
	who.claims, who.by = claims, &by
	err = f.fits(ctx, who, r)
	if err != nil && r.need == optional && !errors.Is(err, approval.ErrUnavailable) {
		who.drop(err)
		return nil
	}
	return err
}

// verify reads a token with the keys of its own client.
func (f *face) verify(ctx context.Context, compact, hint string) (token.Service, account.Client, error) {
	claims, err := token.VerifyService(compact, func(id string) ([]*ecdsa.PublicKey, error) {
		return f.keys(ctx, id)
	}, hint)
	switch {
	case errors.Is(err, token.ErrMalformed):
		return token.Service{}, account.Client{}, tokenError("The service token is not one: it must be a JWT signed with ES256, "+
			"with the claims type, nonce and iat.", err)
	case errors.Is(err, token.ErrSignature), errors.Is(err, approval.ErrNotFound):
		return token.Service{}, account.Client{}, tokenError("The service token is not signed with a key of its client.", err)
	case err != nil:
		return token.Service{}, account.Client{}, err
	}
	by, err := f.Accounts.Client(ctx, claims.ClientID)
	if errors.Is(err, approval.ErrNotFound) {
		err = tokenError("The service token's client is gone.", err)
	}
	return claims, by, err
}

func (f *face) keys(ctx context.Context, clientID string) ([]*ecdsa.PublicKey, error) {
	stored, err := f.Accounts.ClientKeys(ctx, clientID)
	if err != nil {
		return nil, err
	}
	keys := make([]*ecdsa.PublicKey, 0, len(stored))
	for _, k := range stored {
		public, err := token.ParsePublicKey(k.Public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, public)
	}
	return keys, nil
}

// fits judges time and scope of a genuine token.
func (f *face) fits(ctx context.Context, who *caller, r rule) error {
	now, err := f.Service.Store.Now(ctx)
	if err != nil {
		return err
	}
	if err := token.Fresh(who.claims, now, f.TokenWindow); err != nil {
		return tokenError("The service token's iat is too far from this server's time.", err)
	}
	switch scope := account.Scope(who.claims.Type); {
	case scope != r.scope:
		return forbidden("This call needs a service token of type " + string(r.scope) + ".")
	case !who.by.May(scope):
		return forbidden("The client was not given the scope " + string(scope) + ".")
	}
	who.nonce = []approval.Effect{approval.Spend{
		Box: approval.BoxNonce, Key: who.by.ID + " " + who.claims.Nonce, Until: who.claims.StaleFrom(f.TokenWindow),
	}}
	return nil
}

// drop makes a token count as absent.
func (who *caller) drop(why error) {
	who.refused, who.by, who.claims, who.nonce = why, nil, token.Service{}, nil
}

// identify finds the client a call is for. It must be of the namespace of the
// client that signed.
func (f *face) identify(ctx context.Context, who *caller, id string, r rule) error {
	if id == "" {
		return missing("client_id")
	}
	if who.by != nil && who.by.ID == id {
		who.client = *who.by
		return nil
	}
	if err := identifier("client_id", id); err != nil {
		return err
	}
	client, err := f.Accounts.Client(ctx, id)
	if err != nil {
		return instead(err, approval.ErrNotFound, clientNotFound)
	}
	if who.by != nil && who.by.NamespaceID != client.NamespaceID {
		if r.need == required {
			return clientNotFound
		}
		who.drop(forbidden("The service token is of another namespace."))
	}
	who.client = client
	return nil
}

// spendOptional uses the nonce up at once. A used one makes the token count as
// absent, unless it is the first use's own call that says so.
func (f *face) spendOptional(ctx context.Context, who *caller) error {
	err := f.spend(ctx, who)
	if errors.Is(err, approval.ErrReplayed) {
		who.drop(err)
		return nil
	}
	return err
}

// means refuses a token that names another user than the body does. u is the
// body's user, zero when there is none.
func (who *caller) means(u account.User, p party) error {
	if who.by == nil {
		return nil
	}
	name, id := u.Username, u.ID
	if name == "" && p.Username != nil {
		name = norm.NFC.String(*p.Username)
	}
	if id == "" && p.UserID != nil {
		id = *p.UserID
	}
	same := func(claim, is string) bool { return claim == "" || norm.NFC.String(claim) == is }
	t := who.claims
	if !same(t.Username, name) || !same(t.Udata, name) || !same(canonical(t.UserID), canonical(id)) {
		return forbidden("The service token names another user than the call.")
	}
	return nil
}

// vouches says whether the token names the user by itself.
func (who *caller) vouches() bool {
	t := who.claims
	return who.by != nil && t.Username+t.Udata+t.UserID != ""
}

// bearer takes the token out of an Authorization header; another scheme is as
// good as none.
func bearer(header string) (string, bool) {
	scheme, compact, ok := strings.Cut(header, " ")
	return strings.TrimSpace(compact), ok && strings.EqualFold(scheme, "Bearer")
}

func tokenError(message string, cause error) *wire.Error {
	return &wire.Error{Status: http.StatusUnauthorized, Code: "unauthorized", Message: message, Cause: cause}
}

func forbidden(message string) *wire.Error {
	return &wire.Error{Status: http.StatusForbidden, Code: "forbidden", Message: message}
}
