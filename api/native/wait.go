package native

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// gateRetry is what a call that found no place is told to wait: a held call ends
// within two minutes, so some place is free long before.
const gateRetry = 5 * time.Second

// waitRule is what a wait asks of a token.
var waitRule = may(account.AuthTemporary)

type waitBody struct {
	party
	Code   presentedCode `json:"authentication_code"`
	NoWait bool          `json:"no_wait"`
	NoJWT  bool          `json:"no_jwt"`
}

// wait holds the call of a new device until its code is decided. The body is
// read to its end first: only then is a client that leaves noticed. Thousands
// sleep in here, so what is large is on the heap or in the calls before and
// after: the stack of a sleeper stays at 8 KiB (nodload hold).
func (f *face) wait(c *gin.Context) error {
	in := new(waitBody)
	if err := readJSON(c, in); err != nil {
		return err
	}
	who, err := f.admit(c, in.ClientID, waitRule)
	if err != nil {
		return err
	}
	if who.client.RequireWaitToken && who.by == nil {
		return who.wantsToken(nil)
	}
	h, err := f.holder(c.Request.Context(), who, in.party, in.Code, "")
	if err != nil {
		return err
	}
	hold := f.WaitHold
	if in.NoWait {
		hold = 0
	}
	leave, err := f.enter(c, f.place(who), hold)
	if err != nil {
		f.metrics.waited(nil, err)
		return err
	}
	defer leave()
	got, err := f.Service.Collect(c.Request.Context(), *h, approval.SignIn, hold)
	if err != nil {
		f.metrics.waited(nil, err)
		return who.waitError(err, in.NoWait)
	}
	return f.handOut(c, who, got, in.NoJWT)
}

// handOut answers with what was collected.
func (f *face) handOut(c *gin.Context, who *caller, got *approval.Collected, noJWT bool) error {
	out, err := f.collected(c.Request.Context(), who.client, got, noJWT)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, out)
	f.metrics.waited(got, nil)
	return nil
}

// waitError adds to the table what only a wait can tell.
func (who *caller) waitError(err error, noWait bool) error {
	switch {
	case noWait:
		err = instead(err, approval.ErrPending, inProgress)
	case errors.Is(err, context.Canceled):
		// The client left, or the server gives up: then this is what it hears.
		err = errors.Join(approval.ErrPending, err)
	}
	if errors.Is(err, approval.ErrForbidden) {
		return who.wantsToken(err)
	}
	return err
}

// wantsToken is the answer where a token is not optional after all: why the one
// that was sent does not count, or that there is none.
func (who *caller) wantsToken(cause error) error {
	if who.refused != nil {
		return who.refused
	}
	return tokenError("This needs a service token: Authorization: Bearer <token>.", cause)
}

// holder is whoever presents a code. An unknown user is looked for like a known
// one, so that both cost the same.
func (f *face) holder(ctx context.Context, who *caller, p party, given presentedCode, otherwise approval.CodeKind) (*approval.Holder, error) {
	code, kind, err := given.read(otherwise)
	if err != nil {
		return nil, err
	}
	if p.Username == nil {
		return nil, missing("username")
	}
	u, asked, err := f.subject(ctx, who, party{Username: p.Username})
	return &approval.Holder{
		Face: Face, Client: who.client, UserID: u.ID, Asked: asked, Kind: kind, Code: code,
		Address: who.address, Token: who.by != nil,
	}, err
}

// place is whose share of the held calls a wait takes: its client's when a token
// says which that is, otherwise its address's.
func (f *face) place(who *caller) place {
	if who.by != nil {
		return place{"client " + who.by.ID, f.MaxWaitsPerClient}
	}
	return place{"wait " + approval.AddressGroup(who.address), f.MaxWaitsPerAddress}
}

type place struct {
	key   string
	limit int
}

// enter takes a place for a call that may last for d, and makes room for it in
// time. A call that does not wait needs none.
func (f *face) enter(c *gin.Context, at place, d time.Duration) (leave func(), err error) {
	if d <= 0 {
		return func() {}, nil
	}
	leave, ok := f.Gate.Enter(at.key, at.limit)
	if !ok {
		return nil, tooManyRequests(gateRetry)
	}
	wire.Held(c, d)
	return leave, nil
}
