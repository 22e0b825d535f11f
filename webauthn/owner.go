package webauthn

import (
	"context"
	"fmt"
	"slices"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// vouches are the purposes that a passkey is asked to vouch for of somebody who is
// signed in already: a session is convenience, and adding a way into the account
// takes more than that.
var vouches = []approval.CeremonyPurpose{approval.CeremonyRecovery, approval.CeremonyInvite, approval.CeremonyVouch}

// BeginVouch asks the viewer's passkeys to vouch for one thing that MakeRecovery
// (approval.CeremonyRecovery), Invite (CeremonyInvite) or BeginAddHere
// (CeremonyVouch) does; ErrMismatch for any other purpose, ErrRevoked when the
// viewer has no passkey that may.
func (c *Ceremonies) BeginVouch(ctx context.Context, v approval.Viewer, purpose approval.CeremonyPurpose) (RequestOptions, error) {
	if !slices.Contains(vouches, purpose) {
		return RequestOptions{}, fmt.Errorf("begin vouching for %s: %w", purpose, approval.ErrMismatch)
	}
	owned, err := c.cfg.Accounts.Passkeys(ctx, v.User.ID)
	if err != nil {
		return RequestOptions{}, fmt.Errorf("begin vouching: %w", err)
	}
	active := passkeysWith(owned, account.PasskeyActive)
	if len(active) == 0 {
		return RequestOptions{}, fmt.Errorf("begin vouching: user %s has no passkey: %w", v.User.ID, approval.ErrRevoked)
	}
	o, err := c.ask(ctx, c.own(v, purpose), person{user: v.User, passkeys: active})
	if err != nil {
		return o, fmt.Errorf("begin vouching: %w", err)
	}
	return o, nil
}

// own is a ceremony on the phone's pages that is the viewer's alone.
func (c *Ceremonies) own(v approval.Viewer, purpose approval.CeremonyPurpose) ceremony {
	return ceremony{Ceremony: approval.Ceremony{
		Purpose: purpose, NamespaceID: v.User.NamespaceID, UserID: v.User.ID, Origins: c.phoneOrigins(),
	}}
}

func owns(v approval.Viewer, purpose approval.CeremonyPurpose) claim {
	return claim{
		purpose: purpose, namespaceID: v.User.NamespaceID,
		fits: func(cer ceremony) bool { return cer.UserID == v.User.ID },
	}
}

func asker(v approval.Viewer, by verified) approval.Asker {
	return approval.Asker{PasskeyID: by.passkey.ID, Address: v.Address}
}

// MakeRecovery gives the viewer a new set of approval.RecoveryCodes codes, in the
// transaction that spends the passkey's answer. The set before is void.
func (c *Ceremonies) MakeRecovery(ctx context.Context, v approval.Viewer, a Assertion) (made approval.RecoverySet, err error) {
	err = c.assert(ctx, a, owns(v, approval.CeremonyRecovery), func(by verified) (err error) {
		made, err = c.cfg.Directory.NewRecovery(ctx, by.user, approval.RecoveryCodes, asker(v, by), by.proof.Effects...)
		return err
	})
	if err != nil {
		return approval.RecoverySet{}, fmt.Errorf("vouch for recovery codes: %w", err)
	}
	return made, nil
}

// Invite makes an invitation for another device of the viewer's, in the transaction
// that spends the passkey's answer. See approval.Directory.InviteAnotherDevice.
func (c *Ceremonies) Invite(ctx context.Context, v approval.Viewer, a Assertion) (secret account.Secret, inv account.Invitation, err error) {
	err = c.assert(ctx, a, owns(v, approval.CeremonyInvite), func(by verified) (err error) {
		secret, inv, err = c.cfg.Directory.InviteAnotherDevice(ctx, by.user, asker(v, by), by.proof.Effects...)
		return err
	})
	if err != nil {
		return "", inv, fmt.Errorf("vouch for another device: %w", err)
	}
	return secret, inv, nil
}

// BeginAddHere asks for one more passkey in the viewer's browser, on an
// authenticator that has none of theirs, once a passkey that they have has answered.
func (c *Ceremonies) BeginAddHere(ctx context.Context, v approval.Viewer, a Assertion) (CreationOptions, error) {
	cer := c.own(v, approval.CeremonyAddHere)
	err := c.assert(ctx, a, owns(v, approval.CeremonyVouch), func(by verified) error {
		cer.subject.VouchedBy = by.passkey.ID
		return c.cfg.Directory.Record(ctx, approval.Change{
			Op: approval.NewOp(), Needs: approval.Needs{UserID: v.User.ID, PasskeyID: by.passkey.ID}, Effects: by.proof.Effects,
		})
	})
	if err != nil {
		return CreationOptions{}, fmt.Errorf("vouch for one more passkey: %w", err)
	}
	owned, err := c.cfg.Accounts.Passkeys(ctx, v.User.ID)
	if err != nil {
		return CreationOptions{}, fmt.Errorf("begin adding a passkey: %w", err)
	}
	o, err := c.create(ctx, cer, person{user: v.User, passkeys: kept(owned)}, false)
	if err != nil {
		return o, fmt.Errorf("begin adding a passkey: %w", err)
	}
	return o, nil
}

// AddHere stores the passkey that BeginAddHere asked for, and tells the viewer's
// phones. An empty name gets a sensible one. ErrRevoked when the passkey that vouched
// ended meanwhile, ErrExists when the new one is known.
func (c *Ceremonies) AddHere(ctx context.Context, v approval.Viewer, a Attestation, name string) (account.Passkey, error) {
	name, err := cleanName("name", name)
	if err != nil {
		return account.Passkey{}, err
	}
	var m made
	err = c.answer(ctx, a.Challenge, a.ClientData, owns(v, approval.CeremonyAddHere), func(cer ceremony) (err error) {
		if m, err = c.attest(ctx, cer, a, name, v.Address); err != nil {
			return err
		}
		return c.cfg.Directory.Record(ctx, m.changes...)
	})
	if err != nil {
		return account.Passkey{}, fmt.Errorf("add a passkey: %w", err)
	}
	return m.passkey, nil
}
