package storetest

import (
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var effectTests = []test{
	{"Spend_onceForEachBoxAndKey", spendOnce},
	{"CountPasskey_onlyFromWhereItWas", countPasskey},
	{"Passkey_addRenameAndStatus", passkeyEffects},
	{"KeepPasskey_refusesToLeaveNone", keepPasskey},
	{"User_addStatusAndDelete", userEffects},
	{"Invitation_isSpentOnceAndInTime", invitationEffects},
	{"Client_addKeysAndDelete", clientEffects},
	{"Namespace_addedTwiceIsOne", namespaceEffects},
}

func spendOnce(w *world) {
	until := w.now().Add(time.Minute)
	w.do(approval.Spend{Box: approval.BoxNonce, Key: "a", Until: until})
	w.dont(approval.ErrReplayed, approval.Spend{Box: approval.BoxNonce, Key: "a", Until: until})
	w.do(approval.Spend{Box: approval.BoxCeremony, Key: "a", Until: until}, approval.Spend{Box: approval.BoxNonce, Key: "b", Until: until})
	w.dont(approval.ErrReplayed, approval.Spend{Box: approval.BoxNonce, Key: "c", Until: until}, approval.Spend{Box: approval.BoxNonce, Key: "c", Until: until})
	if w.Advance != nil {
		w.Advance(time.Hour) // until somebody purges, it stays spent
		w.dont(approval.ErrReplayed, approval.Spend{Box: approval.BoxNonce, Key: "a", Until: until.Add(time.Hour)})
	}
}

func (w *world) passkeyNow(id string) account.Passkey {
	w.Helper()
	return value[account.Passkey](w, "Passkey")(w.Passkey(w.ctx, id))
}

func countPasskey(w *world) {
	want := w.passkey
	w.do(approval.CountPasskey{ID: want.ID, Was: 7, Is: 4_294_967_295, BackupState: true})
	want.SignCount, want.BackupState, want.UsedAt = 4_294_967_295, true, w.now()
	w.same("after a use", w.passkeyNow(want.ID), want)
	w.dont(approval.ErrRevoked, approval.CountPasskey{ID: want.ID, Was: 7, Is: 8})
	w.dont(approval.ErrRevoked, approval.CountPasskey{ID: id(), Was: 7, Is: 8})
	w.do(approval.SetPasskeyStatus{ID: want.ID, From: account.PasskeyActive, To: account.PasskeyInactive})
	w.dont(approval.ErrRevoked, approval.CountPasskey{ID: want.ID, Was: want.SignCount, Is: want.SignCount})
}

func passkeyEffects(w *world) {
	same := w.newPasskey(w.user)
	same.CredentialID = w.passkey.CredentialID
	w.dont(approval.ErrExists, approval.AddPasskey{Passkey: same})
	w.dont(approval.ErrNotFound, approval.AddPasskey{Passkey: w.newPasskey(account.User{ID: id()})})
	w.dont(approval.ErrNotFound, approval.RenamePasskey{ID: id(), Name: "New"})
	w.dont(approval.ErrNotFound, approval.SetPasskeyStatus{ID: id(), From: account.PasskeyActive, To: account.PasskeyRevoked})
	w.dont(approval.ErrConflict, approval.SetPasskeyStatus{ID: w.passkey.ID, From: account.PasskeyInactive, To: account.PasskeyRevoked})

	want := w.passkey
	if w.Advance != nil {
		w.Advance(time.Minute)
	}
	w.do(approval.RenamePasskey{ID: want.ID, Name: "Büro"},
		approval.SetPasskeyStatus{ID: want.ID, From: account.PasskeyActive, To: account.PasskeyRevoked})
	want.Name, want.Status, want.UpdatedAt = "Büro", account.PasskeyRevoked, w.passkeyNow(want.ID).UpdatedAt
	w.same("after both", w.passkeyNow(want.ID), want)
	if moved := want.UpdatedAt.Sub(w.start); w.Advance != nil && moved != time.Minute {
		w.Errorf("UpdatedAt moved by %s, want 1m", moved)
	}
}

func keepPasskey(w *world) {
	revoke := func(id string) approval.Effect {
		return approval.SetPasskeyStatus{ID: id, From: account.PasskeyActive, To: account.PasskeyRevoked}
	}
	keep := approval.KeepPasskey{UserID: w.user.ID}
	w.do(keep)
	w.dont(approval.ErrForbidden, revoke(w.passkey.ID), keep)
	w.same("after the refusal", w.passkeyNow(w.passkey.ID), w.passkey)
	second := w.newPasskey(w.user)
	w.do(approval.AddPasskey{Passkey: second})
	w.do(revoke(w.passkey.ID), keep)
	w.dont(approval.ErrForbidden, revoke(second.ID), keep)
	w.dont(approval.ErrForbidden, approval.KeepPasskey{UserID: id()})
}

func userEffects(w *world) {
	deactivate := approval.SetUserStatus{ID: w.user.ID, From: account.UserActive, To: account.UserInactive}
	w.dont(approval.ErrExists, approval.AddUser{User: w.newUser(w.user.Username)})
	elsewhere := w.newUser(w.user.Username)
	elsewhere.NamespaceID = "fedcba9876543210"
	w.dont(approval.ErrNotFound, approval.AddUser{User: elsewhere})
	w.do(approval.AddNamespace{Namespace: account.Namespace{ID: elsewhere.NamespaceID, Name: "second"}}, approval.AddUser{User: elsewhere})
	w.do(deactivate)
	w.dont(approval.ErrConflict, deactivate)
	w.dont(approval.ErrNotFound, approval.SetUserStatus{ID: id(), From: account.UserActive, To: account.UserInactive})
	w.same("status", value[account.User](w, "User")(w.User(w.ctx, w.user.ID)).Status, account.UserInactive)

	session := account.Session{Hash: hash(), UserID: w.user.ID, PasskeyID: w.passkey.ID, CreatedAt: w.now(), SeenAt: w.now()}
	invitation := account.Invitation{Hash: hash(), UserID: w.user.ID, CreatedAt: w.now(), Expires: w.now().Add(time.Hour)}
	w.is("AddSession", w.AddSession(w.ctx, session), nil)
	r := w.newRequest()
	w.apply(step(r, approval.Pending, approval.EventRequested), effects(approval.AddInvitation{Invitation: invitation}))
	w.do(approval.DeleteUser{ID: w.user.ID})
	w.dont(approval.ErrNotFound, approval.DeleteUser{ID: w.user.ID})
	for what, read := range map[string]func() error{
		"User":                func() error { _, err := w.User(w.ctx, w.user.ID); return err },
		"UserByName":          func() error { _, err := w.UserByName(w.ctx, w.namespace.ID, w.user.Username); return err },
		"Passkey":             func() error { _, err := w.Passkey(w.ctx, w.passkey.ID); return err },
		"PasskeyByCredential": func() error { _, err := w.PasskeyByCredential(w.ctx, w.passkey.CredentialID); return err },
		"Session":             func() error { _, err := w.Session(w.ctx, session.Hash); return err },
		"Invitation":          func() error { _, err := w.Invitation(w.ctx, invitation.Hash); return err },
	} {
		w.is(what+" of a deleted user", read(), approval.ErrNotFound)
	}
	w.find(r.ID) // stays until it is purged
	w.do(approval.AddUser{User: w.newUser(w.user.Username)})
}

func invitationEffects(w *world) {
	now := w.now()
	one := account.Invitation{Hash: hash(), UserID: w.user.ID, CreatedAt: now, Expires: now.Add(time.Hour)}
	w.dont(approval.ErrNotFound, approval.AddInvitation{Invitation: account.Invitation{Hash: hash(), UserID: id(), Expires: one.Expires}})
	w.do(approval.AddInvitation{Invitation: one})
	w.dont(approval.ErrExists, approval.AddInvitation{Invitation: one})
	w.same("invitation", value[account.Invitation](w, "Invitation")(w.Invitation(w.ctx, one.Hash)), one)
	w.do(approval.SpendInvitation{Hash: one.Hash})
	w.dont(approval.ErrReplayed, approval.SpendInvitation{Hash: one.Hash})
	w.dont(approval.ErrReplayed, approval.SpendInvitation{Hash: hash()})
	_, err := w.Invitation(w.ctx, one.Hash)
	w.is("Invitation when spent", err, approval.ErrNotFound)

	w.needAdvance()
	late := account.Invitation{Hash: hash(), UserID: w.user.ID, CreatedAt: now, Expires: now.Add(time.Hour)}
	w.do(approval.AddInvitation{Invitation: late})
	w.Advance(time.Hour)
	w.dont(approval.ErrReplayed, approval.SpendInvitation{Hash: late.Hash})
}

func clientEffects(w *world) {
	key := func(at time.Duration) account.ClientKey {
		return account.ClientKey{ID: id(), ClientID: w.client.ID, Public: hash(), CreatedAt: w.start.Add(at)}
	}
	w.dont(approval.ErrExists, approval.AddClient{Client: w.client})
	stray := w.newClient()
	stray.NamespaceID = "fedcba9876543210"
	w.dont(approval.ErrNotFound, approval.AddClient{Client: stray})
	first, second := key(0), key(time.Second)
	w.do(approval.AddClientKey{Key: first})
	w.dont(approval.ErrExists, approval.AddClientKey{Key: first})
	w.do(approval.AddClientKey{Key: second})
	w.dont(approval.ErrTooMany, approval.AddClientKey{Key: key(0)})
	keys := func() []account.ClientKey {
		return value[[]account.ClientKey](w, "ClientKeys")(w.ClientKeys(w.ctx, w.client.ID))
	}
	w.same("keys, newest first", keys(), []account.ClientKey{second, first})

	w.dont(approval.ErrNotFound, approval.RemoveClientKey{ClientID: id(), ID: first.ID})
	w.do(approval.RemoveClientKey{ClientID: w.client.ID, ID: first.ID})
	w.dont(approval.ErrNotFound, approval.RemoveClientKey{ClientID: w.client.ID, ID: first.ID})
	third := key(time.Minute)
	w.do(approval.AddClientKey{Key: third})
	w.same("keys after the rotation", keys(), []account.ClientKey{third, second})

	unknown := key(0)
	unknown.ClientID = id()
	w.dont(approval.ErrNotFound, approval.AddClientKey{Key: unknown})
	w.do(approval.DeleteClient{ID: w.client.ID})
	w.dont(approval.ErrNotFound, approval.DeleteClient{ID: w.client.ID})
	w.same("keys of a deleted client", keys(), []account.ClientKey(nil))
	_, err := w.Client(w.ctx, w.client.ID)
	w.is("Client when deleted", err, approval.ErrNotFound)
}

func namespaceEffects(w *world) {
	again := account.Namespace{ID: "fedcba9876543210", Name: w.namespace.Name, CreatedAt: w.now()}
	w.do(approval.AddNamespace{Namespace: again})
	w.same("namespace", value[account.Namespace](w, "Namespace")(w.Namespace(w.ctx, w.namespace.Name)), w.namespace)
	_, err := w.Namespace(w.ctx, again.ID)
	w.is("Namespace by the id that was not taken", err, approval.ErrNotFound)
}
