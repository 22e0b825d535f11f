package webauthn

import (
	"context"
	"fmt"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// BeginJoin asks for a new passkey on the device that holds an approved request for one
// on nod's own pages (package approval, "A request of nobody yet"). The request is only
// looked at, and spent by Join. Its errors are approval.Service.Approved's, and
// ErrInactive when whoever approved was deactivated since.
func (c *Ceremonies) BeginJoin(ctx context.Context, h approval.Holder) (CreationOptions, error) {
	r, err := c.cfg.Service.Approved(ctx, h, approval.AddCredential)
	if err != nil {
		return CreationOptions{}, fmt.Errorf("begin joining: %w", err)
	}
	u, err := c.cfg.Accounts.User(ctx, r.UserID)
	if err != nil {
		return CreationOptions{}, fmt.Errorf("begin joining: %w", err)
	}
	o, err := c.BeginAdd(ctx, h.Client, u, r, RegisterOptions{})
	if err != nil {
		return o, fmt.Errorf("begin joining: %w", err)
	}
	return o, nil
}

// Join stores the passkey that BeginJoin asked the same holder for, spends the request,
// tells the phones of whoever approved it, and records that they signed in: all in one
// transaction. An empty name gets a sensible one. ErrReplayed when the request was
// collected meanwhile, ErrExists when the passkey is known; else BeginJoin's errors, and
// what the package says.
func (c *Ceremonies) Join(ctx context.Context, h approval.Holder, a Attestation, name string) (account.User, account.Passkey, error) {
	name, err := cleanName("name", name)
	if err != nil {
		return account.User{}, account.Passkey{}, err
	}
	r, err := c.cfg.Service.Approved(ctx, h, approval.AddCredential)
	if err != nil {
		return account.User{}, account.Passkey{}, fmt.Errorf("join: %w", err)
	}
	want := claim{
		purpose: approval.CeremonyAdd, namespaceID: h.Client.NamespaceID, clientID: h.Client.ID,
		fits: func(cer ceremony) bool { return cer.RequestID == r.ID },
	}
	var joined made
	err = c.answer(ctx, a.Challenge, a.ClientData, want, func(cer ceremony) (err error) {
		if joined, err = c.attest(ctx, cer, a, name, h.Address); err != nil {
			return err
		}
		joined.changes = append(joined.changes, signIn(joined.user, joined.passkey, h.Address))
		_, err = c.store(ctx, cer, h, joined, false)
		return err
	})
	if err != nil {
		return account.User{}, account.Passkey{}, fmt.Errorf("join: %w", err)
	}
	return joined.user, joined.passkey, nil
}
