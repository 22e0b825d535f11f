package approval

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nod-auth/nod/approval/account"
)

func aDevice() account.Device {
	return account.Device{
		ID: "01890a5d-ac96-774b-bcce-b302099a8057", Version: 5, ClientID: "c1", UserID: "u1", Scopes: []string{"openid", "offline_access"},
		JKT: "key", CreatedAt: born, SeenAt: born, Expires: born.Add(time.Hour), Generation: 3,
	}
}

func aRefreshing() Refreshing {
	return Refreshing{
		Client: account.Client{ID: "c1", OAuth: &account.OAuth{AccessLife: 10 * time.Minute, RefreshIdle: time.Hour}}, JKT: "key",
	}
}

func TestRefresh_rule(t *testing.T) {
	for name, tc := range map[string]struct {
		generation int64
		change     func(d *account.Device, a *Refreshing)
		after      time.Duration
		want       error
	}{
		"the newest":                        {generation: 3},
		"the one before":                    {generation: 2, want: ErrReplayed},
		"the first":                         {generation: 1, want: ErrReplayed},
		"one that was never given out":      {generation: 4, want: ErrNotFound},
		"the one before, newest lost":       {generation: 2, change: func(d *account.Device, _ *Refreshing) { d.Lost = true }},
		"the newest, though lost":           {generation: 3, change: func(d *account.Device, _ *Refreshing) { d.Lost = true }},
		"two before, newest lost":           {generation: 1, change: func(d *account.Device, _ *Refreshing) { d.Lost = true }, want: ErrReplayed},
		"the one before, lost a minute ago": {generation: 2, change: func(d *account.Device, _ *Refreshing) { d.Lost = true }, after: RedeliveryWindow, want: ErrReplayed},
		"the one before, just in time":      {generation: 2, change: func(d *account.Device, _ *Refreshing) { d.Lost = true }, after: RedeliveryWindow - 1},
		"at its end":                        {generation: 3, after: time.Hour, want: ErrExpired},
		"just before its end":               {generation: 3, after: time.Hour - 1},
		"an old one after the end":          {generation: 1, after: time.Hour, want: ErrExpired},
		"revoked":                           {generation: 3, change: func(d *account.Device, _ *Refreshing) { d.RevokedAt = born }, want: ErrRevoked},
		"an old one of a revoked device":    {generation: 1, change: func(d *account.Device, _ *Refreshing) { d.RevokedAt = born }, want: ErrRevoked},
		"another key":                       {generation: 3, change: func(_ *account.Device, a *Refreshing) { a.JKT = "other" }, want: ErrMismatch},
		"no key":                            {generation: 3, change: func(_ *account.Device, a *Refreshing) { a.JKT = "" }, want: ErrMismatch},
		"a key where none is bound":         {generation: 3, change: func(d *account.Device, _ *Refreshing) { d.JKT = "" }},
		"an old one without the key":        {generation: 1, change: func(_ *account.Device, a *Refreshing) { a.JKT = "" }, want: ErrMismatch},
		"fewer scopes":                      {generation: 3, change: func(_ *account.Device, a *Refreshing) { a.Scopes = []string{"openid"} }},
		"a scope more":                      {generation: 3, change: func(_ *account.Device, a *Refreshing) { a.Scopes = []string{"openid", "admin"} }, want: ErrInvalid},
	} {
		d, a := aDevice(), aRefreshing()
		if tc.change != nil {
			tc.change(&d, &a)
		}
		now := born.Add(tc.after)
		got, err := refresh(d, tc.generation, a, now)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
		if err != nil {
			continue
		}
		if got.JKT != a.JKT {
			t.Errorf("%s: bound to %q, want to the key that was shown, %q", name, got.JKT, a.JKT)
		}
		if got.Version != d.Version+1 || got.Generation != d.Generation+1 || got.Lost || !got.SeenAt.Equal(now.Truncate(time.Second)) ||
			!got.Expires.Equal(got.SeenAt.Add(time.Hour)) {
			t.Errorf("%s: got %+v, want the next version and generation, seen now, idle from now on", name, got)
		}
	}
}

// An access token never outlives the device that it is of.
func TestRefresh_device_outlives_its_access_token(t *testing.T) {
	a := aRefreshing()
	a.Client.OAuth.RefreshIdle, a.Client.OAuth.AccessLife = time.Hour, 24*time.Hour
	got, err := refresh(aDevice(), 3, a, born)
	if err != nil || !got.Expires.Equal(born.Add(24*time.Hour)) {
		t.Errorf("device until %v, %v; want until its access token's end", got.Expires, err)
	}
}

// Whatever happens to a device, in any order: of all its refresh tokens one is good,
// or two while a reply is lost, and an older one is never good again.
func TestRefresh_of_many_generations_is_good_for_the_newest_alone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, a, now := aDevice(), aRefreshing(), born
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 70).Draw(t, "seconds")) * time.Second)
			good := 0
			for g := range d.Generation + 2 {
				if _, err := refresh(d, g, a, now); err == nil {
					good++
					if g < d.Generation-1 || g < d.Generation && !d.Lost {
						t.Fatalf("generation %d of %d was taken (lost: %v)", g, d.Generation, d.Lost)
					}
				}
			}
			if limit := map[bool]int{false: 1, true: 2}[d.Lost]; good > limit || d.Live(now) && good == 0 {
				t.Fatalf("%d refresh tokens are good at once, want %d at most and one while it lives: %+v", good, limit, d)
			}
			next, err := refresh(d, d.Generation, a, now)
			if err != nil {
				break // it idled for too long
			}
			if d = next; rapid.Bool().Draw(t, "lost") {
				d.Version, d.Lost = d.Version+1, true
			}
		}
	})
}

func TestRefreshTokens_are_known_for_what_they_are(t *testing.T) {
	c := testCodes(t)
	rapid.Check(t, func(t *rapid.T) {
		d := aDevice()
		d.ID, d.Generation = newID(), rapid.Int64Range(0, 1<<40).Draw(t, "generation")
		token := c.refreshToken(d)
		if id, g := c.refreshes(token); id != d.ID || g != d.Generation {
			t.Fatalf("got device %q, generation %d; want %q, %d", id, g, d.ID, d.Generation)
		}
		b := []byte(token.Reveal())
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if id, _ := c.refreshes(account.Secret(b)); id != "" {
			t.Fatalf("%q was taken for a refresh token of %q", b, id)
		}
	})
	for name, other := range map[string]account.Secret{
		"a prompt's handle": c.Prompt(aDevice().ID), "a rotating handle": c.rotating(aDevice().ID, 3), "an exchanged handle": c.own(aDevice().ID, "u1"),
		"a device code": c.Code(PollCode, aDevice().ID), "nothing": "",
	} {
		if id, _ := c.refreshes(other); id != "" {
			t.Errorf("%s was taken for a refresh token", name)
		}
	}
	token := c.refreshToken(aDevice())
	if id, _ := c.rotated(token); id != "" || c.prompted(token) != "" {
		t.Error("a refresh token was taken for a handle")
	}
}
