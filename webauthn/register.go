package webauthn

import (
	"context"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// RegisterOptions are an application's wishes for a new passkey.
type RegisterOptions struct {
	DisplayName string // "": the username (display_name)
	Name        string // shown instead of the username (override_name)
	Roaming     bool   // on a device that can be carried to another (roaming_authenticator)
	// Vouched says that a token names this very user, so that somebody who exists
	// without a passkey may make one.
	Vouched bool
}

func (o RegisterOptions) clean() (RegisterOptions, error) {
	var err error
	if o.DisplayName, err = approval.CleanText("display_name", o.DisplayName, approval.MaxUsername); err != nil {
		return o, err
	}
	o.Name, err = approval.CleanText("override_name", o.Name, approval.MaxUsername)
	return o, err
}

// BeginRegister asks for a first passkey. With u nil the user is new and is
// stored with the passkey, not before; whether the caller may make users at all
// (open registration, or an auth.register token) is the face's to judge.
// ErrExists for a user who has a passkey, or has none and is not vouched for:
// one word, so that a stranger learns no more than that the name is taken. With
// is spent first. The session is opaque and needed for nothing: the contract
// wants one.
func (c *Ceremonies) BeginRegister(ctx context.Context, client account.Client, u *account.User, username string, opts RegisterOptions, with ...approval.Effect) (session string, o CreationOptions, err error) {
	s := subject{Username: username}
	if u == nil {
		born, _, err := c.cfg.Directory.NewUser(ctx, client.NamespaceID, client.ID, username)
		if err != nil {
			return "", o, fmt.Errorf("begin registration: %w", err)
		}
		u, s.NewUser = &born, &born
	} else if err := c.mayRegister(ctx, *u, opts.Vouched); err != nil {
		return "", o, fmt.Errorf("begin registration: %w", err)
	}
	cer := native(approval.CeremonyRegister, client, *u, s)
	if o, err = c.createNamed(ctx, cer, client, *u, opts, with); err != nil {
		return "", o, fmt.Errorf("begin registration: %w", err)
	}
	return ceremonyID(o.Challenge), o, nil
}

// mayRegister is ErrExists unless the user has no passkey and is vouched for. A
// suspended passkey is one: who lost the only one needs more than a first
// registration.
func (c *Ceremonies) mayRegister(ctx context.Context, u account.User, vouched bool) error {
	owned, err := c.cfg.Accounts.Passkeys(ctx, u.ID)
	switch {
	case err != nil:
		return err
	case len(kept(owned)) > 0, !vouched:
		return fmt.Errorf("user %s: %w", u.ID, approval.ErrExists)
	case !u.Active():
		return fmt.Errorf("user %s: %w", u.ID, approval.ErrInactive)
	}
	return nil
}

// BeginAdd asks for one more passkey of a user: by the approved request given,
// which is only checked by the caller and spent by Complete, or by force when it is
// the zero one. With is spent first.
func (c *Ceremonies) BeginAdd(ctx context.Context, client account.Client, u account.User, by approval.Request, opts RegisterOptions, with ...approval.Effect) (CreationOptions, error) {
	if !u.Active() {
		return CreationOptions{}, fmt.Errorf("begin adding a passkey: user %s: %w", u.ID, approval.ErrInactive)
	}
	cer := native(approval.CeremonyAdd, client, u, subject{Username: u.Username})
	cer.RequestID = by.ID
	if by.Decision != nil {
		cer.subject.VouchedBy = by.Decision.PasskeyID
	}
	o, err := c.createNamed(ctx, cer, client, u, opts, with)
	if err != nil {
		return o, fmt.Errorf("begin adding a passkey: %w", err)
	}
	return o, nil
}

func native(purpose approval.CeremonyPurpose, client account.Client, u account.User, s subject) ceremony {
	return ceremony{
		Ceremony: approval.Ceremony{
			Purpose: purpose, NamespaceID: client.NamespaceID, ClientID: client.ID, UserID: u.ID,
		},
		subject: s,
	}
}

func (c *Ceremonies) createNamed(ctx context.Context, cer ceremony, client account.Client, u account.User, opts RegisterOptions, with []approval.Effect) (CreationOptions, error) {
	opts, err := opts.clean()
	if err != nil {
		return CreationOptions{}, err
	}
	owned, err := c.cfg.Accounts.Passkeys(ctx, u.ID)
	if err != nil {
		return CreationOptions{}, err
	}
	if err := c.cfg.Service.Spend(ctx, with...); err != nil {
		return CreationOptions{}, err
	}
	cer.Origins = c.nativeOrigins(client)
	p := person{user: u, passkeys: kept(owned), name: opts.Name, displayName: opts.DisplayName}
	return c.create(ctx, cer, p, opts.Roaming)
}

// Complete stores the passkey of a ceremony that BeginRegister or BeginAdd
// began. A passkey added by code spends the code in the same transaction; a new
// user is stored in it. Collected is nil when no token is wanted,
// unless the passkey was added by code, whose grant is collected either way.
// ErrExists when the user, or the passkey, came to be meanwhile; ErrInvalid when
// the name cannot be shown, and then nothing is spent.
func (c *Ceremonies) Complete(ctx context.Context, h approval.Holder, username string, purpose approval.CeremonyPurpose, a Attestation, credentialName string, wantToken bool) (*approval.Collected, account.User, account.Passkey, error) {
	if purpose != approval.CeremonyRegister && purpose != approval.CeremonyAdd {
		return nil, account.User{}, account.Passkey{}, fmt.Errorf("complete %s: %w", purpose, approval.ErrMismatch)
	}
	name, err := cleanName("credential_name", credentialName)
	if err != nil {
		return nil, account.User{}, account.Passkey{}, err
	}
	var out *approval.Collected
	var m made
	err = c.answer(ctx, a.Challenge, a.ClientData, named(purpose, h.Client, username), func(cer ceremony) (err error) {
		if m, err = c.attest(ctx, cer, a, name, h.Address); err != nil {
			return err
		}
		out, err = c.store(ctx, cer, h, m, wantToken)
		return err
	})
	if err != nil {
		return nil, account.User{}, account.Passkey{}, fmt.Errorf("complete %s: %w", purpose, err)
	}
	return out, m.user, m.passkey, nil
}

// store makes a new passkey true together with what it was asked for.
func (c *Ceremonies) store(ctx context.Context, cer ceremony, h approval.Holder, m made, wantToken bool) (*approval.Collected, error) {
	switch {
	case cer.RequestID != "":
		return c.cfg.Service.Redeem(ctx, h, cer.RequestID, m.changes...)
	case wantToken:
		proof := approval.Proof{UserID: m.user.ID, PasskeyID: m.passkey.ID, PasskeyName: m.passkey.Name}
		return c.cfg.Service.Login(ctx, h, m.user, proof, m.changes...)
	default:
		return nil, c.cfg.Directory.Record(ctx, m.changes...)
	}
}

// made is a new passkey, whose it is, and the changes that store it. The last of
// them stores the passkey and spends the ceremony.
type made struct {
	user    account.User
	passkey account.Passkey
	changes []approval.Change
}

// attest verifies a new passkey and composes what stores it.
func (c *Ceremonies) attest(ctx context.Context, cer ceremony, a Attestation, name, address string) (made, error) {
	u, changes, err := c.registrant(ctx, cer, address)
	if err != nil {
		return made{}, err
	}
	k, err := c.newPasskey(ctx, cer, a, u)
	if err != nil {
		return made{}, err
	}
	owned, err := c.cfg.Accounts.Passkeys(ctx, u.ID)
	if err != nil {
		return made{}, err
	}
	if cer.Purpose == approval.CeremonyRegister && len(kept(owned)) > 0 {
		return made{}, fmt.Errorf("user %s: %w", u.ID, approval.ErrExists)
	}
	k.Name = firstOf(name, defaultName(k, kept(owned)))
	return made{user: u, passkey: k, changes: append(changes, approval.Change{
		Op:    approval.NewOp(),
		Needs: approval.Needs{UserID: u.ID, PasskeyID: cer.subject.VouchedBy, ClientIDs: clients(cer.ClientID)},
		Event: approval.Event{
			Name: approval.EventPasskeyAdded, NamespaceID: u.NamespaceID, UserID: u.ID, ClientID: cer.ClientID,
			PasskeyID: k.ID, RequestID: cer.RequestID, Address: address, Detail: k.Name,
		},
		Effects: []approval.Effect{cer.spend(), approval.AddPasskey{Passkey: k}},
		Tells:   told(cer, u),
	})}, nil
}

// told are the notices of a new passkey: whoever has an account already hears of one
// more way into it, however it was made.
func told(cer ceremony, u account.User) []approval.Tell {
	if cer.subject.NewUser != nil {
		return nil
	}
	return []approval.Tell{{UserID: u.ID, Notice: approval.NoticePasskeyAdded}}
}

// registrant is whom the passkey is for, and the change that stores a user who
// is new.
func (c *Ceremonies) registrant(ctx context.Context, cer ceremony, address string) (account.User, []approval.Change, error) {
	if u := cer.subject.NewUser; u != nil {
		return *u, []approval.Change{{
			Op:    approval.NewOp(),
			Needs: approval.Needs{ClientIDs: clients(cer.ClientID)},
			Event: approval.Event{
				Name: approval.EventUserCreated, NamespaceID: u.NamespaceID, UserID: u.ID, ClientID: cer.ClientID,
				Address: address, Detail: u.Username,
			},
			Effects: []approval.Effect{approval.AddUser{User: *u}},
		}}, nil
	}
	u, err := c.cfg.Accounts.User(ctx, cer.UserID)
	if err != nil {
		return account.User{}, nil, nowMismatch(err)
	}
	return u, nil, nil
}

// clients is the client of a ceremony, where it has one.
func clients(id string) []string {
	if id == "" {
		return nil
	}
	return []string{id}
}

// newPasskey verifies an answer to creation options.
func (c *Ceremonies) newPasskey(ctx context.Context, cer ceremony, a Attestation, u account.User) (account.Passkey, error) {
	parsed, err := protocol.CredentialCreationResponse{
		PublicKeyCredential: publicKeyCredential(a.CredentialID),
		AttestationResponse: protocol.AuthenticatorAttestationResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: a.ClientData},
			AttestationObject:     a.AttestationObject,
		},
	}.Parse()
	if err != nil {
		return account.Passkey{}, refused("attestation", err)
	}
	if err := samePlace(cer, parsed.Response.CollectedClientData); err != nil {
		return account.Passkey{}, err
	}
	lib, session, now, err := c.resume(ctx, cer)
	if err != nil {
		return account.Passkey{}, err
	}
	k, err := lib.CreateCredential(person{user: u}, session, parsed)
	if err != nil {
		return account.Passkey{}, refused("attestation", err)
	}
	public, _, err := canonicalKey(k.PublicKey)
	if err != nil {
		return account.Passkey{}, refused("attestation", err)
	}
	if !u.Active() {
		return account.Passkey{}, fmt.Errorf("user %s: %w", u.ID, approval.ErrInactive)
	}
	return account.Passkey{
		ID: cer.subject.PasskeyID, UserID: u.ID, CredentialID: k.ID, PublicKey: public,
		SignCount: k.Authenticator.SignCount, AAGUID: k.Authenticator.AAGUID, Transports: known(a.Transports),
		BackupEligible: k.Flags.BackupEligible, BackupState: k.Flags.BackupState, Attestation: k.AttestationFormat,
		Status: account.PasskeyActive, CreatedAt: now, UpdatedAt: now,
		RequestID: cer.RequestID, VouchedBy: cer.subject.VouchedBy,
	}, nil
}

// kept are the passkeys that were not taken away.
func kept(all []account.Passkey) []account.Passkey {
	return passkeysWith(all, account.PasskeyActive, account.PasskeyInactive)
}
