package oauth

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var errRefresh = oops(http.StatusBadRequest, codeInvalidGrant,
	"The refresh token is not valid: unknown, used before, run out or revoked, or bound to another DPoP key. Sign in again.")

// refresh exchanges a refresh token for the next, and new tokens (RFC 6749 section
// 6). One that was used before ends what was signed in with it (RFC 9700 section
// 4.14.2). What was bound to a DPoP key stays bound to it (RFC 9449 section 5).
func (f *face) refresh(c *gin.Context, in form) error {
	who, jkt, err := f.grantee(c, in, account.GrantRefresh)
	if err != nil {
		return err
	}
	given := in.get("refresh_token")
	if given == "" {
		return missing("refresh_token")
	}
	ctx := c.Request.Context()
	now, err := f.now(ctx)
	if err != nil {
		return err
	}
	kid, idKID, err := f.signers(ctx, who.client.OAuth, now)
	if err != nil {
		return err
	}
	got, err := f.Service.Refresh(ctx, approval.Refreshing{
		Token: account.Secret(given), Client: who.client, JKT: jkt, Scopes: in.words("scope"),
	})
	if err != nil {
		return notRefreshed(err)
	}
	i := issue{
		client: &who.client, device: &got.Device, scopes: got.Scopes, refresh: got.Token,
		jti: uuid.NewString(), kid: kid, idKID: idKID, at: got.At, expires: got.At.Add(who.client.OAuth.AccessLife),
	}
	return f.hand(c, i, func(ctx context.Context) error { return f.Service.LostRefresh(ctx, got) })
}

// notRefreshed says what Refresh's words mean: everything about the token is
// invalid_grant.
func notRefreshed(err error) error {
	if errors.Is(err, approval.ErrInvalid) {
		return instead(err, approval.ErrInvalid, oops(http.StatusBadRequest, codeInvalidScope, ""))
	}
	for _, word := range []error{
		approval.ErrNotFound, approval.ErrReplayed, approval.ErrExpired, approval.ErrRevoked, approval.ErrInactive, approval.ErrMismatch,
	} {
		if errors.Is(err, word) {
			return instead(err, word, errRefresh)
		}
	}
	return err
}
