package apitest

import (
	"context"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn/virtual"
)

// Person is a user with a passkey, and the phone it is on.
type Person struct {
	*House
	account.User
	Keys *virtual.Authenticator
}

// NewPerson makes a user in the default namespace who has enrolled a passkey.
func (h *House) NewPerson(name string) *Person {
	h.Helper()
	return h.Enrol(h.NewUser(name))
}

// Enrol gives a user a passkey by a real ceremony.
func (h *House) Enrol(u account.User) *Person {
	h.Helper()
	ctx := context.Background()
	p := &Person{House: h, User: u, Keys: virtual.New()}
	invitation, _, err := h.Directory.Invite(ctx, u)
	h.must(err)
	options, _, err := h.Config.Ceremonies.BeginEnrol(ctx, invitation)
	h.must(err)
	made, err := p.Keys.Create(h.URL, options)
	h.must(err)
	_, _, err = h.Config.Ceremonies.Enrol(ctx, invitation, made, "phone", "")
	h.must(err)
	return p
}

// Typed is how somebody who typed a code got to its request.
func Typed(userCode string) approval.Ref {
	return approval.Ref{Way: approval.Typed, Secret: account.Secret(userCode)}
}

// Approve says yes with the passkey. The number is empty where none is asked for.
func (p *Person) Approve(ref approval.Ref, number string) {
	p.Helper()
	p.must(p.TryApprove(ref, number))
}

// TryApprove is Approve where that may be refused.
func (p *Person) TryApprove(ref approval.Ref, number string) error {
	ctx := context.Background()
	options, err := p.Config.Ceremonies.BeginApproval(ctx, ref, p.viewer(), number)
	if err != nil {
		return err
	}
	signed, err := p.Keys.Get(p.URL, options)
	if err != nil {
		return err
	}
	_, err = p.Config.Ceremonies.Approve(ctx, ref, p.viewer(), signed)
	return err
}

// Opens shows the request on the phone.
func (p *Person) Opens(ref approval.Ref) {
	p.Helper()
	_, err := p.Service.Opened(context.Background(), ref, p.viewer())
	p.must(err)
}

// Decline says no.
func (p *Person) Decline(ref approval.Ref) {
	p.Helper()
	_, err := p.Service.Decide(context.Background(), ref, p.viewer(), approval.Answer{Verdict: approval.Decline})
	p.must(err)
}

func (p *Person) viewer() approval.Viewer { return approval.Viewer{User: p.User} }
