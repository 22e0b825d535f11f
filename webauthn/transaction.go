package webauthn

import (
	"context"
	"fmt"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// BeginConfirm asks, on the page of the holder's client, for a passkey of the user who
// is called username to sign the record of a transaction. It asks for an invented one
// when u is nil, has none that may answer, or is not whom the transaction is for. With
// is spent first. Besides the package's errors, those of approval.Service.Transaction.
func (c *Ceremonies) BeginConfirm(ctx context.Context, h approval.Holder, requestID string, u *account.User, username string, with ...approval.Effect) (RequestOptions, error) {
	r, err := c.cfg.Service.Transaction(ctx, h, requestID)
	if err != nil {
		return RequestOptions{}, fmt.Errorf("begin confirmation: %w", err)
	}
	if u != nil && r.UserID != "" && r.UserID != u.ID {
		u = nil
	}
	var cer ceremony
	cer.Purpose, cer.RequestID, cer.Way = approval.CeremonyConfirm, r.ID, approval.OnPage
	cer.subject.Username = username
	record := func(userID string) []byte { return approval.Record(r, userID, approval.OnPage, approval.Approve) }
	o, err := c.askNamed(ctx, cer, h.Client, u, record, with)
	if err != nil {
		return o, fmt.Errorf("begin confirmation: %w", err)
	}
	return o, nil
}

// Confirm approves and collects the transaction that the ceremony was begun for, and
// keeps its receipt: one transaction of the store. Username must be what the ceremony
// was begun with. Besides the package's errors, those of approval.Service.Confirm.
func (c *Ceremonies) Confirm(ctx context.Context, h approval.Holder, requestID, username string, a Assertion) (*approval.Collected, error) {
	want := named(approval.CeremonyConfirm, h.Client, username)
	sameName := want.fits
	want.fits = func(cer ceremony) bool { return sameName(cer) && cer.RequestID == requestID }
	var out *approval.Collected
	err := c.assert(ctx, a, want, func(v verified) (err error) {
		v.proof.Effects = append(v.proof.Effects, approval.KeepReceipt{Receipt: receipt(v, a)})
		out, err = c.cfg.Service.Confirm(ctx, h, requestID, v.user, v.proof)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("confirm with a passkey: %w", err)
	}
	return out, nil
}
