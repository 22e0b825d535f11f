package oauth

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// revoke ends what a client holds (RFC 7009): a refresh token, or an access token,
// and with either the device and all its tokens (section 2.1 lets it); or, which is
// ours, a device_code or auth_req_id that nobody has collected yet: the new device
// gives up, and nobody is asked any more. What is nothing of this client's is
// answered alike (section 2.2). What it is shows in the token itself, so
// token_type_hint is not needed.
func (f *face) revoke(c *gin.Context) error {
	noStore(c)
	in, err := readForm(c)
	if err != nil {
		return err
	}
	who, err := f.client(c, in, false)
	if err != nil {
		return err
	}
	given := in.get("token")
	if given == "" {
		return missing("token")
	}
	if err := f.end(c.Request.Context(), who, given); err != nil {
		return err
	}
	c.Status(http.StatusOK)
	return nil
}

func (f *face) end(ctx context.Context, who *caller, given string) error {
	if isJWT(given) {
		return f.endAccess(ctx, who, given)
	}
	if err := f.Service.Revoke(ctx, account.Secret(given), who.client.ID); err != nil {
		return err
	}
	for _, face := range []string{FaceDevice, FaceCIBA} {
		h := approval.Holder{Face: face, Client: who.client, Kind: approval.PollCode, Code: account.Secret(given), Address: who.address}
		if err := f.Service.Cancel(ctx, h, approval.SignIn); err != nil && !errors.Is(err, approval.ErrNotFound) {
			return err
		}
	}
	return nil
}

// endAccess ends the device of an access token of this client's. One that has run
// out ends nothing: it may have been lying about.
func (f *face) endAccess(ctx context.Context, who *caller, given string) error {
	claims, err := f.accessClaims(ctx, given)
	if errors.Is(err, errDead) || err == nil && claims.ClientID != who.client.ID {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Service.RevokeDevice(ctx, claims.Session, approval.ByHolder)
}
