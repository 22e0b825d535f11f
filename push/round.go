package push

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// noteEvery: that a phone was reached is worth a write when it was not, or not
// lately. Every prompt would otherwise cost one more, to say what the last said.
const noteEvery = time.Hour

// round is a claimed message on its way: it ends when nothing is under way and
// nothing due, and gives the row back. One goroutine runs it; attempts, each on its
// own, answer over a channel.
type round struct {
	turn
	directory *approval.Directory
	message   Message
	progress  progress
	roads     []road

	results chan result
	flying  map[string]bool // roads with an attempt under way, by name
	ending  bool            // start nothing more: nobody wants it, or the row cannot be kept
	said    []string        // by those who did not take it
	notes   []approval.Change
	gone    []account.Phone
}

// result is what came of one attempt.
type result struct {
	road road
	err  error
}

func newRound(t turn, directory *approval.Directory) *round {
	return &round{turn: t, directory: directory, flying: make(map[string]bool)}
}

func (r *round) run(ctx context.Context) {
	over, err := r.prepare(ctx)
	switch {
	case err != nil:
		r.log.WarnContext(ctx, "push goes on later", "topic", string(r.topic), "message", r.row.ID, "error", err)
		r.giveBack(ctx, r.now().Add(pollEvery), "")
	case over != "":
		r.giveBack(ctx, time.Time{}, over)
	default:
		r.sendAll(ctx)
		r.giveBack(ctx, r.next(), strings.Join(r.said, "; "))
		r.keepNotes(ctx)
	}
}

// prepare reads afresh what the message is about and whom it is for. over says why
// nobody is to be told any more.
func (r *round) prepare(ctx context.Context) (over string, err error) {
	if r.progress, err = readProgress(r.row.Body); err != nil {
		return "its body cannot be read", nil //nolint:nilerr // nor ever will be
	}
	if r.row.Until.IsZero() {
		r.row.Until = r.row.CreatedAt.Add(approval.NoticeLife)
	}
	r.message = Message{ID: r.row.ID, At: r.row.CreatedAt, Until: r.row.Until}
	userID, over, err := r.subject(ctx)
	if err != nil || over != "" {
		return over, err
	}
	u, err := r.store.User(ctx, userID)
	switch {
	case errors.Is(err, approval.ErrNotFound):
		return "the user is gone", nil
	case err != nil:
		return "", err
	case !u.Active():
		return "the user is not active", nil
	}
	r.message.User = u
	if r.roads, err = r.Push.roads(ctx, u.ID); err == nil && len(r.roads) == 0 {
		over = "no road leads to the user"
	}
	r.results = make(chan result, len(r.roads))
	return over, err
}

// subject is what the row's key names.
func (r *round) subject(ctx context.Context) (userID, over string, err error) {
	if r.topic == approval.TopicNotice {
		r.message.Kind, r.message.Notice = Notice, r.progress.Notice
		return r.row.Key, "", nil
	}
	found, err := r.store.Find(ctx, approval.Key{ID: r.row.Key})
	switch {
	case errors.Is(err, approval.ErrNotFound):
		return "", "the request is gone", nil
	case err != nil:
		return "", "", err
	case found.State != approval.Pending:
		return "", "the request is " + string(found.State), nil
	}
	r.message.Kind, r.message.Handle = Prompt, r.codes.Prompt(found.ID)
	return found.UserID, "", nil
}

// sendAll tries whatever is due and goes on for as long as anything is under way:
// a road that hangs then delays no other road's retry.
func (r *round) sendAll(ctx context.Context) {
	r.start(ctx)
	for len(r.flying) > 0 {
		retry := time.NewTimer(r.untilRetry(ctx))
		select {
		case res := <-r.results:
			first := res.err == nil && !r.progress.reached()
			r.judge(ctx, res)
			if first && len(r.flying) > 0 {
				r.hold(ctx) // it counts as sent now, not when the slowest road has ended
			}
		case <-retry.C:
			if r.hold(ctx); !r.ending && r.wanted(ctx) {
				r.start(ctx)
			}
		}
		retry.Stop()
	}
}

// wanted looks again before a retry within the round: the request may have been
// decided. The next round says what became of it.
func (r *round) wanted(ctx context.Context) bool {
	_, over, err := r.subject(ctx)
	r.ending = err != nil || over != ""
	return !r.ending
}

// start begins an attempt on every road that is due.
func (r *round) start(ctx context.Context) {
	now := r.now()
	for _, road := range r.roads {
		a := r.progress.Roads[road.name]
		if a.over() || r.flying[road.name] || a.Next.After(now) {
			continue
		}
		r.flying[road.name] = true
		go func() { // sendAll waits for its answer
			r.results <- result{road, r.send(ctx, road, r.message, r.row.Until.Sub(now))}
		}()
	}
}

// next is when the first road that is neither over nor under way is due; zero when
// there is none, or not in time.
func (r *round) next() (next time.Time) {
	for _, road := range r.roads {
		a := r.progress.Roads[road.name]
		if a.over() || r.flying[road.name] {
			continue
		}
		due := a.Next
		if due.IsZero() {
			due = r.now() // it was cut off
		}
		if next.IsZero() || due.Before(next) {
			next = due
		}
	}
	if !next.Before(r.row.Until) {
		return time.Time{}
	}
	return next
}

// untilRetry is how long to wait for attempts under way before another begins.
func (r *round) untilRetry(ctx context.Context) time.Duration {
	next := r.next()
	if next.IsZero() || r.ending || ctx.Err() != nil {
		return lease // every attempt ends before
	}
	return next.Sub(r.now())
}

// judge notes what came of an attempt. One that was cut off because the node stops
// did not happen: nobody knows what became of it.
func (r *round) judge(ctx context.Context, res result) {
	delete(r.flying, res.road.name)
	if res.err != nil && ctx.Err() != nil {
		return
	}
	now := r.now()
	a := attempts{Tries: r.progress.Roads[res.road.name].Tries + 1}
	outcome := outcomeFailed
	switch {
	case res.err == nil:
		outcome, a.Taken = outcomeTaken, true
		if !r.progress.reached() {
			r.metrics.reached(now.Sub(r.row.CreatedAt))
		}
	case errors.Is(res.err, ErrGone):
		outcome = outcomeGone
	default:
		var ok bool
		if a.Next, ok = r.again(a.Tries, res.err, now, r.row.Until); ok {
			outcome = outcomeRetry
		} else {
			a.Next = time.Time{}
		}
	}
	r.progress.Roads[res.road.name] = a
	r.metrics.attempt(res.road.label, outcome)
	r.tell(ctx, res, outcome)
	r.note(res, outcome, now)
}

// tell writes the log line of an attempt: nothing in it leads to the phone or to
// the request.
func (r *round) tell(ctx context.Context, res result, outcome string) {
	level, answer := slog.LevelDebug, ""
	if res.err != nil {
		level, answer = slog.LevelInfo, plain(res.err)
		r.said = append(r.said, res.road.label+": "+answer)
	}
	if outcome == outcomeFailed {
		level = slog.LevelWarn
	}
	r.log.LogAttrs(ctx, level, "push "+outcome,
		slog.String("channel", res.road.label), slog.String("phone", res.road.phone.ID),
		slog.String("topic", string(r.topic)), slog.String("about", r.row.Key), slog.String("answer", answer))
}

// note remembers what its owner should see on the phone's line.
func (r *round) note(res result, outcome string, now time.Time) {
	phone, fault := res.road.phone, ""
	switch {
	case phone.ID == "":
		return
	case outcome == outcomeGone:
		r.gone = append(r.gone, phone)
		return
	case outcome == outcomeFailed:
		fault = plain(res.err)
	}
	stale := outcome == outcomeTaken && now.Sub(phone.ReachedAt) >= noteEvery
	if outcome != outcomeRetry && (fault != phone.Fault || stale) {
		r.notes = append(r.notes, approval.Change{
			Op: approval.NewOp(), Effects: []approval.Effect{approval.NotePhone{ID: phone.ID, Fault: fault}},
		})
	}
}

// keepNotes writes what was noted. What cannot be written is seen again at the
// next message.
func (r *round) keepNotes(ctx context.Context) {
	var err error
	if len(r.notes) > 0 {
		err = r.directory.Record(ctx, r.notes...)
	}
	for _, phone := range r.gone {
		err = errors.Join(err, r.directory.PhoneGone(ctx, phone))
	}
	if err != nil && ctx.Err() == nil {
		r.log.WarnContext(ctx, "push could not keep what a provider answered", "error", err)
	}
}

// hold keeps the row for another lease, with what is known by now.
func (r *round) hold(ctx context.Context) {
	state := approval.DeliveryQueued
	if r.progress.reached() {
		state = approval.DeliverySent
	}
	r.keep(ctx, approval.Outcome{State: state, Next: r.now().Add(lease)})
}

// giveBack ends the round: the row is due again at next, or done when that is zero.
func (r *round) giveBack(ctx context.Context, next time.Time, note string) {
	state := approval.DeliveryFailed
	switch {
	case r.progress.reached():
		state = approval.DeliverySent
	case !next.IsZero():
		state = approval.DeliveryQueued
	}
	r.keep(ctx, approval.Outcome{State: state, Next: next, Note: note})
	r.look() // the queue may sleep for longer than until next
}

// keep writes the row with its progress.
func (r *round) keep(ctx context.Context, o approval.Outcome) {
	if r.progress.Roads != nil { // otherwise nobody could read it, and it stays
		o.Body, _ = json.Marshal(r.progress) // fails for no year that comes up; then the old one stays
	}
	if !r.settle(ctx, o) {
		r.ending = true
	}
}
