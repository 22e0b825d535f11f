// Package e2e tests nod from outside, as a process: the vendor's own SDKs, OAuth
// libraries that nobody changed, real browsers with a virtual authenticator, and
// clients that misbehave, all against `nod serve` on a free loopback port with data
// of its own. Push goes to providers in software (package push/virtual), which the
// test process runs.
//
// The scripts (*.test.mjs) run under node:test, one Go subtest and one server
// each. They need Node 20 or newer with npm, and those with a browser need
// Chromium; without them a test skips and says what is missing, or fails where
// TEST_REQUIRE_ALL is 1. The dependencies are installed with `npm ci` when they are
// not those of package-lock.json.
//
// To run one script:
//
//	go test ./web/e2e -run 'TestScripts/phone$' -v
//
// and of it only the tests whose names contain a text:
//
//	E2E_ONLY='three wrong' go test ./web/e2e -run 'TestScripts/phone$' -v
//
// With NOD_SCREENSHOTS set to a directory, every page the scripts inspect is
// photographed there in three sizes, light and dark.
package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	installTimeout = 2 * time.Minute
	scriptTimeout  = 5 * time.Minute
)

// places says that 127.0.0.0/8 is in Berlin and 198.51.100.0/24 in Utrecht. The
// tests of cmd/nod/app know how to write such a file.
const places = "testdata/places.mmdb"

func TestScripts(t *testing.T) {
	scripts := []struct {
		name    string
		browser bool
		sample  bool     // the sample application stands beside the server
		push    bool     // there is a Web Push service, and the server knows it
		rotate  bool     // its QR codes change every 30 s
		flags   []string // of nod serve
	}{
		// The long ones first: as many run at a time as there are processors.
		{name: "device-grant", browser: true},
		{name: "sample-app-told", browser: true, sample: true, push: true, rotate: true},
		{name: "join", browser: true},
		{name: "push", browser: true, push: true, flags: []string{"--geoip", places}},
		{name: "notifications", browser: true, push: true},
		{name: "phone", browser: true},
		{name: "sample-app", browser: true, sample: true},
		{name: "phone-codes", browser: true},
		{name: "ciba", browser: true},
		{name: "sample-app-expiry", browser: true, sample: true, flags: []string{"--code-life-short", "4s"}},
		{name: "recovery", browser: true},
		{name: "join-expiry", browser: true, flags: []string{"--code-life-long", "6s"}},
		{name: "devices", browser: true},
		{name: "web-sdk", browser: true},
		{name: "transactions", browser: true},
		{name: "arrival", browser: true},
		{name: "enrol", browser: true},
		{name: "node-sdk"},
		{name: "traps"},
		{name: "errors"},
	}
	for _, script := range scripts {
		t.Run(script.name, func(t *testing.T) {
			t.Parallel()
			node := tool(t, "node")
			var env []string
			if script.browser {
				env = append(env, "E2E_CHROMIUM="+browser(t, script.push))
			}
			installPackages(t)
			flags := script.flags
			if script.push {
				p := startProviders(t)
				flags = append(flags, p.settings()...)
				env = append(env, "E2E_PUSH="+controlProviders(t, p))
			}
			s := startServer(t, flags...)
			if script.sample {
				env = append(env, "E2E_ACME="+startSample(t, s, script.rotate), "E2E_CONTROL="+startControl(t, s))
			}
			runScript(t, node, script.name+".test.mjs", s, env)
		})
	}
}

// install runs `npm ci` once, when the packages are not there or not those that
// package-lock.json names.
var install = sync.OnceValue(func() error {
	if same, err := installed(); err != nil || same {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	if output, err := exec.CommandContext(ctx, "npm", "ci").CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, output)
	}
	return nil
})

// installed compares package-lock.json with what npm noted of its last work.
func installed() (bool, error) {
	type lock struct {
		Packages map[string]struct {
			Version  string `json:"version"`
			Optional bool   `json:"optional"` // for other machines
		} `json:"packages"`
	}
	read := func(file string) (l lock, err error) {
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &l)
		}
		return l, err
	}
	want, err := read("package-lock.json")
	if err != nil {
		return false, err
	}
	have, err := read("node_modules/.package-lock.json")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for place, p := range want.Packages {
		if place != "" && !p.Optional && have.Packages[place].Version != p.Version {
			return false, err
		}
	}
	return true, err
}

func installPackages(t *testing.T) {
	t.Helper()
	tool(t, "npm")
	if err := install(); err != nil {
		missing(t, "the scripts' packages could not be installed: %v", err)
	}
}

// runScript runs one file of tests against the server. Its whole output is
// logged: the reason of a failure, and with -v the measured figures.
func runScript(t *testing.T, node, file string, s *server, env []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scriptTimeout)
	defer cancel()
	args := []string{"--test-reporter=spec", file}
	if only := os.Getenv("E2E_ONLY"); only != "" {
		args = append([]string{"--test-name-pattern=" + only}, args...)
	}
	cmd := exec.CommandContext(ctx, node, args...)
	cmd.Env = environment(append(env, "E2E_URL="+s.url, "E2E_NOD="+s.nod, "E2E_DATA="+s.data)...)
	if dir := os.Getenv("NOD_SCREENSHOTS"); dir != "" {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "NOD_SCREENSHOTS="+absolute)
	}
	// SIGTERM lets the script close its browser.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v", file, err)
	}
	t.Logf("%s", output)
}
