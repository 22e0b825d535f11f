package storetest

import (
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var phoneTests = []test{
	{"Phone_readByEachKey", phoneByKey},
	{"Phone_addIsOncePerPlaceAndBounded", phoneAdd},
	{"Phone_refreshAndRemoveByItsOwnerAlone", phoneOwner},
	{"Phone_noteKeepsWhatWasAnswered", phoneNote},
	{"Phone_goesWithItsUser", phoneCascade},
	{"AddPhone_concurrentlyStopsAtTheLimit", phoneLimitRace},
	{"AddPhone_samePlaceAtOnceIsOne", phonePlaceRace},
}

func (w *world) newPhone(of account.User) account.Phone {
	return account.Phone{
		ID: id(), UserID: of.ID, Kind: account.PhoneWebPush, Name: "Chrome on “Android”", Hash: hash(), Sealed: []byte("sealed"),
		CreatedAt: w.start, SeenAt: w.start,
	}
}

func (w *world) phone(id string) account.Phone {
	w.Helper()
	return value[account.Phone](w, "Phone")(w.Phone(w.ctx, id))
}

func (w *world) phones(userID string) []account.Phone {
	w.Helper()
	return value[[]account.Phone](w, "Phones")(w.Phones(w.ctx, userID))
}

func phoneByKey(w *world) {
	older, p := w.newPhone(w.user), w.newPhone(w.user)
	older.CreatedAt, older.Kind = w.start.Add(-time.Hour), account.PhoneFCM
	p.ReachedAt, p.Fault = w.start.Add(time.Minute), "410"
	stranger := w.newUser("grace")
	other := w.newPhone(stranger)
	w.do(approval.AddUser{User: stranger}, approval.AddPhone{Phone: p}, approval.AddPhone{Phone: other}, approval.AddPhone{Phone: older})
	w.same("phone by id", w.phone(p.ID), p)
	w.same("phone by hash", value[account.Phone](w, "PhoneByHash")(w.PhoneByHash(w.ctx, p.Hash)), p)
	w.same("phones, oldest first", w.phones(w.user.ID), []account.Phone{older, p})
	w.same("another user's", w.phones(stranger.ID), []account.Phone{other})
	w.same("nobody's", w.phones(id()), []account.Phone(nil))
}

func phoneAdd(w *world) {
	stranger := w.newUser("grace")
	first := w.newPhone(w.user)
	w.do(approval.AddUser{User: stranger}, approval.AddPhone{Phone: first})
	again, theirs := w.newPhone(w.user), w.newPhone(stranger)
	again.Hash, theirs.Hash = first.Hash, first.Hash
	w.dont(approval.ErrExists, approval.AddPhone{Phone: again})
	w.dont(approval.ErrExists, approval.AddPhone{Phone: theirs})
	w.dont(approval.ErrNotFound, approval.AddPhone{Phone: w.newPhone(account.User{ID: id()})})
	for range account.MaxPhones - 1 {
		w.do(approval.AddPhone{Phone: w.newPhone(w.user)})
	}
	w.dont(approval.ErrTooMany, approval.AddPhone{Phone: w.newPhone(w.user)})
	w.do(approval.AddPhone{Phone: w.newPhone(stranger)}) // has a limit of their own
	// One place changes hands in one change.
	w.do(approval.RemovePhone{ID: first.ID, UserID: w.user.ID}, approval.AddPhone{Phone: theirs})
	w.same("the place's phone", value[account.Phone](w, "PhoneByHash")(w.PhoneByHash(w.ctx, first.Hash)), theirs)
	w.do(approval.AddPhone{Phone: w.newPhone(w.user)})
	w.same("phones", len(w.phones(w.user.ID)), account.MaxPhones)
}

func phoneOwner(w *world) {
	p, stranger := w.newPhone(w.user), w.newUser("grace")
	p.ReachedAt, p.Fault = w.start.Add(-time.Minute), "503"
	w.do(approval.AddUser{User: stranger}, approval.AddPhone{Phone: p})
	refresh := approval.RefreshPhone{ID: p.ID, UserID: w.user.ID, Name: "Firefox", Sealed: []byte("newer")}
	for what, as := range map[string]func(r *approval.RefreshPhone){
		"another user": func(r *approval.RefreshPhone) { r.UserID = stranger.ID },
		"nobody":       func(r *approval.RefreshPhone) { r.UserID = "" },
		"another id":   func(r *approval.RefreshPhone) { r.ID = id() },
	} {
		r := refresh
		as(&r)
		w.dont(approval.ErrNotFound, r)
		w.dont(approval.ErrNotFound, approval.RemovePhone{ID: r.ID, UserID: r.UserID})
		w.same("after "+what, w.phone(p.ID), p)
	}
	if w.Advance != nil {
		w.Advance(time.Minute)
	}
	w.do(refresh)
	got := w.phone(p.ID)
	if moved := got.SeenAt.Sub(w.start); w.Advance != nil && moved != time.Minute {
		w.Errorf("SeenAt moved by %s, want 1m", moved)
	}
	p.Name, p.Sealed, p.Fault, p.SeenAt = "Firefox", []byte("newer"), "", got.SeenAt
	w.same("after its owner", got, p)

	remove := approval.RemovePhone{ID: p.ID, UserID: w.user.ID}
	w.do(remove)
	w.dont(approval.ErrNotFound, remove)
	w.dont(approval.ErrNotFound, refresh)
	w.do(approval.AddPhone{Phone: p}) // the place is free again
}

func phoneNote(w *world) {
	p, other := w.newPhone(w.user), w.newPhone(w.user)
	w.do(approval.AddPhone{Phone: p}, approval.AddPhone{Phone: other})
	w.do(approval.NotePhone{ID: p.ID, Fault: "429, “later”"})
	p.Fault = "429, “later”"
	w.same("after a fault", w.phone(p.ID), p)
	if w.Advance != nil {
		w.Advance(time.Minute)
	}
	w.do(approval.NotePhone{ID: p.ID})
	p.Fault, p.ReachedAt = "", w.phone(p.ID).ReachedAt
	w.same("when it was reached", w.phone(p.ID), p)
	if moved := p.ReachedAt.Sub(w.start); moved < 0 || w.Advance != nil && moved != time.Minute {
		w.Errorf("ReachedAt is %s after the start, want 1m", moved)
	}
	w.do(approval.NotePhone{ID: p.ID, Fault: "503"})
	p.Fault = "503"
	w.same("after another fault", w.phone(p.ID), p)
	w.same("the other phone", w.phone(other.ID), other)
	w.do(approval.NotePhone{ID: id(), Fault: "gone meanwhile"})
}

func phoneCascade(w *world) {
	p := w.newPhone(w.user)
	w.do(approval.AddPhone{Phone: p})
	w.do(approval.DeleteUser{ID: w.user.ID})
	_, err := w.Phone(w.ctx, p.ID)
	w.is("Phone of a deleted user", err, approval.ErrNotFound)
	_, err = w.PhoneByHash(w.ctx, p.Hash)
	w.is("PhoneByHash of a deleted user", err, approval.ErrNotFound)
	u := w.newUser("grace")
	p.ID, p.UserID = id(), u.ID
	w.do(approval.AddUser{User: u}, approval.AddPhone{Phone: p}) // the place is free again
}

func phoneLimitRace(w *world) {
	got := w.together(crowd, func(int) error {
		return w.Apply(w.ctx, effects(approval.AddPhone{Phone: w.newPhone(w.user)}))
	})
	w.same("outcomes", got, map[error]int{nil: account.MaxPhones, approval.ErrTooMany: crowd - account.MaxPhones})
	w.same("phones", len(w.phones(w.user.ID)), account.MaxPhones)
}

func phonePlaceRace(w *world) {
	place := hash()
	stranger := w.newUser("grace")
	w.do(approval.AddUser{User: stranger})
	owners := []account.User{w.user, stranger}
	got := w.together(crowd, func(i int) error {
		p := w.newPhone(owners[i%2])
		p.Hash = place
		return w.Apply(w.ctx, effects(approval.AddPhone{Phone: p}))
	})
	w.same("outcomes", got, map[error]int{nil: 1, approval.ErrExists: crowd - 1})
}
