package app

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/push"
)

// settingVAPID holds the private half of the VAPID key pair, sealed.
const settingVAPID = "vapid_key"

// placeVAPID names table, row and column: what is sealed for one place cannot be
// opened in another.
var placeVAPID = []byte("settings/" + settingVAPID + "/value")

// VAPID is the key pair by which push services know this installation. The first
// who asks makes it, and all who start at the same time go on with the same: a
// browser's subscription is good for one pair only.
func (c *Core) VAPID(ctx context.Context) (push.VAPID, error) {
	seal, err := subtle.NewXChaCha20Poly1305(c.master.derive(forVAPID))
	if err != nil {
		return push.VAPID{}, fmt.Errorf("push keys: %w", err)
	}
	kept, err := c.Store.Setting(ctx, settingVAPID)
	if errors.Is(err, approval.ErrNotFound) {
		kept, err = c.makeVAPID(ctx, seal)
	}
	if err != nil {
		return push.VAPID{}, fmt.Errorf("push keys: %w", err)
	}
	v, err := openVAPID(seal, kept)
	if err != nil {
		return v, fmt.Errorf("push keys in %s: %w; start with the master.key that made them, or, if that is lost, "+
			"delete the setting %s from the database: every browser then has to subscribe again", c.Config.DatabaseName(), err, settingVAPID)
	}
	return v, nil
}

func (c *Core) makeVAPID(ctx context.Context, seal *subtle.XChaCha20Poly1305) (kept string, err error) {
	v, err := push.NewVAPID()
	if err != nil {
		return "", err
	}
	sealed, err := seal.Encrypt([]byte(v.Private().Reveal()), placeVAPID)
	if err != nil {
		return "", err
	}
	return c.Store.KeepSealed(ctx, settingVAPID, base64.StdEncoding.EncodeToString(sealed))
}

func openVAPID(seal *subtle.XChaCha20Poly1305, kept string) (push.VAPID, error) {
	sealed, err := base64.StdEncoding.DecodeString(kept)
	if err != nil {
		return push.VAPID{}, errors.New("they are damaged")
	}
	private, err := seal.Decrypt(sealed, placeVAPID)
	if err != nil {
		return push.VAPID{}, errors.New("this master key does not open them")
	}
	return push.ParseVAPID(account.Secret(private))
}
