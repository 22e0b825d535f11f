package webauthn_test

import (
	"testing"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/webauthn"
	"github.com/nod-auth/nod/webauthn/virtual"
)

// answer is what an authenticator gave, in both forms: what one form lacks is
// made up, as somebody who tries would.
type answer struct {
	webauthn.Assertion
	webauthn.Attestation
}

func asserted(a webauthn.Assertion) answer {
	return answer{a, webauthn.Attestation{
		Challenge: a.Challenge, CredentialID: a.CredentialID, ClientData: a.ClientData, AttestationObject: a.AuthenticatorData,
	}}
}

func attested(a webauthn.Attestation) answer {
	return answer{webauthn.Assertion{
		Challenge: a.Challenge, CredentialID: a.CredentialID, ClientData: a.ClientData,
		AuthenticatorData: a.AttestationObject, Signature: a.AttestationObject,
	}, a}
}

// use is one purpose: how its ceremony is begun and answered well, and where an
// answer is presented for it.
type use struct {
	begin  func(*world) answer
	finish func(*world, answer) error
}

// uses are all purposes, around one request and one invitation of a world.
func uses(w *world) map[approval.CeremonyPurpose]use {
	_, ref := w.ask(approval.Context{})
	secret, _, err := w.dir.Invite(w.Context(), w.newUser("carol"))
	w.ok(err)
	return map[approval.CeremonyPurpose]use{
		approval.CeremonySignIn: {
			func(w *world) answer { return asserted(w.signingIn()) },
			func(w *world, a answer) error { return w.signIn(a.Assertion) },
		},
		approval.CeremonyApprove: {
			func(w *world) answer { return asserted(w.approving(ref)) },
			func(w *world, a answer) error { return w.approve(ref, a.Assertion) },
		},
		approval.CeremonyEnrol: {
			func(w *world) answer {
				o, _, err := w.BeginEnrol(w.Context(), secret)
				w.ok(err)
				return attested(w.made(virtual.New(), ownOrigin, o))
			},
			func(w *world, a answer) error {
				_, _, err := w.Enrol(w.Context(), secret, a.Attestation, "", "")
				return err
			},
		},
		approval.CeremonyAuthenticate: {
			func(w *world) answer {
				o, err := w.BeginAuthenticate(w.Context(), w.client, &w.alice, "alice")
				w.ok(err)
				return asserted(w.answered(w.phone, ownOrigin, o))
			},
			func(w *world, a answer) error {
				_, err := w.Authenticate(w.Context(), w.holder(), "alice", a.Assertion)
				return err
			},
		},
		approval.CeremonySelfGenerate: {
			func(w *world) answer {
				o, err := w.BeginSelfGenerate(w.Context(), w.client, &w.alice, "alice", approval.Short, approval.SignIn)
				w.ok(err)
				return asserted(w.answered(w.phone, ownOrigin, o))
			},
			func(w *world, a answer) error {
				_, _, err := w.SelfGenerate(w.Context(), w.holder(), "alice", approval.Short, a.Assertion, true)
				return err
			},
		},
		approval.CeremonyRegister: {
			func(w *world) answer {
				_, o, err := w.BeginRegister(w.Context(), w.client, nil, "alice 2", webauthn.RegisterOptions{})
				w.ok(err)
				return attested(w.made(virtual.New(), ownOrigin, o))
			},
			func(w *world, a answer) error { return w.complete("alice 2", approval.CeremonyRegister, a.Attestation) },
		},
		approval.CeremonyAdd: {
			func(w *world) answer {
				o, err := w.BeginAdd(w.Context(), w.client, w.alice, approval.Request{}, webauthn.RegisterOptions{})
				w.ok(err)
				return attested(w.made(virtual.New(), ownOrigin, o))
			},
			func(w *world, a answer) error { return w.complete("alice", approval.CeremonyAdd, a.Attestation) },
		},
		approval.CeremonyRecovery: {
			func(w *world) answer { return asserted(w.vouching(approval.CeremonyRecovery)) },
			func(w *world, a answer) error {
				_, err := w.MakeRecovery(w.Context(), w.viewer(), a.Assertion)
				return err
			},
		},
		approval.CeremonyInvite: {
			func(w *world) answer { return asserted(w.vouching(approval.CeremonyInvite)) },
			func(w *world, a answer) error {
				_, _, err := w.Invite(w.Context(), w.viewer(), a.Assertion)
				return err
			},
		},
		approval.CeremonyVouch: {
			func(w *world) answer { return asserted(w.vouching(approval.CeremonyVouch)) },
			func(w *world, a answer) error {
				_, err := w.BeginAddHere(w.Context(), w.viewer(), a.Assertion)
				return err
			},
		},
		approval.CeremonyAddHere: {
			func(w *world) answer { return attested(w.made(virtual.New(), ownOrigin, w.adding())) },
			func(w *world, a answer) error {
				_, err := w.AddHere(w.Context(), w.viewer(), a.Attestation, "")
				return err
			},
		},
	}
}

func (w *world) complete(username string, purpose approval.CeremonyPurpose, a webauthn.Attestation) error {
	_, _, _, err := w.Complete(w.Context(), w.holder(), username, purpose, a, "", true)
	return err
}

func TestCeremony_ofEachPurposeIsRefusedForEachOther(t *testing.T) {
	w := newWorld(t)
	purposes := uses(w)
	for begun, from := range purposes {
		for presented, to := range purposes {
			if begun == presented {
				continue
			}
			a := from.begin(w)
			wants(t, string(begun)+" for "+string(presented), to.finish(w, a), approval.ErrMismatch)
			wants(t, string(begun)+" afterwards", from.finish(w, a), approval.ErrReplayed)
		}
	}
	for purpose, u := range purposes { // and each is good for its own
		a := u.begin(w)
		if err := u.finish(w, a); err != nil {
			t.Errorf("%s for itself: got %v, want none", purpose, err)
		}
	}
}

func TestCeremony_ofOneClientIsRefusedForAnother(t *testing.T) {
	w := newWorld(t)
	mine := w.client
	other := w.newClient(mine.NamespaceID, "Other")
	for purpose, u := range uses(w) {
		switch purpose {
		case approval.CeremonySignIn, approval.CeremonyApprove, approval.CeremonyEnrol,
			approval.CeremonyRecovery, approval.CeremonyInvite, approval.CeremonyVouch, approval.CeremonyAddHere:
			continue // of the phone's pages, which are nod's
		}
		w.client = mine
		a := u.begin(w)
		w.client = other
		wants(t, string(purpose), u.finish(w, a), approval.ErrMismatch)
	}
}

func TestCeremony_ofOneNamespaceIsRefusedInAnother(t *testing.T) {
	w := newWorld(t)
	ns, err := w.dir.Namespace(t.Context(), "elsewhere")
	w.ok(err)
	a := w.authenticating("alice")
	h := w.holder()
	h.Client.NamespaceID = ns.ID
	_, err = w.Authenticate(t.Context(), h, "alice", a)
	wants(t, "authenticate", err, approval.ErrMismatch)
}
