package webauthn

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	library "github.com/go-webauthn/webauthn/webauthn"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// verified is a passkey that answered, whose it is, and what that is worth.
type verified struct {
	cer     ceremony
	user    account.User
	passkey account.Passkey
	proof   approval.Proof
}

// maxMoves ends judging anew for a passkey that is used elsewhere all the time.
const maxMoves = 4

// assert verifies an answer and hands it to use, which must apply the proof's
// effects. Where another answer of the same passkey was first to move its
// counter, this one is judged again by what is now stored.
func (c *Ceremonies) assert(ctx context.Context, a Assertion, want claim, use func(verified) error) error {
	return c.answer(ctx, a.Challenge, a.ClientData, want, func(cer ceremony) (err error) {
		for range maxMoves {
			var v verified
			if v, err = c.verify(ctx, cer, a); err != nil {
				return err
			}
			if err = use(v); !errors.Is(err, approval.ErrRevoked) || !c.moved(ctx, v.passkey) {
				return err
			}
		}
		return err
	})
}

func (c *Ceremonies) moved(ctx context.Context, was account.Passkey) bool {
	is, err := c.cfg.Accounts.Passkey(ctx, was.ID)
	return err == nil && is.Status == account.PasskeyActive && is.SignCount != was.SignCount
}

// verify judges an answer. Who may answer is what the ceremony says; whether
// user and passkey still may is said only when the signature is good.
func (c *Ceremonies) verify(ctx context.Context, cer ceremony, a Assertion) (verified, error) {
	parsed, err := parseAssertion(a)
	if err != nil {
		return verified{}, refused("assertion", err)
	}
	if err := samePlace(cer, parsed.Response.CollectedClientData); err != nil {
		return verified{}, err
	}
	p, err := c.respondent(ctx, cer, a)
	if err != nil {
		return verified{}, err
	}
	lib, session, now, err := c.resume(ctx, cer)
	if err != nil {
		return verified{}, err
	}
	credential, err := validate(lib, session, p, parsed)
	if err != nil {
		return verified{}, refused("assertion", err)
	}
	passkey, known := p.passkey(credential.ID)
	if !known || p.user.Status == "" { // nobody: unreachable, since nobody has the key
		return verified{}, fmt.Errorf("assertion: %w", approval.ErrMismatch)
	}
	v := verified{cer: cer, user: p.user, passkey: passkey}
	if err := c.mayAnswer(ctx, v, credential); err != nil {
		return verified{}, err
	}
	v.proof = approval.Proof{
		UserID: v.user.ID, PasskeyID: passkey.ID, PasskeyName: passkey.Name,
		Record: cer.Record, Way: cer.Way, Matched: cer.Matched, At: now,
		Effects: []approval.Effect{
			cer.spend(), // first, so that a replay is called one
			approval.CountPasskey{
				ID: passkey.ID, Was: passkey.SignCount, Is: credential.Authenticator.SignCount,
				BackupState: credential.Flags.BackupState,
			},
		},
	}
	return v, nil
}

// ErrSuspended means that nod stopped the passkey, because it may have been copied.
// It is an ErrRevoked that its owner can be told more about.
var ErrSuspended = fmt.Errorf("suspended: %w", approval.ErrRevoked)

// mayAnswer refuses what ended, and a counter that did not move forward: there
// may be a copy of the passkey (WebAuthn L3 section 6.1.1), so it is suspended.
// Suspending spends the ceremony, so that an answer that merely came twice is a
// replay and suspends nothing.
func (c *Ceremonies) mayAnswer(ctx context.Context, v verified, credential *library.Credential) error {
	switch {
	case !v.user.Active():
		return fmt.Errorf("user %s: %w", v.user.ID, approval.ErrInactive)
	case v.passkey.Status == account.PasskeyInactive:
		return fmt.Errorf("passkey %s: %w", v.passkey.ID, ErrSuspended)
	case v.passkey.Status != account.PasskeyActive:
		return fmt.Errorf("passkey %s: %w", v.passkey.ID, approval.ErrRevoked)
	case !credential.Authenticator.CloneWarning:
		return nil
	}
	if err := c.cfg.Directory.SuspendPasskey(ctx, v.user, v.passkey, v.cer.spend()); err != nil {
		return err
	}
	return fmt.Errorf("passkey %s: signature counter went backwards: %w", v.passkey.ID, ErrSuspended)
}

// respondent is who may answer the ceremony: its user with all passkeys, those
// that ended included; whoever owns the discoverable passkey that answered; or
// nobody, at the same price.
func (c *Ceremonies) respondent(ctx context.Context, cer ceremony, a Assertion) (person, error) {
	if cer.Purpose == approval.CeremonySignIn {
		k, err := c.cfg.Accounts.PasskeyByCredential(ctx, a.CredentialID)
		if err != nil {
			return person{}, nowMismatch(err)
		}
		u, err := c.cfg.Accounts.User(ctx, k.UserID)
		return person{user: u, passkeys: []account.Passkey{k}}, nowMismatch(err)
	}
	nobody := c.nobody(cer.NamespaceID, cer.subject.Username)
	id := firstOf(cer.UserID, nobody.user.ID)
	u, err := c.cfg.Accounts.User(ctx, id)
	if err != nil && !(cer.UserID == "" && errors.Is(err, approval.ErrNotFound)) {
		return person{}, nowMismatch(err)
	}
	passkeys, err := c.cfg.Accounts.Passkeys(ctx, id)
	if err != nil {
		return person{}, err
	}
	if cer.UserID == "" {
		return nobody, nil
	}
	return person{user: u, passkeys: passkeys}, nil
}

func (p person) passkey(credentialID []byte) (account.Passkey, bool) {
	for _, k := range p.passkeys {
		if string(k.CredentialID) == string(credentialID) {
			return k, true
		}
	}
	return account.Passkey{}, false
}

func validate(lib *library.WebAuthn, session library.SessionData, p person, parsed *protocol.ParsedCredentialAssertionData) (*library.Credential, error) {
	if len(session.UserID) > 0 {
		return lib.ValidateLogin(p, session, parsed)
	}
	owner := func(_, _ []byte) (library.User, error) { return p, nil } // its handle is compared after this
	_, credential, err := lib.ValidatePasskeyLogin(owner, session, parsed)
	return credential, err
}

func parseAssertion(a Assertion) (*protocol.ParsedCredentialAssertionData, error) {
	return protocol.CredentialAssertionResponse{
		PublicKeyCredential: publicKeyCredential(a.CredentialID),
		AssertionResponse: protocol.AuthenticatorAssertionResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: a.ClientData},
			AuthenticatorData:     a.AuthenticatorData,
			Signature:             a.Signature,
			UserHandle:            a.UserHandle,
		},
	}.Parse()
}

func publicKeyCredential(id []byte) protocol.PublicKeyCredential {
	return protocol.PublicKeyCredential{
		Credential: protocol.Credential{ID: base64.RawURLEncoding.EncodeToString(id), Type: typePublicKey},
		RawID:      id,
	}
}
