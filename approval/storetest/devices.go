package storetest

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var deviceTests = []test{
	{"Device_isKeptWholeAndSwappedByVersion", deviceKept},
	{"Device_goesWithItsUserAndItsClient", deviceCascade},
	{"Device_listedNewestFirst", devicesInOrder},
	{"Device_swappedBy64AtOnceMovesOnce", deviceTogether},
	{"Device_signedInWithItsRedemptionOrNotAtAll", deviceWithRedemption},
	{"Device_purgedAfterItsEnd", devicePurged},
	{"Guess_ofATypedCode", guessTyped},
	{"Answer_isQueuedWithTheVerdictOrNotAtAll", answerQueued},
	{"UserCode_isSetAndTakenAway", userCode},
	{"Client_ofTheStandardFaces", oauthClient},
	{"Begin_sameTypedCodeAtOnceIsOne", typedTogether},
}

func (w *world) device(id string) account.Device {
	w.Helper()
	return value[account.Device](w, "Device")(w.Device(w.ctx, id))
}

func deviceKept(w *world) {
	d := w.newDevice()
	bare := account.Device{ID: id(), Version: 1, ClientID: w.client.ID, UserID: w.user.ID, Expires: d.Expires}
	w.do(approval.AddDevice{Device: d}, approval.AddDevice{Device: bare})
	w.same("device", w.device(d.ID), d)
	w.same("a bare one", w.device(bare.ID), bare)
	w.dont(approval.ErrExists, approval.AddDevice{Device: d})
	stray := w.newDevice()
	stray.UserID = id()
	w.dont(approval.ErrNotFound, approval.AddDevice{Device: stray})
	stray.UserID, stray.ClientID = w.user.ID, id()
	w.dont(approval.ErrNotFound, approval.AddDevice{Device: stray})
	_, err := w.Device(w.ctx, stray.ID)
	w.is("Device that is not there", err, approval.ErrNotFound)

	refreshed, next := moving(d, func(d *account.Device) {
		d.Generation, d.SeenAt, d.Expires = 2, d.SeenAt.Add(time.Hour), d.Expires.Add(time.Hour)
	})
	w.do(refreshed)
	w.same("after a refresh", w.device(d.ID), next)
	w.dont(approval.ErrConflict, refreshed)
	revoked, _ := moving(d, func(d *account.Device) { d.RevokedAt, d.RevokedBy = w.now(), "owner" })
	w.dont(approval.ErrConflict, revoked) // from a version that it no longer has
	revoked, next = moving(next, func(d *account.Device) { d.RevokedAt, d.RevokedBy, d.Lost = w.now(), "owner", true })
	w.do(revoked)
	w.same("after its end", w.device(d.ID), next)

	gone, _ := moving(stray, func(*account.Device) {})
	w.dont(approval.ErrConflict, gone)
	skipping, _ := moving(next, func(d *account.Device) { d.Version++ })
	w.dont(approval.ErrInvalid, skipping)
	w.same("after all that", w.device(d.ID), next)
}

func deviceCascade(w *world) {
	user, client := w.newUser("grace"), w.newOAuthClient()
	w.do(approval.AddUser{User: user}, approval.AddClient{Client: client})
	mine, hers, theirs := w.newDevice(), w.newDevice(), w.newDevice()
	hers.UserID, theirs.ClientID = user.ID, client.ID
	for _, d := range []account.Device{mine, hers, theirs} {
		w.do(approval.AddDevice{Device: d})
	}
	gone := func(d account.Device) {
		w.Helper()
		_, err := w.Device(w.ctx, d.ID)
		w.is("Device of what was deleted", err, approval.ErrNotFound)
	}
	w.do(approval.DeleteUser{ID: user.ID})
	gone(hers)
	w.do(approval.DeleteClient{ID: client.ID})
	gone(theirs)
	w.same("the other", w.device(mine.ID), mine)
	w.do(approval.SetUserStatus{ID: w.user.ID, From: account.UserActive, To: account.UserInactive})
	w.same("a locked user's", w.device(mine.ID), mine)
}

func devicesInOrder(w *world) {
	older, newer, ended := w.newDevice(), w.newDevice(), w.newDevice()
	older.CreatedAt, newer.CreatedAt = w.start.Add(-time.Hour), w.start.Add(time.Hour)
	ended.RevokedAt = w.now()
	for _, d := range []account.Device{newer, ended, older} {
		w.do(approval.AddDevice{Device: d})
	}
	w.same("devices", value[[]account.Device](w, "Devices")(w.Devices(w.ctx, w.user.ID)), []account.Device{newer, ended, older})
	w.same("nobody's", value[[]account.Device](w, "Devices")(w.Devices(w.ctx, id())), []account.Device(nil))
}

// deviceTogether lets many exchange one refresh token at once.
func deviceTogether(w *world) {
	for range 10 {
		d := w.newDevice()
		w.do(approval.AddDevice{Device: d})
		var winner atomic.Pointer[account.Device]
		got := w.together(crowd, func(i int) error {
			refreshed, next := moving(d, func(d *account.Device) { d.Generation, d.Name = 2, id() })
			c := effects(refreshed)
			c.Needs = approval.Needs{UserID: w.user.ID, ClientIDs: []string{w.client.ID}}
			err := w.Apply(w.ctx, c)
			if err == nil {
				winner.Store(&next)
			}
			return err
		})
		w.same("outcomes", got, map[error]int{nil: 1, approval.ErrConflict: crowd - 1})
		w.same("what stands", w.device(d.ID), *winner.Load())
	}
}

func deviceWithRedemption(w *world) {
	first, second := w.newDevice(), w.newDevice()
	c := w.redeeming(w.apply(w.approving(w.request())))
	late := c
	late.Op = approval.NewOp()
	c.Effects = []approval.Effect{approval.AddDevice{Device: first}}
	late.Effects = []approval.Effect{approval.AddDevice{Device: second}}
	w.apply(c)
	w.refuse(approval.ErrConflict, late)
	_, err := w.Device(w.ctx, second.ID)
	w.is("Device of a redemption that was too late", err, approval.ErrNotFound)
	taken := w.redeeming(w.apply(w.approving(w.request())))
	taken.Effects = []approval.Effect{approval.AddDevice{Device: first}}
	w.refuse(approval.ErrExists, taken)
	w.same("state without its device", w.find(taken.Request.ID).State, approval.Approved)
}

func devicePurged(w *world) {
	w.needAdvance()
	d := w.newDevice()
	w.do(approval.AddDevice{Device: d})
	end := d.Expires
	value[int64](w, "Purge")(w.Purge(w.ctx, end.Add(-time.Microsecond)))
	w.same("a tick before its end", w.device(d.ID), d)
	longer, next := moving(d, func(d *account.Device) { d.Expires = d.Expires.Add(time.Hour) })
	w.do(longer)
	value[int64](w, "Purge")(w.Purge(w.ctx, end))
	w.same("one that lives longer by now", w.device(d.ID), next)
	value[int64](w, "Purge")(w.Purge(w.ctx, next.Expires))
	_, err := w.Device(w.ctx, d.ID)
	w.is("Device after its end", err, approval.ErrNotFound)
}

// guessTyped holds a typed code to what is promised of any guessable one (I12).
func guessTyped(w *world) {
	r, bs := w.request(), budget(3)
	right := func() error {
		got, err := w.Guess(w.ctx, approval.Key{Typed: r.TypedHash}, bs)
		if err == nil {
			w.same("found", got, r)
		}
		return word(err)
	}
	for range 10 {
		w.is("the right code", right(), nil)
	}
	for name, k := range map[string]approval.Key{
		"the second of two":            {Typed: hash(), OrTyped: r.TypedHash},
		"the first, and another there": {Typed: r.TypedHash, OrTyped: w.request().TypedHash},
	} {
		w.same(name, value[approval.Request](w, name)(w.Guess(w.ctx, k, bs)), r)
	}
	got := w.together(crowd, func(int) error { // two codes are one guess
		_, err := w.Guess(w.ctx, approval.Key{Typed: hash(), OrTyped: hash()}, bs)
		return err
	})
	w.same("wrong ones", got, map[error]int{approval.ErrNotFound: 3, approval.ErrTooMany: crowd - 3})
	w.is("the right code, no try left", right(), approval.ErrTooMany)
}

func answerQueued(w *world) {
	r := w.request()
	until := r.Expires.Add(time.Hour)
	answering := func(c approval.Change) approval.Change {
		c.Effects = []approval.Effect{approval.Deliver{Topic: approval.TopicAnswer, Key: r.ID, Body: []byte("{}"), Until: until}}
		return c
	}
	yes, no := answering(w.approving(r)), answering(step(r, approval.Denied, approval.EventDenied))
	w.apply(yes)
	w.refuse(approval.ErrConflict, no)
	w.apply(yes) // the same again is the same one
	ms := value[[]approval.Message](w, "Claim")(w.Claim(w.ctx, approval.TopicAnswer, 10, time.Hour))
	if len(ms) != 1 || ms[0].Key != r.ID || string(ms[0].Body) != "{}" || !ms[0].Until.Equal(until) {
		w.Errorf("queued: got %+v, want one about %s until %s", ms, r.ID, until)
	}
	w.same("whom to tell", w.find(r.ID).AnswerTo, r.AnswerTo)
}

func userCode(w *world) {
	want := w.user
	for _, code := range [][]byte{hash(), hash(), nil} {
		w.do(approval.SetUserCode{ID: want.ID, Hash: code})
		got := value[account.User](w, "User")(w.User(w.ctx, want.ID))
		want.CIBACode, want.UpdatedAt = code, got.UpdatedAt
		w.same("user", got, want)
	}
	w.dont(approval.ErrNotFound, approval.SetUserCode{ID: id(), Hash: hash()})
	born := w.newUser("grace")
	born.CIBACode = hash()
	w.do(approval.AddUser{User: born})
	w.same("user who is made with one", value[account.User](w, "User")(w.User(w.ctx, born.ID)), born)
}

func oauthClient(w *world) {
	want := w.newOAuthClient()
	w.do(approval.AddClient{Client: want})
	read := func() account.Client { w.Helper(); return value[account.Client](w, "Client")(w.Client(w.ctx, want.ID)) }
	w.same("client", read(), want)
	secret := hash()
	w.do(approval.SetClientSecret{ClientID: want.ID, Hash: secret})
	oauth := *want.OAuth
	oauth.SecretHash = secret
	want.OAuth = &oauth
	w.same("client with another secret", read(), want)
	w.dont(approval.ErrNotFound, approval.SetClientSecret{ClientID: id(), Hash: secret})
	w.dont(approval.ErrNotFound, approval.SetClientSecret{ClientID: w.client.ID, Hash: secret}) // it has none
	if all := value[[]account.Client](w, "Clients")(w.Clients(w.ctx, "")); !slices.ContainsFunc(all, func(c account.Client) bool { return c.ID == w.client.ID && c.OAuth == nil }) {
		w.Error("a native client is one of the standard faces")
	}
}

func typedTogether(w *world) {
	code := hash()
	got := w.together(crowd, func(int) error {
		r := w.newRequest()
		r.TypedHash = code
		return w.Apply(w.ctx, w.creating(r))
	})
	w.same("outcomes", got, map[error]int{nil: 1, approval.ErrExists: crowd - 1})
}
