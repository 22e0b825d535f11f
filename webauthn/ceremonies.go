package webauthn

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	library "github.com/go-webauthn/webauthn/webauthn"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// Life is how long a ceremony can be answered: 120 s, the number. It is
// enough to fetch a security key, and short enough that a page left open asks
// anew.
const Life = 120 * time.Second

// Config is what Ceremonies are made of; every field is required.
type Config struct {
	RPID       string // the domain that passkeys are made for; never changes
	RPName     string // shown by authenticators
	Origin     string // nod's own, as browsers write it: scheme://host[:port]
	Service    *approval.Service
	Directory  *approval.Directory
	Ceremonies approval.Ceremonies
	Accounts   Accounts
	InventKey  []byte // 32 bytes, derived from the master key: for users who do not exist
}

// Accounts is what ceremonies read.
type Accounts interface {
	account.Users
	account.Passkeys
	account.Invitations
}

// Ceremonies runs passkey ceremonies. Safe for concurrent use.
type Ceremonies struct {
	cfg       Config
	nobodyKey []byte // a COSE_Key whose private half was thrown away
}

// New checks the configuration. It reports everything that is wrong with it at
// once.
func New(cfg Config) (*Ceremonies, error) {
	faults := []error{checkOrigin(cfg.Origin, cfg.RPID)}
	if cfg.Service == nil || cfg.Directory == nil || cfg.Ceremonies == nil || cfg.Accounts == nil {
		faults = append(faults, errors.New("service, directory, ceremonies and accounts are required"))
	}
	if cfg.RPName == "" {
		faults = append(faults, errors.New("a name for authenticators to show is required"))
	}
	if len(cfg.InventKey) != sha256.Size {
		faults = append(faults, fmt.Errorf("invent key: %d bytes, want %d", len(cfg.InventKey), sha256.Size))
	}
	key, err := orphanKey()
	if err := errors.Join(append(faults, err)...); err != nil {
		return nil, fmt.Errorf("passkey ceremonies: %w", err)
	}
	c := &Ceremonies{cfg: cfg, nobodyKey: key}
	if _, err := c.library([]string{cfg.Origin}); err != nil {
		return nil, fmt.Errorf("passkey ceremonies: %w", err)
	}
	return c, nil
}

// checkOrigin holds nod's own origin to the form browsers write, because it is
// compared byte for byte, and to the RP ID's domain, because no browser would
// make a passkey otherwise.
func checkOrigin(origin, rpID string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || origin != u.Scheme+"://"+strings.ToLower(u.Host) {
		return fmt.Errorf("origin %q: want scheme://host[:port] in lower case", origin)
	}
	host := u.Hostname()
	if rpID == "" { // the library takes an empty one
		return errors.New("rp id: must not be empty")
	}
	if host != rpID && !strings.HasSuffix(host, "."+rpID) {
		return fmt.Errorf("rp id %q: is not the domain of %s or above it", rpID, origin)
	}
	return nil
}

// library returns the WebAuthn library set up for pages of the origins given.
func (c *Ceremonies) library(origins []string) (*library.WebAuthn, error) {
	life := library.TimeoutConfig{Enforce: true, Timeout: Life, TimeoutUVD: Life}
	return library.New(&library.Config{
		RPID:                  c.cfg.RPID,
		RPDisplayName:         c.cfg.RPName,
		RPOrigins:             origins,
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: protocol.ResidentKeyRequired(),
			ResidentKey:        protocol.ResidentKeyRequirementRequired,
			UserVerification:   protocol.VerificationRequired,
		},
		Timeouts: library.TimeoutsConfig{Login: life, Registration: life},
	})
}

// phoneOrigins and nativeOrigins are the pages whose ceremonies count.
func (c *Ceremonies) phoneOrigins() []string { return []string{c.cfg.Origin} }

func (c *Ceremonies) nativeOrigins(client account.Client) []string {
	if slices.Contains(client.Origins, c.cfg.Origin) {
		return client.Origins
	}
	return append(slices.Clone(client.Origins), c.cfg.Origin)
}

// person is a user as the library wants one.
type person struct {
	user        account.User
	passkeys    []account.Passkey
	name        string // what authenticators show; "": the username
	displayName string
}

// handle is the user handle: the UUID's text and not its 16 bytes, because the
// native contract's browser SDK cuts zero bytes off the end of what it decodes,
// and one UUID in 128 has them.
func handle(userID string) []byte { return []byte(userID) }

// The four methods of the library's User.
func (p person) WebAuthnID() []byte { return handle(p.user.ID) }

func (p person) WebAuthnName() string { return firstOf(p.name, p.user.Username) }

func (p person) WebAuthnDisplayName() string { return firstOf(p.displayName, p.user.Username) }

func (p person) WebAuthnCredentials() []library.Credential {
	out := make([]library.Credential, len(p.passkeys))
	for i, k := range p.passkeys {
		out[i] = library.Credential{
			ID:        k.CredentialID,
			PublicKey: k.PublicKey,
			Flags:     library.CredentialFlags{BackupEligible: k.BackupEligible, BackupState: k.BackupState},
			Authenticator: library.Authenticator{
				AAGUID: k.AAGUID, SignCount: k.SignCount,
			},
		}
	}
	return out
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// passkeysWith returns those of the passkeys that have one of the states.
func passkeysWith(all []account.Passkey, states ...account.PasskeyStatus) []account.Passkey {
	out := make([]account.Passkey, 0, len(all))
	for _, k := range all {
		if slices.Contains(states, k.Status) {
			out = append(out, k)
		}
	}
	return out
}
