package storetest

import (
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var needsTests = []test{{"Needs_matrix", needsMatrix}}

// needsMatrix tries every fault of who must be active against every change that
// asks for it (I13).
func needsMatrix(w *world) {
	type cast struct {
		user    account.User
		passkey account.Passkey
		clients []account.Client
	}
	revoke := func(c cast, to account.PasskeyStatus) approval.Effect {
		return approval.SetPasskeyStatus{ID: c.passkey.ID, From: account.PasskeyActive, To: to}
	}
	faults := map[string]struct {
		happens func(c cast) []approval.Effect
		word    error
	}{
		"all is well": {func(cast) []approval.Effect { return nil }, nil},
		"user deactivated": {func(c cast) []approval.Effect {
			return []approval.Effect{approval.SetUserStatus{ID: c.user.ID, From: account.UserActive, To: account.UserInactive}}
		}, approval.ErrInactive},
		"user deleted":          {func(c cast) []approval.Effect { return []approval.Effect{approval.DeleteUser{ID: c.user.ID}} }, approval.ErrInactive},
		"passkey revoked":       {func(c cast) []approval.Effect { return []approval.Effect{revoke(c, account.PasskeyRevoked)} }, approval.ErrRevoked},
		"passkey suspended":     {func(c cast) []approval.Effect { return []approval.Effect{revoke(c, account.PasskeyInactive)} }, approval.ErrRevoked},
		"first client deleted":  {func(c cast) []approval.Effect { return []approval.Effect{approval.DeleteClient{ID: c.clients[0].ID}} }, approval.ErrRevoked},
		"second client deleted": {func(c cast) []approval.Effect { return []approval.Effect{approval.DeleteClient{ID: c.clients[1].ID}} }, approval.ErrRevoked},
	}
	for fault, f := range faults {
		for _, kind := range []string{"create", "approve", "redeem", "effects only"} {
			c := cast{user: w.newUser(fault + kind), clients: []account.Client{w.newClient(), w.newClient()}}
			c.passkey = w.newPasskey(c.user)
			w.do(approval.AddUser{User: c.user}, approval.AddPasskey{Passkey: c.passkey},
				approval.AddClient{Client: c.clients[0]}, approval.AddClient{Client: c.clients[1]})

			needs := approval.Needs{UserID: c.user.ID, PasskeyID: c.passkey.ID, ClientIDs: []string{c.clients[0].ID, c.clients[1].ID}}
			r := w.newRequest()
			creating := w.creating(r)
			var change approval.Change
			switch kind {
			case "create":
				change = creating
			case "approve":
				change = w.approving(w.apply(creating))
			case "redeem":
				change = w.redeeming(w.apply(w.approving(w.apply(creating))))
			default:
				change = effects(approval.Spend{Box: approval.BoxNonce, Key: id(), Until: w.start.AddDate(1, 0, 0)})
			}
			change.Needs = needs
			w.do(f.happens(c)...)
			before := w.state(w.Truth)
			w.is(kind+" with "+fault, w.Apply(w.ctx, change), f.word)
			if f.word != nil {
				w.same(kind+" with "+fault, w.state(w.Truth), before)
			}
		}
	}
}
