package soak

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// tale is what a receiver rightly heard of the scene's request and of the device that
// came of it and was signed out.
type tale struct {
	*scene
	told map[string]telling
	rows map[string]audited
}

func newTale(t *testing.T) *tale {
	t.Helper()
	s := &tale{newScene(), make(map[string]telling), make(map[string]audited)}
	s.is.client, s.is.grant.SID = "c1", "d1"
	s.is.grant.Audience, s.is.grant.Expires = "c1", s.at.Add(time.Hour)
	s.is.device, s.is.signedOut = &signedIn{id: "d1", revoked: true}, 1
	for i, name := range []string{"request.created", "request.approved", "request.redeemed", "device.revoked"} {
		row := audited{
			op: "op" + string(rune('1'+i)), name: name, request: "r1", version: int64(i) + 1,
			user: "zoe", client: "c1", at: s.at.Add(time.Duration(i) * time.Second),
		}
		var a announcement
		a.Type, a.Timestamp = announcedAs[name], row.at
		a.Data.RequestID, a.Data.State, a.Data.ClientID, a.Data.UserID = "r1", leadsTo[name], "c1", "zoe"
		if name == "device.revoked" {
			row.version = 0
		}
		if i > 1 {
			a.Data.DeviceID = "d1"
		}
		a.Data.Version = row.version
		s.rows[row.op] = row
		s.tell(t, row.op, a)
	}
	return s
}

func (s *tale) tell(t *testing.T, id string, a announcement) {
	t.Helper()
	body, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	s.told[id] = telling{body: body, calls: 2, taken: 1}
}

// retell changes what was told.
func (s *tale) retell(t *testing.T, id string, change func(a *announcement)) {
	t.Helper()
	a, err := s.told[id].read()
	if err != nil {
		t.Fatal(err)
	}
	change(&a)
	s.tell(t, id, a)
}

// TestJudgeTold_sees_what_is_wrong is TestJudge_sees_what_is_wrong for what webhooks
// told, and for what was signed in.
func TestJudgeTold_sees_what_is_wrong(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, s *tale)
		want  string // "": nothing is wrong
	}{
		"nothing":           {func(*testing.T, *tale) {}, ""},
		"one is lost":       {func(_ *testing.T, s *tale) { delete(s.told, "op2") }, "never arrived"},
		"one was not taken": {func(_ *testing.T, s *tale) { a := s.told["op2"]; a.taken = 0; s.told["op2"] = a }, "never arrived"},
		"one has no row":    {func(_ *testing.T, s *tale) { s.told["op9"] = s.told["op2"] }, "no audit row"},
		"one cannot be read": {func(_ *testing.T, s *tale) {
			s.told["op2"] = telling{body: []byte("{"), taken: 1}
		}, "unexpected end"},
		"another type":    {func(t *testing.T, s *tale) { s.retell(t, "op2", func(a *announcement) { a.Type = "request.denied" }) }, "type"},
		"another version": {func(t *testing.T, s *tale) { s.retell(t, "op2", func(a *announcement) { a.Data.Version = 5 }) }, "version"},
		"another user":    {func(t *testing.T, s *tale) { s.retell(t, "op4", func(a *announcement) { a.Data.UserID = "ada" }) }, "user"},
		"another device":  {func(t *testing.T, s *tale) { s.retell(t, "op4", func(a *announcement) { a.Data.DeviceID = "d2" }) }, "device"},
		"another state":   {func(t *testing.T, s *tale) { s.retell(t, "op3", func(a *announcement) { a.Data.State = "lapsed" }) }, "state"},
		"a node's clock": {func(t *testing.T, s *tale) {
			s.retell(t, "op3", func(a *announcement) { a.Timestamp = a.Timestamp.Add(5 * time.Minute) })
		}, "off that of its audit row"},
		"another order": {func(t *testing.T, s *tale) {
			s.retell(t, "op3", func(a *announcement) { a.Timestamp = a.Timestamp.Add(-1500 * time.Millisecond) })
		}, "is dated before"},
		"nothing signed in":      {func(_ *testing.T, s *tale) { s.is.device = nil }, "I18"},
		"another one signed in":  {func(_ *testing.T, s *tale) { s.is.device.id = "d2" }, "I18"},
		"signed out without row": {func(_ *testing.T, s *tale) { s.is.signedOut = 0 }, "I18"},
		"a row, not signed out":  {func(_ *testing.T, s *tale) { s.is.device.revoked = false }, "I18"},
		"signed out twice":       {func(_ *testing.T, s *tale) { s.is.signedOut = 2 }, "I18"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTale(t)
			c.spoil(t, s)
			records := map[string]*record{"r1": s.is}
			j := &judgement{}
			j.signIn(s.is)
			got := append(judgeTold(s.told, s.rows, s.rows, records), j.faults...)
			if said := strings.Join(got, "\n"); c.want == "" && said != "" || !strings.Contains(said, c.want) {
				t.Errorf("got %q, want a fault of %q", got, c.want)
			}
		})
	}
}
