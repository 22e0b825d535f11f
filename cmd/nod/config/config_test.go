package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"
)

// given is everything a configuration is made of.
type given struct {
	file  string // contents, "" for no file
	env   []string
	flags []string
}

func (g given) load(t *testing.T) (Config, []string, error) {
	t.Helper()
	fs := pflag.NewFlagSet("nod", pflag.ContinueOnError)
	Flags(fs)
	args := g.flags
	if g.file != "" {
		args = append([]string{"--config", writeFile(t, g.file)}, args...)
	}
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return Load(fs, g.env)
}

func (g given) mustLoad(t *testing.T) Config {
	t.Helper()
	c, _, err := g.load(t)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nod.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad_nothing_given_is_the_documented_default(t *testing.T) {
	want := Config{
		Listen: "127.0.0.1:8080", PublicURL: "http://localhost:8080", Data: "nod-data", RPID: "localhost",
		WaitHold: 120 * time.Second, MaxWaitsPerAddress: 50,
		GuessesPerUser: 5, GuessesPerUserHourly: 10, GuessesPerAddress: 20, GuessesPerClient: 200,
		ShortLife: 3 * time.Minute, LongLife: 10 * time.Minute, PhraseLife: 10 * time.Minute,
		TokenLife: 10 * time.Minute, TokenWindow: 5 * time.Minute,
	}
	c := given{}.mustLoad(t)
	if diff := cmp.Diff(want, c.At(c.Listen), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("default configuration (-want +got):\n%s", diff)
	}
}

func TestLoad_later_layers_override_earlier_ones(t *testing.T) {
	g := given{
		file: "listen: 127.0.0.1:1\ndata: from-file\nmax-waits: 7\nlog-level: warn\n",
		env:  []string{"NOD_LISTEN=127.0.0.1:2", "NOD_DATA=from-env", "NOD_LOG_FORMAT=json", "PATH=/bin"},
	}
	g.flags = []string{"--listen", "127.0.0.1:3"}
	c := g.mustLoad(t)
	type picked struct {
		Listen, Data string
		Waits        int
		JSON         bool
		Level        slog.Level
		Hold         time.Duration
	}
	got := picked{c.Listen, c.Data, c.MaxWaits, c.LogJSON, c.LogLevel, c.WaitHold}
	want := picked{"127.0.0.1:3", "from-env", 7, true, slog.LevelWarn, 2 * time.Minute}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLoad_a_switch_needs_no_value(t *testing.T) {
	for text, want := range map[string]bool{"": false, "--push-log": true, "--push-log=true": true, "--push-log=false": false} {
		if got := (given{flags: strings.Fields(text)}).mustLoad(t).PushLog; got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	if !(given{file: "push-log: true\n"}).mustLoad(t).PushLog {
		t.Error("in the file: got false, want true")
	}
}

func TestLoad_empty_means_not_set(t *testing.T) {
	c := given{file: "listen:\nrp-id: ''\n", env: []string{"NOD_DATA="}, flags: []string{"--metrics-listen="}}.mustLoad(t)
	if c.Listen != "127.0.0.1:8080" || c.Data != "nod-data" || c.MetricsListen != "" {
		t.Errorf("got listen %q, data %q, metrics-listen %q; want the defaults", c.Listen, c.Data, c.MetricsListen)
	}
}

func TestLoad_lists_are_written_in_three_ways(t *testing.T) {
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32")}
	for name, g := range map[string]given{
		"a YAML list":       {file: "trusted-proxies: [10.1.0.0/8, 192.0.2.7]\n"},
		"commas":            {env: []string{"NOD_TRUSTED_PROXIES=10.0.0.0/8, 192.0.2.7"}},
		"the flag repeated": {flags: []string{"--trusted-proxies=10.0.0.0/8", "--trusted-proxies=192.0.2.7"}},
	} {
		if got := g.mustLoad(t).TrustedProxies; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestLoad_names_the_config_file_in_the_environment(t *testing.T) {
	path := writeFile(t, "data: elsewhere\n")
	c := given{env: []string{"NOD_CONFIG=" + path}}.mustLoad(t)
	if c.Data != "elsewhere" {
		t.Errorf("data: got %q, want %q", c.Data, "elsewhere")
	}
}

func TestLoad_reports_every_fault_at_once(t *testing.T) {
	g := given{
		file:  "lisen: 127.0.0.1:1\nwait-hold: 3m\nserver: {port: 1}\n",
		env:   []string{"NOD_PUBLIC_URL=http://nod.example.com", "NOD_MAX_WAITS=many"},
		flags: []string{"--log-format", "jsn", "--listen", "8080"},
	}
	_, _, err := g.load(t)
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("got %v, want Faults", err)
	}
	for _, want := range []string{
		`nod.yaml: the setting "lisen" is not one of nod's; did you mean "listen"?`,
		`nod.yaml: the setting "server.port" is not one of nod's; "nod serve --help" lists them`,
		`nod.yaml: wait-hold: 3m is out of bounds; use something from 1s to 2m`,
		`NOD_PUBLIC_URL: "http://nod.example.com" is not encrypted`,
		`NOD_MAX_WAITS: "many" is not a whole number`,
		`--log-format: "jsn" is not known; did you mean "json"?`,
		`--listen: "8080" is not host:port`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in:\n%v", want, err)
		}
	}
	if len(faults) != 7 {
		t.Errorf("got %d faults, want 7:\n%v", len(faults), err)
	}
}

func TestLoad_unreadable_file(t *testing.T) {
	for name, c := range map[string]struct {
		path, want string
	}{
		"missing":  {filepath.Join(t.TempDir(), "none.yaml"), "cannot be read (no such file or directory)"},
		"not YAML": {writeFile(t, "listen: [\n"), "is not YAML that nod can read"},
		"twice":    {writeFile(t, "data: a\ndata: b\n"), "is not YAML that nod can read"},
		"a list":   {writeFile(t, "- listen\n"), "is not YAML that nod can read"},
	} {
		_, _, err := given{flags: []string{"--config", c.path}}.load(t)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
	}
}

func TestLoad_unknown_variable_is_a_warning(t *testing.T) {
	_, warnings, err := given{env: []string{
		"NOD_PUBLIC_UR=x", "NOD_MASTER_KEY=x", "NOD_SERVICE_HOST=10.0.0.1", "NODE_ENV=test",
	}}.load(t)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"the variable NOD_MASTER_KEY is not one of nod's and is ignored; did you mean NOD_MASTER_KEY_FILE?",
		"the variable NOD_PUBLIC_UR is not one of nod's and is ignored; did you mean NOD_PUBLIC_URL?",
		`the variable NOD_SERVICE_HOST is not one of nod's and is ignored; "nod serve --help" lists them`,
	}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestLoad_refuses_values_that_would_not_work(t *testing.T) {
	for _, c := range []struct{ flags, want string }{
		{"--public-url=nod.example.com", "is not a web address"},
		{"--public-url=ftp://nod.example.com", "is not a web address"},
		{"--public-url=https://nod.example.com/nod", "a host of its own, as https://nod.example.com"},
		{"--public-url=https://me@nod.example.com", "more than a host and a port"},
		{"--public-url=https://192.0.2.1", "is an IP address"},
		{"--public-url=http://[::1]:8080", "is an IP address"},
		{"--public-url=http://127.0.0.1:8080", "is an IP address"},
		{"--public-url=https://intranet", "has a single part"},
		{"--public-url=https://nöd.example", "use its xn-- form"},
		{"--public-url=https://nod_1.example.com", "is not a domain"},
		{"--rp-id=nod.example.com", "neither the public URL's host (localhost)"},
		{"--rp-id=evil.example --public-url=https://nod.example.com", "neither the public URL's host (nod.example.com)"},
		{"--rp-id=ample.com --public-url=https://nod.example.com", "neither the public URL's host"},
		{"--rp-id=co.uk --public-url=https://nod.co.uk", "under which anybody can register"},
		{"--rp-id=192.0.2.1", "is an IP address"},
		{"--listen=127.0.0.1:65536", "no port between 0 and 65535"},
		{"--listen=127.0.0.1:http", "no port between 0 and 65535"},
		{"--wait-hold=121s", "from 1s to 2m"},
		{"--wait-hold=120", "is not a duration"},
		{"--max-waits-per-address=0", "use 1 or more"},
		{"--trusted-proxies=0.0.0.0/0", "would believe anybody"},
		{"--trusted-proxies=proxy.example", "neither an address nor a network"},
		{"--token-life=48h", "from 10s to 24h"},
		{"--database-url=mysql://h/d --master-key-file=f", "that is no database nod knows"},
		{"--database-url=postgres://h/d", "share the master key, too; make it once with"},
		{"--redis-url=http://h --database-url=postgres://h/d --master-key-file=f", "the scheme is not known"},
		{"--redis-url=redis://h", "of no use with a database that is a file"},
		{"--log-level=loud", "use one of debug, error, info, warn"},
		{"--metrics-listen=127.0.0.1:8080", "must not be the address of --listen"},

		{"--push-contact=ops@example.com", "is not a contact"},
		{"--push-contact=http://example.com", "is not a contact"},
		{"--push-contact=mailto:ops", "has no mail address"},
		{"--push-contact=mailto:ops@localhost", "which push services refuse"},
		{"--push-contact=mailto:ops@nod.local", "which push services refuse"},
		{"--push-contact=https://localhost:8080", "which push services refuse"},
		{"--push-contact=https://192.0.2.1/", "which push services refuse"},
		{"--push-services=push.example.com,*.*", `push service "*.*"`},
		{"--push-allow-networks=0.0.0.0/0", "would let phones make nod call anything"},
		{"--push-allow-networks=ntfy.lan", "neither an address nor a network"},
		{"--fcm-credentials-file=f --fcm-endpoint=127.0.0.1:1", "is not a web address"},
		{"--fcm-endpoint=http://127.0.0.1:1", "of no use without fcm-credentials-file"},
		{"--smtp-from=nod@example.com", "of no use without smtp-url"},
		{"--smtp-url=smtp://mail.example.com", "of no use without smtp-from"},
		{"--smtp-from=nod --smtp-url=smtp://mail.example.com", "is not a mail address"},
		{"--smtp-from=nod@example.com --smtp-url=mail.example.com:587", "is not a mail server"},
		{"--smtp-from=nod@example.com --smtp-url=smtp://me:a#b@mail.example.com", "is not a mail server"},
		{"--smtp-from=nod@example.com --smtp-url=smtp://mail.example.com/inbox", "more than a server"},
		{"--smtp-from=nod@example.com --smtp-url=smtp://mail.example.com:99999", "no port between 1 and 65535"},
		{"--push-webhook-url=https://hooks.example.com", "of no use without push-webhook-secret; make one with: echo whsec_"},
		{"--push-webhook-secret=" + webhookKey, "of no use without push-webhook-url"},
		{"--push-webhook-url=hooks.example.com --push-webhook-secret=" + webhookKey, "is not a web address"},
		{"--push-webhook-url=https://me:pw@hooks.example.com --push-webhook-secret=" + webhookKey, "leave them out"},
		{"--push-webhook-url=https://hooks.example.com --push-webhook-secret=whsec_c2hvcnQ=", "24 to 64 bytes in base64; make one"},
		{"--push-webhook-url=https://hooks.example.com --push-webhook-secret=" + webhookKey[len(secretPrefix):], "it is not whsec_"},
		{"--push-log=yes", `is not known; use one of false, true`},
	} {
		_, _, err := given{flags: strings.Fields(c.flags)}.load(t)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.flags, err, c.want)
		}
		var faults Faults
		if errors.As(err, &faults) && len(faults) != 1 {
			t.Errorf("%s: got %d faults, want 1:\n%v", c.flags, len(faults), err)
		}
	}
}

// webhookKey signs nothing but tests: whsec_ and 32 bytes.
var webhookKey = secretPrefix + strings.Repeat("QUJD", 10) + "QUI="

func TestLoad_errors_never_repeat_a_secret(t *testing.T) {
	const secret = "hunter2"
	for _, flags := range []string{
		"--smtp-from=nod@example.com --smtp-url=smtp://me:" + secret + "#@mail.example.com",
		"--smtp-from=nod@example.com --smtp-url=imap://me:" + secret + "@mail.example.com",
		"--smtp-from=nod@example.com --smtp-url=smtp://me:" + secret + "@mail.example.com:x",
		"--smtp-from=nod@example.com --smtp-url=smtp://me:" + secret + "@mail.example.com/x",
		"--push-webhook-url=https://hooks.example.com --push-webhook-secret=" + secret,
		"--push-webhook-secret=" + webhookKey + " --push-webhook-url=https://me:" + secret + "@hooks.example.com",
	} {
		_, warnings, err := given{flags: strings.Fields(flags)}.load(t)
		if text := fmt.Sprint(err, warnings); err == nil || strings.Contains(text, secret) {
			t.Errorf("%s: got %s, want an error without %s", flags, text, secret)
		}
	}
}

func TestLoad_takes_a_secret_from_the_file_that_is_named(t *testing.T) {
	file := filepath.Join(t.TempDir(), "smtp-url")
	if err := os.WriteFile(file, []byte("smtp://from-secret-file\n"), 0o644); err != nil { //nolint:gosec // as platforms mount them
		t.Fatal(err)
	}
	const from = "smtp-from: nod@example.com\n"
	for name, c := range map[string]struct {
		given
		want, warning string
	}{
		"named in the environment":     {given{file: from, env: []string{"NOD_SMTP_URL_FILE=" + file}}, "smtp://from-secret-file", ""},
		"named in the file":            {given{file: from + "smtp-url-file: " + file + "\n"}, "smtp://from-secret-file", ""},
		"named in a flag":              {given{file: from + "smtp-url: smtp://a\n", flags: []string{"--smtp-url-file", file}}, "smtp://from-secret-file", ""},
		"given in a later place":       {given{file: from + "smtp-url-file: " + file + "\n", env: []string{"NOD_SMTP_URL=smtp://a"}}, "smtp://a", ""},
		"given on the command line":    {given{file: from, flags: []string{"--smtp-url=smtp://a"}}, "smtp://a", "--smtp-url can be read by everybody"},
		"named as nothing":             {given{file: from, env: []string{"NOD_SMTP_URL=smtp://a"}, flags: []string{"--smtp-url-file="}}, "smtp://a", ""},
		"named, and given as nothing":  {given{file: from + "smtp-url-file: " + file + "\nsmtp-url:\n"}, "smtp://from-secret-file", ""},
		"named and given in one place": {given{file: from, env: []string{"NOD_SMTP_URL=smtp://a", "NOD_SMTP_URL_FILE=" + file}}, "NOD_SMTP_URL and NOD_SMTP_URL_FILE: give one of them, not both", ""},
		"not there":                    {given{file: from, flags: []string{"--smtp-url-file=none"}}, "--smtp-url-file: the file none cannot be used (no such file or directory)", ""},
		"empty":                        {given{file: from, flags: []string{"--smtp-url-file=" + os.DevNull}}, "cannot be used (it is empty)", ""},
	} {
		cfg, warnings, err := c.load(t)
		got := cfg.SMTPURL.Reveal()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) || got == "" {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		if text := strings.Join(warnings, "\n"); !strings.Contains(text, c.warning) || (c.warning == "") != (text == "") {
			t.Errorf("%s: got warnings %q, want %q in them", name, text, c.warning)
		}
	}
}

func TestLoad_public_url_and_rp_id(t *testing.T) {
	for _, c := range []struct{ flags, url, rpID string }{
		{"", "http://localhost:8080", "localhost"},
		{"--listen=127.0.0.1:9090", "http://localhost:9090", "localhost"},
		{"--listen=0.0.0.0:9090 --public-url=http://localhost:8080", "http://localhost:8080", "localhost"},
		{"--public-url=https://NOD.example.com/", "https://nod.example.com", "nod.example.com"},
		{"--public-url=https://nod.example.com:443", "https://nod.example.com", "nod.example.com"},
		{"--public-url=https://nod.example.com:8443", "https://nod.example.com:8443", "nod.example.com"},
		{"--public-url=https://nod.example.com --rp-id=example.com", "https://nod.example.com", "example.com"},
		{"--public-url=https://nod.example.co.uk --rp-id=Example.co.uk", "https://nod.example.co.uk", "example.co.uk"},
	} {
		cfg := given{flags: strings.Fields(c.flags)}.mustLoad(t)
		got := cfg.At(cfg.Listen)
		if got.PublicURL != c.url || got.RPID != c.rpID {
			t.Errorf("%q: got %s with RP ID %s, want %s with %s", c.flags, got.PublicURL, got.RPID, c.url, c.rpID)
		}
	}
}

func TestSettings_fill_every_field_once(t *testing.T) {
	// Every field differs from the default after every setting was changed.
	changed := map[string]string{
		"listen": ":1", "public-url": "https://a.example.com", "data": "d", "rp-id": "example.com", "master-key-file": "f",
		"database-url": "postgres://db.example.com/nod", "redis-url": "redis://cache.example.com",
		"push-contact": "mailto:ops@example.com", "push-services": "push.example.com", "push-allow-networks": "10.0.0.0/8",
		"fcm-credentials-file": "f", "fcm-endpoint": "http://127.0.0.1:1",
		"smtp-url": "smtp://mail.example.com", "smtp-from": "nod@example.com",
		"push-webhook-url": "https://hooks.example.com", "push-webhook-secret": webhookKey, "push-log": "true", "geoip": "f",
		"trusted-proxies": "10.0.0.0/8", "log-format": "json", "log-level": "debug", "metrics-listen": ":2",
	}
	var args []string
	for _, s := range settings {
		value := changed[s.key]
		switch s.kind {
		case "duration":
			value = "11s"
		case "number":
			value = "77"
		}
		if value == "" {
			t.Fatalf("no value to try for %s", s.key)
		}
		args = append(args, "--"+s.key+"="+value)
	}
	got, was := reflect.ValueOf(given{flags: args}.mustLoad(t)), reflect.ValueOf(Default())
	for i := range got.NumField() {
		if reflect.DeepEqual(got.Field(i).Interface(), was.Field(i).Interface()) {
			t.Errorf("no setting changes %s", got.Type().Field(i).Name)
		}
	}
	if got.NumField() != len(settings) {
		t.Errorf("%d settings for %d fields", len(settings), got.NumField())
	}
}

func TestNearest_finds_what_was_meant(t *testing.T) {
	for word, want := range map[string]string{
		"lisen": "listen", "public_url": "public-url", "Public-URL": "public-url", "publicurl": "public-url",
		"rpid": "rp-id", "waithold": "wait-hold", "key-file": "master-key-file", "frobnicate": "", "x": "", "port": "",
	} {
		if got := Nearest(word, Keys()); got != want {
			t.Errorf("Nearest(%q): got %q, want %q", word, got, want)
		}
	}
}

func TestDistance_is_symmetric_and_exact(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"listen", "lisen", 1}, {"ab", "ba", 2}} {
		if got, back := distance(c.a, c.b), distance(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("distance(%q, %q): got %d and back %d, want %d", c.a, c.b, got, back, c.want)
		}
	}
}
