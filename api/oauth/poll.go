package oauth

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// pollKind is one of the two grants that are polled for. They differ in what things
// are called.
type pollKind struct {
	face      string
	grant     account.GrantType
	parameter string // that carries the code
	label     string // in metrics
}

// poll is one poll for the tokens of a request.
type poll struct {
	pollKind
	who    *caller
	holder approval.Holder
	// since is the version the client knows, and told that it said so: then it is
	// told how far the request got. Others know nothing of it.
	since int64
	told  bool
	idKID string // the key that signs an ID token
}

// errTooFast is slow_down: the interval grows by five seconds (RFC 8628 section 3.5).
var errTooFast = oops(http.StatusBadRequest, codeSlowDown, "Polls come too fast. Add five seconds to the interval.")

// stillPending is what a poll hears when the truth cannot be reached: not a verdict.
// Clients that know RFC 8628's words alone go on at this one and give up for good at
// any other; those that read the status and Retry-After are served as well.
var stillPending = &wire.Error{
	Status: http.StatusServiceUnavailable, Code: codePending, RetryAfter: retryUnavailable,
	Message: "The service cannot answer right now. Nothing was decided; ask again.",
}

// poll answers a poll: at once where the request is settled or the poll is too fast,
// otherwise in the moment of the verdict or after the client's hold. In this order:
// the client is authenticated, the request is looked at, and only a poll for what is
// undecided is paced and held. So a verdict always wins over pacing, and nothing but
// a live code of the client's own is ever counted.
func (f *face) poll(c *gin.Context, in form, k pollKind) error {
	p, err := f.readPoll(c, in, k)
	var got *approval.Collected
	if err == nil {
		got, err = f.collect(c, p)
	}
	if err == nil {
		err = f.hand(c, p.issue(got), func(ctx context.Context) error { return f.Service.Lost(ctx, got) })
	}
	f.metrics.polled(k.label, got, err)
	return p.reply(err)
}

func (f *face) readPoll(c *gin.Context, in form, k pollKind) (*poll, error) {
	p := &poll{pollKind: k}
	who, jkt, err := f.grantee(c, in, k.grant)
	if err != nil {
		return p, err
	}
	code := in.get(k.parameter)
	if code == "" {
		return p, missing(k.parameter)
	}
	if since, err := strconv.ParseInt(in.get("nod_since"), 10, 64); err == nil && since >= 0 {
		p.since, p.told = since, true
	}
	p.who = who
	p.holder = approval.Holder{
		Face: k.face, Client: who.client, Kind: approval.PollCode, Code: account.Secret(code),
		Address: who.address, JKT: jkt, Since: p.since, Fresh: true,
	}
	return p, nil
}

// collect looks, and waits where there is something to wait for. A poll that may be
// held and finds no place is answered like one that waited in vain.
func (f *face) collect(c *gin.Context, p *poll) (*approval.Collected, error) {
	ctx := c.Request.Context()
	began, err := f.now(ctx)
	if err != nil {
		return nil, err
	}
	if _, p.idKID, err = f.signers(ctx, p.who.client.OAuth, began); err != nil {
		return nil, err
	}
	got, err := f.Service.Collect(ctx, p.holder, approval.SignIn, 0)
	switch {
	case !errors.Is(err, approval.ErrPending):
		return got, err
	case f.early(ctx, p, err):
		return nil, err
	case f.tooFast(ctx, p.holder.Code, began):
		return nil, errTooFast
	}
	hold := min(p.who.client.OAuth.Hold, account.MaxHold)
	if hold <= 0 {
		return nil, err
	}
	leave, ok := f.Gate.Enter(p.who.key, p.who.places)
	if !ok {
		return nil, err
	}
	defer leave()
	wire.Held(c, hold)
	if got, err = f.Service.Collect(ctx, p.holder, approval.SignIn, hold); err != nil {
		f.early(ctx, p, err)
	}
	return got, err
}

// early says whether a client that wants to be told of progress is told some now. It
// asks again at once, so this answer does not count as a poll.
func (f *face) early(ctx context.Context, p *poll, err error) bool {
	far, ok := errors.AsType[*approval.PendingError](err)
	return ok && p.since > 0 && far.Version > p.since && f.news(ctx, p.holder.Code, far.Version)
}

// issue is what a poll that was answered with a yes hands out.
func (p *poll) issue(got *approval.Collected) issue {
	g := got.Grant
	i := issue{
		client: &p.who.client, device: got.Device, scopes: got.Device.Scopes, refresh: got.Refresh,
		jti: g.JTI, kid: g.KID, idKID: p.idKID, at: g.IssuedAt, expires: g.Expires,
	}
	if p.told && i.identifies() {
		i.approvedBy = g.Username
	}
	return i
}

// reply says what the words mean to who polls.
func (p *poll) reply(err error) error {
	if far, ok := errors.AsType[*approval.PendingError](err); ok && p.told {
		said := words.Translate(err)
		said.Extra = map[string]any{"nod_version": far.Version, "nod_opened": far.Opened}
		return said
	}
	if _, said := errors.AsType[*wire.Error](err); err == nil || said {
		return err
	}
	for _, fault := range []error{approval.ErrUnavailable, token.ErrUnknownKey, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, fault) {
			return instead(err, fault, stillPending)
		}
	}
	return err
}
