package storetest

import (
	"context"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var requestTests = []test{
	{"Find_byEachKey", findByEachKey},
	{"Find_nothingThere", findNothing},
	{"Find_requestWithoutCodeOrUser", findBare},
	{"Apply_takenKey", applyTakenKey},
	{"Apply_versionMoved", applyVersionMoved},
	{"Apply_frozenPartStays", applyFrozen},
	{"Apply_outsideItsTime", applyTimeGuards},
	{"Apply_callerGone", applyCallerGone},
	{"Changed_findsWhatMovedAndWhatIsGone", changed},
	{"List_byEveryFilter", listByFilter},
	{"List_newestFirstUpToTheLimit", listOrder},
}

func findByEachKey(w *world) {
	check := func(want approval.Request) {
		w.Helper()
		for name, k := range map[string]approval.Key{
			"id": {ID: want.ID}, "handle": {Handle: want.HandleHash}, "code": {CodeHash: want.CodeHash},
			"typed code": {Typed: want.TypedHash},
		} {
			w.same("find by "+name, value[approval.Request](w, name)(w.Find(w.ctx, k)), want)
		}
	}
	r := w.request()
	check(r)
	opened := step(r, approval.Pending, approval.EventOpened)
	opened.Request.OpenedAt, opened.Request.OpenedVia, opened.Request.Tries = w.now(), approval.Scanned, 2
	opened.Request.OpenedBy = "phone 1"
	r = w.apply(opened)
	check(r)
	again := step(r, approval.Pending, approval.EventOpenedAgain)
	again.Request.AgainAt = w.now()
	r = w.apply(again)
	check(r)
	binding := step(r, approval.Pending, approval.EventBound)
	binding.Request.JKT = "thumbprint"
	r = w.apply(binding)
	check(r)
	r = w.apply(w.approving(r))
	check(r)
	r = w.apply(w.redeeming(r))
	check(r)
	check(w.apply(w.revoking(r)))

	canceling := step(w.request(), approval.Canceled, approval.EventCanceled)
	canceling.Request.EndedBy = approval.ByUserEnded
	check(w.apply(canceling))
}

func findNothing(w *world) {
	r := w.request()
	for name, k := range map[string]approval.Key{
		"id": {ID: id()}, "handle": {Handle: hash()}, "code": {CodeHash: hash()}, "no key": {}, "empty code": {CodeHash: []byte{}},
		"typed code": {Typed: hash()}, "empty typed code": {Typed: []byte{}}, "a typed code as a code": {CodeHash: r.TypedHash}, "a code as a typed one": {Typed: r.CodeHash},
	} {
		_, err := w.Find(w.ctx, k)
		w.is("Find by "+name, err, approval.ErrNotFound)
	}
}

func findBare(w *world) {
	bare := approval.Request{ID: id(), State: approval.Pending, Version: 0, CreatedAt: w.now(), Expires: w.now().Add(time.Minute)}
	other := bare
	other.ID, other.Rotates = id(), true
	want := w.apply(step(bare, approval.Pending, approval.EventRequested))
	rotating := w.apply(step(other, approval.Pending, approval.EventRequested)) // two lack a code: that is no collision
	w.same("request whose handle rotates", w.find(other.ID), rotating)
	w.same("request without anything", w.find(bare.ID), want)
	for _, k := range []approval.Key{{CodeHash: []byte{}}, {Handle: []byte{}}, {Typed: []byte{}}} {
		_, err := w.Find(w.ctx, k)
		w.is("Find by an empty key", err, approval.ErrNotFound)
	}
}

func applyTakenKey(w *world) {
	first := w.request()
	for name, take := range map[string]func(r *approval.Request){
		"id":     func(r *approval.Request) { r.ID = first.ID },
		"code":   func(r *approval.Request) { r.CodeHash = first.CodeHash },
		"handle": func(r *approval.Request) { r.HandleHash = first.HandleHash },
		"typed":  func(r *approval.Request) { r.TypedHash = first.TypedHash },
	} {
		r := w.newRequest()
		take(&r)
		r.Context.App = name
		w.refuse(approval.ErrExists, w.creating(r))
	}
	settled := w.apply(step(first, approval.Denied, approval.EventDenied))
	again := w.newRequest()
	again.CodeHash = first.CodeHash
	typed := w.newRequest()
	typed.TypedHash = first.TypedHash
	w.refuse(approval.ErrExists, w.creating(typed))
	w.refuse(approval.ErrExists, w.creating(again)) // settled is not collected as garbage
	w.same("the first", w.find(first.ID), settled)
	w.same("audit rows", w.events(), map[approval.EventName]int{approval.EventRequested: 1, approval.EventDenied: 1})
}

func applyVersionMoved(w *world) {
	r := w.request()
	stale := w.approving(r)
	denied := w.apply(step(r, approval.Denied, approval.EventDenied))
	w.refuse(approval.ErrConflict, stale)
	w.refuse(approval.ErrConflict, step(r, approval.Canceled, approval.EventCanceled))
	w.refuse(approval.ErrConflict, step(r, approval.Pending, approval.EventOpened)) // what only notes something reverts nothing
	ahead := denied
	ahead.Version++
	w.refuse(approval.ErrConflict, step(ahead, approval.Approved, approval.EventApproved))
	gone := r
	gone.ID = id()
	w.refuse(approval.ErrConflict, step(gone, approval.Denied, approval.EventDenied))
	w.same("the request", w.find(r.ID), denied)
	w.same("audit rows", w.events(), map[approval.EventName]int{approval.EventRequested: 1, approval.EventDenied: 1})
}

func applyFrozen(w *world) {
	want := w.request()
	c := step(want, approval.Pending, approval.EventOpened)
	c.Request.Expires = want.Expires.Add(time.Hour)
	c.Request.Context.App = "Somebody else"
	c.Request.Audience, c.Request.TokenNeeded, c.Request.Match = "", false, account.MatchNone
	c.Request.CodeHash, c.Request.HandleHash, c.Request.Purpose = hash(), hash(), approval.AddCredential
	c.Request.TypedHash, c.Request.AnswerTo = hash(), []byte("somebody else")
	c.Request.Context.Details, c.Request.Context.Scopes = []byte(`[]`), nil
	c.Request.Rotates = true
	w.apply(c)
	want.Version++
	w.same("what was frozen", w.find(want.ID), want)
}

func applyTimeGuards(w *world) {
	try := func(what string, notBefore, before time.Duration, want error) {
		w.Helper()
		c, now := w.creating(w.newRequest()), w.now()
		if notBefore != 0 {
			c.NotBefore = now.Add(notBefore)
		}
		if before != 0 {
			c.Before = now.Add(before)
		}
		w.is(what, w.Apply(w.ctx, c), want)
		_, err := w.Find(w.ctx, approval.Key{ID: c.Request.ID})
		if want != nil {
			want = approval.ErrNotFound
		}
		w.is("Find after "+what, err, want)
	}
	try("no bounds", 0, 0, nil)
	try("between the bounds", -time.Minute, time.Minute, nil)
	try("too early", time.Minute, time.Hour, approval.ErrConflict)
	try("too late", -time.Hour, -time.Minute, approval.ErrConflict)
	if w.Advance == nil {
		return
	}
	try("one tick too early", time.Microsecond, 0, approval.ErrConflict)
	try("one tick before the end", 0, time.Microsecond, nil)
	c := w.creating(w.newRequest())
	c.NotBefore, c.Before = w.now(), w.now().Add(time.Second)
	w.apply(c) // the first moment is within
	late := w.approving(*c.Request)
	late.Before = w.now().Add(time.Second)
	w.Advance(time.Second)
	w.refuse(approval.ErrConflict, late) // the last is not
}

func applyCallerGone(w *world) {
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	r := w.newRequest()
	err := w.Apply(ctx, w.creating(r))
	w.is("Apply", err, approval.ErrUnavailable)
	w.is("Apply", err, context.Canceled)
	_, err = w.Find(w.ctx, approval.Key{ID: r.ID})
	w.is("Find", err, approval.ErrNotFound)
}

func changed(w *world) {
	var seen []approval.Seen
	want := map[string]bool{}
	for i := range 500 {
		if i%5 == 0 { // the rest is gone or was never there
			r := w.request()
			seen = append(seen, approval.Seen{ID: r.ID, Version: 1})
			if i%10 == 0 {
				w.apply(step(r, approval.Denied, approval.EventDenied))
				want[r.ID] = true
			}
			continue
		}
		gone := id()
		seen, want[gone] = append(seen, approval.Seen{ID: gone, Version: 3}), true
	}
	got := map[string]bool{}
	for _, moved := range value[[]string](w, "Changed")(w.Changed(w.ctx, seen)) {
		if got[moved] {
			w.Errorf("%s is reported twice", moved)
		}
		got[moved] = true
	}
	w.same("moved", got, want)
	w.same("moved among none", value[[]string](w, "Changed")(w.Changed(w.ctx, nil)), []string(nil))
}

func listByFilter(w *world) {
	other := w.newUser("grace")
	client := w.newClient()
	key := w.newPasskey(w.user)
	w.do(approval.AddUser{User: other}, approval.AddClient{Client: client}, approval.AddPasskey{Passkey: key})
	ask := func(change func(r *approval.Request)) approval.Request {
		r := w.newRequest()
		change(&r)
		return w.apply(w.creating(r))
	}
	pending := ask(func(r *approval.Request) { r.Audience = "" })
	others := ask(func(r *approval.Request) {
		r.UserID, r.CodeKind, r.Purpose = other.ID, approval.Phrase, approval.AddCredential
	})
	heard := ask(func(r *approval.Request) { r.NamespaceID, r.ClientID, r.Audience = "elsewhere", client.ID, w.client.ID })
	byKey := w.approving(ask(func(r *approval.Request) { r.ClientID, r.Audience = w.client.ID, client.ID }))
	byKey.Request.Decision.PasskeyID, byKey.Needs.PasskeyID = key.ID, key.ID
	approved := w.apply(byKey)
	redeemed := w.apply(w.redeeming(w.apply(w.approving(w.request()))))
	revoked := w.apply(w.revoking(w.apply(w.redeeming(w.apply(w.approving(w.request()))))))
	open := []approval.State{approval.Pending, approval.Approved}
	all := []approval.Request{pending, others, heard, approved, redeemed, revoked}
	for name, c := range map[string]struct {
		filter approval.Filter
		want   []approval.Request
	}{
		"everything":         {approval.Filter{}, all},
		"namespace":          {approval.Filter{NamespaceID: "elsewhere"}, []approval.Request{heard}},
		"user":               {approval.Filter{UserID: other.ID}, []approval.Request{others}},
		"client or audience": {approval.Filter{ClientID: client.ID}, []approval.Request{heard, approved}},
		"passkey":            {approval.Filter{PasskeyID: key.ID}, []approval.Request{approved}},
		"kind":               {approval.Filter{CodeKind: approval.Phrase}, []approval.Request{others}},
		"purpose":            {approval.Filter{Purpose: approval.AddCredential}, []approval.Request{others}},
		"one state":          {approval.Filter{States: []approval.State{approval.Redeemed}}, []approval.Request{redeemed, revoked}},
		"two states":         {approval.Filter{States: open}, []approval.Request{pending, others, heard, approved}},
		"live grants":        {approval.Filter{GrantLive: true}, []approval.Request{pending, others, heard, approved, redeemed}},
		"all at once": {approval.Filter{NamespaceID: w.namespace.ID, UserID: w.user.ID, ClientID: w.client.ID, PasskeyID: w.passkey.ID,
			CodeKind: approval.Short, Purpose: approval.SignIn, States: append(open, approval.Redeemed), GrantLive: true}, []approval.Request{redeemed}},
		"nobody": {approval.Filter{UserID: id()}, nil},
	} {
		got := map[string]approval.Request{}
		for _, r := range value[[]approval.Request](w, "List")(w.List(w.ctx, c.filter, 100)) {
			got[r.ID] = r
		}
		want := map[string]approval.Request{}
		for _, r := range c.want {
			want[r.ID] = r
		}
		w.same("list by "+name, got, want)
	}
}

func listOrder(w *world) {
	var want []string
	for i := range 5 {
		r := w.newRequest()
		r.CreatedAt = w.start.Add(time.Duration(i) * time.Second)
		want = append([]string{w.apply(w.creating(r)).ID}, want...)
	}
	ids := func(limit int) (out []string) {
		for _, r := range value[[]approval.Request](w, "List")(w.List(w.ctx, approval.Filter{UserID: w.user.ID}, limit)) {
			out = append(out, r.ID)
		}
		return out
	}
	w.same("all", ids(10), want)
	w.same("the newest three", ids(3), want[:3])
}
