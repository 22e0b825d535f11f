package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	grantDeviceCode = "urn:ietf:params:oauth:grant-type:device_code"

	// defaultInterval and slowDown are RFC 8628's (sections 3.2 and 3.5).
	defaultInterval = 5 * time.Second
	slowDown        = 5 * time.Second

	// pollLimit is when a poll without an answer counts as broken. nod holds one for
	// at most 25 s; the rest is for slow ways.
	pollLimit = 40 * time.Second

	// grace is how long after the code's end the server's last word is waited for:
	// an answer of the last moment must have time to arrive.
	grace = 5 * time.Second

	// newsPause keeps a server that has ever more news from being asked in a loop.
	newsPause = 200 * time.Millisecond
)

// wait polls until there is a verdict.
func (l *session) wait(ctx context.Context, a *asked) (*Token, error) {
	p := &poller{session: l, asked: a, interval: defaultInterval, since: 1}
	if a.Interval > 0 {
		p.interval = a.Interval.duration()
	}
	for {
		if err := p.pause(ctx); err != nil {
			return nil, err
		}
		token, err := p.poll(ctx)
		if token != nil || err != nil {
			return token, err
		}
	}
}

// poller keeps the pace of one wait.
type poller struct {
	*session
	asked    *asked
	interval time.Duration // least time between the starts of two polls
	backoff  backoff
	began    time.Time // of the latest poll
	next     time.Time // not before
	since    int64     // the version of the request that is known; a new one has 1
	opened   bool
	trouble  error // since when the server has not answered; nil while it does
}

// pause sleeps until the next poll is due. The last one is made as the code runs
// out, however long the pause would be: the person may have approved just then.
func (p *poller) pause(ctx context.Context) error {
	end := p.asked.expires
	if p.next.After(end) && p.began.Before(end) {
		p.next = end
	}
	if p.next.After(end.Add(grace)) {
		return p.expired()
	}
	return sleepUntil(ctx, p.next)
}

func (p *poller) expired() error {
	if p.trouble != nil {
		return fmt.Errorf("%w, and the server did not answer at the end: %w", ErrExpired, p.trouble)
	}
	return ErrExpired
}

// poll asks once (RFC 8628 section 3.4). Neither a token nor an error: go on.
func (p *poller) poll(ctx context.Context) (*Token, error) {
	values := url.Values{
		"grant_type": {grantDeviceCode}, "device_code": {p.asked.DeviceCode},
		"nod_since": {strconv.FormatInt(p.since, 10)}, // nod's; others ignore it (RFC 6749 section 3.2)
	}
	p.began = time.Now()
	limit := min(pollLimit, p.asked.expires.Add(grace).Sub(p.began))
	a, err := p.post(ctx, p.meta.Token, values, limit)
	switch {
	case err == nil:
		return p.judge(a)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limit < pollLimit && errors.Is(err, context.DeadlineExceeded):
		return nil, p.expired()
	}
	p.broken(err, 0)
	return nil, nil
}

// reply is what the token endpoint says.
type reply struct {
	AccessToken  string  `json:"access_token"`
	TokenType    string  `json:"token_type"`
	RefreshToken string  `json:"refresh_token"`
	IDToken      string  `json:"id_token"`
	ExpiresIn    seconds `json:"expires_in"`
	Scope        *string `json:"scope"`
	ApprovedBy   string  `json:"nod_approved_by"`
	Version      int64   `json:"nod_version"`
	Opened       bool    `json:"nod_opened"`
}

// judge reads an answer. Only OAuth ends the wait: a page of a gateway or of a
// hotel's network does not, with whatever status it comes.
func (p *poller) judge(a *answer) (*Token, error) {
	var r reply
	_ = json.Unmarshal(a.body, &r) // what cannot be read holds no token
	e := a.fault()
	switch {
	case e == nil && r.AccessToken == "":
		p.broken(fmt.Errorf("%w: status %d without an answer of OAuth", ErrUnreachable, a.status), a.retryAfter(time.Now()))
	case e == nil:
		return p.token(&r, a.body), nil
	case e.Code == "slow_down":
		p.interval += slowDown
		p.answered(p.began.Add(p.interval), e)
	case e.Code == "authorization_pending":
		p.answered(p.due(&r), e)
	case e.passing(), e.Code == "", e.Code == "temporarily_unavailable":
		p.broken(e, e.RetryAfter)
	default:
		return nil, e
	}
	return nil, nil
}

// answered goes on at its pace: the server is there.
func (p *poller) answered(next time.Time, e *Error) {
	p.next = later(next, time.Now().Add(e.RetryAfter))
	p.backoff.reset()
	if p.trouble != nil {
		p.trouble = nil
		p.Progress(Progress{Event: Resumed})
	}
}

// due is when the next poll is after a pending one: at once when this one only
// brought news, because nod does not count it.
func (p *poller) due(r *reply) time.Time {
	if r.Version <= p.since {
		return p.began.Add(p.interval)
	}
	p.since = r.Version
	if r.Opened && !p.opened {
		p.opened = true
		p.Progress(Progress{Event: Opened})
	}
	return p.began.Add(newsPause)
}

// broken goes on after trouble. A server that was never reached is asked again
// soon. One that may have counted the poll is not asked before its interval is
// over, and one that held it for longer than that is no server in trouble.
func (p *poller) broken(err error, retryAfter time.Duration) {
	now := time.Now()
	if now.Sub(p.began) >= p.interval {
		p.backoff.reset()
	}
	p.next = now.Add(max(p.backoff.next(), retryAfter))
	if dial := (*net.OpError)(nil); !errors.As(err, &dial) || dial.Op != "dial" {
		p.next = later(p.next, p.began.Add(p.interval))
	}
	if p.trouble == nil {
		p.Progress(Progress{Event: Interrupted, Err: err})
	}
	p.trouble = err
}

func (p *poller) token(r *reply, raw []byte) *Token {
	t := &Token{
		AccessToken: r.AccessToken, TokenType: r.TokenType, RefreshToken: r.RefreshToken, IDToken: r.IDToken,
		Scopes: p.Scopes, ApprovedBy: r.ApprovedBy, Raw: raw,
	}
	if r.ExpiresIn > 0 {
		t.Expiry = time.Now().Add(r.ExpiresIn.duration())
	}
	if r.Scope != nil { // absent: what was asked for (RFC 6749 section 5.1)
		t.Scopes = strings.Fields(*r.Scope)
	}
	return t
}
