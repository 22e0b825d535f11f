package webauthn

import (
	"bytes"
	"context"
	"fmt"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// BeginSignIn asks for any discoverable passkey: nobody is named.
func (c *Ceremonies) BeginSignIn(ctx context.Context) (RequestOptions, error) {
	cer := approval.Ceremony{Purpose: approval.CeremonySignIn, Origins: c.phoneOrigins()}
	o, err := c.ask(ctx, ceremony{Ceremony: cer}, person{})
	if err != nil {
		return o, fmt.Errorf("begin sign-in: %w", err)
	}
	return o, nil
}

// SignIn says whose passkey answered, and records that its owner signed in on a
// phone at address. ErrMismatch, ErrReplayed, ErrRevoked, ErrInactive as the
// package says.
func (c *Ceremonies) SignIn(ctx context.Context, a Assertion, address string) (account.User, account.Passkey, error) {
	var signedIn verified
	want := claim{purpose: approval.CeremonySignIn}
	err := c.assert(ctx, a, want, func(v verified) error {
		signedIn = v
		change := signIn(v.user, v.passkey, address)
		change.Effects = v.proof.Effects
		return c.cfg.Directory.Record(ctx, change)
	})
	if err != nil {
		return account.User{}, account.Passkey{}, fmt.Errorf("sign in: %w", err)
	}
	return signedIn.user, signedIn.passkey, nil
}

func signIn(u account.User, k account.Passkey, address string) approval.Change {
	return approval.Change{
		Op:    approval.NewOp(),
		Needs: approval.Needs{UserID: u.ID, PasskeyID: k.ID},
		Event: approval.Event{
			Name: approval.EventSignedIn, NamespaceID: u.NamespaceID, UserID: u.ID,
			PasskeyID: k.ID, Address: address, Detail: k.Name,
		},
	}
}

// BeginEnrol asks for a new passkey of the invited user. ErrNotFound when there
// is no such invitation, or not any more; ErrExpired when it ran out;
// ErrInactive when the user was deactivated.
func (c *Ceremonies) BeginEnrol(ctx context.Context, invitation account.Secret) (CreationOptions, account.User, error) {
	inv, u, err := c.invited(ctx, invitation)
	if err != nil {
		return CreationOptions{}, u, fmt.Errorf("begin enrolment: %w", err)
	}
	owned, err := c.cfg.Accounts.Passkeys(ctx, u.ID)
	if err != nil {
		return CreationOptions{}, u, fmt.Errorf("begin enrolment: %w", err)
	}
	cer := ceremony{
		// No namespace: whoever holds the invitation does not know it yet.
		Ceremony: approval.Ceremony{Purpose: approval.CeremonyEnrol, UserID: u.ID, Origins: c.phoneOrigins()},
		subject:  subject{Invitation: invitation.Hash(), VouchedBy: inv.PasskeyID},
	}
	o, err := c.create(ctx, cer, person{user: u, passkeys: kept(owned)}, false)
	if err != nil {
		return o, u, fmt.Errorf("begin enrolment: %w", err)
	}
	return o, u, nil
}

// Invited is an invitation that can be used, and whom it is for. ErrNotFound when it
// never was, is spent, or was vouched for by a passkey that ended since; ErrExpired;
// ErrInactive when its user was deactivated.
func (c *Ceremonies) Invited(ctx context.Context, invitation account.Secret) (account.Invitation, account.User, error) {
	inv, u, err := c.invited(ctx, invitation)
	if err != nil {
		err = fmt.Errorf("invitation: %w", err)
	}
	return inv, u, err
}

func (c *Ceremonies) invited(ctx context.Context, invitation account.Secret) (inv account.Invitation, u account.User, err error) {
	if inv, err = c.cfg.Accounts.Invitation(ctx, invitation.Hash()); err != nil {
		return inv, u, err
	}
	now, err := c.cfg.Service.Store.Now(ctx)
	if err != nil {
		return inv, u, err
	}
	if !now.Before(inv.Expires) {
		return inv, u, approval.ErrExpired
	}
	if inv.PasskeyID != "" {
		by, err := c.cfg.Accounts.Passkey(ctx, inv.PasskeyID)
		if err == nil && by.Status != account.PasskeyActive {
			err = approval.ErrNotFound
		}
		if err != nil {
			return inv, u, fmt.Errorf("passkey that vouched: %w", err)
		}
	}
	if u, err = c.cfg.Accounts.User(ctx, inv.UserID); err == nil && !u.Active() {
		err = fmt.Errorf("user %s: %w", u.ID, approval.ErrInactive)
	}
	return inv, u, err
}

// Enrol stores the invited user's new passkey, spends the invitation and records
// that the user signed in. An empty name gets a sensible one. ErrReplayed when
// the invitation was used meanwhile, ErrExists when the passkey is known.
func (c *Ceremonies) Enrol(ctx context.Context, invitation account.Secret, a Attestation, name, address string) (account.User, account.Passkey, error) {
	hash := invitation.Hash()
	name, err := cleanName("name", name)
	if err != nil {
		return account.User{}, account.Passkey{}, err
	}
	var enrolled made
	want := claim{
		purpose: approval.CeremonyEnrol,
		fits:    func(cer ceremony) bool { return bytes.Equal(cer.subject.Invitation, hash) },
	}
	err = c.answer(ctx, a.Challenge, a.ClientData, want, func(cer ceremony) (err error) {
		if enrolled, err = c.attest(ctx, cer, a, name, address); err != nil {
			return err
		}
		last := &enrolled.changes[len(enrolled.changes)-1]
		last.Effects = append(last.Effects, approval.SpendInvitation{Hash: hash})
		return c.cfg.Directory.Record(ctx, append(enrolled.changes, signIn(enrolled.user, enrolled.passkey, address))...)
	})
	if err != nil {
		return account.User{}, account.Passkey{}, fmt.Errorf("enrol: %w", err)
	}
	return enrolled.user, enrolled.passkey, nil
}

// BeginApproval judges everything about a yes except the passkey (see
// approval.Service.Prepare, whose errors it returns) and asks the viewer's
// passkeys to sign it. ErrRevoked when the viewer has none that may.
func (c *Ceremonies) BeginApproval(ctx context.Context, ref approval.Ref, v approval.Viewer, number string) (RequestOptions, error) {
	owned, err := c.cfg.Accounts.Passkeys(ctx, v.User.ID)
	if err != nil {
		return RequestOptions{}, fmt.Errorf("begin approval: %w", err)
	}
	active := passkeysWith(owned, account.PasskeyActive)
	if len(active) == 0 {
		return RequestOptions{}, fmt.Errorf("begin approval: user %s has no passkey: %w", v.User.ID, approval.ErrRevoked)
	}
	q, err := c.cfg.Service.Prepare(ctx, ref, v, number)
	if err != nil {
		return RequestOptions{}, fmt.Errorf("begin approval: %w", err)
	}
	cer := approval.Ceremony{
		Purpose: approval.CeremonyApprove, NamespaceID: v.User.NamespaceID, UserID: v.User.ID,
		RequestID: q.Request.ID, Way: q.Way, Matched: q.Matched, Record: q.Record, Origins: c.phoneOrigins(),
	}
	o, err := c.ask(ctx, ceremony{Ceremony: cer}, person{user: v.User, passkeys: active})
	if err != nil {
		return o, fmt.Errorf("begin approval: %w", err)
	}
	return o, nil
}

// Approve gives the yes that was prepared for exactly this way, viewer and
// request, and keeps its receipt. Besides the package's errors, those of
// approval.Service.Decide, which judges the record again.
func (c *Ceremonies) Approve(ctx context.Context, ref approval.Ref, v approval.Viewer, a Assertion) (approval.Request, error) {
	want := claim{
		purpose: approval.CeremonyApprove, namespaceID: v.User.NamespaceID,
		fits: func(cer ceremony) bool { return cer.UserID == v.User.ID && cer.Way == ref.Way },
	}
	var approved approval.Request
	err := c.assert(ctx, a, want, func(by verified) (err error) {
		by.proof.Effects = append(by.proof.Effects, approval.KeepReceipt{Receipt: receipt(by, a)})
		approved, err = c.cfg.Service.Decide(ctx, ref, v, approval.Answer{Verdict: approval.Approve, Proof: &by.proof})
		return err
	})
	if err != nil {
		return approved, fmt.Errorf("approve with a passkey: %w", err)
	}
	return approved, nil
}

func receipt(by verified, a Assertion) approval.Receipt {
	return approval.Receipt{
		RequestID: by.cer.RequestID, UserID: by.user.ID, PasskeyID: by.passkey.ID, PublicKey: by.passkey.PublicKey,
		Random: by.cer.Random, Record: by.cer.Record,
		AuthenticatorData: a.AuthenticatorData, ClientData: a.ClientData, Signature: a.Signature,
		Username: by.user.Username, PasskeyName: by.passkey.Name, CredentialID: by.passkey.CredentialID, At: by.proof.At,
	}
}
