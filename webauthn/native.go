package webauthn

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/text/unicode/norm"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// BeginAuthenticate asks for a passkey of the user who is called username, and
// for an invented one when u is nil or has none that may answer. With is spent
// first.
func (c *Ceremonies) BeginAuthenticate(ctx context.Context, client account.Client, u *account.User, username string, with ...approval.Effect) (RequestOptions, error) {
	var cer ceremony
	cer.Purpose, cer.subject = approval.CeremonyAuthenticate, subject{Username: username}
	o, err := c.askNamed(ctx, cer, client, u, nil, with)
	if err != nil {
		return o, fmt.Errorf("begin authentication: %w", err)
	}
	return o, nil
}

// Authenticate signs the user in at the holder's client, with a token. Username
// must be what the ceremony was begun with; with happens in the same
// transaction.
func (c *Ceremonies) Authenticate(ctx context.Context, h approval.Holder, username string, a Assertion, with ...approval.Effect) (*approval.Collected, error) {
	var out *approval.Collected
	err := c.assert(ctx, a, named(approval.CeremonyAuthenticate, h.Client, username), func(v verified) (err error) {
		v.proof.Effects = append(v.proof.Effects, with...)
		out, err = c.cfg.Service.Login(ctx, h, v.user, v.proof)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("authenticate: %w", err)
	}
	return out, nil
}

// BeginSelfGenerate is BeginAuthenticate for a code of the kind and purpose
// given, which the passkey's answer will vouch for.
func (c *Ceremonies) BeginSelfGenerate(ctx context.Context, client account.Client, u *account.User, username string, kind approval.CodeKind, purpose approval.Purpose, with ...approval.Effect) (RequestOptions, error) {
	var cer ceremony
	cer.Purpose, cer.subject = approval.CeremonySelfGenerate, subject{Username: username, Kind: kind, Purpose: purpose}
	o, err := c.askNamed(ctx, cer, client, u, nil, with)
	if err != nil {
		return o, fmt.Errorf("begin self-generated code: %w", err)
	}
	return o, nil
}

// SelfGenerate makes a code that is approved from birth, of the purpose the
// ceremony was begun for, and signs the user in as well where a token is wanted.
// These are two transactions, the code's first, which spends the ceremony: when
// the second fails, the code lapses without anybody having seen it.
func (c *Ceremonies) SelfGenerate(ctx context.Context, h approval.Holder, username string, kind approval.CodeKind, a Assertion, wantToken bool) (approval.Begun, *approval.Collected, error) {
	want := named(approval.CeremonySelfGenerate, h.Client, username)
	sameName := want.fits
	want.fits = func(cer ceremony) bool { return sameName(cer) && cer.subject.Kind == kind }
	var by verified
	var begun approval.Begun
	err := c.assert(ctx, a, want, func(v verified) (err error) {
		by = v
		begun, err = c.cfg.Service.Begin(ctx, vouchedFor(v, h))
		return err
	})
	var out *approval.Collected
	if err == nil && wantToken {
		by.proof.Effects = nil // they happened
		out, err = c.cfg.Service.Login(ctx, h, by.user, by.proof)
	}
	if err != nil {
		return approval.Begun{}, nil, fmt.Errorf("self-generate code: %w", err)
	}
	return begun, out, nil
}

func vouchedFor(v verified, h approval.Holder) approval.Ask {
	return approval.Ask{
		Face: h.Face, Client: h.Client, User: v.user,
		Purpose: v.cer.subject.Purpose, Kind: v.cer.subject.Kind,
		Context: approval.Context{Address: h.Address},
		Vouch: &approval.Vouch{
			Proof: &v.proof,
			Decision: approval.Decision{
				By: approval.ByPasskey, UserID: v.user.ID, Username: v.user.Username,
				PasskeyID: v.passkey.ID, PasskeyName: v.passkey.Name,
			},
		},
	}
}

// askNamed begins a ceremony of the native face, of a purpose and about a name, for
// whoever is called so, or for nobody. Record is what it has signed, given who signs;
// nil for nothing but the challenge.
func (c *Ceremonies) askNamed(ctx context.Context, cer ceremony, client account.Client, u *account.User, record func(userID string) []byte, with []approval.Effect) (RequestOptions, error) {
	p := c.nobody(client.NamespaceID, cer.subject.Username)
	cer.NamespaceID, cer.ClientID, cer.Origins = client.NamespaceID, client.ID, c.nativeOrigins(client)
	if u != nil {
		p.user = *u
	}
	owned, err := c.cfg.Accounts.Passkeys(ctx, p.user.ID)
	if err != nil {
		return RequestOptions{}, err
	}
	if active := passkeysWith(owned, account.PasskeyActive); u != nil && len(active) > 0 {
		p.passkeys, cer.UserID = unreached(active), u.ID
	} else {
		p = c.nobody(client.NamespaceID, cer.subject.Username)
	}
	if record != nil {
		cer.Record = record(p.user.ID)
	}
	if err := c.cfg.Service.Spend(ctx, with...); err != nil {
		return RequestOptions{}, err
	}
	o, err := c.ask(ctx, cer, p)
	if slices.ContainsFunc(o.AllowCredentials, func(d Descriptor) bool { return zeroTail(d.ID) }) {
		// The native contract's browser SDK would ask for an id that no
		// authenticator has. Passkeys are discoverable, and the ceremony remains
		// this user's: without the list the right one is found all the same.
		o.AllowCredentials = nil
	}
	return o, err
}

// unreached hides how passkeys are reached; see everyTransport.
func unreached(passkeys []account.Passkey) []account.Passkey {
	for i := range passkeys {
		passkeys[i].Transports = everyTransport
	}
	return passkeys
}

// named is the claim of an answer that the native face was given for a user's
// name.
func named(purpose approval.CeremonyPurpose, client account.Client, username string) claim {
	return claim{
		purpose: purpose, namespaceID: client.NamespaceID, clientID: client.ID,
		fits: func(cer ceremony) bool {
			return norm.NFC.String(cer.subject.Username) == norm.NFC.String(username)
		},
	}
}
