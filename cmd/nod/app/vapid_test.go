package app

import (
	"strings"
	"sync"
	"testing"

	"github.com/nod-auth/nod/push"
)

func vapid(t *testing.T, c *Core) push.VAPID {
	t.Helper()
	v, err := c.VAPID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVAPID_of_all_who_start_together_is_one(t *testing.T) {
	c := testConfig(t)
	cores := []*Core{openCore(t, c), openCore(t, c)}
	keys := make([]push.VAPID, 8)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() { keys[i], _ = cores[i%2].VAPID(t.Context()) })
	}
	all.Wait()
	want := vapid(t, cores[0]).Private().Reveal()
	if want == "" {
		t.Fatal("got no key pair")
	}
	for i, k := range keys {
		if k.Private().Reveal() != want {
			t.Errorf("starter %d: got %s, want %s", i, k.Public(), keys[0].Public())
		}
	}
}

func TestVAPID_is_nowhere_in_clear(t *testing.T) {
	core := openCore(t, testConfig(t))
	v := vapid(t, core)
	kept, err := core.Store.Setting(t.Context(), settingVAPID)
	if err != nil || strings.Contains(kept, v.Private().Reveal()) {
		t.Errorf("got %q, %v; want it sealed", kept, err)
	}
}

func TestVAPID_that_does_not_open_stops_the_start(t *testing.T) {
	c, other := testConfig(t), testConfig(t)
	core, foreign := openCore(t, c), openCore(t, other)
	vapid(t, core)
	vapid(t, foreign)
	sealed, err := foreign.Store.Setting(t.Context(), settingVAPID)
	if err != nil {
		t.Fatal(err)
	}
	for about, c := range map[string]struct{ kept, want string }{
		"of another master key": {sealed, "this master key does not open them; start with the master.key that made them"},
		"damaged":               {"???", "they are damaged"},
	} {
		if err := core.Store.PutSetting(t.Context(), settingVAPID, c.kept); err != nil {
			t.Fatal(err)
		}
		_, err := core.VAPID(t.Context())
		wantError(t, about, err, c.want)
	}
	_, err = New(t.Context(), c, quiet)
	wantError(t, "the start", err, "push keys in ")
}
