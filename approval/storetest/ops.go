package storetest

import (
	"slices"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var opTests = []test{
	{"Op_appliedAgainChangesNothing", opAgain},
	{"Op_appliedAgainAsPartOfAPair", opPairAgain},
	{"Op_appliedAgainAfterTheRequestMovedOn", opAgainLater},
	{"Op_thatFailedMayBeTriedAgain", opFailed},
	{"Op_fromManyAtOnceHappensOnce", opTogether},
	{"Op_missingIsRefused", opMissing},
}

// everyKind is one change of each kind, each of which would fail, or leave a
// trace, if it happened twice. They build on each other.
func everyKind(w *world) []approval.Change {
	r := w.newRequest()
	creating := w.creating(r)
	created := *creating.Request
	opening := step(created, approval.Pending, approval.EventOpened)
	opening.Request.OpenedAt = w.now()
	approving := w.approving(*opening.Request)
	approving.Effects = []approval.Effect{
		approval.Spend{Box: approval.BoxCeremony, Key: id(), Until: w.now().Add(time.Hour)},
		approval.CountPasskey{ID: w.passkey.ID, Was: w.passkey.SignCount, Is: w.passkey.SignCount + 1},
		approval.KeepReceipt{Receipt: approval.Receipt{RequestID: r.ID, UserID: w.user.ID}},
		approval.Deliver{Topic: approval.TopicPrompt, Key: r.ID, Body: []byte("{}"), Until: w.now().Add(time.Hour)},
	}
	redeeming := w.redeeming(*approving.Request)
	changes := []approval.Change{creating, opening, approving, redeeming, w.revoking(*redeeming.Request)}
	for _, e := range everyAccountEffect(w, r.ID) {
		silent, loud := effects(e), effects(e)
		loud.Event = approval.Event{Name: approval.EventUserCreated, UserID: w.user.ID}
		if len(changes)%2 == 0 { // half of them leave an audit row, half do not
			changes = append(changes, silent)
		} else {
			changes = append(changes, loud)
		}
	}
	return changes
}

// everyAccountEffect is one of each effect that needs no request.
func everyAccountEffect(w *world, requestID string) []approval.Effect {
	user, client := w.newUser("grace"), w.newClient()
	key, second := w.newPasskey(user), w.newPasskey(user)
	phone, counts := w.newPhone(user), approval.Prompting{Key: user.ID, Version: 1, Live: requestID, LiveUntil: w.now().Add(time.Hour)}
	invitation := account.Invitation{Hash: hash(), UserID: user.ID, CreatedAt: w.now(), Expires: w.now().Add(time.Hour)}
	public := account.ClientKey{ID: id(), ClientID: client.ID, Public: []byte("der"), CreatedAt: w.now()}
	oauth, device := w.newOAuthClient(), w.newDevice()
	moved, _ := moving(device, func(d *account.Device) { d.Generation++ })
	return []approval.Effect{
		approval.Spend{Box: approval.BoxNonce, Key: id(), Until: w.now().Add(time.Hour)},
		approval.AddNamespace{Namespace: account.Namespace{ID: "fedcba9876543210", Name: "second"}},
		approval.AddUser{User: user},
		approval.AddPasskey{Passkey: key},
		approval.AddPasskey{Passkey: second},
		approval.RenamePasskey{ID: key.ID, Name: "Old phone"},
		approval.SetPasskeyStatus{ID: second.ID, From: account.PasskeyActive, To: account.PasskeyRevoked},
		approval.KeepPasskey{UserID: user.ID},
		approval.AddPhone{Phone: phone},
		approval.RefreshPhone{ID: phone.ID, UserID: user.ID, Name: "New", Sealed: []byte("other")},
		approval.NotePhone{ID: phone.ID, Fault: "busy"},
		approval.SetPrompting{Is: counts},
		approval.RemovePhone{ID: phone.ID, UserID: user.ID},
		approval.AddInvitation{Invitation: invitation},
		approval.SpendInvitation{Hash: invitation.Hash},
		approval.EndSessions{UserID: user.ID},
		approval.AddClient{Client: client},
		approval.AddClientKey{Key: public},
		approval.RemoveClientKey{ClientID: client.ID, ID: public.ID},
		approval.AddClient{Client: oauth},
		approval.SetClientSecret{ClientID: oauth.ID, Hash: hash()},
		approval.AddDevice{Device: device},
		moved,
		approval.SetUserCode{ID: user.ID, Hash: hash()},
		approval.SetUserStatus{ID: user.ID, From: account.UserActive, To: account.UserInactive},
		approval.DeleteUser{ID: user.ID},
		approval.DeleteClient{ID: client.ID},
	}
}

// state is what the suite can see of a store.
type state struct {
	Requests []approval.Request
	Events   []approval.Event
	Users    []account.User
	Passkeys [][]account.Passkey
	Phones   [][]account.Phone
	Counts   []approval.Prompting
	Clients  []account.Client
	Keys     [][]account.ClientKey
	Devices  [][]account.Device
}

func (w *world) state(t Truth) (s state) {
	w.Helper()
	s.Requests = value[[]approval.Request](w, "List")(t.List(w.ctx, approval.Filter{}, 1000))
	s.Events = value[[]approval.Event](w, "Events")(t.Events(w.ctx, w.user.ID, 1000))
	s.Users = value[[]account.User](w, "Users")(t.Users(w.ctx, w.namespace.ID, "", 1000))
	for _, u := range s.Users {
		s.Passkeys = append(s.Passkeys, value[[]account.Passkey](w, "Passkeys")(t.Passkeys(w.ctx, u.ID)))
		s.Phones = append(s.Phones, value[[]account.Phone](w, "Phones")(t.Phones(w.ctx, u.ID)))
		s.Devices = append(s.Devices, value[[]account.Device](w, "Devices")(t.Devices(w.ctx, u.ID)))
		s.Counts = append(s.Counts, value[approval.Prompting](w, "Prompting")(t.Prompting(w.ctx, u.ID)))
	}
	s.Clients = value[[]account.Client](w, "Clients")(t.Clients(w.ctx, ""))
	for _, c := range s.Clients {
		s.Keys = append(s.Keys, value[[]account.ClientKey](w, "ClientKeys")(t.ClientKeys(w.ctx, c.ID)))
	}
	return s
}

func opAgain(w *world) {
	done := everyKind(w)
	for i, c := range done {
		w.apply(c)
		after := w.state(w.Truth)
		w.apply(c)
		w.same("after the same operation again", w.state(w.Truth), after)
		if w.Failed() {
			w.Fatalf("change %d: %+v", i, c)
		}
	}
	after := w.state(w.Truth)
	for _, c := range done { // and once more when all of it is long past
		w.apply(c)
	}
	w.apply(done...)
	w.same("after all operations again", w.state(w.Truth), after)
}

func opPairAgain(w *world) {
	a, b := w.creating(w.newRequest()), w.creating(w.newRequest())
	spend := effects(approval.Spend{Box: approval.BoxNonce, Key: id(), Until: w.now().Add(time.Hour)})
	w.apply(a, spend, b)
	after := w.state(w.Truth)
	w.apply(a, spend, b)
	w.apply(b, a)
	denying := step(*a.Request, approval.Denied, approval.EventDenied)
	w.same("after both again", w.state(w.Truth), after)
	w.apply(a, spend, denying) // what is new among what is old still happens
	w.same("the denied one", w.find(a.Request.ID), *denying.Request)
	w.same("audit rows", w.events(), map[approval.EventName]int{approval.EventRequested: 2, approval.EventDenied: 1})
}

func opAgainLater(w *world) {
	creating := w.creating(w.newRequest())
	approving := w.approving(w.apply(creating))
	redeemed := w.apply(w.redeeming(w.apply(approving)))
	w.do(approval.SetUserStatus{ID: w.user.ID, From: account.UserActive, To: account.UserInactive})
	w.apply(creating)
	w.apply(approving) // though its needs do not hold any more
	w.same("the request", w.find(redeemed.ID), redeemed)
}

func opFailed(w *world) {
	key := id()
	spend := approval.Spend{Box: approval.BoxNonce, Key: key, Until: w.now().Add(time.Hour)}
	w.do(spend)
	c := w.creating(w.newRequest())
	c.Effects = []approval.Effect{spend}
	w.refuse(approval.ErrReplayed, c)
	w.refuse(approval.ErrReplayed, c)
	c.Effects = nil
	w.apply(c)
	w.same("the request", w.find(c.Request.ID), *c.Request)
}

func opTogether(w *world) {
	c := w.creating(w.newRequest())
	c.Effects = []approval.Effect{approval.Spend{Box: approval.BoxNonce, Key: id(), Until: w.now().Add(time.Hour)}}
	silent := effects(approval.Spend{Box: approval.BoxNonce, Key: id(), Until: w.now().Add(time.Hour)})
	got := w.together(64, func(i int) error { return w.Apply(w.ctx, c, silent) })
	w.same("outcomes", got, map[error]int{nil: 64})
	w.same("audit rows", w.events(), map[approval.EventName]int{approval.EventRequested: 1})
}

func opMissing(w *world) {
	c := w.creating(w.newRequest())
	c.Op = ""
	if err := w.Apply(w.ctx, c); err == nil {
		w.Error("Apply without an operation id succeeded")
	}
}

var atomicTests = []test{
	{"Apply_failingLateTakesEverythingBack", allOrNothing},
	{"Apply_writesOneAuditRowForEachChange", auditRows},
	{"Apply_nothingSucceeds", func(w *world) { w.is("Apply", w.Apply(w.ctx), nil) }},
}

// allOrNothing lets several changes fail at each of their possible last steps.
func allOrNothing(w *world) {
	open := w.request()
	spent := approval.Spend{Box: approval.BoxNonce, Key: id(), Until: w.now().Add(time.Hour)}
	phone := w.newPhone(w.user)
	w.do(spent, approval.AddPhone{Phone: phone})
	before := w.state(w.Truth)
	fresh := approval.Spend{Box: approval.BoxNonce, Key: id(), Until: w.now().Add(time.Hour)}
	taken := w.newRequest()
	taken.ID = open.ID
	late := w.approving(open)
	late.Before = w.now()
	needy := w.approving(open)
	needy.Needs.PasskeyID = id()
	for name, last := range map[string]approval.Change{
		"a taken id":       w.creating(taken),
		"a moved version":  step(approval.Request{ID: open.ID, Version: 9}, approval.Denied, approval.EventDenied),
		"a time gone by":   late,
		"an unmet need":    needy,
		"a used nonce":     effects(spent),
		"a taken name":     effects(approval.AddUser{User: w.newUser(w.user.Username)}),
		"a used key":       effects(approval.AddPasskey{Passkey: w.passkey}),
		"a moved counter":  effects(approval.CountPasskey{ID: w.passkey.ID, Was: 99, Is: 100}),
		"a missing user":   effects(approval.DeleteUser{ID: id()}),
		"a stranger's key": effects(approval.AddPasskey{Passkey: w.newPasskey(account.User{ID: id()})}),
		"a taken place":    effects(approval.AddPhone{Phone: phone}),
		"no such phone":    effects(approval.RemovePhone{ID: phone.ID, UserID: id()}),
		"moved counts":     effects(approval.SetPrompting{From: 9, Is: approval.Prompting{Key: w.user.ID, Version: 10}}),
	} {
		first := w.creating(w.newRequest())
		first.Effects = []approval.Effect{
			fresh, approval.AddUser{User: w.newUser("grace")}, approval.RenamePasskey{ID: w.passkey.ID, Name: "New"},
			approval.CountPasskey{ID: w.passkey.ID, Was: 7, Is: 8}, approval.AddClient{Client: w.newClient()},
			approval.AddPhone{Phone: w.newPhone(w.user)}, approval.NotePhone{ID: phone.ID, Fault: "busy"},
			approval.SetPrompting{Is: approval.Prompting{Key: w.user.ID, Version: 1, Live: open.ID}},
			approval.Deliver{Topic: approval.TopicPrompt, Key: open.ID, Until: open.Expires},
		}
		last.Effects = append([]approval.Effect{approval.EndSessions{UserID: w.user.ID}}, last.Effects...)
		if err := w.Apply(w.ctx, first, last); err == nil {
			w.Errorf("Apply with %s succeeded", name)
		}
		w.same("after "+name, w.state(w.Truth), before)
		if err := w.Apply(w.ctx, last); err == nil {
			w.Errorf("Apply with %s alone succeeded", name)
		}
		w.same("after "+name+" alone", w.state(w.Truth), before)
	}
	w.do(fresh) // was never used up
	w.same("messages", w.delivery(open.ID), approval.DeliveryNone)
}

func auditRows(w *world) {
	r := w.newRequest()
	creating := w.creating(r)
	approving := w.approving(w.apply(creating))
	redeeming := w.redeeming(w.apply(approving))
	if w.Advance != nil {
		w.Advance(time.Second)
	}
	at := w.now()
	w.apply(redeeming, effects(approval.RenamePasskey{ID: w.passkey.ID, Name: "New"})) // no Event, no row
	got := value[[]approval.Event](w, "Events")(w.Events(w.ctx, w.user.ID, 100))
	var want []approval.Event
	for _, c := range []approval.Change{redeeming, approving, creating} {
		want = append(want, c.Event)
	}
	for i := range min(len(want), len(got)) {
		if moved := got[i].At.Sub(at); i == 0 && w.Advance != nil && moved != 0 {
			w.Errorf("the last row is %s off the store's time", moved)
		}
		want[i].At = got[i].At
	}
	w.same("rows, newest first", got, want)
	if !slices.IsSortedFunc(got, func(a, b approval.Event) int { return b.At.Compare(a.At) }) {
		w.Error("rows are not in the order of time")
	}
	w.same("the newest two", value[[]approval.Event](w, "Events")(w.Events(w.ctx, w.user.ID, 2)), want[:2])
	w.same("a stranger's rows", value[[]approval.Event](w, "Events")(w.Events(w.ctx, id(), 2)), []approval.Event(nil))
}
