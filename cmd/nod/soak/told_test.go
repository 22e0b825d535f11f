package soak

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// announcedAs is what a webhook hears of, by the name of the audit row: README's list
// as far as it can happen here, written again.
var announcedAs = map[string]string{
	"request.created": "request.requested", "request.approved": "request.approved", "request.canceled": "request.canceled",
	"request.expired": "request.expired", "request.lapsed": "request.expired", "request.redeemed": "request.redeemed",
	"device.revoked": "device.revoked", "grant.revoked": "device.revoked",
}

// audited is an audit row that a webhook hears of.
type audited struct {
	op, name              string
	request               string
	version               int64
	user, client, passkey string
	at                    time.Time
}

// audited reads what a webhook has to be told, by operation id, which is the event's.
func (s snapshot) audited() map[string]audited {
	s.t.Helper()
	const rows = `SELECT op, name, request_id, version, user_id, client_id, passkey_id, at FROM events`
	out := make(map[string]audited)
	s.query(rows, func(rows *sql.Rows) error {
		var a audited
		var at int64
		err := rows.Scan(&a.op, &a.name, &a.request, &a.version, &a.user, &a.client, &a.passkey, &at)
		if a.at = time.UnixMicro(at); announcedAs[a.name] != "" {
			out[a.op] = a
		}
		return err
	})
	return out
}

// hook adds a webhook for all events and lets r know its secret.
func (c *cluster) hook(r *receiver) {
	var made struct{ Secret string }
	c.cli(&made, "webhook", "add", "--url", "http://"+r.address+"/nod", "--push-allow-networks", loopback)
	r.knows(made.Secret)
}

const loopback = "127.0.0.0/8"

// drained returns what happened so far, when all of it was told and taken. What was
// refused a few times would be tried again in two minutes or ten: an operator whose
// receiver is well again says replay, and so does this. Most of what was refused has
// come again by itself before.
func (c *cluster) drained(t *testing.T, r *receiver) (rows map[string]audited) {
	t.Helper()
	const sayAgain = 10 * time.Second
	var replayed struct{ Replayed int }
	var said time.Time
	again, times := 0, 0
	if r.cameAgain() == 0 {
		t.Error("webhooks: nothing that was refused came again by itself")
	}
	took := eventually(t, 2*time.Minute, "everything was told", func() error {
		c.snapshot(t, func(s snapshot) { rows = s.audited() })
		heard, _ := r.heard()
		left := 0
		for op := range rows {
			if heard[op].taken == 0 {
				left++
			}
		}
		switch {
		case left == 0:
			return nil
		case time.Since(said) > sayAgain:
			c.cli(&replayed, "webhook", "replay", "--failed")
			said, again, times = time.Now(), again+replayed.Replayed, times+1
		}
		time.Sleep(200 * time.Millisecond) // it reads the whole audit
		return fmt.Errorf("%d of %d events were not", left, len(rows))
	})
	r.rest()
	t.Logf("webhooks: all was told %s after the load, %d in %d replays", took.Round(time.Millisecond), again, times)
	return rows
}

// judgeTold holds what a receiver heard to the audit: every event that it is owed
// arrived, each with what the audit says of it, and nothing that has no row.
func judgeTold(told map[string]telling, owed, rows map[string]audited, records map[string]*record) []string {
	j := &judgement{}
	stories := make(map[string][]named)
	for op, row := range owed {
		if told[op].taken == 0 {
			j.fault("webhooks: %s of request %s, version %d, never arrived", row.name, row.request, row.version)
		}
	}
	for id, as := range told {
		said, err := as.read()
		row, ok := rows[id]
		switch {
		case err != nil:
			j.fault("webhooks: event %s: %v", id, err)
		case !ok:
			j.fault("webhooks: event %s has no audit row: %s", id, as.body)
		default:
			if err := said.agrees(row, records[row.request]); err != nil {
				j.fault("webhooks: event %s: %v: %s", id, err, as.body)
			}
			if row.version > 0 {
				stories[row.request] = append(stories[row.request], named{id, said})
			}
		}
	}
	for request, story := range stories {
		j.inOrder(request, story)
	}
	slices.Sort(j.faults)
	return j.faults
}

// agrees holds an announcement to its audit row, and to the request as it is in the end.
func (a announcement) agrees(row audited, r *record) error {
	if r == nil {
		return errors.New("its request is not there")
	}
	d := a.Data
	client, state, device := r.client, leadsTo[row.name], ""
	switch row.name {
	case "device.revoked":
		client, state = row.client, ""
	case "grant.revoked":
		client, state = r.grant.Audience, ""
	}
	if r.grant != nil && (announcedAs[row.name] == "device.revoked" || row.name == "request.redeemed") {
		device = r.grant.SID
	}
	var errs []error
	for _, c := range []struct{ what, got, want string }{
		{"type", a.Type, announcedAs[row.name]},
		{"request", d.RequestID, row.request},
		{"version", fmt.Sprint(d.Version), fmt.Sprint(row.version)},
		{"state", d.State, state},
		{"user", d.UserID, row.user},
		{"client", d.ClientID, client},
		{"passkey", d.PasskeyID, row.passkey},
		{"device", d.DeviceID, device},
	} {
		if c.got != c.want {
			errs = append(errs, fmt.Errorf("%s: got %q, want %q", c.what, c.got, c.want))
		}
	}
	// A transaction takes seconds at most; a node's own clock may be 300 s wrong.
	if off := row.at.Sub(a.Timestamp).Abs(); off > patience {
		errs = append(errs, fmt.Errorf("timestamp: it is %s off that of its audit row", off))
	}
	return errors.Join(errs...)
}

// named is an announcement and its id.
type named struct {
	id string
	announcement
}

// inOrder judges that a receiver can restore the order, whatever the order was in
// which it heard.
func (j *judgement) inOrder(request string, story []named) {
	slices.SortFunc(story, func(a, b named) int {
		return cmp.Or(a.Timestamp.Compare(b.Timestamp), strings.Compare(a.id, b.id))
	})
	for i := 1; i < len(story); i++ {
		if story[i].Data.Version <= story[i-1].Data.Version {
			j.fault("webhooks: request %s: version %d, %s, is dated before version %d, %s", request,
				story[i-1].Data.Version, story[i-1].Timestamp, story[i].Data.Version, story[i].Timestamp)
		}
	}
}

func (r *receiver) report(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	calls, refused, twice := 0, 0, 0
	for _, as := range r.told {
		calls += as.calls
		if as.calls > as.taken {
			refused++
		}
		if as.taken > 1 {
			twice++
		}
	}
	t.Logf("webhooks: %d events in %d calls; %d were refused first, %v, %d cut off while they hung; %d were taken more than once",
		len(r.told), calls, refused, r.untaken, r.cutOff, twice)
}
