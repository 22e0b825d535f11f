package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

var raceTests = []test{
	{"Redeem_by64AtOnceHappensOnce", redeemTogether},
	{"Verdicts_raceAndTheFirstWins", verdictsRace},
	{"Spend_replayed64TimesHappensOnce", spendTogether},
	{"KeepPasskey_whenBothAreRevokedAtOnce", keepPasskeyRace},
	{"AddClientKey_concurrentlyStopsAtTheLimit", clientKeyRace},
	{"AddUser_sameNameAtOnceIsOne", userRace},
	{"Deactivate_againstRedeem", deactivateRace},
}

const crowd = 64

func redeemTogether(w *world) {
	for range 20 {
		r := w.apply(w.approving(w.request()))
		granted := make([]string, crowd)
		got := w.together(crowd, func(i int) error {
			c := w.redeeming(r)
			err := w.Apply(w.ctx, c)
			if err == nil {
				granted[i] = c.Request.Grant.JTI
			}
			return err
		})
		w.same("outcomes", got, map[error]int{nil: 1, approval.ErrConflict: crowd - 1})
		var winner string
		for _, jti := range granted {
			winner += jti
		}
		w.same("the grant that stands", w.find(r.ID).Grant.JTI, winner)
	}
	w.same("audit rows", w.events()[approval.EventRedeemed], 20)
}

// verdictsRace lets somebody approve, decline, cancel and redeem the same
// requests at once, each reading, judging and trying again on a conflict. What
// each was told must fit together with what stands (I1, I2, I3, I9).
func verdictsRace(w *world) {
	const requests = 100
	rs := make([]approval.Request, requests)
	for i := range rs {
		rs[i] = w.request()
	}
	type told struct{ approved, denied, canceled, redeemed bool }
	moves := []struct {
		to   approval.State
		from []approval.State
		make func(r approval.Request) approval.Change
		tell func(t *told)
	}{
		{approval.Approved, []approval.State{approval.Pending}, w.approving, func(t *told) { t.approved = true }},
		{approval.Denied, []approval.State{approval.Pending},
			func(r approval.Request) approval.Change { return step(r, approval.Denied, approval.EventDenied) }, func(t *told) { t.denied = true }},
		{approval.Canceled, []approval.State{approval.Pending, approval.Approved},
			func(r approval.Request) approval.Change { return step(r, approval.Canceled, approval.EventCanceled) }, func(t *told) { t.canceled = true }},
		{approval.Redeemed, []approval.State{approval.Approved}, w.redeeming, func(t *told) { t.redeemed = true }},
	}
	answers := make([][]told, requests)
	for i := range answers {
		answers[i] = make([]told, len(moves))
	}
	got := w.together(len(moves)*requests, func(n int) error {
		i, m := n/len(moves), n%len(moves)
		for range 1000 {
			r, err := w.Find(w.ctx, approval.Key{ID: rs[i].ID})
			if err != nil {
				return err
			}
			if move := moves[m]; slices.Contains(move.from, r.State) {
				if rand.IntN(2) == 0 { // any order
					continue
				}
				switch err = w.Apply(w.ctx, move.make(r)); {
				case err == nil:
					move.tell(&answers[i][m])
					return nil
				case !errors.Is(err, approval.ErrConflict):
					return err
				}
			} else if m != 3 || !r.State.Open() { // who redeems waits for an approval
				return nil
			}
		}
		return nil // nobody approved in time
	})
	w.same("outcomes", got, map[error]int{nil: len(moves) * requests})
	rows := 0
	for i, r := range rs {
		var t told
		for m, a := range answers[i] {
			if a != (told{}) {
				moves[m].tell(&t)
			}
		}
		end := w.find(r.ID)
		rows += int(end.Version)
		allowed := map[told]approval.State{
			{}:                               approval.Pending,
			{approved: true}:                 approval.Approved,
			{denied: true}:                   approval.Denied,
			{canceled: true}:                 approval.Canceled,
			{approved: true, canceled: true}: approval.Canceled,
			{approved: true, redeemed: true}: approval.Redeemed,
		}
		if want, ok := allowed[t]; !ok || end.State != want {
			w.Errorf("told %+v, and it stands at %s", t, end.State)
		}
	}
	all := 0
	for _, n := range w.events() {
		all += n
	}
	w.same("audit rows, against versions", all, rows) // I18
}

func spendTogether(w *world) {
	for range 10 {
		spend := approval.Spend{Box: approval.BoxCeremony, Key: id(), Until: w.now().Add(time.Hour)}
		rs := make([]approval.Request, crowd)
		for i := range rs {
			rs[i] = w.request()
		}
		got := w.together(crowd, func(i int) error {
			c := w.approving(rs[i])
			c.Effects = []approval.Effect{spend}
			return w.Apply(w.ctx, c)
		})
		w.same("outcomes", got, map[error]int{nil: 1, approval.ErrReplayed: crowd - 1})
	}
	w.same("approvals", w.events()[approval.EventApproved], 10)
}

func keepPasskeyRace(w *world) {
	for i := range 20 {
		u := w.newUser(fmt.Sprint("user ", i))
		keys := []account.Passkey{w.newPasskey(u), w.newPasskey(u)}
		w.do(approval.AddUser{User: u}, approval.AddPasskey{Passkey: keys[0]}, approval.AddPasskey{Passkey: keys[1]})
		got := w.together(2, func(i int) error {
			return w.Apply(w.ctx, effects(
				approval.SetPasskeyStatus{ID: keys[i].ID, From: account.PasskeyActive, To: account.PasskeyRevoked},
				approval.KeepPasskey{UserID: u.ID}))
		})
		w.same("outcomes", got, map[error]int{nil: 1, approval.ErrForbidden: 1})
	}
}

func clientKeyRace(w *world) {
	got := w.together(crowd, func(int) error {
		return w.Apply(w.ctx, effects(approval.AddClientKey{Key: account.ClientKey{ID: id(), ClientID: w.client.ID, Public: hash()}}))
	})
	w.same("outcomes", got, map[error]int{nil: account.MaxClientKeys, approval.ErrTooMany: crowd - account.MaxClientKeys})
	w.same("keys", len(value[[]account.ClientKey](w, "ClientKeys")(w.ClientKeys(w.ctx, w.client.ID))), account.MaxClientKeys)
}

func userRace(w *world) {
	got := w.together(crowd, func(int) error {
		return w.Apply(w.ctx, effects(approval.AddUser{User: w.newUser("grace")}))
	})
	w.same("outcomes", got, map[error]int{nil: 1, approval.ErrExists: crowd - 1})
}

// deactivateRace redeems while the user is deactivated: whoever was told "yes"
// second must have seen the first (I4, I13).
func deactivateRace(w *world) {
	for i := range 50 {
		u := w.newUser(fmt.Sprint("user ", i))
		r := w.newRequest()
		r.UserID = u.ID
		w.do(approval.AddUser{User: u})
		approving := w.approving(w.apply(w.creating(r)))
		approving.Request.UserID, approving.Needs.UserID = u.ID, u.ID
		redeeming := w.redeeming(w.apply(approving))
		redeeming.Needs.UserID = u.ID
		got := w.together(2, func(i int) error {
			if i == 0 {
				return w.Apply(w.ctx, redeeming)
			}
			return w.Apply(w.ctx, step(*approving.Request, approval.Canceled, approval.EventCanceled), effects(
				approval.SetUserStatus{ID: u.ID, From: account.UserActive, To: account.UserInactive}))
		})
		w.same("outcomes", got, map[error]int{nil: 1, approval.ErrConflict: 1})
	}
}
