package webauthn

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	library "github.com/go-webauthn/webauthn/webauthn"

	"github.com/nod-auth/nod/approval"
)

// claim is what an answer is presented for; its ceremony must have been begun
// for exactly that.
type claim struct {
	purpose     approval.CeremonyPurpose
	namespaceID string
	clientID    string
	fits        func(ceremony) bool // whatever else must agree; nil: nothing
}

func (want claim) covers(c ceremony) bool {
	return c.Purpose == want.purpose && c.NamespaceID == want.namespaceID && c.ClientID == want.clientID &&
		(want.fits == nil || want.fits(c))
}

// answer finds the ceremony that an answer belongs to and hands it to use, which
// must spend it in the transaction of its effect. If that fails, the ceremony is
// spent without one.
func (c *Ceremonies) answer(ctx context.Context, challenge, clientData []byte, want claim, use func(ceremony) error) error {
	cer, err := c.find(ctx, challenge, clientData)
	if err != nil {
		return err
	}
	if want.covers(cer) {
		err = use(cer)
	} else {
		err = fmt.Errorf("ceremony for %s: %w", cer.Purpose, approval.ErrMismatch)
	}
	if err == nil || errors.Is(err, approval.ErrUnavailable) {
		return err
	}
	switch e := c.cfg.Service.Spend(ctx, cer.spend()); {
	case e == nil:
		return err
	case !errors.Is(e, approval.ErrReplayed), errors.Is(err, approval.ErrExists):
		return e // what exists is what the first answer made
	default:
		return err
	}
}

// find reads the ceremony of an answer. The page's own word for the challenge,
// where it gives one, must be what was signed.
func (c *Ceremonies) find(ctx context.Context, challenge, clientData []byte) (ceremony, error) {
	var signed struct {
		Challenge Bytes `json:"challenge"`
	}
	if err := json.Unmarshal(clientData, &signed); err != nil {
		return ceremony{}, fmt.Errorf("client data: %w", approval.ErrMismatch)
	}
	if len(challenge) > 0 && !bytes.Equal(challenge, signed.Challenge) {
		return ceremony{}, fmt.Errorf("challenge is not the signed one: %w", approval.ErrMismatch)
	}
	found, err := c.cfg.Ceremonies.Ceremony(ctx, ceremonyID(signed.Challenge))
	if err != nil {
		return ceremony{}, nowMismatch(err)
	}
	now, err := c.cfg.Service.Store.Now(ctx)
	if err != nil {
		return ceremony{}, err
	}
	if !now.Before(found.Expires) {
		return ceremony{}, fmt.Errorf("ceremony is over: %w", approval.ErrReplayed)
	}
	cer := ceremony{Ceremony: found}
	if err := json.Unmarshal(found.Subject, &cer.subject); err != nil {
		return ceremony{}, fmt.Errorf("ceremony %s: %w", found.ID, err)
	}
	return cer, nil
}

// nowMismatch is for what must exist if the answer is a good one.
func nowMismatch(err error) error {
	if errors.Is(err, approval.ErrNotFound) {
		return fmt.Errorf("answer names what is not there: %w", approval.ErrMismatch)
	}
	return err
}

// resume gives the library its own state back. The library judges the end of a
// ceremony by this machine's clock, so it is told how much of it is left by the
// store's.
func (c *Ceremonies) resume(ctx context.Context, cer ceremony) (lib *library.WebAuthn, session library.SessionData, now time.Time, err error) {
	if now, err = c.cfg.Service.Store.Now(ctx); err != nil {
		return nil, session, now, err
	}
	if err = json.Unmarshal(cer.Session, &session); err != nil {
		return nil, session, now, fmt.Errorf("ceremony %s: %w", cer.ID, err)
	}
	session.Expires = time.Now().Add(cer.Expires.Sub(now))
	lib, err = c.library(cer.Origins)
	return lib, session, now, err
}

// samePlace is stricter than the library about where an answer was made: origins
// byte for byte, as browsers write them. Frames of other origins the library
// refuses by itself.
func samePlace(cer ceremony, d protocol.CollectedClientData) error {
	if !slices.Contains(cer.Origins, d.Origin) {
		return fmt.Errorf("origin of the answer: %w", approval.ErrMismatch)
	}
	return nil
}

// refused turns the library's error into the core's word, and keeps its reason
// for the log.
func refused(what string, err error) error {
	return fmt.Errorf("%s: %w (%w)", what, approval.ErrMismatch, err)
}
