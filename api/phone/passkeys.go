package phone

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
)

// fieldDeleted names in the page's address the passkey that was just deleted.
const fieldDeleted = "deleted"

func (f *face) passkeys(c *gin.Context, who visitor) error {
	return f.showPasskeys(c, who, http.StatusOK, "")
}

// showPasskeys lists the visitor's passkeys, below what was refused just now and what
// one that was deleted just now has left behind.
func (f *face) showPasskeys(c *gin.Context, who visitor, status int, fault string) error {
	ctx := c.Request.Context()
	found, err := f.Accounts.Passkeys(ctx, who.User.ID)
	if err != nil {
		return fmt.Errorf("list passkeys: %w", err)
	}
	frame, err := f.frame(ctx, who)
	if err != nil {
		return err
	}
	set, err := f.Directory.Recovery(ctx, who.User)
	if err != nil {
		return err
	}
	page := web.PasskeysPage{
		Frame: frame, Passkeys: passkeyLines(found, who.PasskeyID), Codes: codeSet(set), Error: fault,
	}
	if id := c.Query(fieldDeleted); id != "" {
		if page.Left, err = f.leftBy(ctx, who, id, frame.Now); err != nil {
			return err
		}
	}
	return f.show(c, status, page)
}

// leftBy is what a passkey let in and nobody has signed out: deleting the passkey does
// not, since most of it is the owner's own.
func (f *face) leftBy(ctx context.Context, who visitor, passkeyID string, now time.Time) ([]web.Device, error) {
	found, err := f.Directory.Devices(ctx, who.User)
	if err != nil {
		return nil, err
	}
	return f.deviceLines(ctx, slices.DeleteFunc(found, func(d account.Device) bool {
		return d.PasskeyID != passkeyID || !d.RevokedAt.IsZero() || !now.Before(d.KeepUntil())
	}))
}

// passkeyLines are those that were not revoked.
func passkeyLines(found []account.Passkey, current string) []web.Passkey {
	active := active(found)
	lines := make([]web.Passkey, 0, len(found))
	for _, p := range found {
		if p.Status == account.PasskeyRevoked {
			continue
		}
		lines = append(lines, web.Passkey{
			ID: p.ID, Name: p.Name, CreatedAt: p.CreatedAt, LastUsedAt: p.UsedAt,
			Synced: p.BackupState, Current: p.ID == current,
			Suspended: p.Status == account.PasskeyInactive,
			Last:      p.Status == account.PasskeyActive && active == 1,
		})
	}
	return lines
}

func (f *face) renamePasskey(c *gin.Context, who visitor) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	p, err := f.ownPasskey(c, who)
	if err != nil {
		return err
	}
	_, err = f.Directory.RenamePasskey(c.Request.Context(), who.User, p, form.Get("name"))
	if invalid, ok := errors.AsType[*approval.InvalidError](err); ok {
		return f.showPasskeys(c, who, http.StatusUnprocessableEntity, "A passkey's name "+invalid.Reason+".")
	}
	if err != nil {
		return err
	}
	return seeOther(c, "/passkeys")
}

// deletePasskey revokes one, but never the last.
func (f *face) deletePasskey(c *gin.Context, who visitor) error {
	p, err := f.ownPasskey(c, who)
	if err != nil {
		return err
	}
	_, err = f.Directory.RevokePasskey(c.Request.Context(), who.User, p, true)
	switch {
	case errors.Is(err, approval.ErrForbidden):
		return f.showPasskeys(c, who, http.StatusConflict, "That is your last passkey, so it stays. Add another one first.")
	case err != nil:
		return err
	}
	return seeOther(c, "/passkeys?"+url.Values{fieldDeleted: {p.ID}}.Encode())
}

// ownPasskey finds the passkey the path names among the visitor's own.
func (f *face) ownPasskey(c *gin.Context, who visitor) (account.Passkey, error) {
	p, err := f.Accounts.Passkey(c.Request.Context(), c.Param("id"))
	if err == nil && (p.UserID != who.User.ID || p.Status == account.PasskeyRevoked) {
		err = approval.ErrNotFound
	}
	if err != nil {
		return account.Passkey{}, fmt.Errorf("find passkey: %w", err)
	}
	return p, nil
}
