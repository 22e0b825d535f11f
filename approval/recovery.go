package approval

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/nod-auth/nod/approval/account"
)

// Recovery codes are the way back for somebody who has no passkey at hand any more:
// printed, kept in a drawer, each good once. One of them signs its owner out
// everywhere and gives RecoverWithin to make a new passkey; it signs nobody in by
// itself. Nothing that a mailbox receives can take its place: whoever reads somebody's
// mail learns that a code was used, and no more.

// RecoveryCodes is how many codes a printed set has: ten, the number.
const RecoveryCodes = 10

// RecoverWithin is how long somebody who has used a recovery code, or has vouched
// for another device with a passkey, may take to make the new passkey.
const RecoverWithin = 15 * time.Minute

// The events of recovery.
const (
	EventRecoveryMade EventName = "recovery.codes_made"
	EventRecovered    EventName = "recovery.code_used"
)

// The effects of recovery.
type (
	// SetRecovery puts a set of codes in the place of a user's old one, used ones
	// included. Hashes are keyed; ErrExists when one of them is known already.
	SetRecovery struct {
		UserID    string
		MadeAt    time.Time
		Hashes    [][]byte
		PasskeyID string // that vouched for them; "": a backend's word
	}
	// EndRecovery voids the set of codes that a passkey vouched for; where there is none,
	// or another one, nothing happens.
	EndRecovery struct{ UserID, PasskeyID string }
	// SpendRecovery uses a code up: ErrReplayed when it was, or when a newer set has
	// taken its place.
	SpendRecovery struct{ Hash []byte }
	// EndInvitations takes back every invitation of a user.
	EndInvitations struct{ UserID string }
)

func (SetRecovery) effect()    {}
func (EndRecovery) effect()    {}
func (SpendRecovery) effect()  {}
func (EndInvitations) effect() {}

// Asker is who asked for a change of somebody's account, as far as it is known; it
// is for the audit row alone.
type Asker struct{ ClientID, PasskeyID, Address string }

func (a Asker) sign(e Event) Event {
	e.ClientID, e.PasskeyID, e.Address = a.ClientID, a.PasskeyID, a.Address
	return e
}

// RecoverySet is a user's new codes, which are told this once.
type RecoverySet struct {
	Codes  []account.Secret
	MadeAt time.Time
}

// NewRecovery gives a user a new set of n recovery codes, one at least and
// RecoveryCodes at most; those of the set before are worth nothing from then on.
// What is stored is a keyed hash of each. ErrInactive when the user is suspended, and
// the errors of with, which happens in the same transaction.
func (d *Directory) NewRecovery(ctx context.Context, u account.User, n int, by Asker, with ...Effect) (RecoverySet, error) {
	now, err := d.service.Store.Now(ctx)
	if err != nil {
		return RecoverySet{}, fmt.Errorf("make recovery codes: %w", err)
	}
	made := RecoverySet{Codes: make([]account.Secret, min(max(n, 1), RecoveryCodes)), MadeAt: now}
	set := SetRecovery{UserID: u.ID, MadeAt: now, PasskeyID: by.PasskeyID}
	for i := range made.Codes {
		made.Codes[i] = newRecoveryCode()
		set.Hashes = append(set.Hashes, d.service.Codes.recovery(u.Username, made.Codes[i]))
	}
	err = d.Record(ctx, Change{
		Op: NewOp(), Event: by.sign(userEvent(EventRecoveryMade, u)), Needs: Needs{UserID: u.ID},
		Effects: append(slices.Clone(with), set), // first, so that a replay is called one
		Tells:   []Tell{{u.ID, NoticeRecoveryMade}},
	})
	if err != nil {
		return RecoverySet{}, fmt.Errorf("make recovery codes: %w", err)
	}
	return made, nil
}

// Recovery tells about a user's set of codes; the zero value when there is none.
func (d *Directory) Recovery(ctx context.Context, u account.User) (account.Recovery, error) {
	r, err := d.read.Recovery(ctx, u.ID)
	if err != nil {
		return r, fmt.Errorf("read recovery codes: %w", err)
	}
	return r, nil
}

// Recover uses up the recovery code of whoever is called username: it ends all
// sessions, all invitations and all devices of that user, takes back what was approved
// and nobody has collected yet, tells all phones, and returns the secret of an
// invitation that is good for RecoverWithin. Passkeys stay, that of the lost phone too:
// which one that is, only its owner knows.
//
// All of that is one transaction, as far as a batch reaches. Of more, the first batches
// end before it: a fault or a crash there leaves a code that is still good, and the next
// try goes on where this one ended; once the code is spent, nothing is left to do.
//
// A try is counted before it is judged (I12), and a right one too. ErrNotFound is
// the one answer to a wrong code, one that was used or replaced, and a name that
// nobody has: whether there is such a user is not even looked up before a code was
// found. A *LimitError says how long nothing more is judged. ErrInactive, which only
// the holder of a right code learns, leaves it unused.
func (d *Directory) Recover(ctx context.Context, username string, code account.Secret, address string) (account.Secret, error) {
	secret, err := d.recover(ctx, username, code, address)
	if err != nil {
		return "", fmt.Errorf("recover: %w", heard(err))
	}
	return secret, nil
}

func (d *Directory) recover(ctx context.Context, username string, code account.Secret, address string) (account.Secret, error) {
	s := d.service
	if err := s.Store.Take(ctx, s.recoveryBudgets(username, address)); err != nil {
		return "", err
	}
	hash := s.Codes.recovery(username, code)
	owner, err := d.read.RecoveryOwner(ctx, hash)
	if err != nil {
		return "", err
	}
	u, err := d.read.User(ctx, owner)
	if err == nil && !u.Active() {
		err = ErrInactive
	}
	if err != nil {
		return "", err
	}
	now, err := s.Store.Now(ctx)
	if err != nil {
		return "", err
	}
	secret := account.NewSecret()
	inv := account.Invitation{Hash: secret.Hash(), UserID: u.ID, CreatedAt: now, Expires: now.Add(RecoverWithin), Recovers: true}
	_, err = d.signOut(ctx, u, Revoker{ByRecovery, address}, signOut{all: true, last: &Change{
		Op: NewOp(), Event: Asker{Address: address}.sign(userEvent(EventRecovered, u)), Needs: Needs{UserID: u.ID},
		Effects: []Effect{SpendRecovery{hash}, EndSessions{u.ID}, EndInvitations{u.ID}, AddInvitation{inv}},
		Tells:   []Tell{{u.ID, NoticeRecovered}},
	}})
	if errors.Is(err, ErrReplayed) { // somebody else used it since it was found
		err = ErrNotFound
	}
	return secret, err
}

// InviteAnotherDevice makes an invitation, good for RecoverWithin, with which a user
// adds a passkey on another device. The passkey that vouched for it must still be
// active when it is used. With, which proves that, happens in the same transaction.
func (d *Directory) InviteAnotherDevice(ctx context.Context, u account.User, by Asker, with ...Effect) (account.Secret, account.Invitation, error) {
	now, err := d.service.Store.Now(ctx)
	if err != nil {
		return "", account.Invitation{}, fmt.Errorf("invite another device: %w", err)
	}
	secret := account.NewSecret()
	inv := account.Invitation{
		Hash: secret.Hash(), UserID: u.ID, CreatedAt: now, Expires: now.Add(RecoverWithin), PasskeyID: by.PasskeyID,
	}
	err = d.Record(ctx, Change{
		Op: NewOp(), Event: by.sign(userEvent(EventInvited, u)), Needs: Needs{UserID: u.ID, PasskeyID: by.PasskeyID},
		Effects: append(slices.Clone(with), AddInvitation{inv}),
	})
	if err != nil {
		return "", account.Invitation{}, fmt.Errorf("invite another device: %w", err)
	}
	return secret, inv, nil
}

// recoveryBudgets bounds the tries at one name from one address, and at all names
// from there. There is none over all addresses, on purpose: it would let anybody who
// guesses wrong keep the owner out (B5), and bound nothing. A code is one of 20^16,
// 69 bits, and above 64 NIST SP 800-63B-4 section 3.1.2.2 asks for no limit at all: a
// million addresses with ten tries an hour each, at a set of ten, find one once in
// 700 million years (20^16 / (10 * 10^6 * 10 * 8766 h)).
func (s *Service) recoveryBudgets(username, address string) []Budget {
	who := s.Codes.Blind("recover", named(username)+"\n"+AddressGroup(address))
	return []Budget{
		{Key: who, Limit: s.Guesses.PerUser, Window: guessWindow},
		{Key: who + "/hour", Limit: s.Guesses.PerUserHourly, Window: time.Hour},
		s.addressBudget(address),
	}
}

// recoveryChars is the length of a recovery code, in groups of four. Letters as in
// user codes: no vowels, so no words, and nothing that reads like a digit.
const recoveryChars = 16

func newRecoveryCode() account.Secret {
	var random [recoveryChars * 4]byte
	rand.Read(random[:]) // never fails, Go 1.24 and later
	return account.Secret(grouped(random[:], recoveryChars))
}

// recovery is what is stored of a recovery code. It is bound to the name that is
// typed with it, so that a code is only ever found for its own user.
func (c *Codes) recovery(username string, code account.Secret) []byte {
	return c.prf("recovery", named(username), normalise(UserCode, code.Reveal()))
}

// named is a username as it is stored, whatever keyboard it was typed on.
func named(username string) string { return norm.NFC.String(strings.TrimSpace(username)) }
