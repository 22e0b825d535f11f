package oauth

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// noon is when the clients of these tests begin to poll.
var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// polls runs polls at times in seconds through the rule, as the bus keeps it: written
// down and read again. The answer is one letter for each: p pending, s slow_down.
func polls(at ...float64) string {
	var kept []byte
	out := make([]byte, len(at))
	for i, s := range at {
		next, tooFast := decodeCadence(kept).poll(noon.Add(seconds(s)))
		kept, out[i] = next.encode(), 'p'
		if tooFast {
			out[i] = 's'
		}
	}
	return string(out)
}

func TestCadence_answersAsRealClientsNeed(t *testing.T) {
	for _, c := range []struct {
		name    string
		because string
		at      []float64
		want    string
	}{
		{"the first poll is never throttled", "kubelogin polls at t = 0", []float64{0, 5, 10}, "ppp"},
		{"a second process", "SSSD polls at t = 0, and 50 ms later from another process; both go on", []float64{0, 0.05, 5, 5.05, 10, 10.05}, "pppppp"},
		{"every poll twice", "x/oauth2 tries Basic, then the body, 0 ms apart", []float64{0, 0, 5, 5, 10, 10}, "pppppp"},
		{"every poll twice, too fast", "and what the second is told must be true as well: its client hears only that", []float64{0, 0, 2, 2}, "ppss"},
		{"from start to start", "held 20 s and asked again at once: openid-client with a hold", []float64{0, 20, 40}, "ppp"},
		{"half a second early", "a slow handshake, then a quick one: cli/oauth over a mobile network", []float64{0, 5.4, 9.9, 15}, "pppp"},
		{"too fast", "an impatient script", []float64{0, 2}, "ps"},
		{"slow_down is heeded", "x/oauth2 and openid-client add five seconds and go on like that", []float64{0, 2, 12, 22, 32}, "psppp"},
		{"slow_down is ignored", "oauth2c and step go on at the advertised five: that is in time", []float64{0, 2, 7, 12, 17}, "psppp"},
		{"one slow_down is enough", "cli/oauth dies of the second: one hiccup must not bring two", []float64{0, 4.2, 9.2, 14.2}, "pspp"},
		{"and back again", "H2CK/oidc#716: a server that never forgives", []float64{0, 2, 12, 17, 22}, "psppp"},
		{"once more after being forgiven", "forgiven is not exempt", []float64{0, 2, 12, 13.5}, "psps"},
		{"five seconds more, once", "whoever goes on too fast is welcome every ten seconds", []float64{0, 3, 6, 9, 12, 15, 18, 21, 24}, "psssps" + "ssp"},
		{"twins count from the first", "a client that polls every 0.9 s is no chain of twins", []float64{0, 0.9, 1.8, 2.7}, "ppss"},
		{"the clock stepped back", "an hour lost is no reason to punish", []float64{3600, 3605, 10}, "ppp"},
	} {
		if got := polls(c.at...); got != c.want {
			t.Errorf("%s (%s): polls at %v: got %s, want %s", c.name, c.because, c.at, got, c.want)
		}
	}
}

// TestCadence_atAFixedFiveSecondsIsNeverTrapped polls for the longest life of a code,
// after any beginning and over a network that delays some polls.
func TestCadence_atAFixedFiveSecondsIsNeverTrapped(t *testing.T) {
	const life = time.Hour // account.OAuth.DeviceCodeLife at most
	for first := 0.0; first < 11; first += 0.1 {
		at := []float64{0, first} // another process, or a hiccup, and then every five seconds
		for s := first + 5; s < life.Seconds(); s += 5 {
			at = append(at, s)
		}
		for i, answer := range polls(at...)[2:] {
			if answer != 'p' {
				t.Fatalf("second poll after %.1f s: the poll at %.1f s is too fast, want none after the second", first, at[i+2])
			}
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	var at []float64
	for s := 0.0; s < life.Seconds(); s += 5 {
		at = append(at, s+random.Float64()*0.5) // as late as the tolerance grants
	}
	for i, answer := range polls(at...) {
		if answer != 'p' {
			t.Fatalf("the poll at %.2f s is too fast, after one at %.2f s", at[i], at[i-1])
		}
	}
}

// TestCadence_trapsNobody polls in whatever way: ten seconds after a poll that was in
// time, another one is, unless it is the twin of one that was too fast.
func TestCadence_trapsNobody(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		var p cadence
		now, good := noon, noon
		for range 60 {
			var tooFast bool
			if p, tooFast = p.poll(now); !tooFast {
				good = now
			} else if since := now.Sub(good); since >= interval+slower-tolerance+twins {
				t.Fatalf("too fast %s after a poll that was in time", since)
			}
			now = now.Add(time.Duration(random.Int64N(int64(6 * time.Second))))
		}
	}
}

func TestCadence_newsAreFreeOnceEach(t *testing.T) {
	p, _ := cadence{}.poll(noon)
	told, ok := p.news(2)
	if !ok {
		t.Fatal("news: got no, want yes for a version that is new")
	}
	again, ok := told.news(2)
	if ok {
		t.Error("news: got yes for the same version again: polling would be free")
	}
	if _, tooFast := again.poll(noon.Add(seconds(1.5))); tooFast {
		t.Error("got too fast, want the poll after news to be like a first one")
	}
}

func TestCadence_isReadAsItWasWritten(t *testing.T) {
	for _, want := range []cadence{
		{}, {told: 3}, {counted: noon, last: noon}, {counted: noon, last: noon.Add(seconds(2)), slowed: true, told: 9},
	} {
		got := decodeCadence(want.encode())
		if !got.counted.Equal(want.counted) || !got.last.Equal(want.last) || got.slowed != want.slowed || got.told != want.told {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	for _, text := range []string{"", "x", "1 2", fmt.Sprint("1 2 3 4 5"[:3])} {
		if got := decodeCadence([]byte(text)); got != (cadence{}) {
			t.Errorf("%q: got %+v, want that of a code nobody polled", text, got)
		}
	}
}
