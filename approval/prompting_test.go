package approval

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// asked is the request of the n-th prompt.
func asked(n int, now time.Time) Request {
	return Request{ID: fmt.Sprint("r", n), Expires: now.Add(3 * time.Minute)}
}

func TestPrompting_lets_three_through_in_ten_minutes(t *testing.T) {
	p := Prompting{Key: "u1"}
	for i, tc := range []struct {
		after time.Duration
		want  bool
	}{
		{0, true}, {4 * time.Minute, true}, {8 * time.Minute, true},
		{9 * time.Minute, false}, {10*time.Minute - 1, false}, {10 * time.Minute, true},
		{14*time.Minute - 1, false}, {14 * time.Minute, true}, {18 * time.Minute, true}, {19 * time.Minute, false},
	} {
		now := born.Add(tc.after)
		next, ok := p.prompt(now, asked(i, now), false)
		if ok != tc.want {
			t.Fatalf("after %v: prompted %v, want %v", tc.after, ok, tc.want)
		}
		p = next
	}
}

func TestPrompting_lets_ten_through_in_a_day(t *testing.T) {
	p := Prompting{Key: "u1"}
	for n := range 10 {
		next, ok := p.prompt(born.Add(time.Duration(n)*time.Hour), Request{}, false)
		if !ok {
			t.Fatalf("prompt %d was refused", n)
		}
		p = next
	}
	for after, want := range map[time.Duration]bool{10 * time.Hour: false, dayWindow - 1: false, dayWindow: true} {
		if _, ok := p.prompt(born.Add(after), Request{}, false); ok != want {
			t.Errorf("after %v: prompted %v, want %v", after, ok, want)
		}
	}
}

func TestPrompting_one_is_live_at_a_time(t *testing.T) {
	p, ok := Prompting{}.prompt(born, asked(1, born), false)
	if !ok || p.Live != "r1" || !p.LiveUntil.Equal(born.Add(3*time.Minute)) {
		t.Fatalf("got %+v, %v", p, ok)
	}
	if next, ok := p.prompt(born.Add(time.Second), asked(2, born), true); ok || next.Version != p.Version || next.Live != p.Live {
		t.Errorf("beside a live one: %+v, %v; want it refused and nothing changed", next, ok)
	}
	if next := p.approved(born.Add(time.Second)); next.Live != "r1" || next.KeepUntil().Before(p.LiveUntil) {
		t.Errorf("after another request's approval: %+v, want the prompt still live", next)
	}
}

func TestPrompting_second_decline_mutes(t *testing.T) {
	for name, tc := range map[string]struct {
		between time.Duration
		mutes   bool
	}{
		"at once":                  {0, true},
		"just within half an hour": {MuteFor - 1, true},
		"half an hour later":       {MuteFor, false},
	} {
		second := born.Add(tc.between)
		p := Prompting{}.declined(born)
		if !p.MutedUntil.IsZero() {
			t.Errorf("%s: one decline mutes", name)
		}
		p = p.declined(second)
		want := time.Time{}
		if tc.mutes {
			want = second.Add(MuteFor)
		}
		if !p.MutedUntil.Equal(want) {
			t.Errorf("%s: muted until %v, want %v", name, p.MutedUntil, want)
		}
		for after, allowed := range map[time.Duration]bool{0: !tc.mutes, MuteFor - 1: !tc.mutes, MuteFor: true} {
			if _, ok := p.prompt(second.Add(after), Request{}, false); ok != allowed {
				t.Errorf("%s, %v later: prompted %v, want %v", name, after, ok, allowed)
			}
		}
	}
}

func TestPrompting_mute_needs_two_new_declines_each_time(t *testing.T) {
	p := Prompting{}.declined(born).declined(born)
	over := born.Add(MuteFor)
	if p = p.declined(over); over.Before(p.MutedUntil) {
		t.Errorf("one decline after a mute mutes until %v", p.MutedUntil)
	}
	if p = p.declined(over); !p.MutedUntil.Equal(over.Add(MuteFor)) {
		t.Errorf("muted until %v, want half an hour", p.MutedUntil)
	}
}

func TestPrompting_approval_starts_all_counts_again(t *testing.T) {
	p := Prompting{Key: "u1"}
	for n := range 3 {
		p, _ = p.prompt(born, asked(n, born), false)
	}
	p = p.declined(born).declined(born)
	if _, ok := p.prompt(born.Add(time.Minute), asked(4, born), false); ok {
		t.Fatal("a fourth prompt, muted")
	}
	p = p.approved(born.Add(time.Minute))
	if len(p.Sent) != 0 || len(p.Declined) != 0 || !p.MutedUntil.IsZero() || p.Key != "u1" {
		t.Errorf("after an approval: %+v", p)
	}
	if _, ok := p.prompt(born.Add(time.Minute), asked(4, born), false); !ok {
		t.Error("no prompt after an approval")
	}
}

// mind is what the rules promise, told over all that ever happened instead of
// over a row.
type mind struct {
	now      time.Time
	sent     []time.Time // since the last approval
	declined []time.Time // since the last mute or approval
	muted    time.Time
	open     string // the request of the last prompt, while undecided
	until    time.Time
}

func (m *mind) within(ts []time.Time, age time.Duration) (n int) {
	for _, t := range ts {
		if m.now.Sub(t) < age {
			n++
		}
	}
	return n
}

func (m *mind) live() bool { return m.open != "" && m.now.Before(m.until) }

func (m *mind) allows() bool {
	return !m.live() && !m.now.Before(m.muted) &&
		m.within(m.sent, 10*time.Minute) < 3 && m.within(m.sent, 24*time.Hour) < 10
}

// Whatever happens in whatever order, a row that forgets and is purged lets
// exactly those prompts through that the promise allows.
func TestPrompting_keeps_its_promise_in_any_history(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, m, n := Prompting{Key: "u1"}, &mind{now: born}, 0
		versions := map[int64]bool{0: true}
		moved := func(next Prompting) {
			if versions[next.Version] || next.Version <= p.Version {
				t.Fatalf("version %d after %d was there before", next.Version, p.Version)
			}
			versions[next.Version] = true
			p = next
		}
		prompt := func(t *rapid.T) {
			want := m.allows()
			n++
			r := asked(n, m.now)
			next, ok := p.prompt(m.now, r, m.live() && p.Live == m.open)
			if ok != want {
				t.Fatalf("prompted %v, want %v: %+v against %+v", ok, want, p, *m)
			}
			if ok {
				moved(next)
				m.sent, m.open, m.until = append(m.sent, m.now), r.ID, r.Expires
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"prompt": prompt, "prompt again": prompt,
			"decide the prompt": func(*rapid.T) { m.open = "" },
			"approve": func(*rapid.T) {
				moved(p.approved(m.now))
				m.sent, m.declined, m.muted = nil, nil, time.Time{}
			},
			"decline": func(*rapid.T) {
				moved(p.declined(m.now))
				if m.declined = append(m.declined, m.now); m.within(m.declined, 30*time.Minute) >= 2 {
					m.declined, m.muted = nil, m.now.Add(30*time.Minute)
				}
			},
			"time goes by": func(t *rapid.T) {
				m.now = m.now.Add(rapid.SampledFrom([]time.Duration{
					time.Microsecond, time.Second, time.Minute, 10 * time.Minute, 29 * time.Minute, time.Hour, 23 * time.Hour,
				}).Draw(t, "for"))
			},
			"purge": func(*rapid.T) {
				if !m.now.Before(p.KeepUntil()) {
					p = Prompting{Key: "u1"}
				}
			},
		})
	})
}

func TestPrompting_row_stays_small(t *testing.T) {
	p := Prompting{}
	for n := range 10_000 {
		now := born.Add(time.Duration(n) * time.Minute)
		p, _ = p.prompt(now, asked(n, now), false)
		if n%7 == 0 {
			p = p.declined(now)
		}
	}
	if len(p.Sent) > promptsPerDay || len(p.Declined) >= declinesToMute {
		t.Errorf("%d prompts and %d declines are kept, want at most %d and %d", len(p.Sent), len(p.Declined), promptsPerDay, declinesToMute-1)
	}
}

func TestPrompting_changes_nothing_of_the_row_it_came_from(t *testing.T) {
	p := Prompting{Sent: []time.Time{born, born.Add(time.Hour)}, Declined: []time.Time{born}}
	sent, declined := slices.Clone(p.Sent), slices.Clone(p.Declined)
	later := born.Add(dayWindow)
	p.prompt(later, Request{}, false)
	p.declined(later)
	p.approved(later)
	if !slices.Equal(p.Sent, sent) || !slices.Equal(p.Declined, declined) {
		t.Errorf("got %v and %v, want %v and %v", p.Sent, p.Declined, sent, declined)
	}
}

func TestNoticeKey_keeps_kinds_and_prompts_apart(t *testing.T) {
	keys := map[string]bool{"u1": true}
	for _, n := range []Notice{NoticeCode, NoticeSuspended} {
		keys[noticeKey("u1", n)] = true
	}
	if len(keys) != 3 {
		t.Errorf("got %v, want three different keys", keys)
	}
}
