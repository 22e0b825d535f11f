package storetest

import (
	"slices"

	"github.com/nod-auth/nod/approval"
)

var receiptTests = []test{
	{"Receipt_isKeptOnceAndToTheByte", receiptKept},
	{"Receipt_learnsWhoCollected", receiptCollector},
	{"Receipt_outlivesTheUser", receiptOutlives},
	{"Receipted_areTheUsersOwn", receipted},
}

func (w *world) newReceipt() approval.Receipt {
	return approval.Receipt{
		RequestID: id(), UserID: w.user.ID, PasskeyID: w.passkey.ID, PublicKey: hash(), Random: hash(),
		Record: []byte("{\"a\":\"\\u0000\xc3\xbc\"}"), AuthenticatorData: []byte{0, 1, 0xff, 0}, ClientData: []byte(" {} "), Signature: hash(),
		Username: "zoë", PasskeyName: "Büro", CredentialID: []byte{0xff, 0}, At: w.start,
	}
}

func (w *world) receipt(requestID string) approval.Receipt {
	w.Helper()
	return value[approval.Receipt](w, "Receipt")(w.Receipt(w.ctx, requestID))
}

func receiptKept(w *world) {
	want := w.newReceipt()
	w.do(approval.KeepReceipt{Receipt: want})
	w.same("kept", w.receipt(want.RequestID), want)
	again := w.newReceipt()
	again.RequestID = want.RequestID
	w.dont(approval.ErrExists, approval.KeepReceipt{Receipt: again})
	w.same("after another of the same request", w.receipt(want.RequestID), want)
	bare := approval.Receipt{RequestID: id(), UserID: id(), PasskeyID: id(), Record: []byte("{}")}
	w.do(approval.KeepReceipt{Receipt: bare})
	w.same("with nothing that is not needed", w.receipt(bare.RequestID), bare)
	_, err := w.Receipt(w.ctx, id())
	w.is("no receipt", err, approval.ErrNotFound)
}

func receiptCollector(w *world) {
	want := w.newReceipt()
	w.do(approval.KeepReceipt{Receipt: want}, approval.NoteCollector{RequestID: want.RequestID, ClientID: w.client.ID})
	want.CollectedBy = w.client.ID
	w.same("collected", w.receipt(want.RequestID), want)
	w.do(approval.NoteCollector{RequestID: id(), ClientID: w.client.ID}) // without a receipt it is no error
}

func receiptOutlives(w *world) {
	want := w.newReceipt()
	w.do(approval.KeepReceipt{Receipt: want})
	w.do(approval.DeleteUser{ID: w.user.ID}, approval.DeleteClient{ID: w.client.ID})
	w.same("after user and client", w.receipt(want.RequestID), want)
}

func receipted(w *world) {
	var want, asked []string
	for range 5 { // not a power of two
		r := w.newReceipt()
		w.do(approval.KeepReceipt{Receipt: r})
		want = append(want, r.RequestID)
		asked = append(asked, r.RequestID, id())
	}
	others := w.newReceipt()
	others.UserID = id()
	w.do(approval.KeepReceipt{Receipt: others})
	got := value[[]string](w, "Receipted")(w.Receipted(w.ctx, w.user.ID, append(asked, others.RequestID)))
	slices.Sort(got)
	slices.Sort(want)
	w.same("of eleven requests", got, want)
	w.same("of one", value[[]string](w, "Receipted")(w.Receipted(w.ctx, w.user.ID, want[:1])), want[:1])
	w.same("of none", value[[]string](w, "Receipted")(w.Receipted(w.ctx, w.user.ID, nil)), []string(nil))
}
