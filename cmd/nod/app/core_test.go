package app

import (
	"strings"
	"testing"

	"github.com/nod-auth/nod/cmd/nod/config"
)

func openAndClose(t *testing.T, c config.Config) error {
	t.Helper()
	core, err := Open(t.Context(), c)
	if err != nil {
		return err
	}
	return core.Close()
}

func wantError(t *testing.T, about string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want %q in it", about, err, want)
	}
}

func TestCore_public_url_is_that_of_the_last_server(t *testing.T) {
	c := testConfig(t)
	core := openCore(t, c)
	check := func(about, want string) {
		t.Helper()
		if got, err := core.PublicURL(t.Context()); err != nil || got != want {
			t.Errorf("%s: got %s, %v; want %s", about, got, err, want)
		}
	}
	core.Config.Listen = "127.0.0.1:9999"
	check("no server yet", "http://localhost:9999")
	for _, url := range []string{"https://a.example.com", "https://b.example.com"} {
		if err := core.Store.PutSetting(t.Context(), settingPublicURL, url); err != nil {
			t.Fatal(err)
		}
		check("after a server", url)
	}
	core.Config.PublicURL = "https://c.example.com"
	check("configured", "https://c.example.com")
}

func TestCore_keeps_the_rp_id_of_the_first_start(t *testing.T) {
	core := openCore(t, testConfig(t))
	if got, err := core.RPID(t.Context()); got != "" || err != nil {
		t.Errorf("before a start: got %q, %v; want nothing", got, err)
	}
	core.Config.RPID = "example.com"
	if err := core.keepRPID(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := core.keepRPID(t.Context()); err != nil {
		t.Errorf("the same again: %v", err)
	}
	core.Config.RPID = "example.org"
	wantError(t, "another", core.keepRPID(t.Context()), "belong to example.com and would be lost; start with --rp-id example.com")
	if got, err := core.RPID(t.Context()); got != "example.com" || err != nil {
		t.Errorf("after both: got %q, %v; want example.com", got, err)
	}
}

func TestWaitLimit_leaves_room_for_everything_else(t *testing.T) {
	for _, c := range []struct {
		asked int
		files uint64
		known bool
		limit int
		warn  bool
	}{
		{0, 1 << 20, true, 1<<20 - 1<<20/10, false},
		{0, 20000, true, 18000, false},
		{0, 1024, true, 768, true},
		{0, 100, true, 1, true},
		{500, 1024, true, 500, false},
		{50000, 1024, true, 50000, true},
		{10, 100, true, 10, true},
		{0, 1 << 63, true, 1<<31 - 1 - (1<<31-1)/10, false}, // "unlimited"
		{0, 0, false, 1<<31 - 1 - (1<<31-1)/10, false},
		{7, 0, false, 7, false},
	} {
		limit, warning := waitLimit(c.asked, c.files, c.known)
		if limit != c.limit || (warning != "") != c.warn {
			t.Errorf("waitLimit(%d, %d, %v): got %d, %q; want %d, warning %v", c.asked, c.files, c.known, limit, warning, c.limit, c.warn)
		}
	}
}
