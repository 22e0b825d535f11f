package soak

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

// scene is a history that is right: a code was made, approved, collected and
// collected again.
type scene struct {
	at       time.Time
	acts     []act
	is       *record
	made     *act
	yes      *act
	got      *act
	gotAgain *act
}

func tokenOf(jti, name string, issued time.Time) string {
	said := fmt.Sprintf(`{"jti": %q, "udata": %q, "iat": %d}`, jti, name, issued.Unix())
	return "head." + base64.RawURLEncoding.EncodeToString([]byte(said)) + ".signature"
}

func newScene() *scene {
	s := &scene{at: time.Now().Truncate(time.Second)}
	jwt := tokenOf("j1", "zoe", s.at)
	s.acts = []act{
		s.act(generates, 0, done), s.act(authorizes, 1, done), s.act(collects, 2, done), s.act(collects, 3, done),
		s.act(collects, 4, notFound),
	}
	s.made, s.yes, s.got, s.gotAgain = &s.acts[0], &s.acts[1], &s.acts[2], &s.acts[3]
	s.made.expires = s.at.Add(time.Minute)
	s.got.token, s.gotAgain.token = jwt, jwt
	s.acts[4].from = "192.0.2.2"
	s.is = &record{
		id: "r1", user: "zoe", state: "redeemed", version: 3, expires: s.made.expires, decided: s.at.Add(time.Second),
		grant:  &grant{JTI: "j1", Address: "192.0.2.1", Issued: s.at},
		events: []trace{{1, "request.created", ""}, {2, "request.approved", ""}, {3, "request.redeemed", "j1"}},
	}
	return s
}

// act is one that took half a second, so many seconds after the beginning.
func (s *scene) act(v verb, second int, o outcome) act {
	asked := s.at.Add(time.Duration(second) * time.Second)
	a := act{verb: v, user: "zoe", request: "r1", from: "192.0.2.1", asked: asked, answered: asked.Add(time.Second / 2), outcome: o}
	if v == invalidates || v == deactivates {
		a.request = ""
	}
	return a
}

func (s *scene) add(a act) { s.acts = append(s.acts, a) }

// TestJudge_sees_what_is_wrong keeps the judge of the nemesis honest: of a right
// history it says nothing, and each spoilt one it refuses for the right reason.
func TestJudge_sees_what_is_wrong(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(s *scene)
		want  string // "": nothing is wrong
	}{
		"nothing":                      {func(*scene) {}, ""},
		"a second token":               {func(s *scene) { s.gotAgain.token = tokenOf("j2", "zoe", s.at) }, "I1"},
		"somebody else's name":         {func(s *scene) { s.got.token = tokenOf("j1", "ada", s.at); s.gotAgain.token = s.got.token }, "I16"},
		"a token nobody allowed":       {func(s *scene) { s.yes.outcome = notFound }, "nobody approved"},
		"perhaps allowed":              {func(s *scene) { s.yes.outcome = unknown }, ""},
		"a token after a no":           {func(s *scene) { s.add(s.act(invalidates, 1, done)); s.is.revoked = true }, "I2"},
		"a token before a no":          {func(s *scene) { s.add(s.act(invalidates, 5, done)); s.is.revoked = true }, ""},
		"a token after the user's end": {func(s *scene) { s.add(s.act(deactivates, 1, done)) }, "I2"},
		"a no without effect":          {func(s *scene) { s.add(s.act(invalidates, 5, done)) }, "I4"},
		"a no that left it open": {func(s *scene) {
			s.acts = []act{*s.made, *s.yes, s.act(invalidates, 3, done)}
			s.is.state, s.is.version, s.is.events, s.is.grant = "approved", 2, s.is.events[:2], nil
		}, "I4"},
		"to another address":       {func(s *scene) { s.gotAgain.from = "192.0.2.2" }, "I7"},
		"much later":               {func(s *scene) { s.gotAgain.asked = s.at.Add(62 * time.Second) }, "I7"},
		"after the code's end":     {func(s *scene) { s.made.expires = s.at.Add(-time.Minute); s.is.expires = s.made.expires }, "I8"},
		"a lost yes":               {func(s *scene) { s.acts = s.acts[:2]; s.is = nil }, "I11"},
		"a yes taken back":         {func(s *scene) { s.acts = s.acts[:2]; s.is.state, s.is.events[2].name = "canceled", "request.canceled" }, "I11"},
		"pending after the yes":    {func(s *scene) { s.add(s.act(collects, 4, pending)) }, "I11"},
		"pending before the yes":   {func(s *scene) { s.add(s.act(collects, 0, pending)) }, ""},
		"a no that nobody said":    {func(s *scene) { s.add(s.act(collects, 4, denied)) }, "nobody said"},
		"expired too early":        {func(s *scene) { s.add(s.act(collects, 0, expired)) }, "too early"},
		"not found for its holder": {func(s *scene) { s.add(s.act(collects, 5, notFound)) }, "I7"},
		"a lost redemption":        {func(s *scene) { s.is.grant = nil }, "I11"},
		"a missing audit row":      {func(s *scene) { s.is.events = s.is.events[:2] }, "I18"},
		"one of them twice":        {func(s *scene) { s.is.events[2] = s.is.events[1] }, "I18"},
		"a resurrection":           {func(s *scene) { s.is.events[1].name = "request.canceled" }, "I9"},
		"a state without a row":    {func(s *scene) { s.is.state = "canceled" }, "I18"},
		"another token's audit":    {func(s *scene) { s.is.events[2].detail = "j2" }, "I1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			c.spoil(s)
			records := map[string]*record{}
			if s.is != nil {
				records["r1"] = s.is
			}
			got := judge(s.acts, records)
			if said := strings.Join(got, "\n"); c.want == "" && said != "" || !strings.Contains(said, c.want) {
				t.Errorf("got %q, want a fault of %q", got, c.want)
			}
		})
	}
}
