package storetest

import (
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var accountTests = []test{
	{"Accounts_readByEachKey", accountsByKey},
	{"Accounts_nothingThere", accountsNothing},
	{"Users_inPages", usersInPages},
	{"Clients_ofOneNamespaceOrAll", clientsOfNamespace},
	{"Passkeys_oldestFirst", passkeysInOrder},
	{"Session_livesAndEnds", sessionLife},
	{"Ceremony_isKeptWhole", ceremonyKept},
}

func accountsByKey(w *world) {
	w.same("namespace by id", value[account.Namespace](w, "Namespace")(w.Namespace(w.ctx, w.namespace.ID)), w.namespace)
	w.same("namespace by name", value[account.Namespace](w, "Namespace")(w.Namespace(w.ctx, w.namespace.Name)), w.namespace)
	w.same("user by id", value[account.User](w, "User")(w.User(w.ctx, w.user.ID)), w.user)
	w.same("user by name", value[account.User](w, "UserByName")(w.UserByName(w.ctx, w.namespace.ID, w.user.Username)), w.user)
	w.same("passkey by id", w.passkeyNow(w.passkey.ID), w.passkey)
	w.same("passkey by credential",
		value[account.Passkey](w, "PasskeyByCredential")(w.PasskeyByCredential(w.ctx, w.passkey.CredentialID)), w.passkey)
	w.same("client", value[account.Client](w, "Client")(w.Client(w.ctx, w.client.ID)), w.client)
}

func accountsNothing(w *world) {
	for what, read := range map[string]func() error{
		"Namespace":           func() error { _, err := w.Namespace(w.ctx, "elsewhere"); return err },
		"User":                func() error { _, err := w.User(w.ctx, id()); return err },
		"UserByName":          func() error { _, err := w.UserByName(w.ctx, w.namespace.ID, "Ada"); return err },
		"UserByName abroad":   func() error { _, err := w.UserByName(w.ctx, "elsewhere", w.user.Username); return err },
		"Passkey":             func() error { _, err := w.Passkey(w.ctx, id()); return err },
		"PasskeyByCredential": func() error { _, err := w.PasskeyByCredential(w.ctx, hash()); return err },
		"Phone":               func() error { _, err := w.Phone(w.ctx, id()); return err },
		"PhoneByHash":         func() error { _, err := w.PhoneByHash(w.ctx, hash()); return err },
		"Client":              func() error { _, err := w.Client(w.ctx, id()); return err },
		"Session":             func() error { _, err := w.Session(w.ctx, hash()); return err },
		"TouchSession":        func() error { return w.TouchSession(w.ctx, hash(), w.now()) },
		"EndSession":          func() error { return w.EndSession(w.ctx, hash()) },
		"Invitation":          func() error { _, err := w.Invitation(w.ctx, hash()); return err },
		"Ceremony":            func() error { _, err := w.Ceremony(w.ctx, id()); return err },
	} {
		w.is(what, read(), approval.ErrNotFound)
	}
}

func usersInPages(w *world) {
	for _, name := range []string{"grace", "barbara", "edsger", "Zoë"} {
		w.do(approval.AddUser{User: w.newUser(name)})
	}
	elsewhere := account.Namespace{ID: "fedcba9876543210", Name: "second"}
	stranger := w.newUser("stranger")
	stranger.NamespaceID = elsewhere.ID
	w.do(approval.AddNamespace{Namespace: elsewhere}, approval.AddUser{User: stranger})
	var got []string
	for page, after := 0, ""; page < 10; page++ {
		us := value[[]account.User](w, "Users")(w.Users(w.ctx, w.namespace.ID, after, 2))
		if len(us) == 0 {
			break
		}
		for _, u := range us {
			got = append(got, u.Username)
		}
		after = got[len(got)-1]
	}
	// The order is the store's own; every name comes once.
	seen := map[string]int{}
	for _, name := range got {
		seen[name]++
	}
	w.same("names", seen, map[string]int{"ada": 1, "barbara": 1, "edsger": 1, "grace": 1, "Zoë": 1})
}

func clientsOfNamespace(w *world) {
	elsewhere := account.Namespace{ID: "fedcba9876543210", Name: "second"}
	later, stranger := w.newClient(), w.newClient()
	later.CreatedAt = w.start.Add(time.Second)
	stranger.NamespaceID, stranger.CreatedAt = elsewhere.ID, w.start.Add(time.Minute)
	stranger.Scopes, stranger.Origins, stranger.OpenRegistration = nil, nil, true
	stranger.Notify, stranger.RotateQR = false, false
	w.do(approval.AddNamespace{Namespace: elsewhere}, approval.AddClient{Client: stranger}, approval.AddClient{Client: later})
	list := func(ns string) []account.Client { return value[[]account.Client](w, "Clients")(w.Clients(w.ctx, ns)) }
	w.same("all", list(""), []account.Client{w.client, later, stranger})
	w.same("one namespace's", list(w.namespace.ID), []account.Client{w.client, later})
	w.same("nobody's", list("nowhere"), []account.Client(nil))
}

func passkeysInOrder(w *world) {
	older, revoked := w.newPasskey(w.user), w.newPasskey(w.user)
	older.CreatedAt = w.start.Add(-time.Hour)
	older.AAGUID, older.Transports = nil, nil
	older.RequestID, older.VouchedBy = "", ""
	revoked.CreatedAt, revoked.Status = w.start.Add(time.Hour), account.PasskeyRevoked
	revoked.UsedAt = w.start.Add(2 * time.Hour)
	w.do(approval.AddPasskey{Passkey: revoked}, approval.AddPasskey{Passkey: older})
	w.same("passkeys", value[[]account.Passkey](w, "Passkeys")(w.Passkeys(w.ctx, w.user.ID)), []account.Passkey{older, w.passkey, revoked})
	w.same("nobody's", value[[]account.Passkey](w, "Passkeys")(w.Passkeys(w.ctx, id())), []account.Passkey(nil))
}

func sessionLife(w *world) {
	session := func() account.Session {
		return account.Session{Hash: hash(), UserID: w.user.ID, PasskeyID: w.passkey.ID, CreatedAt: w.now(), SeenAt: w.now()}
	}
	read := func(hash []byte) account.Session { return value[account.Session](w, "Session")(w.Session(w.ctx, hash)) }
	a, b := session(), session()
	w.is("AddSession", w.AddSession(w.ctx, a), nil)
	w.is("AddSession", w.AddSession(w.ctx, b), nil)
	w.is("AddSession of a taken hash", w.AddSession(w.ctx, a), approval.ErrExists)
	stray := session()
	stray.UserID = id()
	w.is("AddSession of nobody", w.AddSession(w.ctx, stray), approval.ErrNotFound)
	w.same("session", read(a.Hash), a)

	a.SeenAt = a.SeenAt.Add(time.Hour)
	w.is("TouchSession", w.TouchSession(w.ctx, a.Hash, a.SeenAt), nil)
	w.is("TouchSession backwards", w.TouchSession(w.ctx, a.Hash, a.SeenAt.Add(-time.Minute)), nil)
	w.same("touched session", read(a.Hash), a)

	w.is("EndSession", w.EndSession(w.ctx, a.Hash), nil)
	w.is("EndSession again", w.EndSession(w.ctx, a.Hash), approval.ErrNotFound)
	w.same("the other session", read(b.Hash), b)
	w.do(approval.EndSessions{UserID: id()})
	w.same("the other session", read(b.Hash), b)
	w.do(approval.EndSessions{UserID: w.user.ID})
	_, err := w.Session(w.ctx, b.Hash)
	w.is("Session after signing out everywhere", err, approval.ErrNotFound)
}

func ceremonyKept(w *world) {
	want := approval.Ceremony{
		ID: id(), Purpose: approval.CeremonyApprove, NamespaceID: w.namespace.ID, UserID: w.user.ID, ClientID: w.client.ID,
		RequestID: id(), Way: approval.Listed, Matched: true, Subject: []byte("subject"), Record: []byte(`{"layout":"1"}`),
		Random: hash(), Session: []byte("{}"), Origins: []string{"https://id.example"}, Expires: w.now().Add(2 * time.Minute),
	}
	bare := approval.Ceremony{ID: id(), Purpose: approval.CeremonySignIn, Expires: want.Expires}
	for _, c := range []approval.Ceremony{want, bare} {
		w.is("AddCeremony", w.AddCeremony(w.ctx, c), nil)
		w.same("ceremony", value[approval.Ceremony](w, "Ceremony")(w.Ceremony(w.ctx, c.ID)), c)
	}
	w.is("AddCeremony of a taken id", w.AddCeremony(w.ctx, bare), approval.ErrExists)
}
